"""Pictures to files: PNG, folders of PNG, animations, and strips that lay two scenes side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from splatpack.container.atomic import atomic_write, refuse_existing
from splatpack.errors import StorageError, TargetExistsError
from splatpack.render.cpu import RenderResult
from splatpack.render.image import to_uint8

HEAD = 22
"""Height of the line of labels over a strip, pixels."""


@dataclass(frozen=True)
class Frame:
    """One drawn view and what to call it."""

    name: str
    drawn: RenderResult


def refuse(paths: Sequence[Path], force: bool) -> None:
    """Raise :class:`TargetExistsError` for the first output that exists, an empty folder excepted."""
    for path in paths:
        if path.is_dir():
            if not force and any(path.iterdir()):
                raise TargetExistsError(f"{path} is a folder that holds files already. Use -f/--force to add to it.")
        else:
            refuse_existing(path, force)


def save_frames(output: Path, frames: Iterator[Frame], *, force: bool, fps: float) -> Frame:
    """Write a PNG, an animation, or a folder, as ``output`` says; return the last frame."""
    suffix = output.suffix.lower()
    if output.is_dir() or suffix == "":
        return _folder(output, frames, force)
    if suffix == ".png":
        frame = next(frames)
        save(output, to_uint8(frame.drawn.color), force=force)
        return frame
    pictures, last = [], None
    for last in frames:
        pictures.append(Image.fromarray(to_uint8(last.drawn.color)))
    if last is None:
        raise StorageError(f"{output}: no view to draw.")
    _animation(output, pictures, force, fps)
    return last


def _folder(output: Path, frames: Iterable[Frame], force: bool) -> Frame:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{output}: cannot be made: {error.strerror or error}.") from error
    last = None
    for last in frames:
        save(output / f"{last.name}.png", to_uint8(last.drawn.color), force=force)
    if last is None:
        raise StorageError(f"{output}: no view to draw.")
    return last


def _animation(output: Path, pictures: list[Image.Image], force: bool, fps: float) -> None:
    buffer = BytesIO()
    kind = output.suffix.lower()[1:]
    more = {"quality": 90, "method": 4} if kind == "webp" else {"optimize": False, "disposal": 1}
    pictures[0].save(
        buffer, kind, save_all=True, append_images=pictures[1:], duration=round(1000 / fps), loop=0, **more
    )
    with atomic_write(output, force=force) as file:
        file.write(buffer.getvalue())


def save(output: Path, pixels: NDArray[np.uint8], *, force: bool) -> None:
    """Write uint8 pixels (H, W) or (H, W, 3) as PNG, whole or not at all."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    with atomic_write(output, force=force) as file:
        file.write(buffer.getvalue())


def save_extra(output: Path, what: str, frame: Frame, *, force: bool) -> None:
    """Write the depth (near bright, nothing black) or the coverage of a frame as grey PNG."""
    alpha = frame.drawn.alpha
    grey = alpha
    if what == "depth":
        depth = frame.drawn.depth
        seen = (alpha > 0.05) & (depth > 0)
        low, high = np.percentile(depth[seen], (1, 99)) if seen.any() else (0.0, 1.0)
        grey = np.where(seen, 1 - 0.9 * np.clip((depth - low) / max(high - low, 1e-9), 0, 1), 0).astype(np.float32)
    save(output, np.rint(255 * np.clip(grey, 0, 1)).astype(np.uint8), force=force)


def error_picture(reference: NDArray[np.float32], test: NDArray[np.float32], gain: float) -> NDArray[np.float32]:
    """Return the absolute difference of two pictures times ``gain``, (H, W, 3)."""
    return np.asarray(np.clip(np.abs(reference - test) * np.float32(gain), 0, 1), np.float32)


def strip(
    rows: Sequence[Sequence[NDArray[np.float32]]], titles: Sequence[str], notes: Sequence[str]
) -> NDArray[np.uint8]:
    """Return pictures side by side.

    Parameters
    ----------
    rows : sequence of rows of float32 (H, W, 3)
        All of one size.
    titles : sequence of str
        Above each column.
    notes : sequence of str
        Into the last picture of each row.
    """
    height, width = rows[0][0].shape[:2]
    canvas = Image.new("RGB", (width * len(titles), HEAD + height * len(rows)), (24, 24, 27))
    pen = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(13)
    for column, title in enumerate(titles):
        pen.text((column * width + 8, HEAD // 2), title, (228, 228, 231), font, "lm")
    for y, (row, note) in enumerate(zip(rows, notes, strict=True)):
        for x, picture in enumerate(row):
            canvas.paste(Image.fromarray(to_uint8(picture)), (x * width, HEAD + y * height))
        corner = ((len(titles) - 1) * width + 8, HEAD + (y + 1) * height - 8)
        pen.text(corner, note, (255, 255, 255), font, "ls", stroke_width=2, stroke_fill=(0, 0, 0))
    return np.asarray(canvas)
