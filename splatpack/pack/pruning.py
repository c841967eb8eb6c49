"""How much to prune: what dropping Gaussians costs in quality, and saves in bytes, before a file is made."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from splatpack.pack.presets import Goal

DB_PER_DECADE = 9.4
"""What dropping ten times as much importance costs, dB."""

TYPICAL = 0.0047, 38.4
"""A share of the importance, and the PSNR that dropping it and nothing else leaves in a typical scene, dB."""

SAVED = 0.8
"""What a dropped Gaussian takes in the file, as a share of what others take: it had the coarsest steps."""

BYTES_PER_ERROR = 0.19
"""How ln of the bytes falls with ln of the quantisers' mean squared error."""

LARGEST = 0.5
"""Share of the error that pruning gets at most: beyond it quality hardly answers to finer steps."""

ROOM = 2.0
"""By how much pruning alone should exceed the worst view that is aimed at, dB."""

MEASUREMENTS = 4
"""How often what is left is drawn, at most."""

CLOSE = 0.1
"""Shares that differ by no more than this, as a power of ten, are taken for the same."""


class Pruning:
    """What pruning does to one scene.

    Dropping the least important Gaussians, which have a share s of all importance, leaves a PSNR that falls by
    :data:`DB_PER_DECADE` for ten times s (docs/design/0009-asking-for-a-result.md); where that line lies is a matter of
    the scene, and is corrected by what is measured. A goal leaves an error that pruning and the quantisers divide
    between them: :meth:`best` gives pruning the part for which the file becomes smallest.

    Parameters
    ----------
    importance : float64 (n,)
    """

    def __init__(self, importance: NDArray[np.float64]) -> None:
        n = len(importance)
        self._dropped = np.unique(np.linspace(1, max(n - 1, 1), 512).astype(np.int64))
        running = np.cumsum(np.sort(importance))
        self._shares = running[self._dropped - 1] / max(float(running[-1]), 1e-300)
        self._saved = np.log1p(-SAVED * self._dropped / n)
        self._shift = 0.0

    def observe(self, spare: float, db: float) -> None:
        """Note that dropping a share ``spare`` of the importance alone left ``db``."""
        self._shift += db - self.cost(spare)

    def cost(self, spare: float) -> float:
        """Return the PSNR that dropping a share ``spare`` and nothing else leaves, dB."""
        return float(_line(np.array(spare)) + self._shift)

    def best(self, db: float) -> float:
        """Return the share of the importance to drop in a file of ``db``."""
        with np.errstate(divide="ignore"):
            used = 10.0 ** ((db - _line(self._shares) - self._shift) / 10)
        change = np.where(used <= LARGEST, self._saved - BYTES_PER_ERROR * np.log1p(-np.minimum(used, LARGEST)), 0.0)
        k = int(np.argmin(change))
        return float(self._shares[k]) if change[k] < 0 else 0.0

    def affordable(self, goal: Goal, measure: Callable[[float], tuple[float, float]]) -> float:
        """Return the share to drop for a goal, having drawn what is left.

        Parameters
        ----------
        goal : Goal
        measure : callable
            Gives the mean and the worst PSNR of the scene when a share is dropped, and nothing else done.
        """
        spare, found = self.best(goal.psnr_mean), 0.0
        for _ in range(MEASUREMENTS):
            if spare == 0:
                break
            mean, least = measure(spare)
            self.observe(spare, mean)
            room = least - goal.psnr_min - ROOM
            if room >= 0:
                found = max(found, spare)
            better = min(self.best(goal.psnr_mean), spare * 10 ** (room / DB_PER_DECADE))
            if better <= found * 10**CLOSE:
                break
            spare = better * 10 ** (-CLOSE / 2)
        return min(found, self.best(goal.psnr_mean))


def _line(spare: NDArray[np.float64]) -> NDArray[np.float64]:
    """PSNR that dropping shares of the importance leaves in a typical scene, dB."""
    share, db = TYPICAL
    return db - DB_PER_DECADE * np.log10(np.maximum(spare, 1e-30) / share)
