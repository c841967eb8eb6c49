"""Options that commands share, the types of their values, and the decorator that makes a command."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from splatpack.cli._console import Console

if TYPE_CHECKING:
    from splatpack.limits import Limits

_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)


class Size(click.ParamType[int]):
    """A number of bytes: ``500``, ``8MB``, ``2GiB``."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return bytes."""
        if isinstance(value, int):
            return value
        match = _SIZE.fullmatch(str(value).strip())
        if match is None:
            self.fail(f"{value!r} is no size, expected a number of bytes such as 500, 8MB or 2GiB", param, ctx)
        return int(float(match[1]) * (1024 if match[3] else 1000) ** _UNITS[match[2].lower()])


class Dimensions(click.ParamType[tuple[int, int]]):
    """An image size in pixels: ``640x480``."""

    name = "WxH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return width and height."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", str(value))
        if match is None or not (1 <= int(match[1]) <= 16384 and 1 <= int(match[2]) <= 16384):
            self.fail(f"{value!r} is no image size, expected WxH such as 640x480, sides 1 to 16384", param, ctx)
        return int(match[1]), int(match[2])


class Numbers(click.ParamType[tuple[float, ...]]):
    """``count`` finite numbers with commas between."""

    def __init__(self, count: int, name: str) -> None:
        self.count, self.name = count, name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """Return the numbers."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(float(v) for v in str(value).split(","))
        except ValueError:
            numbers = ()
        if len(numbers) != self.count or not all(abs(v) < 1e300 for v in numbers):
            self.fail(f"{value!r}, expected {self.count} numbers with commas between ({self.name})", param, ctx)
        return numbers


class Setting(click.ParamType[tuple[str, float]]):
    """``NAME=VALUE`` with a number as the value."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        """Return name and value."""
        if isinstance(value, tuple):
            return value
        key, _, text = str(value).partition("=")
        try:
            return key.strip(), float(text)
        except ValueError:
            self.fail(f"{value!r}, expected NAME=VALUE with a number as the value", param, ctx)


class Colour(click.ParamType[tuple[float, ...]]):
    """A colour by name, as ``#rrggbb``, or as three numbers from 0 to 1."""

    name = "colour"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """Return red, green and blue from 0 to 1."""
        if isinstance(value, tuple):
            return value
        if "," in str(value):
            rgb = Numbers(3, "r,g,b").convert(value, param, ctx)
            if not all(0 <= v <= 1 for v in rgb):
                self.fail(f"{value!r}, expected three numbers from 0 to 1", param, ctx)
            return rgb
        from PIL import ImageColor

        try:
            return tuple(v / 255 for v in ImageColor.getrgb(str(value))[:3])
        except ValueError:
            self.fail(f"{value!r} is no colour, expected a name, #rrggbb, or r,g,b from 0 to 1", param, ctx)


force = click.option("-f", "--force", is_flag=True, help="Replace an existing output.")
max_memory = click.option(
    "--max-memory", type=Size(), help="What reading may allocate, such as 8GiB. Default: by the file's size."
)
background = click.option(
    "--background", type=Colour(), default="black", show_default=True, help="A name, #rrggbb, or r,g,b from 0 to 1."
)


def limits(max_memory: int | None) -> Limits:
    """Return the budget of a read; an explicit size may go to any file, however small it is."""
    from splatpack.limits import Limits

    return Limits() if max_memory is None else Limits(memory=max_memory, free=max_memory)


def _common() -> list[click.Parameter]:
    return [
        click.Option(["--threads"], type=click.IntRange(min=1), metavar="N", help="Threads. Default: all cores."),
        click.Option(["--json"], is_flag=True, help="One JSON object on stdout, nothing else there."),
        click.Option(["--quiet"], is_flag=True, help="No progress and no summary on stderr."),
        click.Option(["--debug"], is_flag=True, help="Show the traceback of an error."),
    ]


def command(
    name: str, *, example: str, cls: type[click.Command] = click.Command
) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command of a function that takes a :class:`Console`, then its own options; add the common options.

    Parameters
    ----------
    name : str
    example : str
        The last lines of its help.
    cls : type
        The class of the command.
    """

    def wrap(fn: Callable[..., None]) -> click.Command:
        @functools.wraps(fn)
        def run(*, json: bool, quiet: bool, debug: bool, threads: int | None, **options: Any) -> None:
            del debug  # main() looks at it
            fn(Console(json=json, quiet=quiet, threads=threads), **options)

        settings = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
        made = click.command(name, cls, epilog=f"\b\nExample:\n  {example}", context_settings=settings)(run)
        made.params.extend(_common())
        return made

    return wrap
