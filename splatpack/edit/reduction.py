"""Fewer Gaussians: those that matter most, by their share in rendered pictures or by opacity times area."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import UsageError
from splatpack.fit.importance import importance
from splatpack.scene.gaussians import Gaussians


def decimate(scene: Gaussians, amount: int | float, *, threads: int | None = None) -> Gaussians:
    """Keep the Gaussians that make the most of the pictures, in their order.

    Parameters
    ----------
    scene : Gaussians
        Finite numbers.
    amount : int or float
        An int is how many stay (all, when there are fewer); a float the fraction that stays, above 0 and at most 1.
    threads : int, optional
        For rendering (:func:`splatpack.fit.importance.importance`); the result is the same for any number.

    Raises
    ------
    UsageError
        The amount is out of range.
    """
    count = count_of(len(scene), amount)
    return scene if count >= len(scene) else strongest(scene, importance(scene, threads=threads), count)


def largest(scene: Gaussians, amount: int | float) -> Gaussians:
    """Keep the Gaussians with the greatest opacity times area of the two longest axes, in their order.

    Nothing is rendered: it is quick, and at the same count several dB worse than :func:`decimate`.

    Raises
    ------
    UsageError
        The amount is out of range.
    """
    count = count_of(len(scene), amount)
    if count >= len(scene):
        return scene
    axes = np.sort(scene.scales.astype(np.float64), axis=1)
    return strongest(scene, axes[:, 1] + axes[:, 2] - np.logaddexp(0.0, -scene.opacities.astype(np.float64)), count)


def strongest(scene: Gaussians, weights: NDArray[np.float64], count: int) -> Gaussians:
    """Return the ``count`` Gaussians of the greatest weights, in their order; of equal ones the first stay."""
    return scene.take(np.sort(np.argsort(-weights, kind="stable")[:count]))


def count_of(n: int, amount: int | float) -> int:
    """Return how many of ``n`` Gaussians an amount is, at least 1 where there are any.

    Raises
    ------
    UsageError
        A count below 1, or a fraction not above 0 and at most 1.
    """
    if isinstance(amount, int):
        if amount < 1:
            raise UsageError(f"{amount:,} Gaussians to keep, expected at least 1.")
        return min(amount, n)
    if not 0 < amount <= 1:
        raise UsageError(f"fraction {amount:g} of the Gaussians to keep, expected above 0 and at most 1.")
    return min(max(1, round(amount * n)), n)
