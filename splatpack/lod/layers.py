"""The layers of a leaf: what makes nearly the whole picture first, the rest behind it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

CUTS = 0.98, 0.998
"""Shares of the importance of a leaf at which a layer ends."""

MOST = 0.75
"""Of the Gaussians of a leaf, that may lie before a cut: where more are needed, it is left out."""

LEAST = 512
"""Gaussians that are worth a layer."""

Index = NDArray[np.int64]


def split(rows: Index, weights: NDArray[np.float64]) -> tuple[tuple[Index, ...], tuple[float, ...]]:
    """Split the Gaussians of a leaf into one to three layers; return also the share of the importance in each.

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
    shares : tuple of float
    """
    mine = weights[rows]
    order = np.argsort(-mine, kind="stable")
    running = np.cumsum(mine[order])
    ends = [0]
    for cut in CUTS if len(rows) else ():
        count = int(np.searchsorted(running, cut * running[-1])) + 1
        if count <= MOST * len(rows) and min(count - ends[-1], len(rows) - count) >= LEAST:
            ends.append(count)
    ends.append(len(rows))
    layers = tuple(np.sort(rows[order[a:b]]) for a, b in pairwise(ends))
    total = max(float(mine.sum()), 1e-300)
    return layers, tuple(float(weights[layer].sum()) / total for layer in layers)
