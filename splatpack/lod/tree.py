"""The k-d tree over a scene: leaves of about equal count, and the nodes above them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEAF = 16384
"""Gaussians in a leaf, about: 3/4 to 3/2 of it."""

SPLITS = 3
"""Halvings between a level and the next coarser one: a node has up to eight children."""

_ROBUST = 5.0, 95.0


def depth_of(count: int, leaf: int = LEAF) -> int:
    """Return how often a scene of ``count`` Gaussians is halved so that no leaf has more than 3/2 of ``leaf``."""
    depth = 0
    while count / 2**depth > 1.5 * leaf:
        depth += 1
    return depth


def leaves(means: NDArray[np.float32], depth: int) -> NDArray[np.int64]:
    """Return the leaf of each Gaussian, int64 (n,), from 0 to 2^depth - 1.

    Each cell is halved at the median of the axis along which the middle 90 % of its centres extend farthest. The node
    of a leaf that lies so many splits above it is its number shifted right by as many bits.

    Parameters
    ----------
    means : float32 (n, 3)
        Scene units; n at least 2^depth.
    depth : int
    """
    out = np.zeros(len(means), np.int64)
    cells = [np.arange(len(means))]
    for _ in range(depth):
        cells = [half for cell in cells for half in _halves(means, cell)]
    for number, cell in enumerate(cells):
        out[cell] = number
    return out


def _halves(means: NDArray[np.float32], cell: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    points = means[cell]
    low, high = np.percentile(points, _ROBUST, axis=0)
    order = np.argsort(points[:, int(np.argmax(high - low))], kind="stable")
    middle = len(cell) // 2
    return np.sort(cell[order[:middle]]), np.sort(cell[order[middle:]])
