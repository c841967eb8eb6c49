"""Photos and masks by Pillow: looked at before they are decoded, and turned the way that their poses mean."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from splatpack.errors import CorruptError, LimitError, SplatpackError, StorageError, UnsupportedError
from splatpack.limits import Limits
from splatpack.train.data.photo import FULL, Packed, Picture

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "MPO")

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings a picture upright, by the value of its EXIF orientation."""
_SIDEWAYS = (5, 6, 7, 8)
_DAMAGE = (OSError, ValueError, SyntaxError, RuntimeError, KeyError, IndexError, TypeError, EOFError, AttributeError)
_WORKING_BYTES = 40
"""Bytes a pixel that decoding and developing a picture take at most."""

_QUIET = threading.Lock()
"""Filters of warnings belong to the whole process."""

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Header:
    """What a picture's file says before it is decoded: pixels as stored, EXIF orientation, whether it has alpha."""

    width: int
    height: int
    orientation: int
    transparent: bool

    def turned(self) -> Header:
        """Return the header of the picture after its orientation was applied."""
        if self.orientation not in _SIDEWAYS:
            return self
        return Header(self.height, self.width, self.orientation, self.transparent)


def look(path: Path, limits: Limits) -> Header:
    """Return the header of a picture, after its size was held against a budget. Safe on untrusted input.

    Raises
    ------
    CorruptError, StorageError
        It is no readable picture.
    LimitError
        Decoding it would take more than the limits allow.
    """
    try:
        with _opened(path) as image:
            width, height = image.size
            limits.start(path.stat().st_size).debit(width * height * _WORKING_BYTES, f"{path}: {width}x{height} pixels")
            transparent = "A" in image.getbands() or "transparency" in image.info
            return Header(width, height, _orientation(image), transparent)
    except SplatpackError:
        raise
    except _DAMAGE as error:
        raise _unreadable(path, error) from None


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open a picture without decoding it, and without Pillow's remarks on its metadata.

    Raises
    ------
    LimitError
        It has more pixels than Pillow takes for a picture (89 million).
    """
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = Image.open(path, formats=FORMATS)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise LimitError(f"{path}: {error} Scale the photo down first.") from None
    with image:
        yield image


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8. Pillow decodes a whole PNG to look for one: only what lies ahead counts."""
    if image.format == "PNG" and "exif" not in image.info:
        return 1
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = image.getexif().get(_ORIENTATION, 1)
    return found if isinstance(found, int) and found in _TURNS else 1


def decode(path: Path, header: Header, background: Colour, *, turn: bool) -> Picture:
    """Decode a photo.

    Parameters
    ----------
    path : path
    header : Header
        Of this file, as :func:`look` gave it.
    background : (float, float, float)
        What shows through a transparent photo.
    turn : bool
        Apply the EXIF orientation.

    Returns
    -------
    Picture
        8-bit and 16-bit grey values exactly; ``alpha`` where the photo has one that is not 1 everywhere.

    Raises
    ------
    CorruptError, UnsupportedError, StorageError
        The file is damaged, was exchanged, or holds what is no photo.
    """
    rows = _rows(path, header, turn=turn, alpha=header.transparent)
    if rows.shape[2] == 3:
        return Picture(rows)
    alpha = np.ascontiguousarray(rows[..., 3])
    if (alpha == FULL).all():
        return Picture(np.ascontiguousarray(rows[..., :3]))
    share = alpha[..., None] * np.float32(1 / FULL)
    behind = np.asarray(background, np.float32) * np.float32(FULL)
    return Picture(np.rint(rows[..., :3] * share + behind * (1 - share)).astype(np.uint16), None, alpha)


def decode_mask(path: Path, header: Header, size: tuple[int, int], *, turn: bool) -> Packed:
    """Decode a mask and bring it to the size (width, height) of its photo: uint16 (H, W), 65535 where the photo counts.

    Black is what does not count, anything else does, as in COLMAP. A transparent mask counts where it is opaque.
    """
    rows = _rows(path, header, turn=turn, alpha=header.transparent)
    counts = (rows[..., 3] if rows.shape[2] == 4 else rows.max(axis=2)) >= FULL // 2
    image = Image.fromarray(counts.astype(np.uint8) * 255)
    scaled = image if image.size == size else image.resize(size, Image.Resampling.NEAREST)
    return np.asarray(scaled, np.uint16) * np.uint16(257)


def _rows(path: Path, header: Header, *, turn: bool, alpha: bool) -> Packed:
    """Return the pixels as uint16 (H, W, 3 or 4)."""
    try:
        with _opened(path) as opened:
            if opened.size != (header.width, header.height):
                raise CorruptError(f"{path}: the file changed while it was read.")
            image: Image.Image = opened
            if turn and header.orientation in _TURNS:
                image = opened.transpose(_TURNS[header.orientation])
            return _values(image, path, alpha)
    except SplatpackError:
        raise
    except _DAMAGE as error:
        raise _unreadable(path, error) from None


def _values(image: Image.Image, path: Path, alpha: bool) -> Packed:
    if image.mode.startswith("I;16") or image.mode == "I":
        grey = np.asarray(image).astype(np.int64)
        if grey.min() < 0 or grey.max() > FULL:
            raise UnsupportedError(f"{path}: values beyond 16 bits, expected a photo.")
        return np.repeat(grey.astype(np.uint16)[..., None], 3, axis=2)
    if image.mode == "F":
        raise UnsupportedError(f"{path}: floating-point pixels, expected a photo of 8 or 16 bits.")
    eight: NDArray[np.uint8] = np.asarray(image.convert("RGBA" if alpha else "RGB"), np.uint8)
    return eight.astype(np.uint16) * np.uint16(257)


def _unreadable(path: Path, error: Exception) -> SplatpackError:
    if isinstance(error, OSError) and error.errno is not None:
        return StorageError(f"{path}: {error.strerror or error}.")
    return CorruptError(f"{path}: no readable picture ({str(error)[:80]}).")
