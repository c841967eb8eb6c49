"""The kernel that blends the Gaussians of a band of tiles, front to back.

Three things make it fast. The exponent is re-centred on the tile in float64, which leaves a small float32 quadratic:
no cancellation, however long the ellipse. The row of sixteen pixels is the innermost loop, free of branches and calls,
so the compiler turns it into vector code. And exp is a polynomial, since its argument lies in [-5.6, 0].
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, float64, int16, int32, int64
from numpy.typing import NDArray

from splatpack.jit import kernel, ro, rw

TILE = 16
PIXELS = TILE * TILE
CHUNK = 16
"""Gaussians between two looks at which rows are finished."""

LOWEST = np.float32(-5.6)
"""exp(-5.6) < 1/255."""
CUT = np.float32(-5.541263545158426)
"""ln(1/255)."""
FAINT = np.float32(1 / 255)
STRONGEST = np.float32(0.99)
FINISHED = np.float32(1e-4)
ZERO = np.float32(0.0)
ONE = np.float32(1.0)
SIXTEENTH = np.float32(1 / 16)
EDGE = np.float32(7.5)
# exp(t) on [-0.35, 0] as 1 + t (1 + t (E2 + t (E3 + t E4))), fitted for the smallest relative error: 1.8e-7, and 2.9e-6
# after the four squarings that turn exp(p / 16) into exp(p)
E2 = np.float32(0.4998976291)
E3 = np.float32(0.16529355118586928)
E4 = np.float32(0.03583289017270243)


@kernel(float32(int64, float32, float32, float32), inline=True)
def falloff(x: int, q0: Any, q1: Any, q2: Any) -> Any:
    """exp(p) at column ``x`` of a tile: p = q0 + u (q1 + u q2), u from -7.5 to 7.5, held to [-5.6, 0]."""
    u = np.float32(x) - EDGE
    p = q0 + u * (q1 + u * q2)
    t = p if p > LOWEST else LOWEST
    t = (t if t < ZERO else ZERO) * SIXTEENTH
    e = ONE + t * (ONE + t * (E2 + t * (E3 + t * E4)))
    e = e * e
    e = e * e
    e = e * e
    return e * e


@kernel(float32(float32), inline=True)
def alpha_of(e: Any) -> Any:
    """Alpha of a falloff: at most 0.99, and nothing below 1/255."""
    a = e if e < STRONGEST else STRONGEST
    return a if e >= FAINT else ZERO


@kernel(int64(rw(float32), float32, float32, float32, float32, float32, float32, float32), inline=True)
def blend_row(row: NDArray[Any], q0: Any, q1: Any, q2: Any, r: Any, g: Any, b: Any, z: Any) -> int:
    """Blend one Gaussian into the 16 pixels at the front of ``row``: p = q0 + u (q1 + u q2), u from -7.5 to 7.5.

    The slice starts at 0 so that no index can be negative: with the wrap-around of negative indices in the way, LLVM
    keeps scalar code (measured: three times slower).
    """
    for x in range(TILE):
        a = alpha_of(falloff(x, q0, q1, q2))
        through = row[x]
        w = a * (through if through >= FINISHED else ZERO)
        row[x] = through - w
        row[PIXELS + x] += w * r
        row[2 * PIXELS + x] += w * g
        row[3 * PIXELS + x] += w * b
        row[4 * PIXELS + x] += w * z
    return 0


@kernel(int64(ro(float32), rw(int32), int64), inline=True)
def mark_row(row: NDArray[Any], last: NDArray[Any], m: int) -> int:
    """Write ``m`` into ``last`` of the 16 pixels at the front of ``row`` that are not yet opaque."""
    place = np.int32(m)
    for x in range(TILE):
        last[x] = place if row[x] >= FINISHED else last[x]
    return 0


@kernel(int64(ro(float32), int64, rw(int64)), inline=True)
def rows_left(through: NDArray[Any], rows: int, live: NDArray[Any]) -> int:
    """Clear ``live`` of the rows of a tile whose pixels are all opaque; return how many rows are left."""
    left = 0
    for y in range(rows):
        if live[y] == 1:
            live[y] = 0
            for x in range(TILE):
                if through[y * TILE + x] >= FINISHED:
                    live[y] = 1
                    left += 1
                    break
    return left


@kernel(int64(ro(float32), ro(float32), int64, int64, rw(float32, 3), rw(float32, 2), rw(float32, 2)))
def write_tile(
    buffer: NDArray[Any],
    background: NDArray[Any],
    left: int,
    top: int,
    color: NDArray[Any],
    depth: NDArray[Any],
    alpha: NDArray[Any],
) -> int:
    """Copy the pixels of a finished tile that lie inside the picture, in front of the background."""
    for y in range(min(TILE, depth.shape[0] - top)):
        for x in range(min(TILE, depth.shape[1] - left)):
            k = y * TILE + x
            through = buffer[k]
            cover = ONE - through
            for c in range(3):
                value = buffer[(c + 1) * PIXELS + k] + through * background[c]
                color[top + y, left + x, c] = min(max(value, ZERO), ONE)
            alpha[top + y, left + x] = cover
            depth[top + y, left + x] = buffer[4 * PIXELS + k] / cover if cover > ZERO else ZERO
    return 0


@kernel(
    int64(
        ro(float64, 2), ro(float32), ro(float32, 2), ro(int16, 2), ro(int64), ro(int32), ro(float32), int64,
        rw(float32), rw(float32, 3), rw(float32, 2), rw(float32, 2), rw(float32, 2), rw(int32, 2),
    )
)  # fmt: skip
def shade_band(
    ellipses: NDArray[Any],
    depths: NDArray[Any],
    rgb: NDArray[Any],
    boxes: NDArray[Any],
    starts: NDArray[Any],
    members: NDArray[Any],
    background: NDArray[Any],
    band: int,
    buffer: NDArray[Any],
    color: NDArray[Any],
    depth: NDArray[Any],
    alpha: NDArray[Any],
    through: NDArray[Any],
    latest: NDArray[Any],
) -> int:
    """Blend one band: alpha = min(0.99, o exp(p)), nothing below 1/255, a pixel ends below a transmittance of 1e-4.

    The Gaussian that takes a pixel below 1e-4 is still blended, so a rounding at that edge changes nothing visible.

    Parameters
    ----------
    ellipses, depths, boxes
        From the projection, float64 (N, 6), float32 (N,), int16 (N, 4).
    rgb : float32 (N, 3)
    starts, members : int64 (columns + 1,), int32 (total,)
        The list of each tile, in depth order.
    background : float32 (3,)
    band : int
        The row of tiles.
    buffer : float32 (1280,), overwritten
        Transmittance, r, g, b, depth of the 256 pixels of a tile.
    color, depth, alpha : float32 (H, W, 3), (H, W), (H, W), rows of the band written
        Colour in [0, 1]; expected depth (sum of w z over sum of w, 0 where nothing is); sum of w.
    through, latest : float32 (columns, 256), int32 (columns, 256), written; or both (0, 256)
        For the backward pass: what passes each pixel of each tile in the end, and the place in ``members`` of the last
        Gaussian whose ellipse can reach the pixel's row and that was blended there, or -1.
    """
    trace = latest.shape[0] > 0
    height = depth.shape[0]
    top = band * TILE
    rows = min(TILE, height - top)
    live = np.empty(TILE, np.int64)
    for column in range(starts.shape[0] - 1):
        left = column * TILE
        for k in range(PIXELS):
            buffer[k] = ONE
        for k in range(PIXELS, 5 * PIXELS):
            buffer[k] = ZERO
        if trace:
            for k in range(PIXELS):
                latest[column, k] = -1
        for y in range(TILE):
            live[y] = 1
        first = starts[column]
        while first < starts[column + 1]:
            last = min(first + CHUNK, starts[column + 1])
            for m in range(first, last):
                i = members[m]
                dx = left + 8.0 - ellipses[i, 0]
                dy = top + 8.0 - ellipses[i, 1]
                ca = ellipses[i, 2]
                cb = ellipses[i, 3]
                cc = ellipses[i, 4]
                pu = -(ca * dx + cb * dy)
                pv = -(cb * dx + cc * dy)
                p0 = ellipses[i, 5] + 0.5 * (pu * dx + pv * dy)
                inverse = 1.0 / ca
                q2 = np.float32(-0.5 * ca)
                r = rgb[i, 0]
                g = rgb[i, 1]
                b = rgb[i, 2]
                z = depths[i]
                y0 = max(int(boxes[i, 2]) - top, 0)
                y1 = min(int(boxes[i, 3]) - top, rows)
                for y in range(y0, y1):
                    v = y - 7.5
                    h0 = p0 + v * (pv - 0.5 * cc * v)
                    h1 = pu - cb * v
                    peak = min(max(h1 * inverse, -7.5), 7.5)
                    if live[y] == 0 or h0 + peak * (h1 - 0.5 * ca * peak) < -5.5413:
                        continue
                    if trace:
                        mark_row(buffer[y * TILE :], latest[column, y * TILE :], m)
                    blend_row(buffer[y * TILE :], np.float32(h0), np.float32(h1), q2, r, g, b, z)
            first = last
            if rows_left(buffer, rows, live) == 0:
                break
        write_tile(buffer, background, left, top, color, depth, alpha)
        if trace:
            for k in range(PIXELS):
                through[column, k] = buffer[k]
    return 0
