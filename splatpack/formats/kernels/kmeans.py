"""Kernels of k-means: points are columns of a matrix, so that a loop over points is vector code."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, float64, int32, int64
from numpy.typing import NDArray

from splatpack.jit import Float, Int, kernel, ro, rw

TILE = 128
"""Points of a tile: 45 coordinates of each fit into a core's first cache."""


@kernel(
    int64(ro(float32, 2), ro(float32, 2), int64, int64, int64, rw(float32), rw(float32), rw(int32)), inline=True
)  # fmt: skip
def closer(
    points: NDArray[Any], centre: NDArray[Any], j: Int, start: Int, stop: Int, square: NDArray[Any],
    best: NDArray[Any], label: NDArray[Any],
) -> Int:  # fmt: skip
    """Give the points ``start`` to ``stop``, a tile at most, to centre ``j`` where it is nearer than ``best``.

    The count of coordinates is a multiple of three.
    """
    n = stop - start
    for i in range(n):
        square[i] = 0.0
    for d in range(0, points.shape[0], 3):
        a, b, c = centre[j, d], centre[j, d + 1], centre[j, d + 2]
        for i in range(n):
            x, y, z = points[d, start + i] - a, points[d + 1, start + i] - b, points[d + 2, start + i] - c
            square[i] += x * x + y * y + z * z
    for i in range(n):
        nearer = square[i] < best[start + i]
        label[start + i] = j if nearer else label[start + i]
        best[start + i] = square[i] if nearer else best[start + i]
    return 0


@kernel(int64(ro(float32, 2), ro(float32, 2), int64, int64, rw(float32), rw(float32), rw(int32)))
def nearest(
    points: NDArray[Any], centre: NDArray[Any], start: int, stop: int, square: NDArray[Any], best: NDArray[Any],
    label: NDArray[Any],
) -> int:  # fmt: skip
    """Find the nearest centre of each of the points ``start`` to ``stop``; of equal ones the first.

    Parameters
    ----------
    points : float32 (d, n)
        d a multiple of three.
    centre : float32 (k, d)
    square : float32 (TILE,)
        Scratch.
    best : float32 (n,), written
        Squared distances.
    label : int32 (n,), written
    """
    for first in range(start, stop, TILE):
        last = min(first + TILE, stop)
        for i in range(first, last):
            best[i] = np.inf
            label[i] = 0
        for j in range(centre.shape[0]):
            closer(points, centre, j, first, last, square, best, label)
    return 0


@kernel(float64(ro(float32), ro(float32)), inline=True)
def _total(weight: NDArray[Any], best: NDArray[Any]) -> Float:
    total = 0.0
    for i in range(len(best)):
        total += float64(weight[i]) * float64(best[i])
    return total


@kernel(int64(ro(float32, 2), ro(float32), ro(float64), rw(float32, 2), rw(float32), rw(float32), rw(int32)))
def seed(
    points: NDArray[Any], weight: NDArray[Any], dice: NDArray[Any], centre: NDArray[Any], square: NDArray[Any],
    best: NDArray[Any], label: NDArray[Any],
) -> int:  # fmt: skip
    """Choose centres among the points, each with a chance of weight times squared distance from those chosen before.

    k-means++ (Arthur and Vassilvitskii 2007).

    Parameters
    ----------
    points : float32 (d, n)
    weight : float32 (n,)
        Positive.
    dice : float64 (k,)
        In [0, 1).
    centre : float32 (k, d), written
    square : float32 (TILE,)
        Scratch.
    best, label : float32, int32 (n,), written
        Squared distance from the nearest centre, and which that is.

    Returns
    -------
    int
        Centres chosen: fewer than k where no point is left that is not a centre.
    """
    n = len(best)
    for i in range(n):
        best[i] = 1.0
        label[i] = 0
    for j in range(len(dice)):
        left = _total(weight, best)
        if not left > 0.0:
            return j
        left *= dice[j]
        chosen = -1
        for i in range(n):
            part = float64(weight[i]) * float64(best[i])
            if part > 0.0:
                chosen = i
                left -= part
                if left < 0.0:
                    break
        for d in range(points.shape[0]):
            centre[j, d] = points[d, chosen]
        if j == 0:
            for i in range(n):
                best[i] = np.inf
        for first in range(0, n, TILE):
            closer(points, centre, j, first, min(first + TILE, n), square, best, label)
    return len(dice)


@kernel(int64(ro(float32, 2), ro(float32), ro(int32), rw(float64, 2), rw(float64), rw(float32, 2)))
def move(
    points: NDArray[Any], weight: NDArray[Any], label: NDArray[Any], sums: NDArray[Any], mass: NDArray[Any],
    centre: NDArray[Any],
) -> int:  # fmt: skip
    """Move each centre to the weighted mean of its points; one that has none stays.

    Parameters
    ----------
    points : float32 (n, d)
        Here points are rows.
    weight : float32 (n,)
    label : int32 (n,)
    sums : float64 (k, d)
        Scratch.
    mass : float64 (k,), written
        Weight of the points of each centre.
    centre : float32 (k, d), updated

    Returns
    -------
    int
        Centres without points.
    """
    k, dims = centre.shape
    for j in range(k):
        mass[j] = 0.0
        for d in range(dims):
            sums[j, d] = 0.0
    for i in range(len(label)):
        j = int64(label[i])
        w = float64(weight[i])
        mass[j] += w
        for d in range(dims):
            sums[j, d] += w * float64(points[i, d])
    empty = 0
    for j in range(k):
        if mass[j] > 0.0:
            for d in range(dims):
                centre[j, d] = sums[j, d] / mass[j]
        else:
            empty += 1
    return empty
