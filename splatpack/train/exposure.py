"""Exposure and white balance: an affine map of the colours per photo, trained with the scene and then left out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]

RATE = 2e-3
"""Learning rate of Adam."""
PULL = 0.02
"""Weight of the mean squared distance from no change at all: the scene, not the maps, holds the common brightness."""
BETAS = 0.9, 0.999
EPS = 1e-12


def unchanged(count: int) -> NDArray[np.float64]:
    """Return ``count`` maps that change nothing, float64 (count, 3, 4): a matrix, and what is added."""
    return np.tile(np.eye(3, 4), (count, 1, 1))


def mapped(colours: Plane, affine: NDArray[np.float64]) -> Plane:
    """Return colours (H, W, 3) under a map (3, 4), in [0, 1]."""
    return np.clip(colours @ affine[:, :3].T.astype(np.float32) + affine[:, 3].astype(np.float32), 0.0, 1.0)


def fitted(colours: Plane, target: Plane, weight: Plane | None = None) -> NDArray[np.float64]:
    """Return the map (3, 4) of least squared error from colours to a target, drawn a little to no change."""
    x = np.concatenate([colours.reshape(-1, 3), np.ones((colours.size // 3, 1), np.float32)], axis=1).astype(np.float64)
    w = np.ones(len(x)) if weight is None else weight.reshape(-1).astype(np.float64)
    pull = 1e-3 * max(float(w.sum()), 1e-9)
    left = (x * w[:, None]).T @ x + pull * np.eye(4)
    right = (x * w[:, None]).T @ target.reshape(-1, 3).astype(np.float64) + pull * np.eye(4, 3)
    return np.asarray(np.linalg.solve(left, right).T)


class Exposures:
    """The maps of the training photos, and Adam on them.

    Attributes
    ----------
    maps : float64 (P, 3, 4)
    averages : float64 (2, P, 3, 4)
        Moving averages of gradients and of their squares.
    steps : int64 (P,)
        Steps that each map has taken.
    """

    def __init__(self, count: int) -> None:
        self.maps = unchanged(count)
        self.averages = np.zeros((2, count, 3, 4))
        self.steps = np.zeros(count, np.int64)

    def apply(self, index: int, colours: Plane) -> Plane:
        """Return the colours as photo ``index`` shows them."""
        return mapped(colours, self.maps[index])

    def back(self, index: int, colours: Plane, shown: Plane, grad: Plane) -> Plane:
        """Take a step with the map of photo ``index``; return the gradient with respect to ``colours``.

        Parameters
        ----------
        colours, shown : float32 (H, W, 3)
            Before and after :meth:`apply`.
        grad : float32 (H, W, 3)
            With respect to ``shown``; what was clipped passes nothing unless a descent leads back.
        """
        stuck = ((shown <= 0) & (grad > 0)) | ((shown >= 1) & (grad < 0))
        slope = np.where(stuck, np.float32(0), grad)
        now = self.maps[index]
        flat = slope.reshape(-1, 3).astype(np.float64)
        own = np.empty((3, 4))
        own[:, :3] = flat.T @ colours.reshape(-1, 3).astype(np.float64)
        own[:, 3] = flat.sum(axis=0)
        own += 2 * PULL / 12 * (now - np.eye(3, 4))
        out: Plane = slope @ now[:, :3].astype(np.float32)
        self._step(index, own)
        return out

    def _step(self, index: int, grad: NDArray[np.float64]) -> None:
        self.steps[index] += 1
        t = int(self.steps[index])
        first, second = self.averages[0, index], self.averages[1, index]
        first += (1 - BETAS[0]) * (grad - first)
        second += (1 - BETAS[1]) * (grad * grad - second)
        root = np.sqrt(second / (1 - BETAS[1] ** t)) + EPS
        self.maps[index] -= RATE * first / (1 - BETAS[0] ** t) / root
