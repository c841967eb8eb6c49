"""``splatpack formats``: what is read and written, and what each format can hold."""

from __future__ import annotations

import sys

import click

from splatpack.cli import _options
from splatpack.cli._console import Console


@click.option("--markdown", is_flag=True, help="The page docs/formats.md.")
def _run(console: Console, *, markdown: bool) -> None:
    """List the formats that are read and written, with what each can hold."""
    from splatpack.formats import describe

    if markdown:
        click.echo(describe.markdown(), nl=False)
        return
    console.result({"formats": describe.rows(), "named_only": describe.named_only()})
    if console.json:
        return
    from rich.table import Table

    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    losses = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for heading in describe.HEADINGS[:-1]:
        table.add_column(heading, overflow="fold")
    for heading in (describe.HEADINGS[0], describe.HEADINGS[-1]):
        losses.add_column(heading, overflow="fold")
    for row in describe.rows():
        cells = describe.cells(row)
        table.add_row(*cells[:-1])
        losses.add_row(cells[0], cells[-1])
    known = f"Recognised, not read: {', '.join(describe.named_only())}."
    console.show(table, "", losses, "", known, stream=sys.stdout)


command = _options.command("formats", example="splatpack formats")(_run)
