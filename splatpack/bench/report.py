"""The benchmark as one self-contained page: no script, no font and no picture from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from splatpack.bench.entrants import OWN
from splatpack.bench.plot import plot
from splatpack.bench.result import Result
from splatpack.bench.row import Row
from splatpack.bench.tables import ROWS, SUMMARY, Column, calls, row_cells, summary_cells
from splatpack.bench.versus import equal, summary

STYLE = """
:root { color-scheme: light dark; --ink: #18181b; --dim: #71717a; --line: #e4e4e7; --page: #fff; --own: #0f766e }
@media (prefers-color-scheme: dark) {
  :root { --ink: #f4f4f5; --dim: #a1a1aa; --line: #3f3f46; --page: #18181b; --own: #2dd4bf }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 1160px;
  margin: 40px auto; padding: 0 20px }
h1 { font-size: 24px; margin: 0 } h2 { font-size: 18px; margin: 40px 0 8px } p { color: var(--dim) }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; font-size: 13px }
dt { color: var(--dim) } dd { margin: 0 } .wide { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 13px }
th, td { text-align: right; padding: 5px 8px; border-bottom: 1px solid var(--line); white-space: nowrap }
th { color: var(--dim); font-weight: 500 } .left { text-align: left }
.own td:first-child { color: var(--own); font-weight: 600 } .failed { color: var(--dim); white-space: normal }
svg { width: 100%; max-width: 960px; height: auto; display: block; margin: 12px 0 }
"""


def page(result: Result) -> str:
    """Return the report as HTML."""
    facts = "".join(f"<dt>{escape(str(k))}</dt><dd>{escape(str(v))}</dd>" for k, v in result.machine.items())
    parts = [_summary(result.rows)]
    parts += [_scene(n, [r for r in result.rows if r.scene == n]) for n in dict.fromkeys(r.scene for r in result.rows)]
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>splatpack bench</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style><h1>splatpack bench</h1>"
        f"<p>Processor seconds: {calls(result.how['repeat'])}; each codec in a process of its own. "
        "Quality: renders against the input's, PSNR on seeded views. bits/G: bits per Gaussian of the input. MG/CPU s: "
        "millions of Gaussians decoded per processor second. ratio: splatpack's bytes over the codec's at the codec's "
        "mean PSNR; at worst: at the PSNR of its worst view.</p>"
        f"<dl>{facts}</dl>{''.join(parts)}</html>\n"
    )


def _summary(rows: Sequence[Row]) -> str:
    lines = [summary_cells(s) for s in summary(rows)]
    return "<h2>All scenes</h2>" + _table(SUMMARY, [(cells, "") for cells in lines])


def _scene(name: str, rows: list[Row]) -> str:
    pairs = {e.codec: e for e in equal(rows)}
    title = f"<h2>{escape(name)}</h2><p>{rows[0].n:,} Gaussians</p>"
    chart = plot(f"{name}, {rows[0].n:,} Gaussians", rows, standalone=False)
    return title + chart + _table(ROWS, [(row_cells(r, pairs.get(r.codec)), r.error) for r in rows])


def _table(columns: Sequence[Column], lines: Sequence[tuple[list[str], str]]) -> str:
    """Cells, and a sentence that takes the place of all but the first of them."""
    head = "".join(f'<th class="{"left" if c.left else ""}">{escape(c.title)}</th>' for c in columns)
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(_tr(columns, *line) for line in lines)}</table></div>'


def _tr(columns: Sequence[Column], cells: list[str], error: str) -> str:
    own = ' class="own"' if cells[0].startswith(OWN) else ""
    if error:
        rest = f'<td class="left failed" colspan="{len(columns) - 1}">{escape(error)}</td>'
        return f'<tr{own}><td class="left">{escape(cells[0])}</td>{rest}</tr>'
    kinds = ("left" if c.left else "" for c in columns)
    body = "".join(f'<td class="{k}">{escape(t)}</td>' for t, k in zip(cells, kinds, strict=True))
    return f"<tr{own}>{body}</tr>"
