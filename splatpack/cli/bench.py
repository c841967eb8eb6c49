"""``splatpack bench``: size, quality, speed and memory of splatpack and of the codecs that are installed beside it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from splatpack.cli import _options
from splatpack.cli._console import Console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from splatpack.bench.entrants import Entrant
    from splatpack.bench.result import Result
    from splatpack.bench.tables import Column


LEFT_OUT = ("bytes", "SSIM", "decode s")
"""Columns that a terminal has no room for; the page and the JSON have them."""


class Curve(click.ParamType[tuple[float, ...]]):
    """PSNR values with commas between, or ``off``."""

    name = "DB,DB,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """Return the numbers; none for ``off``."""
        if isinstance(value, tuple):
            return value
        if value == "off":
            return ()
        try:
            numbers = tuple(float(v) for v in str(value).split(","))
        except ValueError:
            numbers = (math.nan,)
        if not all(10 <= v <= 99 for v in numbers):
            self.fail(f"{value!r}, expected dB from 10 to 99 with commas between, or off", param, ctx)
        return numbers


@click.argument("scenes", metavar="[SCENE|FOLDER|NAME=PATTERN]...", nargs=-1)
@click.option("--only", multiple=True, metavar="TEXT", help="Only codecs whose name holds this. Repeatable.")
@click.option("--peers", "home", metavar="FOLDER", help="Where scripts/peers put the peers. Default: where it does.")
@click.option("--curve", type=Curve(), help="Mean PSNR to ask for beside the presets, or off.")
@click.option("--repeat", type=click.IntRange(1, 100), default=3, show_default=True, help="Timed calls per figure.")
@click.option(
    "--timeout", type=click.FloatRange(1, 86400), default=300, show_default=True, metavar="SECONDS",
    help="What a codec may take for one direction of one scene.",
)  # fmt: skip
@click.option(
    "--size", "dimensions", type=_options.Dimensions(), default="320x240", show_default=True, help="Pictures."
)
@click.option("--as-is", is_flag=True, help="Leave scenes that were quantised on their grid.")
@click.option("--resume", metavar="FOLDER", help="Keep finished measurements there, and do not repeat them.")
@click.option("--from", "runs", multiple=True, metavar="RUN.json", help="Measure nothing: take these results.")
@click.option("--output", "-o", metavar="RUN.json", help="Write the result, for --from.")
@click.option("--report", metavar="OUT.html", help="Write a self-contained page.")
@click.option("--docs", metavar="FOLDER", help="Renew the tables and plots of FOLDER/benchmarks.md.")
@_options.force
@_options.max_memory
def _run(
    console: Console,
    scenes: tuple[str, ...],
    *,
    only: tuple[str, ...],
    home: str | None,
    curve: tuple[float, ...] | None,
    repeat: int,
    timeout: float,
    dimensions: tuple[int, int],
    as_is: bool,
    resume: str | None,
    runs: tuple[str, ...],
    output: str | None,
    report: str | None,
    docs: str | None,
    force: bool,
    max_memory: int | None,
) -> None:
    """Measure splatpack along its curve, its lossless mode, lossless baselines, and every peer that is installed.

    NAME=PATTERN is one scene in several files. Without a SCENE a small procedural one is measured. A scene that was
    quantised gets noise inside its quantisation cells first. Each codec runs in a process of its own; times are
    medians of warm calls. scripts/peers installs the peers. ratio is splatpack's bytes over a codec's at the same mean
    PSNR, at worst: for the same worst view.
    """
    from splatpack.bench.peers import default_home
    from splatpack.bench.rd import How
    from splatpack.bench.result import read
    from splatpack.container.atomic import refuse_existing
    from splatpack.errors import UsageError

    for path in (output, report):
        if path is not None:
            refuse_existing(path, force)
    if runs and scenes:
        raise UsageError("--from and scenes: expected results or something to measure, not both.")
    if runs:
        result = read([Path(r) for r in runs])
    else:
        folder = Path(resume) if resume is not None else None
        peers = Path(home) if home is not None else default_home()
        how = How(repeat, timeout, dimensions, console.threads, folder, peers)
        result = _measure(console, scenes, only, curve, how, as_is, max_memory)
    if output is not None:
        _write(output, result.text(), force)
    if report is not None:
        from splatpack.bench.report import page

        _write(report, page(result), force)
    if docs is not None:
        _renew(Path(docs), result)
    console.result(result.as_dict() | {k: v for k, v in (("report", report), ("output", output)) if v is not None})
    if not console.quiet:
        console.show(*_tables(result))


def _measure(
    console: Console, scenes: tuple[str, ...], only: tuple[str, ...], curve: tuple[float, ...] | None, how: Any,
    as_is: bool, max_memory: int | None,
) -> Result:  # fmt: skip
    from splatpack.bench.inputs import inputs
    from splatpack.bench.machine import machine
    from splatpack.bench.peers import Home
    from splatpack.bench.rd import measure
    from splatpack.bench.result import Result

    entrants = _entrants(only, curve, how.home)
    found = inputs(scenes, as_is=as_is, limits=_options.limits(max_memory))
    about = machine() | {"node": Home(how.home).node_version()}
    with console.progress() as progress:
        rows = list(measure(found, entrants, how, progress))
    settings = {"repeat": how.repeat, "timeout": how.timeout, "size": list(how.size), "threads": how.threads}
    return Result(about, settings, {one.name: dict(one.facts) for one in found}, rows)


def _entrants(only: tuple[str, ...], curve: tuple[float, ...] | None, home: Path | None) -> list[Entrant]:
    from splatpack.bench.entrants import CURVE, own
    from splatpack.bench.peers import peers
    from splatpack.errors import UsageError

    found = [*own(CURVE if curve is None else curve), *peers(home)]
    chosen = [e for e in found if not only or any(text in e.name for text in only)]
    if not chosen:
        raise UsageError(f"--only {' '.join(only)}: expected part of one of {', '.join(e.name for e in found)}.")
    return chosen


def _write(path: str, text: str, force: bool) -> None:
    from splatpack.container.atomic import atomic_write

    with atomic_write(path, force=force) as file:
        file.write(text.encode())


def _renew(folder: Path, result: Result) -> None:
    """Renew the pages of the docs, and the result that they are made from; they are there to be replaced."""
    from splatpack.bench.docs import fill, plots, scenes_page, sources
    from splatpack.bench.doctables import tables

    known = sources(folder / "benchmarks" / "scenes.json")
    page = folder / "benchmarks.md"
    text = fill(page.read_text("utf-8"), tables(result, known))
    files = {"results.json": result.text(), "scenes.md": scenes_page(result, known), **plots(result)}
    for name, content in files.items():
        _write(str(folder / "benchmarks" / name), content, True)
    _write(str(page), text, True)


def _tables(result: Result) -> list[Table | str]:
    """Return a rich table for each scene, what gave no figures, and tables of all."""
    from splatpack.bench.tables import PRESET, ROWS, SUMMARY, preset_cells, row_cells, summary_cells
    from splatpack.bench.versus import equal, summary

    out: list[Table | str] = []
    pairs = {(e.scene, e.codec): e for e in equal(result.rows)}
    for name in dict.fromkeys(r.scene for r in result.rows):
        mine = [r for r in result.rows if r.scene == name]
        lines = [row_cells(r, pairs.get((r.scene, r.codec))) for r in mine if not r.error]
        shown = [k for k, column in enumerate(ROWS) if column.title not in LEFT_OUT]
        narrow = [[cells[k] for k in shown] for cells in lines]
        out.append(_table(f"{name}, {mine[0].n:,} Gaussians", [ROWS[k] for k in shown], narrow))
        out += [f"  no figures: {r.codec}: {r.error[:140]}" for r in mine if r.error and r.status != "missing"]
    absent = dict.fromkeys(r.codec for r in result.rows if r.status == "missing")
    if absent:
        out.append(f"  not installed (scripts/peers installs them): {'; '.join(absent)}")
    presets = preset_cells(result.rows)
    if presets:
        out.append(_table("presets: medians and lowest values over the scenes", PRESET, presets))
    others = [summary_cells(s) for s in summary(result.rows) if not s.codec.startswith("splatpack") and not s.missing]
    if others:
        out.append(_table("all scenes: splatpack's bytes over the codec's at equal quality", SUMMARY, others))
    return out


def _table(title: str, columns: Sequence[Column], lines: Sequence[Sequence[str]]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left", header_style="dim", box=None, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column.title, justify="left" if column.left else "right", no_wrap=True)
    for cells in lines:
        table.add_row(*(escape(c) for c in cells))
    return table


command = _options.command("bench", example="splatpack bench scene.ply --only splatpack --repeat 1")(_run)
