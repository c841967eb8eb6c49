"""The tables of the docs, by the names that a page asks for them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from statistics import median
from typing import Any

from splatpack.bench.entrants import OWN
from splatpack.bench.plot import plot
from splatpack.bench.result import Result
from splatpack.bench.row import Row
from splatpack.bench.tables import PRESET, SUMMARY, Column, calls, markdown, preset_cells, ratio, summary_cells
from splatpack.bench.versus import delta_rates, equal, summary

Sources = Mapping[str, Mapping[str, str]]
"""By scene: ``came_as``, the format it was published in, and ``origin``."""

FLOAT = "float"
"""What ``came_as`` says of a scene that was never quantised."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_MATRIX = {
    "SPZ 4": r"SPZ 4 \(@adobe/spz [^)]*\)",
    "SPZ 4, SH 8/8 bits": r"SPZ 4 \(@adobe/spz [^)]*\), SH 8/8 bits",
    "SOG": r"SOG \(splat-transform [^)]*\)",
    "compressed.ply": r"compressed\.ply \(splat-transform [^)]*\)",
}
"""Columns of the table of all scenes, and the codecs that fill them."""


def tables(result: Result, sources: Sources) -> dict[str, str]:
    """Return everything that a page may ask for, by name."""
    peers = [s for s in summary(result.rows) if not s.codec.startswith(f"{OWN} ")]
    return {
        "machine": _machine(result),
        "presets": markdown(PRESET, preset_cells(result.rows)),
        "summary": markdown(SUMMARY, [summary_cells(s) for s in peers if not s.missing]),
        "delta": _delta(result.rows),
        "matrix": _matrix(result, sources),
        "absent": _absent(result.rows),
        "plots": _plots(result, sources),
    }


def by_scene(rows: list[Row]) -> dict[str, list[Row]]:
    """Return the rows of each scene."""
    return {name: [r for r in rows if r.scene == name] for name in dict.fromkeys(r.scene for r in rows)}


def degree(result: Result, name: str) -> str:
    """Return the SH degree of a scene."""
    return str(result.scenes.get(name, {}).get("sh_degree", "?"))


def came_as(name: str, sources: Sources) -> str:
    """Return the format that a scene was published in."""
    return sources.get(name, {}).get("came_as", "unknown")


def reason(row: Row) -> str:
    """Return why a row has no figures, long messages cut in their middle."""
    return row.error if len(row.error) <= 140 else f"{row.error[:60]} ... {row.error[-70:]}"


def file_name(scene: str) -> str:
    """Return the name of a scene's plot."""
    return f"{_UNSAFE.sub('-', scene)}.svg"


def _machine(result: Result) -> str:
    m: dict[str, Any] = result.machine
    memory = f", {m['memory'] / 2**30:.0f} GiB" if isinstance(m.get("memory"), int) else ""
    versions = ", ".join(f"{k} {m[k]}" for k in ("splatpack", "numpy", "numba", "zstandard", "node") if m.get(k))
    width, height = result.how["size"]
    return (
        f"{m.get('cpu')}, {m.get('cores')} cores{memory}, no GPU; Python {m.get('python')}, {versions}. "
        f"Processor seconds: {calls(result.how['repeat'])}. {len(by_scene(result.rows))} scenes, "
        f"pictures of {width}x{height}, a limit of {result.how['timeout']:g} s for a codec and a direction.\n"
    )


def _delta(rows: list[Row]) -> str:
    """Medians over the scenes of the Bjøntegaard delta rates."""
    columns = (Column("against", left=True), Column("scenes"), Column("mean PSNR"), Column("worst view"))
    found = delta_rates(rows)
    lines = []
    for family in dict.fromkeys(d["family"] for d in found):
        by = {of: [d["rate"] for d in found if d["family"] == family and d["of"] == of] for of in ("mean", "worst")}
        rates = [f"{100 * median(by[of]):+.0f} %" if by[of] else "-" for of in ("mean", "worst")]
        lines.append([family, str(max(len(v) for v in by.values())), *rates])
    return markdown(columns, lines)


def _matrix(result: Result, sources: Sources) -> str:
    """A line for each scene: splatpack's bytes over the peer's, at the peer's mean PSNR and at its worst view's."""
    columns = (
        Column("scene", left=True), Column("came as", left=True), Column("Gaussians"), Column("SH"),
        *(Column(name) for name in _MATRIX),
    )  # fmt: skip
    lines = []
    for name, rows in by_scene(result.rows).items():
        pairs = equal(rows)
        cells = [_cell(rows, {e.codec: e for e in pairs}, pattern) for pattern in _MATRIX.values()]
        lines.append([name, came_as(name, sources), f"{rows[0].n:,}", degree(result, name), *cells])
    return markdown(columns, lines)


def _cell(rows: list[Row], pairs: Mapping[str, Any], pattern: str) -> str:
    row = next((r for r in rows if re.fullmatch(pattern, r.codec)), None)
    if row is None or row.status == "missing":
        return "-"
    if row.error:
        return "no result in time" if row.status == "timeout" else "failed"
    pair = pairs.get(row.codec)
    return f"{ratio(pair.ratio_mean, pair.kind_mean)} / {ratio(pair.ratio_worst, pair.kind_worst)}" if pair else "-"


def _absent(rows: list[Row]) -> str:
    """What gave no figures, and where."""
    columns = (Column("codec", left=True), Column("no figures on", left=True), Column("why", left=True))
    lines = []
    for codec, error in dict.fromkeys((r.codec, reason(r)) for r in rows if r.error):
        where = [r.scene for r in rows if r.codec == codec and reason(r) == error]
        lines.append([codec, ", ".join(where), error])
    return markdown(columns, lines) if lines else "Every codec gave a result on every scene.\n"


def _plots(result: Result, sources: Sources) -> str:
    """The plots of the scenes that were never quantised."""
    names = [n for n in by_scene(result.rows) if came_as(n, sources) == FLOAT]
    shown = [n for n in names if plot("", by_scene(result.rows)[n])]
    return "\n".join(f"![{n}: PSNR over bits per Gaussian](benchmarks/{file_name(n)})\n" for n in shown)
