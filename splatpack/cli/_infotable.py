"""How ``splatpack info`` looks."""

from __future__ import annotations

from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from splatpack.cli._console import size

BAR = 24


def panel(source: str, values: dict[str, Any], facts: list[tuple[str, str]]) -> Panel:
    """Return the panel of one file: facts, sections with their share of the bytes, levels where there are several."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", justify="right")
    table.add_column(overflow="fold")
    for label, text in facts:
        table.add_row(label, escape(_clean(text)), style="yellow" if label == "warning" else None)
    parts: list[Any] = [table, "", _sections(values)]
    if len(values["levels"]) > 1:
        parts += ["", _levels(values)]
    return Panel(
        Group(*parts), title=f"[bold]{escape(_clean(source))}", title_align="left", border_style="dim", expand=False
    )


def _clean(text: str) -> str:
    """Metadata may hold anything: no control characters reach the terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _sections(values: dict[str, Any]) -> Table:
    total = max(sum(s["bytes"] for s in values["sections"]), 1)
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("section")
    for name in ("bytes", "share", "bits/G"):
        table.add_column(name, justify="right")
    table.add_column("", min_width=BAR)
    table.add_column("holds", style="dim", overflow="fold")
    for s in values["sections"]:
        share = s["bytes"] / total
        bits = 8 * s["bytes"] / max(values["n"], 1)
        holds = ", ".join(s["attributes"]) if s["attributes"] != [s["name"]] else ""
        bar = f"[green]{'━' * max(round(BAR * share), 1 if s['bytes'] else 0)}"
        table.add_row(
            escape(_clean(s["name"])), size(s["bytes"]), f"{share:.1%}", f"{bits:.1f}", bar, escape(_clean(holds))
        )
    return table


def _levels(values: dict[str, Any]) -> Table:
    """Return the table of levels; with levels of detail it says what stands in, what is drawn, and from where on."""
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    tree = "drawn" in values["levels"][0]
    more = ("stand-ins", "error", "drawn", "complete at") if tree else ()
    for name in ("level", "chunks", "Gaussians", "bytes", *more):
        table.add_column(name, justify="right")
    for row in values["levels"]:
        cells = [str(row["level"]), f"{row['chunks']:,}", f"{row['n']:,}", size(row["bytes"])]
        if tree:
            error = f"{row['error']:.3g}" if row["error"] else ""
            cells += [f"{row['stand_ins']:,}", error, f"{row['drawn']:,}", f"{row['end'] / values['bytes']:.1%}"]
        table.add_row(*cells)
    return table
