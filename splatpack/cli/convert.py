"""``splatpack convert``: any scene to any format, one file or a folder of them."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from splatpack.cli import _options, _targets
from splatpack.cli._batch import convert_all, sources_of
from splatpack.cli._console import Callback, Console, size

if TYPE_CHECKING:
    from splatpack.limits import Limits
    from splatpack.scene.gaussians import Gaussians

READ_FRAMES = (*_targets.FRAMES, "unknown")


@click.argument("sources", metavar="IN...", nargs=-1, required=True)
@click.argument("output", metavar="OUT")
@_options.force
@click.option("--frame", type=click.Choice(READ_FRAMES), help="The frame that the input is in, if not its format's.")
@click.option("--time", "when", type=float, metavar="T", help="Which frame of a moving scene. Default: 0, the first.")
@_targets.options
@click.option("--to", metavar="EXT", help="Format of each file, where OUT is a folder: .ply, .spz, .spk, ...")
@_options.max_memory
def _run(
    console: Console, sources: tuple[str, ...], output: str, *, force: bool, frame: str | None,
    when: float | None, output_frame: str | None, spz_version: int | None, to: str | None, max_memory: int | None,
) -> None:  # fmt: skip
    """Convert a scene to the format that the extension of OUT names; what it cannot hold is said.

    Several inputs, a folder or a pattern ("scenes/*.ply") give a folder, each file in the format of --to. A file that
    fails does not stop the others; the exit status is then 1.

    Most files do not say in which frame they are. By convention SPZ is rub (OpenGL), all others rdf (COLMAP), and many
    tools write SPZ in rdf all the same. --frame says what an input really is, --output-frame what to write.
    """
    limits = _options.limits(max_memory)

    def one(source: str, target: Path, progress: Callback | None) -> dict[str, Any]:
        return convert_file(
            source, target, force=force, frame=frame, when=when, output_frame=output_frame, spz_version=spz_version,
            limits=limits, threads=console.threads, progress=progress,
        )  # fmt: skip

    many = sources_of(sources)
    if many is not None:
        convert_all(console, many, Path(output), to, one)
        return
    with console.progress() as progress:
        done = one(sources[0], Path(output), progress)
    console.result(done)
    for text in done["warnings"]:
        console.warn(text)
    console.say(f"{sources[0]} -> {click.style(output, bold=True)}")
    console.say(f"  {done['n']:,} Gaussians, SH degree {done['sh_degree']}, {size(done['bytes_out'])}, "
                f"{done['seconds']:.1f} s")  # fmt: skip


def convert_file(
    source: str, target: Path, *, force: bool, frame: str | None, when: float | None, output_frame: str | None,
    spz_version: int | None, limits: Limits, threads: int | None, progress: Callback | None,
) -> dict[str, Any]:  # fmt: skip
    """Convert one file; return the values of ``--json``."""
    from splatpack.container.atomic import refuse_existing
    from splatpack.errors import UsageError
    from splatpack.formats.registry import target_format

    start = time.perf_counter()
    refuse_existing(target, force)
    to_spk = target.suffix.lower() == ".spk"
    if not to_spk:
        wanted = target_format(target.name)
        if spz_version is not None and "version" not in wanted.settings:
            raise UsageError(f"--spz-version: {target} is a {wanted.title} file, expected an .spz or a .glb.")
    elif output_frame is not None or spz_version is not None:
        raise UsageError(
            "--output-frame and --spz-version: a .spk says in which frame it is, they are for other files."
        )
    if progress:
        progress("reading", 0, 1)
    scene, warnings = read_source(source, frame, when, limits, threads)
    if progress:
        progress("writing", 0, 1)
    if to_spk:
        from splatpack.pack.api import write

        warnings += write(target, scene, force=force, threads=threads, progress=progress).warnings
    else:
        warnings += _targets.save(
            target, scene, force=force, output_frame=output_frame, spz_version=spz_version
        )  # fmt: skip
    return {
        "input": source, "output": str(target), "n": len(scene), "sh_degree": scene.sh_degree,
        "bytes_in": _bytes_of(Path(source)), "bytes_out": target.stat().st_size,
        "seconds": time.perf_counter() - start, "warnings": warnings,
    }  # fmt: skip


def _bytes_of(path: Path) -> int:
    """Return the size of a file, or of the files of a folder that is a scene."""
    return sum(p.stat().st_size for p in path.iterdir() if p.is_file()) if path.is_dir() else path.stat().st_size


def read_source(
    source: str, frame: str | None, when: float | None, limits: Limits, threads: int | None
) -> tuple[Gaussians, list[str]]:
    """Return a scene that can be drawn, and what its reader or the repair left out."""
    from splatpack.formats.detect import detect
    from splatpack.formats.registry import read_scene
    from splatpack.scene.validate import validate

    if detect(source) == "spk" or Path(source).suffix.lower() == ".spk":
        from splatpack.errors import UsageError
        from splatpack.pack.api import read

        if when is not None:
            raise UsageError(f"--time: {source} is a .spk of a still scene.")
        scene = read(source, limits=limits, threads=threads)
        return (scene if frame is None else replace(scene, frame=frame)), []
    scene, found = validate(read_scene(source, limits=limits, frame=frame, time=when))
    notes = scene.metadata.get("source", {}).get("notes", [])
    return scene, [*notes, *([] if found.clean else [f"{found.summary()}."])]


command = _options.command("convert", example="splatpack convert scene.ply scene.spz")(_run)
