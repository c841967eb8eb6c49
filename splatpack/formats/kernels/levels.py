"""The kernel that finds the best levels for numbers on a line."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float64, int32, int64
from numpy.typing import NDArray

from splatpack.jit import Float, Int, kernel, ro, rw


@kernel(float64(ro(float64, 2), int64, int64), inline=True)
def spread(sums: NDArray[Any], start: Int, stop: Int) -> Float:
    """Return the squared distance of the groups ``start`` to ``stop`` from their mean."""
    weight = sums[0, stop] - sums[0, start]
    if weight <= 0.0:
        return 0.0
    total = sums[1, stop] - sums[1, start]
    return max(sums[2, stop] - sums[2, start] - total * total / weight, 0.0)


@kernel(int64(ro(float64, 2), rw(float64), rw(float64), rw(int32, 2), rw(int64, 2)))
def split(sums: NDArray[Any], last: NDArray[Any], best: NDArray[Any], cut: NDArray[Any], stack: NDArray[Any]) -> int:
    """Cut a line of groups into ``k`` runs of the least total squared distance from their means.

    Dynamic programming over the count of runs. The best place of the last cut never moves left as the line grows, so
    that halving finds the places of all lengths in m log m (Gronlund et al. 2017, arXiv:1701.07204, section 2.2).

    Parameters
    ----------
    sums : float64 (3, m + 1)
        Running sums, from 0, of weights, of weighted values, of weighted squares.
    last, best : float64 (m + 1,)
        Scratch.
    cut : int32 (k, m + 1), written
        ``cut[j, i]``: where the last of j + 1 runs over the first i groups starts.
    stack : int64 (64, 4)
        Scratch.

    Returns
    -------
    int
        0.
    """
    m = sums.shape[1] - 1
    for i in range(m + 1):
        last[i] = spread(sums, 0, i)
        cut[0, i] = 0
    for j in range(1, cut.shape[0]):
        stack[0, 0], stack[0, 1], stack[0, 2], stack[0, 3] = 0, m, 0, m
        depth = 1
        while depth > 0:
            depth -= 1
            low, high, left, right = stack[depth, 0], stack[depth, 1], stack[depth, 2], stack[depth, 3]
            middle = (low + high) >> 1
            least, place = np.inf, left
            for at in range(left, min(middle, right) + 1):
                cost = last[at] + spread(sums, at, middle)
                if cost < least:
                    least, place = cost, at
            best[middle] = least
            cut[j, middle] = place
            if low < middle:
                stack[depth, 0], stack[depth, 1], stack[depth, 2], stack[depth, 3] = low, middle - 1, left, place
                depth += 1
            if middle < high:
                stack[depth, 0], stack[depth, 1], stack[depth, 2], stack[depth, 3] = middle + 1, high, place, right
                depth += 1
        for i in range(m + 1):
            last[i] = best[i]
    return 0
