"""What people see of a training run: durations, a progress bar with its figures, previews."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from splatpack.cli._console import Console

if TYPE_CHECKING:
    from splatpack.train.record import Point
    from splatpack.train.trainer import Trainer

PREVIEWS = 20
"""Previews of a run, about."""
VIEWS = 2
"""Photos in a preview."""

_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(h|min|m|s)?", re.IGNORECASE)
_SECONDS = {"h": 3600, "min": 60, "m": 60, "s": 1, "": 1}

Follow = Callable[["Point"], None]


class Duration(click.ParamType[float]):
    """Seconds: ``90``, ``90s``, ``10m``, ``1h30m``."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        if isinstance(value, float):
            return value
        text = str(value).replace(" ", "")
        parts = _PART.findall(text)
        seconds = sum(float(number) * _SECONDS[unit.lower()] for number, unit in parts)
        if "".join(number + unit for number, unit in parts) != text or not 0 < seconds < 1e9:
            self.fail(f"{value!r} is no duration, expected seconds or such as 90s, 10m, 1h30m", param, ctx)
        return seconds


@contextmanager
def bar(console: Console) -> Iterator[Follow | None]:
    """Yield what moves a bar with PSNR, Gaussians and time left, or None where nobody would see one."""
    if console.quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console as Rich
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (
        TextColumn("{task.description:>14}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Rich(stderr=True), transient=True) as drawn:
        task = drawn.add_task("training", total=1.0, note="")
        held_out = ""

        def move(point: Point) -> None:
            nonlocal held_out
            if point.psnr_test is not None:
                held_out = f" (held out {point.psnr_test:.2f})"
            drawn.update(task, completed=point.share, note=note(point, held_out))

        yield move


def note(point: Point, held_out: str = "") -> str:
    """Return where a run is, in a line."""
    left = "" if math.isinf(point.seconds_left) else f", {clock(point.seconds_left)} left"
    psnr = f"{point.psnr_train:.2f} dB{held_out}"
    return f"step {point.iteration:,}, {psnr}, {point.gaussians:,} Gaussians{left}"


def clock(seconds: float) -> str:
    """Return a time for people: 0:42, 12:05, 1:02:03."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


class Previews:
    """Writes photos beside what the scene shows of them, some twenty times in a run.

    A picture that cannot be written ends no run: it is said once.
    """

    def __init__(self, folder: str, trainer: Trainer, console: Console) -> None:
        from splatpack.errors import StorageError

        self.folder, self.trainer, self.console = Path(folder), trainer, console
        self.photos = (trainer.dataset.test or trainer.dataset.train)[:VIEWS]
        self.drawn = math.floor(trainer.share * PREVIEWS)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{folder}: {error.strerror or error}, expected a folder for previews.") from error

    def __call__(self, point: Point) -> None:
        """Draw, where a preview is due."""
        from splatpack.errors import StorageError
        from splatpack.render.image import save_png, strip

        due = math.floor(point.share * PREVIEWS)
        if due <= self.drawn:
            return
        self.drawn = due
        pictures = [p for photo in self.photos for p in (photo.pixels(), self.trainer.picture(photo.camera))]
        try:
            save_png(self.folder / f"step_{point.iteration:06d}.png", strip(pictures))
        except StorageError as error:
            self.console.warn(str(error))
            self.drawn = PREVIEWS
