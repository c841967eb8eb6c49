"""``splatpack decompress``: a ``.spk`` back to PLY, or to any format that can be written."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from splatpack.cli import _options, _targets
from splatpack.cli._console import Console, size

if TYPE_CHECKING:
    from splatpack.scene.gaussians import Gaussians


@click.argument("source", metavar="F.spk")
@click.option("-o", "--output", required=True, metavar="OUT.ply", help="The extension names the format.")
@_options.force
@_targets.options
@click.option("--level", type=click.IntRange(0, 31), metavar="L", help="This level of detail or coarser.")
@click.option("--box", type=_options.Numbers(6, "x0,y0,z0,x1,y1,z1"), help="Only what lies in the box.")
@click.option("--no-sh", is_flag=True, help="Leave out the spherical harmonics, unread.")
@click.option("--partial", is_flag=True, help="Take a file that was cut: write the chunks that are whole.")
@_options.max_memory
def _run(
    console: Console, source: str, output: str, *, force: bool, output_frame: str | None, spz_version: int | None,
    level: int | None, box: tuple[float, ...] | None, no_sh: bool, partial: bool, max_memory: int | None,
) -> None:  # fmt: skip
    """Decompress a .spk to a PLY file, or to any format that splatpack writes."""
    from splatpack.container.atomic import refuse_existing
    from splatpack.errors import UsageError
    from splatpack.formats.registry import target_format

    start = time.perf_counter()
    target = Path(output)
    if target.suffix.lower() == ".spk":
        raise UsageError(f"{target}: expected another format than .spk. 'splatpack compress' writes those.")
    refuse_existing(target, force)
    target_format(target.name)
    with console.progress() as progress:
        scene, bytes_in = _decode(console, source, level, box, not no_sh, partial, max_memory)
        if progress:
            progress("writing", 0, 1)
        warnings = _targets.save(
            target, scene, force=force, output_frame=output_frame, spz_version=spz_version
        )  # fmt: skip
    bytes_out, seconds = target.stat().st_size, time.perf_counter() - start
    console.result({
        "input": source, "output": output, "n": len(scene), "sh_degree": scene.sh_degree,
        "bytes_in": bytes_in, "bytes_out": bytes_out, "seconds": seconds,
        "warnings": warnings,
    })  # fmt: skip
    for text in warnings:
        console.warn(text)
    console.say(f"{source} -> {click.style(output, bold=True)}")
    console.say(f"  {len(scene):,} Gaussians, SH degree {scene.sh_degree}, {size(bytes_out)}, {seconds:.1f} s")


def _decode(
    console: Console, source: str, level: int | None, box: tuple[float, ...] | None, sh: bool, partial: bool,
    max_memory: int | None,
) -> tuple[Gaussians, int]:  # fmt: skip
    """Return the scene, and the length of the file."""
    from splatpack.cli._inputs import open_spk, prefetch
    from splatpack.pack.decode import decode

    ends = ((box[0], box[1], box[2]), (box[3], box[4], box[5])) if box is not None else None
    with open_spk(source, _options.limits(max_memory), partial=partial) as reader:
        low, high = ends or (None, None)
        prefetch(reader, reader.select(low=low, high=high, level=level))
        return decode(reader, box=ends, level=level, sh=sh, threads=console.threads), reader.source.size


command = _options.command("decompress", example="splatpack decompress scene.spk -o scene.ply")(_run)
