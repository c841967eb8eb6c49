"""The layers of a leaf: what makes nearly the whole picture first, the rest behind it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FIRST = 0.99
"""Share of the importance of a leaf that its first layer has."""

MOST = 0.75
"""Of the Gaussians of a leaf, that the first layer may take: where it needs more, the leaf is not split."""

LEAST = 512
"""Gaussians that are worth a second layer."""

Index = NDArray[np.int64]


def split(rows: Index, weights: NDArray[np.float64]) -> tuple[tuple[Index, ...], float]:
    """Split the Gaussians of a leaf into one or two layers; return also the share of the importance in the second.

    Parameters
    ----------
    rows : int64 (k,)
        Of the scene, ascending.
    weights : float64 (n,)
        Importance of each Gaussian of the scene.

    Returns
    -------
    layers : tuple of int64 arrays
        Rows, ascending in each.
    missing : float
    """
    mine = weights[rows]
    order = np.argsort(-mine, kind="stable")
    running = np.cumsum(mine[order])
    count = int(np.searchsorted(running, FIRST * running[-1])) + 1 if len(rows) else 0
    if count > MOST * len(rows) or len(rows) - count < LEAST:
        return (rows,), 0.0
    layers = np.sort(rows[order[:count]]), np.sort(rows[order[count:]])
    return layers, float(1.0 - running[count - 1] / running[-1])
