"""The 256 levels that stand for many numbers with the least weighted squared error."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.formats.kernels.levels import split
from splatpack.scene.gaussians import FloatArray

LEVELS = 256
GROUPS = 2048
"""Quantiles, and as many equal steps, between which the exact solution cuts; then the cuts move to the best place."""

SAMPLE = 1 << 20
"""Of more numbers than this, evenly spaced ones and both ends are looked at."""

_ROUNDS = 30


def fit_levels(values: FloatArray, weights: FloatArray | None = None, count: int = LEVELS) -> FloatArray:
    """Return the levels, ascending, float32 (count,); where fewer distinct numbers exist, the last repeats.

    On a line the best runs of at most 4096 groups are found exactly, then each cut is moved to halfway between the
    levels beside it until none moves (Lloyd).

    Parameters
    ----------
    values : float32, any shape
        Finite.
    weights : float32, as ``values``, optional
        Positive.
    count : int
    """
    if not values.size:
        return np.zeros(count, np.float32)
    x, w = _sorted_sample(values, weights)
    sums = np.zeros((3, len(x) + 1))
    for row, terms in zip(sums, (w, w * x, w * x * x), strict=True):
        np.cumsum(terms, out=row[1:])
    edges = _edges(x)
    cuts = edges[_split(np.ascontiguousarray(sums[:, edges]), min(count, len(edges) - 1))]
    for _ in range(_ROUNDS):
        levels = _means(sums, cuts)
        moved = np.concatenate([[0], np.searchsorted(x, (levels[1:] + levels[:-1]) / 2), [len(x)]])
        if np.array_equal(moved, cuts) or (np.diff(moved) == 0).any():
            break
        cuts = moved
    levels = _means(sums, cuts)
    return np.concatenate([levels, np.full(count - len(levels), levels[-1])]).astype(np.float32)


def nearest_level(values: FloatArray, levels: FloatArray) -> NDArray[np.uint8]:
    """Return the index of the level nearest to each value, in the shape of ``values``."""
    return np.searchsorted((levels[1:] + levels[:-1]) / np.float32(2), values).astype(np.uint8)


def _sorted_sample(values: FloatArray, weights: FloatArray | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return values in order, and their weights, which add up to 1."""
    flat = values.reshape(-1)
    step = max(1, -(-len(flat) // SAMPLE))
    ends = [flat.argmin(), flat.argmax()] if step > 1 else []
    chosen = np.concatenate([np.arange(0, len(flat), step), ends]).astype(np.int64)
    x = flat[chosen].astype(np.float64)
    w = np.ones(len(x)) if weights is None else weights.reshape(-1)[chosen].astype(np.float64)
    order = np.argsort(x, kind="stable")
    return x[order] - 0.0, w[order] / w.sum()


def _edges(x: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return places where sorted numbers may be cut, first and last included: never between two that are the same."""
    even = np.linspace(0, len(x), GROUPS + 1).astype(np.int64)
    marks = np.concatenate([x[even[1:-1]], np.linspace(x[0], x[-1], GROUPS + 1)[1:]])
    inner = np.searchsorted(x, np.unique(marks))
    return np.unique(np.concatenate([[0], inner, [len(x)]]))


def _split(sums: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Return which edges the best cut uses, first and last included."""
    m = sums.shape[1] - 1
    cut = np.empty((count, m + 1), np.int32)
    split(sums, np.empty(m + 1), np.empty(m + 1), cut, np.empty((64, 4), np.int64))
    places = [m]
    for row in cut[::-1]:
        places.append(int(row[places[-1]]))
    return np.unique(np.array(places))


def _means(sums: NDArray[np.float64], cuts: NDArray[np.int64]) -> NDArray[Any]:
    weight, total = np.diff(sums[0, cuts]), np.diff(sums[1, cuts])
    return np.asarray(total / weight)
