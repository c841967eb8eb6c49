"""The kernel that measures how far a point is from its neighbours, along an order that keeps neighbours close."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import float32, float64, int64
from numpy.typing import NDArray

from splatpack.jit import Int, kernel, ro, rw


@kernel(int64(ro(float32, 2), ro(int64), int64, int64, int64, rw(float64, 2)))
def nearest_in_order(
    points: NDArray[Any], order: NDArray[Any], window: Int, start: Int, stop: Int, squares: NDArray[Any]
) -> Int:
    """Lower the three smallest squared distances of each point by what lies within ``window`` places in an order.

    Parameters
    ----------
    points : float32 (N, 3)
    order : int64 (N,)
        Rows along a space-filling curve.
    start, stop : int
        Places of the order that are worked on.
    squares : float64 (N, 3), updated
        Ascending. A pair that is met again through another order is not counted twice: a distance that is there
        already is not put in again, so that of points at exactly equal distances one may be missed.
    """
    for a in range(start, stop):
        i = order[a]
        for b in range(max(0, a - window), min(order.shape[0], a + window + 1)):
            j = order[b]
            if i == j:
                continue
            dx = np.float64(points[i, 0]) - np.float64(points[j, 0])
            dy = np.float64(points[i, 1]) - np.float64(points[j, 1])
            dz = np.float64(points[i, 2]) - np.float64(points[j, 2])
            d = dx * dx + dy * dy + dz * dz
            if d < squares[i, 2] and d != squares[i, 0] and d != squares[i, 1]:
                squares[i, 2] = d
                if d < squares[i, 1]:
                    squares[i, 2] = squares[i, 1]
                    squares[i, 1] = d
                    if d < squares[i, 0]:
                        squares[i, 1] = squares[i, 0]
                        squares[i, 0] = d
    return 0


@kernel(int64(ro(float64, 2), float64, rw(float64)))
def mean_distance(squares: NDArray[Any], missing: Any, out: NDArray[Any]) -> Int:
    """Write the mean of the three distances; ``missing`` where none was found."""
    for i in range(squares.shape[0]):
        total = 0.0
        found = 0
        for k in range(3):
            if squares[i, k] < 1e300:
                total += math.sqrt(squares[i, k])
                found += 1
        out[i] = total / found if found > 0 else missing
    return 0
