"""The benchmark as one self-contained page: no script, no font and no picture from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from splatpack.bench.rd import Row

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 56, 20, 16, 44
LETTER, LINE = 6.2, 13.0
"""About how wide a letter and how high a line of the chart's text is."""
COLUMNS = (
    ("codec", "left"), ("bytes", ""), ("bits/G", ""), ("PSNR", ""), ("worst", ""), ("SSIM", ""), ("encode s", ""),
    ("decode s", ""), ("MG/s", ""), ("peak MB", ""),
)  # fmt: skip
STYLE = """
:root { color-scheme: light dark; --ink: #18181b; --dim: #71717a; --line: #e4e4e7; --page: #fff;
  --own: #0f766e; --peer: #b45309 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #f4f4f5; --dim: #a1a1aa; --line: #3f3f46; --page: #18181b; --own: #2dd4bf; --peer: #fbbf24 }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 1000px;
  margin: 40px auto; padding: 0 20px }
h1 { font-size: 24px; margin: 0 } h2 { font-size: 18px; margin: 40px 0 8px } p { color: var(--dim) }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; font-size: 13px }
dt { color: var(--dim) } dd { margin: 0 } .wide { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 13px }
th, td { text-align: right; padding: 5px 8px; border-bottom: 1px solid var(--line); white-space: nowrap }
th { color: var(--dim); font-weight: 500 } .left { text-align: left }
.own td:first-child { color: var(--own); font-weight: 600 } .failed { color: var(--dim); white-space: normal }
svg { width: 100%; height: auto; font-size: 11px } svg text { fill: var(--dim) } svg .name { fill: var(--ink) }
.grid { stroke: var(--line) } .dot { fill: var(--peer) } .dot.own { fill: var(--own) }
.path { fill: none; stroke: var(--own); stroke-width: 1.5; opacity: 0.6 }
"""


def page(machine: dict[str, Any], rows: Sequence[Row], *, repeat: int) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    machine : dict
        Of :func:`splatpack.bench.machine.machine`.
    rows : sequence of Row
    repeat : int
        Timed calls behind each median.
    """
    scenes = list(dict.fromkeys(r.scene for r in rows))
    facts = "".join(f"<dt>{escape(str(k))}</dt><dd>{escape(str(v))}</dd>" for k, v in machine.items())
    parts = [_scene(name, [r for r in rows if r.scene == name]) for name in scenes]
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>splatpack bench</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style><h1>splatpack bench</h1>"
        f"<p>Medians of {repeat} warm calls, wall time. Quality: renders against the input's, PSNR on seeded views. "
        "bits/G: bits per Gaussian of the input. MG/s: millions of Gaussians decoded per second.</p>"
        f"<dl>{facts}</dl>{''.join(parts)}</html>\n"
    )


def cells(row: Row) -> list[str]:
    """Return the columns of a row as text, in the order of :data:`COLUMNS`; figures that are missing are dashes."""
    mega = None if row.peak_rss is None else row.peak_rss / 1e6
    return [
        row.codec,
        f"{row.bytes:,}" if row.bytes else "-",
        _number(row.bpg, ".1f"),
        _number(row.psnr, ".2f"),
        _number(row.psnr_min, ".2f"),
        _number(row.ssim, ".4f"),
        _number(row.encode_s, ".3f"),
        _number(row.decode_s, ".3f"),
        _number(row.mgs_per_s, ".2f"),
        _number(mega, ".0f"),
    ]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _scene(name: str, rows: list[Row]) -> str:
    head = "".join(f'<th class="{c}">{escape(label)}</th>' for label, c in COLUMNS)
    body = "".join(_tr(row) for row in rows)
    chart = _chart([r for r in rows if r.psnr is not None and r.bpg is not None])
    title = f"<h2>{escape(name)}</h2><p>{rows[0].n:,} Gaussians</p>"
    return f'{title}{chart}<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _tr(row: Row) -> str:
    if row.error:
        span = f'<td class="left failed" colspan="{len(COLUMNS) - 1}">{escape(row.error)}</td>'
        return f'<tr><td class="left">{escape(row.codec)}</td>{span}</tr>'
    own = ' class="own"' if _own(row) else ""
    kinds = [c for _, c in COLUMNS]
    return (
        f"<tr{own}>"
        + "".join(f'<td class="{c}">{escape(t)}</td>' for t, c in zip(cells(row), kinds, strict=True))
        + "</tr>"
    )


def _own(row: Row) -> bool:
    return row.codec.startswith("splatpack")


def _chart(rows: list[Row]) -> str:
    """PSNR over bits per Gaussian, a logarithmic axis, as inline SVG."""
    if not rows:
        return ""
    points = [(r.bpg or 1.0, r.psnr or 0.0) for r in rows]
    low = math.floor(math.log2(min(p[0] for p in points)))
    high = max(math.ceil(math.log2(max(p[0] for p in points))), low + 1)
    floor = 10 * math.floor(min(p[1] for p in points) / 10)
    top = max(10 * math.ceil(max(p[1] for p in points) / 10), floor + 10)

    def x(bpg: float) -> float:
        return LEFT + (math.log2(bpg) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(db: float) -> float:
        return HEIGHT - BOTTOM - (db - floor) / (top - floor) * (HEIGHT - TOP - BOTTOM)

    curve = sorted(p for p, r in zip(points, rows, strict=True) if _own(r) and "lossless" not in r.codec.split())
    parts = [
        _grid(x, y, range(low, high + 1), range(floor, top + 1, 10)),
        f'<polyline class="path" points="{" ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in curve)}"/>',
        _dots([(x(a), y(b)) for a, b in points], rows),
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 6}" text-anchor="middle">bits per Gaussian</text>',
    ]
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="PSNR over bits per Gaussian"'
    return f"<svg {size}>{''.join(parts)}</svg>"


def _dots(places: list[tuple[float, float]], rows: list[Row]) -> str:
    """Dots with names beside them; a name that would lie on another one moves down."""
    out = []
    taken: list[tuple[float, float, float]] = []
    for (x, y), row in sorted(zip(places, rows, strict=True), key=lambda item: item[0]):
        width = LETTER * len(row.codec)
        left = x - 8 - width if x + 8 + width > WIDTH else x + 8
        line = y + 4
        while any(abs(line - t[2]) < LINE and left < t[1] and t[0] < left + width for t in taken):
            line += LINE
        taken.append((left, left + width, line))
        anchor, at = ("end", x - 8) if left < x else ("start", x + 8)
        kind = "dot own" if _own(row) else "dot"
        out.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>')
        out.append(f'<text class="name" x="{at:.1f}" y="{line:.1f}" text-anchor="{anchor}">{escape(row.codec)}</text>')
    return "".join(out)


def _grid(x: Any, y: Any, powers: range, levels: range) -> str:
    out = []
    for p in powers:
        at = x(2.0**p)
        out.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        out.append(f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{2**p}</text>')
    for db in levels:
        at = y(db)
        out.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        out.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{db} dB</text>')
    return "".join(out)
