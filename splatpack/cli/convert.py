"""``splatpack convert``: any scene to any format, one file or a folder of them."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from splatpack.cli import _folders, _options, _targets
from splatpack.cli._batch import convert_all, sources_of
from splatpack.cli._console import Callback, Console, size

if TYPE_CHECKING:
    from splatpack.limits import Limits
    from splatpack.scene.gaussians import Gaussians

READ_FRAMES = (*_targets.FRAMES, "unknown")


@dataclass(frozen=True)
class Job:
    """What the options say of every file: how it is read, and how it is written."""

    force: bool
    frame: str | None
    when: float | None
    level: int | None
    output_frame: str | None
    spz_version: int | None
    levels: int | None
    limits: Limits
    threads: int | None


@click.argument("sources", metavar="IN...", nargs=-1, required=True)
@click.argument("output", metavar="OUT")
@_options.force
@click.option("--frame", type=click.Choice(READ_FRAMES), help="The frame that the input is in, if not its format's.")
@click.option("--time", "when", type=float, metavar="T", help="Which frame of a moving scene. Default: 0, the first.")
@click.option("--level", type=click.IntRange(0), metavar="L", help="Which level of a scene that has some. Default: 0.")
@_targets.options
@click.option("--levels", type=click.IntRange(1, 64), metavar="N", help="Levels of a streamed SOG. Default: up to 6.")
@click.option(
    "--to", metavar="FORMAT", help="An extension (.ply, .spz, ...), or a format that is a folder (sog-folder)."
)
@_options.max_memory
def _run(
    console: Console, sources: tuple[str, ...], output: str, *, force: bool, frame: str | None,
    when: float | None, level: int | None, output_frame: str | None, spz_version: int | None, levels: int | None,
    to: str | None, max_memory: int | None,
) -> None:  # fmt: skip
    """Convert a scene to the format that the extension of OUT names; what it cannot hold is said.

    Several inputs, a folder or a pattern ("scenes/*.ply") give a folder, each file in the format of --to. A file that
    fails does not stop the others; the exit status is then 1.

    Formats that are folders are named by --to (sog-folder, lod-meta, png-compression), or by OUT itself where it ends
    in meta.json or lod-meta.json. Each level of a streamed SOG has a quarter of the Gaussians of the one before.

    Most files do not say in which frame they are. By convention SPZ is rub (OpenGL), glTF luf, all others rdf (COLMAP),
    and many tools write SPZ in rdf all the same. --frame says what an input really is, --output-frame what to write.
    """
    limits = _options.limits(max_memory)
    job = Job(force, frame, when, level, output_frame, spz_version, levels, limits, console.threads)

    def one(source: str, target: Path, progress: Callback | None) -> dict[str, Any]:
        return convert_file(source, target, to, job, progress)

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


def convert_file(source: str, target: Path, to: str | None, job: Job, progress: Callback | None) -> dict[str, Any]:
    """Convert one scene; return the values of ``--json``."""
    from splatpack.container.atomic import refuse_existing

    start = time.perf_counter()
    folder = _folders.folder_format(str(target), to)
    if folder is None:
        refuse_existing(target, job.force)
    else:
        target = folder[1]
        _folders.refuse_folder(target, job.force)
    _check_options(target, job, levels=folder is not None and folder[0].levels, is_folder=folder is not None)
    if progress:
        progress("reading", 0, 1)
    scene, warnings = read_source(source, job.frame, job.when, job.limits, job.threads, level=job.level)
    if progress:
        progress("writing", 0, 1)
    if folder is not None:
        warnings += _folders.save(
            target, scene, folder[0], force=job.force, output_frame=job.output_frame, levels=job.levels,
            progress=progress,
        )  # fmt: skip
    elif target.suffix.lower() == ".spk":
        from splatpack.pack.api import write

        warnings += write(target, scene, force=job.force, threads=job.threads, progress=progress).warnings
    else:
        warnings += _targets.save(
            target, scene, force=job.force, output_frame=job.output_frame, spz_version=job.spz_version
        )  # fmt: skip
    return {
        "input": source, "output": str(target), "n": len(scene), "sh_degree": scene.sh_degree,
        "bytes_in": _bytes_of(Path(source)), "bytes_out": _bytes_of(target),
        "seconds": time.perf_counter() - start, "warnings": warnings,
    }  # fmt: skip


def _check_options(target: Path, job: Job, *, levels: bool, is_folder: bool) -> None:
    """Refuse options that the target has no use for, before anything is read."""
    from splatpack.errors import UsageError
    from splatpack.formats.registry import target_format

    if job.levels is not None and not levels:
        raise UsageError(f"--levels: {target} is no streamed SOG, expected --to lod-meta or a name lod-meta.json.")
    if is_folder:
        if job.spz_version is not None:
            raise UsageError(f"--spz-version: {target} is a folder, expected an .spz or a .glb.")
    elif target.suffix.lower() != ".spk":
        wanted = target_format(target.name)
        if job.spz_version is not None and "version" not in wanted.settings:
            raise UsageError(f"--spz-version: {target} is a {wanted.title} file, expected an .spz or a .glb.")
    elif job.output_frame is not None or job.spz_version is not None:
        raise UsageError(
            "--output-frame and --spz-version: a .spk says in which frame it is, they are for other files."
        )


def _bytes_of(path: Path) -> int:
    """Return the size of a file, or of all files of a folder that is a scene, of which its index may be named."""
    from splatpack.formats.detect import FOLDER_FILE, LOD_FILE

    path = path.parent if path.name in (FOLDER_FILE, LOD_FILE) else path
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size


def read_source(
    source: str, frame: str | None, when: float | None, limits: Limits, threads: int | None, level: int | None = None
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
        scene = read(source, limits=limits, threads=threads, level=level)
        return (scene if frame is None else replace(scene, frame=frame)), []
    scene, found = validate(read_scene(source, limits=limits, frame=frame, time=when, level=level))
    notes = scene.metadata.get("source", {}).get("notes", [])
    return scene, [*notes, *([] if found.clean else [f"{found.summary()}."])]


command = _options.command("convert", example="splatpack convert scene.ply scene.spz")(_run)
