"""The kernel of the plane sweep: how well other photos agree with one at each of a row of depths (Collins 1996)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import float32, float64, int64
from numpy.typing import NDArray

from splatpack.jit import Float, Int, kernel, ro, rw

FLAT = 1e-4
"""Variance of grey (0 to 1) that is added before a correlation is taken, so that plain patches agree on nothing."""
NOTHING = np.float32(-1.0)


@kernel(int64(ro(float32, 2), ro(float64), float64, rw(float32, 2)))
def warp(image: NDArray[Any], way: NDArray[Any], inverse: Float, out: NDArray[Any]) -> Int:
    """Draw what another photo shows at inverse depth ``inverse`` of one's pixels; NaN where it shows nothing.

    Parameters
    ----------
    image : float32 (h, w)
        The other photo, grey.
    way : float64 (12,)
        Homogeneous pixel there = A p + inverse * b: the rows of A, then b; p = (x + 0.5, y + 0.5, 1).
    out : float32 (H, W), written
    """
    height = image.shape[0]
    width = image.shape[1]
    for y in range(out.shape[0]):
        v = y + 0.5
        for x in range(out.shape[1]):
            u = x + 0.5
            z = way[6] * u + way[7] * v + way[8] + inverse * way[11]
            out[y, x] = np.nan
            if z <= 1e-9:
                continue
            px = (way[0] * u + way[1] * v + way[2] + inverse * way[9]) / z - 0.5
            py = (way[3] * u + way[4] * v + way[5] + inverse * way[10]) / z - 0.5
            if not (0.0 <= px <= width - 1.001 and 0.0 <= py <= height - 1.001):
                continue
            ix = int(px)
            iy = int(py)
            fx = px - ix
            fy = py - iy
            above = image[iy, ix] + fx * (image[iy, ix + 1] - image[iy, ix])
            below = image[iy + 1, ix] + fx * (image[iy + 1, ix + 1] - image[iy + 1, ix])
            out[y, x] = above + fy * (below - above)
    return 0


@kernel(int64(ro(float32, 2), ro(float32, 2), int64, rw(float64, 2), rw(float32, 2)))
def correlate(a: NDArray[Any], b: NDArray[Any], radius: Int, columns: NDArray[Any], out: NDArray[Any]) -> Int:
    """Write the correlation of the squares of side 2 radius + 1 about each pixel; -1 where ``b`` is not known in all.

    Parameters
    ----------
    a, b : float32 (H, W)
    columns : float64 (6, W), overwritten
        Sums over the rows of the square: count, a, b, a a, b b, a b.
    out : float32 (H, W), written
    """
    height = a.shape[0]
    width = a.shape[1]
    side = 2 * radius + 1
    full = float(side * side)
    for y in range(height):
        for x in range(width):
            out[y, x] = NOTHING
    for y in range(radius, height - radius):
        for x in range(width):
            for c in range(6):
                columns[c, x] = 0.0
            for k in range(side):
                there = np.float64(b[y - radius + k, x])
                if there == there:
                    here = np.float64(a[y - radius + k, x])
                    columns[0, x] += 1.0
                    columns[1, x] += here
                    columns[2, x] += there
                    columns[3, x] += here * here
                    columns[4, x] += there * there
                    columns[5, x] += here * there
        for x in range(radius, width - radius):
            n = 0.0
            p = 0.0
            q = 0.0
            pp = 0.0
            qq = 0.0
            pq = 0.0
            for k in range(x - radius, x + radius + 1):
                n += columns[0, k]
                p += columns[1, k]
                q += columns[2, k]
                pp += columns[3, k]
                qq += columns[4, k]
                pq += columns[5, k]
            if n == full:
                va = pp / n - (p / n) * (p / n) + FLAT
                vb = qq / n - (q / n) * (q / n) + FLAT
                out[y, x] = (pq / n - (p / n) * (q / n)) / math.sqrt(va * vb)
    return 0


@kernel(int64(ro(float32, 3), rw(float32, 2)))
def best_two(scores: NDArray[Any], out: NDArray[Any]) -> Int:
    """Write the mean of the two best scores (M, H, W) of each pixel: photos in which it is hidden may disagree."""
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            first = NOTHING
            second = NOTHING
            for m in range(scores.shape[0]):
                s = scores[m, y, x]
                if s > first:
                    second = first
                    first = s
                elif s > second:
                    second = s
            out[y, x] = np.float32(0.5) * (first + second)
    return 0


@kernel(int64(ro(float32, 3), rw(float32, 2), rw(float32, 2), rw(float32, 2)))
def best_plane(volume: NDArray[Any], place: NDArray[Any], score: NDArray[Any], rival: NDArray[Any]) -> Int:
    """Find the best plane of each pixel, to a fraction of a plane by a parabola, and the best one not next to it.

    Parameters
    ----------
    volume : float32 (D, H, W)
    place, score, rival : float32 (H, W), written
        The plane, its score, and the best score three planes away or more.
    """
    planes = volume.shape[0]
    for y in range(place.shape[0]):
        for x in range(place.shape[1]):
            at = 0
            for d in range(planes):
                if volume[d, y, x] > volume[at, y, x]:
                    at = d
            top = volume[at, y, x]
            other = NOTHING
            for d in range(planes):
                if abs(d - at) > 2 and volume[d, y, x] > other:
                    other = volume[d, y, x]
            shift = 0.0
            if 0 < at < planes - 1:
                low = np.float64(volume[at - 1, y, x])
                high = np.float64(volume[at + 1, y, x])
                bend = low - 2.0 * np.float64(top) + high
                if bend < -1e-9:
                    shift = min(max(0.5 * (low - high) / bend, -0.5), 0.5)
            place[y, x] = at + shift
            score[y, x] = top
            rival[y, x] = other
    return 0
