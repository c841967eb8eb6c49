"""The layers of a cell: what makes nearly the whole picture first, the rest behind it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

CUTS = 0.98, 0.998
"""Shares of the importance of a cell at which a layer ends."""

MOST = 0.75
"""Of the Gaussians of a cell, that may lie before a cut: where more are needed, it is left out."""

LEAST = 512
"""Gaussians that are worth a layer."""

Index = NDArray[np.int64]


def split(rows: Index, weights: NDArray[np.float64]) -> tuple[Index, ...]:
    """Split the Gaussians of a cell into one to three layers.

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
    return tuple(np.sort(rows[order[a:b]]) for a, b in pairwise(ends))
