"""The kernel that weighs Gaussians by what they contribute to a picture.

Arithmetic is float32 in the rows of pixels and float64 around them, in the order in which it is written: compiled code
and plain Python give the same bits, so the encoder writes the same file with and without the compiler.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, float64, int16, int32, int64
from numpy.typing import NDArray

from splatpack.jit import kernel, ro, rw
from splatpack.render.kernels.shade import CHUNK, FINISHED, TILE, ZERO, alpha_of, falloff, rows_left


@kernel(int64(rw(float32), rw(float32), float32, float32, float32), inline=True)
def weigh_row(row: NDArray[Any], lanes: NDArray[Any], q0: Any, q1: Any, q2: Any) -> int:
    """Blend one Gaussian into the 16 transmittances at the front of ``row``; add the squared weights to ``lanes``."""
    for x in range(TILE):
        a = alpha_of(falloff(x, q0, q1, q2))
        through = row[x]
        w = a * (through if through >= FINISHED else ZERO)
        row[x] = through - w
        lanes[x] += w * w
    return 0


@kernel(
    int64(
        ro(float64, 2), ro(int16, 2), ro(int64), ro(int32), int64, int64,
        rw(float32, 2), rw(int64), rw(float32), rw(float64),
    )
)  # fmt: skip
def weigh_band(
    ellipses: NDArray[Any],
    boxes: NDArray[Any],
    starts: NDArray[Any],
    members: NDArray[Any],
    band: int,
    height: int,
    through: NDArray[Any],
    live: NDArray[Any],
    lanes: NDArray[Any],
    weights: NDArray[Any],
) -> int:
    """Add to each Gaussian the sum over the pixels of a band of w^2, w = alpha T.

    Parameters
    ----------
    ellipses, boxes : float64 (N, 6), int16 (N, 4)
        From the projection: centre, conic, log-opacity; pixels that can be reached.
    starts, members : int64 (columns + 1,), int32 (total,)
        The list of each tile, in depth order.
    band, height : int
        The row of tiles, and the rows of the picture.
    through : float32 (columns, 256), updated
        Transmittances of the tiles: what lies in front of the list has been blended already. 0 outside the picture.
    live, lanes : int64 (16,), float32 (16,), overwritten
        Rows that are not finished, sums per column.
    weights : float64 (N,), added to
    """
    top = band * TILE
    rows = min(TILE, height - top)
    for column in range(starts.shape[0] - 1):
        left = column * TILE
        tile = through[column]
        for y in range(TILE):
            live[y] = 1
        first = starts[column]
        while first < starts[column + 1]:
            last = min(first + CHUNK, starts[column + 1])
            for m in range(first, last):
                i = np.int64(members[m])
                dx = left + 8.0 - ellipses[i, 0]
                dy = top + 8.0 - ellipses[i, 1]
                ca = ellipses[i, 2]
                cb = ellipses[i, 3]
                cc = ellipses[i, 4]
                pu = -(ca * dx + cb * dy)
                pv = -(cb * dx + cc * dy)
                p0 = ellipses[i, 5] + 0.5 * (pu * dx + pv * dy)
                inverse = 1.0 / ca
                touched = 0
                for x in range(TILE):
                    lanes[x] = ZERO
                y0 = max(int(boxes[i, 2]) - top, 0)
                y1 = min(int(boxes[i, 3]) - top, rows)
                for y in range(y0, y1):
                    v = y - 7.5
                    q0 = p0 + v * (pv - 0.5 * cc * v)
                    q1 = pu - cb * v
                    peak = min(max(q1 * inverse, -7.5), 7.5)
                    if live[y] == 1 and q0 + peak * (q1 - 0.5 * ca * peak) >= -5.5413:
                        touched += 1
                        weigh_row(tile[y * TILE :], lanes, np.float32(q0), np.float32(q1), np.float32(-0.5 * ca))
                if touched > 0:
                    for x in range(8):
                        lanes[x] += lanes[x + 8]
                    for x in range(4):
                        lanes[x] += lanes[x + 4]
                    weights[i] += (
                        np.float64(lanes[0]) + np.float64(lanes[1]) + (np.float64(lanes[2]) + np.float64(lanes[3]))
                    )
            first = last
            if rows_left(tile, rows, live) == 0:
                break
    return 0
