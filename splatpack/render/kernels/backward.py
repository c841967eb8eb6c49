"""Kernels of the backward pass, first half: from the gradient of a picture to those of screen-space ellipses.

``blend_back_band`` walks the list of each tile from back to front and leaves the gradient of each list entry;
``gather`` sums these per Gaussian, in the order of the entries. The second half is in ``project_backward``.

Let D be the vector from the centre to a pixel, Q the conic, p = log opacity - D^T Q D / 2. With e = Q D,

    dp/dcentre = e,    dp/dcovariance = e e^T / 2,

so an entry needs only the moments of g = dL/dp over its pixels: the sums of g, g u, g v, g u^2, g u v, g v^2 about the
centre of the tile. The conic's own gradient, which is ill-conditioned for long ellipses, is never formed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, float64, int16, int32, int64
from numpy.typing import NDArray

from splatpack.jit import kernel, ro, rw
from splatpack.render.kernels.shade import (
    ONE,
    PIXELS,
    STRONGEST,
    TILE,
    ZERO,
    alpha_of,
    falloff,
)

ENTRY = 9
"""Numbers per list entry: centre x, y; covariance xx, xy, yy (symmetric matrix); log opacity; r, g, b."""

ROWS = 6
"""Lane sums of an entry: g, g v, g v^2, and the colour gradients."""


@kernel(
    int64(rw(float32), rw(float32), ro(int32), int32, float32, float32, float32, float32, float32, float32, float32),
    inline=True,
)
def blend_back_row(
    row: NDArray[Any], lanes: NDArray[Any], last: NDArray[Any], m: Any,
    q0: Any, q1: Any, q2: Any, v: Any, r: Any, g: Any, b: Any,
) -> int:  # fmt: skip
    """Take one Gaussian out of the 16 pixels at the front of ``row``; add its gradients to ``lanes``.

    Planes of ``row``: transmittance behind this Gaussian, gradient-weighted light from behind it, gradient r, g, b.
    The alphas are those of ``blend_row`` to the bit. 1 - alpha is at least 0.01, so the division is safe.
    """
    for x in range(TILE):
        e = falloff(x, q0, q1, q2)
        a = alpha_of(e)
        a = a if last[x] >= m else ZERO
        inverse = np.divide(ONE, ONE - a)
        through = row[x] * inverse
        w = a * through
        gr = row[2 * PIXELS + x]
        gg = row[3 * PIXELS + x]
        gb = row[4 * PIXELS + x]
        light = gr * r + gg * g + gb * b
        behind = row[PIXELS + x]
        slope = a * (through * light - behind * inverse)
        slope = slope if e < STRONGEST else ZERO
        row[x] = through
        row[PIXELS + x] = behind + w * light
        lanes[x] += slope
        lanes[TILE + x] += slope * v
        lanes[2 * TILE + x] += slope * v * v
        lanes[3 * TILE + x] += w * gr
        lanes[4 * TILE + x] += w * gg
        lanes[5 * TILE + x] += w * gb
    return 0


@kernel(
    int64(
        rw(float32), ro(float32), ro(float32), ro(int32), ro(float32, 3), ro(float32, 3), int64, int64, rw(int64)
    )
)  # fmt: skip
def open_tile(
    buffer: NDArray[Any],
    background: NDArray[Any],
    through: NDArray[Any],
    last: NDArray[Any],
    color: NDArray[Any],
    grad: NDArray[Any],
    left: int,
    top: int,
    ends: NDArray[Any],
) -> int:
    """Fill the planes of a tile with its state behind the last Gaussian; return the last place in its list, or -1.

    A channel that the picture holds at 1 passes the gradient only where a descent makes it darker.
    ``ends`` gets the last place of each row. Pixels outside the picture get zeros, which contribute nothing.
    """
    for k in range(5 * PIXELS):
        buffer[k] = ZERO
    end = np.int64(-1)
    for y in range(TILE):
        ends[y] = -1
        if top + y >= color.shape[0]:
            continue
        for x in range(min(TILE, color.shape[1] - left)):
            k = y * TILE + x
            buffer[k] = through[k]
            behind = ZERO
            for c in range(3):
                value = color[top + y, left + x, c]
                slope = grad[top + y, left + x, c]
                slope = ZERO if value >= ONE and slope < ZERO else slope
                buffer[(c + 2) * PIXELS + k] = slope
                behind += slope * background[c]
            buffer[PIXELS + k] = through[k] * behind
            ends[y] = max(ends[y], np.int64(last[k]))
        end = max(end, ends[y])
    return int(end)


@kernel(int64(ro(float32), float64, float64, float64, float64, float64, rw(float32)), inline=True)
def close_entry(lanes: NDArray[Any], ca: float, cb: float, cc: float, e0: float, e1: float, entry: NDArray[Any]) -> int:
    """Turn the lane sums of an entry into its gradients; (e0, e1) is Q D at the centre of the tile."""
    g0 = np.float64(0.0)
    gu = np.float64(0.0)
    gv = np.float64(0.0)
    guu = np.float64(0.0)
    guv = np.float64(0.0)
    gvv = np.float64(0.0)
    red = np.float64(0.0)
    green = np.float64(0.0)
    blue = np.float64(0.0)
    for x in range(TILE):
        u = x - 7.5
        g = np.float64(lanes[x])
        h = np.float64(lanes[TILE + x])
        g0 += g
        gu += g * u
        guu += g * u * u
        gv += h
        guv += h * u
        gvv += lanes[2 * TILE + x]
        red += lanes[3 * TILE + x]
        green += lanes[4 * TILE + x]
        blue += lanes[5 * TILE + x]
    # first and second moments of e = (e0, e1) + Q (u, v)
    s0 = ca * gu + cb * gv
    s1 = cb * gu + cc * gv
    t00 = ca * (ca * guu + cb * guv) + cb * (ca * guv + cb * gvv)
    t01 = cb * (ca * guu + cb * guv) + cc * (ca * guv + cb * gvv)
    t11 = cb * (cb * guu + cc * guv) + cc * (cb * guv + cc * gvv)
    entry[0] = g0 * e0 + s0
    entry[1] = g0 * e1 + s1
    entry[2] = 0.5 * (g0 * e0 * e0 + 2.0 * e0 * s0 + t00)
    entry[3] = 0.5 * (g0 * e0 * e1 + e0 * s1 + e1 * s0 + t01)
    entry[4] = 0.5 * (g0 * e1 * e1 + 2.0 * e1 * s1 + t11)
    entry[5] = g0
    entry[6] = red
    entry[7] = green
    entry[8] = blue
    return 0


@kernel(
    int64(
        ro(float64, 2), ro(float32, 2), ro(int16, 2), ro(int64), ro(int32), ro(float32), int64, ro(float32, 2),
        ro(int32, 2), ro(float32, 3), ro(float32, 3), rw(float32), rw(float32, 2),
    )
)  # fmt: skip
def blend_back_band(
    ellipses: NDArray[Any],
    rgb: NDArray[Any],
    boxes: NDArray[Any],
    starts: NDArray[Any],
    members: NDArray[Any],
    background: NDArray[Any],
    band: int,
    through: NDArray[Any],
    last: NDArray[Any],
    color: NDArray[Any],
    grad: NDArray[Any],
    buffer: NDArray[Any],
    entries: NDArray[Any],
) -> int:
    """Walk the lists of one band from back to front; write the gradients of each list entry.

    Parameters
    ----------
    ellipses, rgb, boxes, starts, members, background, band
        As in ``shade_band``.
    through, last : float32 (columns, 256), int32 (columns, 256)
        As ``shade_band`` left them.
    color, grad : float32 (H, W, 3)
        The picture, and the gradient of the loss with respect to it.
    buffer : float32 (1376,), overwritten
        Five planes of a tile, and the lane sums.
    entries : float32 (total, 9), written
        Gradients with respect to centre x, y; covariance xx, xy, yy; logarithm of the opacity; r, g, b.
    """
    top = band * TILE
    rows = min(TILE, color.shape[0] - top)
    ends = np.empty(TILE, np.int64)
    lanes = buffer[5 * PIXELS :]
    for column in range(starts.shape[0] - 1):
        left = column * TILE
        end = open_tile(buffer, background, through[column], last[column], color, grad, left, top, ends)
        for m in range(max(end + 1, starts[column]), starts[column + 1]):
            for k in range(ENTRY):
                entries[m, k] = ZERO
        for back in range(end + 1 - starts[column]):
            m = end - back
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
            for k in range(ROWS * TILE):
                lanes[k] = ZERO
            for y in range(max(int(boxes[i, 2]) - top, 0), min(int(boxes[i, 3]) - top, rows)):
                v = y - 7.5
                h0 = p0 + v * (pv - 0.5 * cc * v)
                h1 = pu - cb * v
                peak = min(max(h1 * inverse, -7.5), 7.5)
                if m > ends[y] or h0 + peak * (h1 - 0.5 * ca * peak) < -5.5413:
                    continue
                blend_back_row(
                    buffer[y * TILE :], lanes, last[column, y * TILE :], np.int32(m),
                    np.float32(h0), np.float32(h1), q2, np.float32(v), rgb[i, 0], rgb[i, 1], rgb[i, 2],
                )  # fmt: skip
            close_entry(lanes, ca, cb, cc, -pu, -pv, entries[m])
    return 0


@kernel(int64(ro(int32), ro(float32, 2), int64, rw(float64, 2)))
def gather(members: NDArray[Any], entries: NDArray[Any], start: int, sums: NDArray[Any]) -> int:
    """Add the entries of the Gaussians from ``start`` on to ``sums``, float64 (count, 9), in the order of the list."""
    count = sums.shape[0]
    for m in range(members.shape[0]):
        i = np.int64(members[m]) - start
        if 0 <= i < count:
            for k in range(ENTRY):
                sums[i, k] += entries[m, k]
    return 0
