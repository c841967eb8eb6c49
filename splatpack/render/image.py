"""Pictures out: 8-bit conversion, PNG, strips of pictures side by side. The only user of Pillow in ``render``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from splatpack.errors import StorageError, UsageError


def to_uint8(color: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a picture as bytes: float in [0, 1] is clipped, scaled by 255 and rounded; bytes stay as they are."""
    if color.dtype == np.uint8:
        return np.asarray(color)
    scaled = np.clip(np.nan_to_num(color.astype(np.float64)), 0.0, 1.0) * 255.0
    return np.floor(scaled + 0.5).astype(np.uint8)


def strip(pictures: Sequence[NDArray[Any]], *, gap: int = 8) -> NDArray[np.uint8]:
    """Return pictures side by side, top-aligned, ``gap`` white pixels between them.

    Parameters
    ----------
    pictures : sequence of float or uint8 (H, W, 3)
        At least one; heights may differ.

    Raises
    ------
    UsageError
        There is no picture, or one has another shape.
    """
    if not pictures:
        raise UsageError("strip: no pictures, expected at least one.")
    parts = [to_uint8(p) for p in pictures]
    for part in parts:
        if part.ndim != 3 or part.shape[2] != 3:
            raise UsageError(f"strip: a picture of shape {part.shape}, expected (H, W, 3).")
    height = max(p.shape[0] for p in parts)
    width = sum(p.shape[1] for p in parts) + gap * (len(parts) - 1)
    out = np.full((height, width, 3), 255, np.uint8)
    left = 0
    for part in parts:
        out[: part.shape[0], left : left + part.shape[1]] = part
        left += part.shape[1] + gap
    return out


def save_png(path: str | Path, color: NDArray[Any]) -> None:
    """Write a picture, float in [0, 1] or uint8, (H, W, 3) or (H, W), as PNG.

    Raises
    ------
    UsageError
        The shape is not that of a picture.
    StorageError
        The file cannot be written.
    """
    pixels = to_uint8(color)
    if pixels.size == 0 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)):
        raise UsageError(f"save_png: a picture of shape {pixels.shape}, expected (H, W, 3) or (H, W).")
    try:
        Image.fromarray(np.ascontiguousarray(pixels)).save(path, format="PNG")
    except OSError as error:
        raise StorageError(f"{path}: cannot write the picture ({error.strerror or error}).") from error
