"""The benchmark's figures as text, for the terminal, the page and the docs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from splatpack.bench.entrants import OWN
from splatpack.bench.row import Row
from splatpack.bench.speed import SLOW
from splatpack.bench.versus import Equal, Summary
from splatpack.pack.presets import PRESETS


@dataclass(frozen=True)
class Column:
    """A column's title, and whether its text starts at the left."""

    title: str
    left: bool = False


ROWS = (
    Column("codec", left=True), Column("bytes"), Column("bits/G"), Column("PSNR"), Column("worst"), Column("SSIM"),
    Column("ratio"), Column("at worst"), Column("encode CPU s"), Column("decode CPU s"), Column("MG/CPU s"),
    Column("peak MB"),
)  # fmt: skip
SUMMARY = (
    Column("codec", left=True), Column("scenes"), Column("ratio"), Column("largest"), Column("at worst"),
    Column("largest"), Column("encode MG/CPU s"), Column("decode MG/CPU s"),
)  # fmt: skip
PRESET = (
    Column("preset", left=True), Column("scenes"), Column("bits/G"), Column("PSNR"), Column("lowest PSNR"),
    Column("worst view"), Column("lowest worst view"), Column("encode MG/CPU s"), Column("decode MG/CPU s"),
)  # fmt: skip


def row_cells(row: Row, pair: Equal | None) -> list[str]:
    """Return a row in the order of :data:`ROWS`; figures that are missing are dashes."""
    mega = None if row.peak_rss is None else row.peak_rss / 1e6
    return [
        row.codec,
        f"{row.bytes:,}" if row.bytes else "-",
        number(row.bpg, ".1f"),
        number(row.psnr, ".2f"),
        number(row.psnr_min, ".2f"),
        number(row.ssim, ".4f"),
        ratio(pair.ratio_mean, pair.kind_mean) if pair else "-",
        ratio(pair.ratio_worst, pair.kind_worst) if pair else "-",
        seconds(row.encode_cpu_s),
        seconds(row.decode_cpu_s),
        rate(row.decode_rate),
        number(mega, ".0f"),
    ]


def summary_cells(line: Summary) -> list[str]:
    """Return a line in the order of :data:`SUMMARY`."""
    if line.missing:
        return [line.codec, "0", *["-"] * (len(SUMMARY) - 2)]
    return [
        line.codec,
        str(line.scenes),
        *_pair(line.mean, line.unreached_mean),
        *_pair(line.worst, line.unreached_worst),
        rate(line.encode),
        rate(line.decode),
    ]


def preset_cells(rows: Sequence[Row]) -> list[list[str]]:
    """Return a line for each preset in the order of :data:`PRESET`: medians over the scenes, and the lowest values."""
    out = []
    for name in PRESETS:
        mine = [r for r in rows if r.codec == f"{OWN} {name}" and r.psnr is not None]
        if not mine:
            continue
        means, worst = [r.psnr or 0.0 for r in mine], [r.psnr_min or 0.0 for r in mine]
        encode = [r.encode_rate for r in mine if r.encode_rate]
        out.append(
            [
                name,
                str(len(mine)),
                number(median(r.bpg or 0.0 for r in mine), ".1f"),
                number(median(means), ".1f"),
                number(min(means), ".1f"),
                number(median(worst), ".1f"),
                number(min(worst), ".1f"),
                rate(median(encode) if encode else None),
                rate(median(r.decode_rate or 0.0 for r in mine)),
            ]
        )
    return out


def _pair(spread: tuple[float, float] | None, unreached: int) -> list[str]:
    """Median and largest; either may be infinite where splatpack's curve ends too low on some scenes."""
    if spread is None:
        return ["-", "-"]
    middle = number(spread[0], ".2f") if math.isfinite(spread[0]) else "out of reach"
    return [middle, f"{unreached} out of reach" if unreached else number(spread[1], ".2f")]


def ratio(value: float | None, kind: str) -> str:
    """Return splatpack's bytes over a codec's; what lies beyond the ends of splatpack's curve says so."""
    if value is None:
        return "out of reach"
    return f"< {value:.2f}" if kind == "below" else f"{value:.2f}"


def number(value: float | None, form: str) -> str:
    """Return a figure, or a dash."""
    return "-" if value is None else format(value, form)


def seconds(value: float | None) -> str:
    """Return seconds with as many digits as they deserve."""
    return number(value, ".3f" if value is None or value < 10 else ".1f")


def rate(value: float | None) -> str:
    """Return millions per second, small ones with two digits."""
    if value is None or not 0 < value < 0.1:
        return number(value, ".1f" if value is not None and value >= 10 else ".2f")
    return number(value, f".{1 - math.floor(math.log10(value))}f")


def calls(repeat: int) -> str:
    """Return what a time is."""
    counted = "one warm call" if repeat == 1 else f"medians of {repeat} warm calls"
    return f"{counted}; the first and only call where it searches for a quality or takes {SLOW:g} s and more"


def markdown(columns: Sequence[Column], lines: Sequence[Sequence[str]]) -> str:
    """Return a table; a line that is shorter is filled up."""
    head = [
        f"| {' | '.join(c.title for c in columns)} |",
        f"|{'|'.join('---' if c.left else '---:' for c in columns)}|",
    ]
    body = [f"| {' | '.join(_cell(c) for c in (*line, *[''] * (len(columns) - len(line))))} |" for line in lines]
    return "\n".join([*head, *body]) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
