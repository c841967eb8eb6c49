"""What all quantising writers and readers share: rows in blocks, in the target's frame, and the usual 8-bit domains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import InvalidSceneError, TruncatedError
from splatpack.scene.gaussians import ATTRIBUTES, C0, SH_COEFFICIENTS, FloatArray, Gaussians
from splatpack.scene.transform import change_frame
from splatpack.scene.validate import normalise_quats

ROWS = 1 << 13
"""Gaussians of a block: their columns stay in a core's cache."""

ALPHA_MIN = 1e-6
"""Alpha bytes of 0 and 255 decode to this and to one minus it: a logit is never infinite."""

_SMALL = 1e-12
"""Squared lengths within this and its inverse lose nothing in float32."""

Bytes = NDArray[np.uint8]


def turned(
    scene: Gaussians, frame: str, order: NDArray[np.int64] | None = None, rows: int = ROWS
) -> Iterator[tuple[int, Gaussians]]:
    """Yield (first row, block) in ``frame``, the quats of unit length; the scene is never copied whole.

    Parameters
    ----------
    scene : Gaussians
        One of unknown frame is not turned.
    frame : str
    order : int64 (N,), optional
        Indices in the order of the file.
    rows : int
        Gaussians of a block.

    Raises
    ------
    InvalidSceneError
        A value is NaN or a position infinite: no quantiser has bits for that.
    """
    for start in range(0, len(scene), rows):
        part = scene.take(slice(start, start + rows) if order is None else order[start : start + rows])
        if not np.isfinite(part.means).all() or any(np.isnan(getattr(part, name)).any() for name in ATTRIBUTES[1:]):
            raise _invalid(part, start)
        if scene.frame not in (frame, "unknown"):
            part = change_frame(part, frame)
        yield start, replace(part, quats=unit_quats(part.quats.copy(), zero_to_identity=True))


def _invalid(part: Gaussians, start: int) -> InvalidSceneError:
    bad = ~np.isfinite(part.means).all(axis=1)
    for name in ATTRIBUTES[1:]:
        bad |= np.isnan(getattr(part, name).reshape(len(part), -1)).any(axis=1)
    return InvalidSceneError(
        f"{int(bad.sum()):,} of the Gaussians {start:,} to {start + len(part) - 1:,} hold NaN or infinite "
        "positions, expected finite values. Repair the scene first (splatpack.scene.validate)."
    )


def unit_quats(quats: FloatArray, *, zero_to_identity: bool = False) -> FloatArray:
    """Make quats (N, 4) unit length in place, to float32 precision, and return them; zero ones stay or are replaced."""
    with np.errstate(over="ignore"):
        square = np.einsum("ij,ij->i", quats, quats)
    if len(square) and not (square.min() > _SMALL and square.max() < 1 / _SMALL):
        if zero_to_identity:
            quats[~quats.any(axis=1)] = (1, 0, 0, 0)
        normalise_quats(quats)
        return quats
    quats /= np.sqrt(square)[:, None]
    return quats


def empty_scene_arrays(n: int, degree: int) -> dict[str, Any]:
    """Return uninitialised columns for ``n`` Gaussians, by attribute."""
    shapes = ((n, 3), (n, 3), (n, 4), (n,), (n, 1, 3), (n, SH_COEFFICIENTS[degree], 3))
    return {name: np.empty(shape, np.float32) for name, shape in zip(ATTRIBUTES, shapes, strict=True)}


def row_bytes(degree: int) -> int:
    """Bytes that a Gaussian takes in memory."""
    return 4 * (14 + 3 * SH_COEFFICIENTS[degree])


def read_rows(file: BinaryIO, buffer: NDArray[Any], what: str) -> None:
    """Fill ``buffer`` (contiguous) from the file.

    Raises
    ------
    TruncatedError
        The file ends before.
    """
    raw = buffer.view(np.uint8).reshape(-1)
    got = file.readinto(raw.data)  # type: ignore[attr-defined]
    if got != raw.size:
        raise TruncatedError(f"{what}: the file ended after {got:,} of {raw.size:,} bytes.")


def to_u8(values: FloatArray) -> Bytes:
    """Round half up and clamp to 0..255; what is NaN or infinite was excluded or is clamped."""
    bytes_: Bytes = np.floor(np.clip(values, 0.0, 255.0) + np.float32(0.5)).astype(np.uint8)
    return bytes_


def alpha_u8(logits: FloatArray) -> Bytes:
    """Return ``round(255 * sigmoid)``."""
    with np.errstate(over="ignore"):
        return to_u8(np.float32(255.0) / (np.float32(1.0) + np.exp(-logits)))


def logit_table() -> FloatArray:
    """Return the logit of each alpha byte, float32 (256,)."""
    alpha = np.clip(np.arange(256) / 255.0, ALPHA_MIN, 1.0 - ALPHA_MIN)
    return (np.log(alpha) - np.log1p(-alpha)).astype(np.float32)


def dc_table() -> FloatArray:
    """Return the SH constant of each colour byte, float32 (256,): ``(c / 255 - 0.5) / C0``."""
    return ((np.arange(256) / 255.0 - 0.5) / C0).astype(np.float32)


def rows_outside(values: FloatArray, low: float, high: float) -> int:
    """Count rows that hold a value outside [low, high]."""
    if not values.size or (values.min() >= low and values.max() <= high):
        return 0
    flat = values.reshape(len(values), -1)
    return int(((flat < low) | (flat > high)).any(axis=1).sum())
