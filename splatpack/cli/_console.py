"""What people see: a progress bar and summaries on stderr, the result on stdout. rich is imported when it draws."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from rich.console import RenderableType

Callback = Callable[[str, int, int], None]


class Console:
    """Where a command's words go.

    Parameters
    ----------
    json : bool
        The result goes to stdout as one JSON object; there are no summaries.
    quiet : bool
        Nothing but errors on stderr.
    threads : int or None
        What ``--threads`` said.
    """

    def __init__(self, *, json: bool, quiet: bool, threads: int | None) -> None:
        self.json, self.quiet, self.threads = json, quiet, threads

    def result(self, values: Mapping[str, Any]) -> None:
        """Print the result as JSON where that was asked for."""
        if self.json:
            click.echo(json.dumps(_plain(values), allow_nan=False))

    def say(self, text: str) -> None:
        """Print a summary line on stderr, unless the run is quiet or its result is JSON."""
        if not (self.quiet or self.json):
            click.echo(text, err=True)

    def warn(self, text: str) -> None:
        """Print a warning on stderr, unless the run is quiet."""
        if not self.quiet:
            click.echo(f"splatpack: warning: {' '.join(text.split())}", err=True)

    def show(self, *things: RenderableType, stream: TextIO | None = None) -> None:
        """Draw rich tables and panels, on stderr where no stream is named."""
        from rich.console import Console as Rich

        target = sys.stderr if stream is None else stream
        rich = Rich(file=target, width=None if target.isatty() else 110, highlight=False)
        for thing in things:
            rich.print(thing)

    @contextmanager
    def progress(self) -> Iterator[Callback | None]:
        """Yield a callback that moves a progress bar, or None where nobody would see one."""
        if self.quiet or not sys.stderr.isatty():
            yield None
            return
        from rich.console import Console as Rich
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description:>14}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Rich(stderr=True), transient=True) as bar:
            task = bar.add_task("reading", total=None)

            def move(stage: str, done: int, total: int) -> None:
                bar.update(task, description=stage, completed=done, total=total if total > 1 else None)

            yield move


def _plain(value: Any) -> Any:
    """Return what JSON can hold; a number that is not finite becomes null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int, bool)):
        return value
    return _plain(value.item()) if hasattr(value, "item") else str(value)


def size(n: int) -> str:
    """Return a number of bytes for people: 1.24 MB."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if n >= scale:
            return f"{n / scale:.3g} {unit}" if n < 999.5 * scale else f"{n / scale:.0f} {unit}"
    return f"{n} B"


def decibel(value: float | None) -> str:
    """Return a PSNR for people."""
    if value is None:
        return "-"
    return f"{value:.2f} dB" if math.isfinite(value) else "identical"
