"""``splatpack explode``: a ``.spk`` as immutable objects for static hosts and CDNs."""

from __future__ import annotations

from dataclasses import asdict

import click

from splatpack.cli import _options
from splatpack.cli._console import Console, size


@click.argument("source", metavar="F.spk")
@click.option("-o", "--output", required=True, metavar="FOLDER", help="Where the objects go; may hold others.")
@_options.max_memory
def _run(console: Console, source: str, output: str, *, max_memory: int | None) -> None:
    """Write a .spk as objects that are named by their content and never change.

    Serve the folder with 'Cache-Control: public, max-age=31536000, immutable'. Objects that are there already are kept.
    """
    from splatpack.stream.explode import explode

    done = explode(source, output, _options.limits(max_memory))
    console.result(asdict(done))
    console.say(f"{source} -> {click.style(done.manifest, bold=True)}")
    console.say(f"  {done.objects:,} objects, {size(done.bytes)}; {done.written:,} new, {size(done.bytes_written)}")


command = _options.command("explode", example="splatpack explode scene.spk -o objects")(_run)
