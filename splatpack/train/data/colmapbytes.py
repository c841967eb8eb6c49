"""COLMAP's binary files, record by record: nothing is taken from a count that the bytes do not back."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import CorruptError, TruncatedError
from splatpack.formats.files import open_regular
from splatpack.limits import Limits
from splatpack.train.data.colmapmodels import CameraRow, ImageRow, count_of, model_of

MAX_NAME = 4096

_COUNT, _CAMERA, _IMAGE, _POINT = (struct.Struct(code) for code in ("<Q", "<IiQQ", "<I7dI", "<Q3d3BdQ"))


class Cursor:
    """Walks over the bytes of a file and never beyond them."""

    def __init__(self, data: bytes, name: str) -> None:
        self.data, self.name, self.at = data, name, 0

    def take(self, code: struct.Struct, what: str) -> tuple[int | float, ...]:
        """Return the fields of the next record."""
        return tuple(code.unpack_from(self.data, self.skip(code.size, what)))

    def skip(self, count: int, what: str) -> int:
        """Move on by ``count`` bytes and return where they begin."""
        left = len(self.data) - self.at
        if count > left:
            raise TruncatedError(
                f"{self.name}: byte {self.at:,}: {what} needs {count:,} bytes, {left:,} are left. The file is cut off."
            )
        self.at += count
        return self.at - count

    def text(self, what: str) -> str:
        """Return the text up to the next NUL."""
        end = self.data.find(b"\0", self.at, self.at + MAX_NAME + 1)
        if end < 0:
            wrong = TruncatedError if len(self.data) - self.at <= MAX_NAME else CorruptError
            raise wrong(f"{self.name}: byte {self.at:,}: {what} has no end within {MAX_NAME} bytes.")
        raw, self.at = self.data[self.at : end], end + 1
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise CorruptError(f"{self.name}: {what} {raw[:40]!r} is no UTF-8, expected text.") from None

    def records(self, least: int, what: str) -> range:
        """Return a range over the declared count of records, each of ``least`` bytes or more."""
        count = int(self.take(_COUNT, f"the count of {what}")[0])
        if count * least > len(self.data) - self.at:
            raise TruncatedError(
                f"{self.name}: {count:,} {what} need {count * least:,} bytes or more, {len(self.data) - self.at:,} are "
                "there. The count lies or the file is cut off."
            )
        return range(count)

    def end(self) -> None:
        """Refuse bytes after the last record."""
        if self.at != len(self.data):
            raise CorruptError(
                f"{self.name}: {len(self.data) - self.at:,} bytes after the last record, expected the end of the file."
            )


def load(path: Path, limits: Limits) -> Cursor:
    """Read a file into memory within a budget."""
    with open_regular(path) as (file, size):
        limits.start(size).debit(2 * size, f"{path}: {size:,} bytes")
        return Cursor(file.read(), str(path))


def cameras(cursor: Cursor) -> Iterator[CameraRow]:
    """Yield the rows of ``cameras.bin``."""
    for _ in cursor.records(_CAMERA.size, "cameras"):
        number, model, width, height = (int(v) for v in cursor.take(_CAMERA, "a camera"))
        name = model_of(model, f"{cursor.name}: camera {number}")
        values = cursor.take(struct.Struct(f"<{count_of(name)}d"), f"a {name} camera")
        yield CameraRow(number, name, width, height, values)
    cursor.end()


def images(cursor: Cursor) -> Iterator[ImageRow]:
    """Yield the rows of ``images.bin``, without the points that were seen in them."""
    for _ in cursor.records(_IMAGE.size + 9, "images"):
        row = cursor.take(_IMAGE, "an image")
        name = cursor.text("the name of an image")
        cursor.skip(24 * int(cursor.take(_COUNT, f"{name!r}")[0]), f"the points of {name!r}")
        yield ImageRow(name, row[1:5], row[5:8], int(row[8]))
    cursor.end()


def points(cursor: Cursor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return positions and colours of ``points3D.bin``, float32 (P, 3) each."""
    rows = cursor.records(_POINT.size, "points")
    where, colour = np.empty((len(rows), 3), np.float64), np.empty((len(rows), 3), np.float32)
    for k in rows:
        row = cursor.take(_POINT, "a point")
        where[k], colour[k] = row[1:4], row[4:7]
        cursor.skip(8 * int(row[8]), "the track of a point")
    cursor.end()
    with np.errstate(over="ignore"):
        return where.astype(np.float32), colour / np.float32(255)
