"""PlayCanvas compressed PLY: writing.

Layout: ``playcanvas/splat-transform``, ``compressed-chunk.ts`` and ``write-compressed-ply.ts`` (MIT).
"""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from splatpack.formats.blocks import Bytes, alpha_u8, rows_outside, turned
from splatpack.formats.losses import Losses
from splatpack.formats.morton import morton_order
from splatpack.formats.plywrite import opening_lines
from splatpack.formats.quats import drop_largest
from splatpack.scene.gaussians import C0, FloatArray, Gaussians

CHUNK = 256
SCALE_LIMIT = 20.0
SH_LIMIT = 4.0
_BOUNDS = [
    f"{end}_{name}"
    for group in (("x", "y", "z"), ("scale_x", "scale_y", "scale_z"), ("r", "g", "b"))
    for end in ("min", "max")
    for name in group
]
_ROWS = 32 * CHUNK
Columns = list[NDArray[np.float64]]


def write_compressed_ply(file: BinaryIO, scene: Gaussians, losses: Losses, *, frame: str) -> None:
    """Write ``scene`` as PlayCanvas compressed PLY, in Morton order so that chunks are small boxes.

    Memory: the packed rows, 16 bytes a Gaussian and one for each SH coefficient.

    Parameters
    ----------
    file : binary file
        Is written from where it stands, and left open.
    scene : Gaussians
        Without extra columns: they are not written.
    losses : Losses
        Takes the counts of values beyond what the format spans.
    frame : str
        The frame to turn to.

    Raises
    ------
    InvalidSceneError
        The scene holds NaN.
    """
    n, k = len(scene), scene.shN.shape[1]
    bounds = np.empty((-(-n // CHUNK), 18), "<f4")
    words = np.empty((n, 4), "<u4")
    sh = np.empty((n, 3 * k), np.uint8)
    for start, part in turned(scene, frame, morton_order(scene.means), _ROWS):
        rows = slice(start, start + len(part))
        scales = np.clip(part.scales, -SCALE_LIMIT, SCALE_LIMIT)
        losses.count("log-scale beyond +-20, clamped", rows_outside(part.scales, -SCALE_LIMIT, SCALE_LIMIT))
        losses.count("SH beyond +-4, clamped", rows_outside(part.shN, -SH_LIMIT, SH_LIMIT))
        chunks = slice(start // CHUNK, -(-rows.stop // CHUNK))
        rgb = np.float32(0.5) + np.float32(C0) * part.sh0[:, 0]
        words[rows, 0] = _pack(_unit(part.means, bounds[chunks, 0:6]), (11, 10, 11))
        words[rows, 1] = _rotation(part.quats)
        words[rows, 2] = _pack(_unit(scales, bounds[chunks, 6:12]), (11, 10, 11))
        words[rows, 3] = _pack(_unit(rgb, bounds[chunks, 12:18]), (8, 8, 8)) << 8 | alpha_u8(part.opacities)
        sh[rows] = _sh(part.shN)
    file.write(_header(scene, frame, len(bounds), k))
    for array in (bounds, words, sh):
        if array.size:
            file.write(array.data.cast("B"))


def _unit(values: FloatArray, bounds: NDArray[Any]) -> Columns:
    """Fill the bounds of each chunk, float32 (chunks, 6); return the values as shares of them, columns in 0..1."""
    n, short = len(values), -len(values) % CHUNK
    padded = np.concatenate([values, np.repeat(values[-1:], short, axis=0)]) if short else values
    shares = []
    for axis in range(3):
        boxes = np.ascontiguousarray(padded[:, axis]).reshape(-1, CHUNK)
        low, high = boxes.min(axis=1), boxes.max(axis=1)
        bounds[:, axis], bounds[:, 3 + axis] = low, high
        span = high.astype(np.float64) - low
        share = (boxes - low[:, None].astype(np.float64)) / np.where(span > 0, span, 1.0)[:, None]
        shares.append(share.reshape(-1)[:n])
    return shares


def _pack(unit: Columns, bits: tuple[int, int, int]) -> NDArray[np.uint32]:
    """Round shares to ``bits`` each and put them side by side, the first highest."""
    word = np.zeros(len(unit[0]), np.uint32)
    for share, width in zip(unit, bits, strict=True):
        word = word << np.uint32(width) | (share * ((1 << width) - 1) + 0.5).astype(np.uint32)
    return word


def _rotation(quats: FloatArray) -> NDArray[np.uint32]:
    """Index of the largest of (w, x, y, z), then the other three in 10 bits each."""
    which, three = drop_largest(quats)
    unit = [np.clip(q.astype(np.float64) * 0.5**0.5 + 0.5, 0.0, 1.0) for q in three]
    return which << np.uint32(30) | _pack(unit, (10, 10, 10))


def _sh(shn: FloatArray) -> Bytes:
    """256 steps over +-4, channel-major."""
    major = shn.transpose(0, 2, 1).reshape(len(shn), -1)
    return np.asarray(np.clip(major * np.float32(32) + np.float32(128), 0, 255), np.uint8)


def _header(scene: Gaussians, frame: str, chunks: int, k: int) -> bytes:
    lines = opening_lines(scene, frame)
    lines += [f"element chunk {chunks}", *(f"property float {name}" for name in _BOUNDS)]
    lines.append(f"element vertex {len(scene)}")
    lines += [f"property uint packed_{name}" for name in ("position", "rotation", "scale", "color")]
    if k:
        lines += [f"element sh {len(scene)}", *(f"property uchar f_rest_{i}" for i in range(3 * k))]
    return "\n".join([*lines, "end_header", ""]).encode("ascii")
