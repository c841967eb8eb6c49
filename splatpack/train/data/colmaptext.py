"""COLMAP's text files: the same rows as its binary ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import CorruptError, TruncatedError, UnsupportedError
from splatpack.formats.files import open_regular
from splatpack.limits import Limits
from splatpack.train.data.colmapmodels import MODELS, CameraRow, ImageRow, count_of

_SPREAD = 8
"""Bytes in memory per byte of a text file, at most, while it is taken apart."""


class Lines:
    """The lines of a text file, numbered, without comments."""

    def __init__(self, path: Path, limits: Limits) -> None:
        with open_regular(path) as (file, size):
            limits.start(size).debit(_SPREAD * size, f"{path}: {size:,} bytes of text")
            raw = file.read()
        self.name = str(path)
        try:
            self.lines = raw.decode("utf-8").split("\n")
        except UnicodeDecodeError:
            raise CorruptError(f"{path}: no UTF-8, expected text.") from None

    def __iter__(self) -> Iterator[tuple[int, str]]:
        for number, line in enumerate(self.lines, 1):
            if line.strip() and not line.startswith("#"):
                yield number, line.strip()

    def fail(self, number: int, line: str, expected: str) -> CorruptError:
        """Return the error of a line."""
        return CorruptError(f"{self.name}: line {number:,}: {line[:60]!r}, expected {expected}.")

    def numbers(self, number: int, line: str, words: list[str], expected: str) -> tuple[float, ...]:
        """Return words as numbers."""
        try:
            return tuple(float(word) for word in words)
        except ValueError:
            raise self.fail(number, line, expected) from None


def cameras(lines: Lines) -> Iterator[CameraRow]:
    """Yield the rows of ``cameras.txt``."""
    expected = "CAMERA_ID MODEL WIDTH HEIGHT PARAMS"
    for number, line in lines:
        words = line.split()
        if len(words) < 5:
            raise lines.fail(number, line, expected)
        if words[1] not in MODELS:
            raise UnsupportedError(
                f"{lines.name}: line {number}: camera model {words[1][:40]!r}, expected one of {', '.join(MODELS)}."
            )
        if len(words) - 4 != count_of(words[1]):
            raise lines.fail(number, line, f"the parameters {MODELS[words[1]][1]} of {words[1]}")
        ident, width, height = (int(v) for v in _whole(lines, number, line, [words[0], *words[2:4]], expected))
        yield CameraRow(ident, words[1], width, height, lines.numbers(number, line, words[4:], expected))


def images(lines: Lines) -> Iterator[ImageRow]:
    """Yield the rows of ``images.txt``: every other line holds the points that were seen, and may be empty."""
    expected = "IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME, then a line of points"
    wanted = True
    for number, line in enumerate(lines.lines, 1):
        if not wanted:
            wanted = True
            continue
        if not line.strip() or line.startswith("#"):
            continue
        words = line.strip().split(maxsplit=9)
        if len(words) != 10:
            raise lines.fail(number, line, expected)
        row = lines.numbers(number, line, words[1:8], expected)
        (camera,) = _whole(lines, number, line, [words[8]], expected)
        yield ImageRow(words[9], row[:4], row[4:], camera)
        wanted = False
    if not wanted:
        raise TruncatedError(f"{lines.name}: the last image has no line of points. The file is cut off.")


def points(lines: Lines) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return positions and colours of ``points3D.txt``, float32 (P, 3) each."""
    expected = "POINT3D_ID X Y Z R G B ERROR TRACK"
    rows: list[tuple[float, ...]] = []
    for number, line in lines:
        words = line.split(maxsplit=8)
        if len(words) < 8:
            raise lines.fail(number, line, expected)
        rows.append(lines.numbers(number, line, words[1:7], expected))
    table = np.array(rows, np.float64).reshape(-1, 6)
    with np.errstate(over="ignore"):
        return table[:, :3].astype(np.float32), np.clip(np.nan_to_num(table[:, 3:]) / 255, 0, 1).astype(np.float32)


def _whole(lines: Lines, number: int, line: str, words: list[str], expected: str) -> list[int]:
    if not all(word.isascii() and word.isdigit() and len(word) < 20 for word in words):
        raise lines.fail(number, line, expected)
    return [int(word) for word in words]
