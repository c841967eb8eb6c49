"""``splatpack bench``: size, quality, speed and memory of splatpack and of the codecs that are installed beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from splatpack.cli import _options
from splatpack.cli._console import Console

if TYPE_CHECKING:
    from rich.table import Table

    from splatpack.bench.entrants import Entrant
    from splatpack.bench.rd import Row
    from splatpack.scene.gaussians import Gaussians


@click.argument("scenes", metavar="[SCENE]...", nargs=-1)
@click.option("--repeat", type=click.IntRange(1, 100), default=3, show_default=True, help="Timed calls per figure.")
@click.option("--only", multiple=True, metavar="TEXT", help="Only codecs whose name holds this. Repeatable.")
@click.option(
    "--size", "dimensions", type=_options.Dimensions(), default="320x240", show_default=True, help="Pictures."
)
@click.option("--report", metavar="OUT.html", help="Write a self-contained page.")
@_options.force
@_options.max_memory
def _run(
    console: Console,
    scenes: tuple[str, ...],
    *,
    repeat: int,
    only: tuple[str, ...],
    dimensions: tuple[int, int],
    report: str | None,
    force: bool,
    max_memory: int | None,
) -> None:
    """Measure splatpack's presets, its lossless mode, a lossless baseline, and every peer that is installed.

    Times are medians of warm calls in memory. Without a SCENE a small procedural one is measured. Peers: gsply (pip),
    splat-transform (npm, on the PATH).
    """
    from splatpack.bench.machine import machine
    from splatpack.bench.rd import measure
    from splatpack.container.atomic import refuse_existing

    if report is not None:
        refuse_existing(report, force)
    entrants = _entrants(only, console.threads)
    measured = _scenes(scenes, max_memory)
    with console.progress() as progress:
        rows = list(
            measure(measured, entrants, repeat=repeat, threads=console.threads, size=dimensions, progress=progress)
        )
    about = machine()
    if report is not None:
        _write(report, about, rows, repeat, force)
    values: dict[str, Any] = {"machine": about, "repeat": repeat, "rows": [r.as_dict() for r in rows]}
    console.result(values | ({"report": report} if report is not None else {}))
    if not console.quiet:
        console.show(*_tables(rows))


def _entrants(only: tuple[str, ...], threads: int | None) -> list[Entrant]:
    from splatpack.bench.entrants import own
    from splatpack.bench.peers import installed
    from splatpack.errors import UsageError

    found = [*own(threads), *installed()]
    chosen = [e for e in found if not only or any(text in e.name for text in only)]
    if not chosen:
        raise UsageError(f"--only {' '.join(only)}: expected part of one of {', '.join(e.name for e in found)}.")
    return chosen


def _scenes(paths: tuple[str, ...], max_memory: int | None) -> list[tuple[str, Gaussians]]:
    from splatpack.bench.scenes import NAME, procedural
    from splatpack.pack.api import read

    if not paths:
        return [(NAME, procedural())]
    return [(Path(p).name, read(p, limits=_options.limits(max_memory))) for p in paths]


def _write(path: str, about: dict[str, Any], rows: list[Row], repeat: int, force: bool) -> None:
    from splatpack.bench.report import page
    from splatpack.container.atomic import atomic_write

    with atomic_write(path, force=force) as file:
        file.write(page(about, rows, repeat=repeat).encode())


def _tables(rows: list[Row]) -> list[Table]:
    """Return one rich table for each scene."""
    from rich.table import Table

    from splatpack.bench.report import COLUMNS, cells

    out = []
    for name in dict.fromkeys(r.scene for r in rows):
        mine = [r for r in rows if r.scene == name]
        table = Table(title=f"{name}, {mine[0].n:,} Gaussians", title_justify="left", header_style="dim", box=None)
        for label, side in COLUMNS:
            table.add_column(label, justify="left" if side == "left" else "right", no_wrap=True)
        for row in mine:
            table.add_row(*cells(row))
            if row.error:
                table.add_row(f"[dim]  {row.error[:100]}")
        out.append(table)
    return out


command = _options.command("bench", example="splatpack bench scene.ply --only splatpack --repeat 1")(_run)
