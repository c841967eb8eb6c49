"""Fewer Gaussians for many: greedy merging of neighbours, cheapest pairs first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splatpack.lod.kernels.merge import MEAN, ROW, merge_pairs, seek_partners
from splatpack.lod.moments import Rows

WINDOW = 10
"""Neighbours ahead along each curve that are tried."""

SHARE = 0.3
"""Of the Gaussians, that merge in one round at most: the rest looks for new partners first."""

_BITS = 16
_SHIFTS = (0.0, 0.35)
"""Of the curves against the box, as a share of its side: what one cuts apart lies together on another."""


@dataclass(frozen=True)
class Merged:
    """What :func:`merge` made.

    Attributes
    ----------
    rows : float64 (m, ROW)
        Moments of what is left, in the order of their first members.
    member : int64 (n,)
        Where each Gaussian went: a row of ``rows``.
    spent : float64 (m,)
        What the merges of each row have cost, in what is seen times squared colour; 0 for one that is still alone.
    """

    rows: Rows
    member: NDArray[np.int64]
    spent: NDArray[np.float64]


def merge(rows: Rows, target: int, kinds: NDArray[np.int64] | None = None) -> Merged:
    """Merge Gaussians until no more than ``target`` are left.

    Parameters
    ----------
    rows : float64 (n, ROW)
        From :func:`splatpack.lod.moments.rows_of`.
    target : int
        At least 1, and at least the number of kinds.
    kinds : int64 (n,) or None
        Only Gaussians of one kind are merged; None: all are.
    """
    rows = rows.copy()
    kinds = np.zeros(len(rows), np.int64) if kinds is None else kinds
    member, spent = np.arange(len(rows)), np.zeros(len(rows))
    scratch = np.empty((1, ROW))
    while len(rows) > max(target, 1):
        n = len(rows)
        partner, price = np.full(n, -1, np.int64), np.full(n, np.inf)
        for shift in _SHIFTS:
            order = _curve(rows[:, MEAN : MEAN + 3], shift)
            for kind in np.unique(kinds):
                seek_partners(rows, order[kinds[order] == kind], WINDOW, partner, price, scratch)
        quota = min(n - target, max(1, int(SHARE * n)))
        into = np.full(n, -1, np.int64)
        ranked = np.argsort(price, kind="stable")
        merge_pairs(rows, ranked, partner, price, quota, into, spent, scratch)
        left = into == np.arange(n)
        place = np.cumsum(left) - 1
        member = place[into[member]]
        rows, spent, kinds = np.ascontiguousarray(rows[left]), spent[left], kinds[left]
    return Merged(rows, member, spent)


def _curve(means: NDArray[np.float64], shift: float) -> NDArray[np.int64]:
    """Order along a Morton curve over the box of the means, moved by a share of its side."""
    low, high = means.min(axis=0), means.max(axis=0)
    side = max(float((high - low).max()), 1e-30) * (1.0 + shift)
    cells = np.floor((means - low + shift * side / (1.0 + shift)) / side * ((1 << _BITS) - 1))
    cells = np.clip(cells, 0, (1 << _BITS) - 1).astype(np.int64)
    code = np.zeros(len(means), np.int64)
    for axis in range(3):
        code |= _spread(cells[:, axis]) << axis
    return np.argsort(code, kind="stable")


def _spread(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Put two zero bits between the 16 bits of each value."""
    for shift, mask in ((16, 0x00FF0000FF), (8, 0xF00F00F00F), (4, 0xC30C30C30C3), (2, 0x249249249249)):
        values = (values | values << shift) & mask
    return values
