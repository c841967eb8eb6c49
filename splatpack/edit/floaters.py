"""Floaters: Gaussians that stand alone, that are larger than anything in the scene, or that no picture shows."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import UsageError
from splatpack.fit.importance import importance
from splatpack.formats.morton import morton_order
from splatpack.render.views import stage
from splatpack.scene.gaussians import Gaussians

APART = 20.0
"""Default of :func:`drop_isolated`."""

HUGE = 1.0
"""Default of :func:`drop_huge`."""

COMPANY = 4
"""Others near it from which on a Gaussian is not alone."""

_SIDE = 1 << 20
_ALONG = 4


def drop_floaters(scene: Gaussians) -> Gaussians:
    """Remove huge Gaussians, then isolated ones, with the default factors."""
    return drop_isolated(drop_huge(scene))


def drop_isolated(scene: Gaussians, factor: float = APART) -> Gaussians:
    """Remove the Gaussians that have fewer than four others near them.

    Near is: in the same cell of a grid or one of the 26 around it. A cell is ``factor`` times the typical distance
    between neighbours (the median, over the scene, of the distance to the nearest of the eight neighbours along a
    Morton curve), so that all within one cell's side count. Gaussians that reach over a cell themselves (3 standard
    deviations) stay: those are sky and walls. What lies a million cells from the middle is isolated.

    Parameters
    ----------
    scene : Gaussians
        Finite positions.
    factor : float
        Smaller removes more.

    Raises
    ------
    UsageError
        The factor is not positive and finite.
    """
    _positive(factor)
    if len(scene) <= COMPANY:
        return scene
    cell = factor * spacing(scene)
    if not cell > 0:
        return scene
    middle = np.median(scene.means, axis=0)
    offset = (scene.means.astype(np.float64) - middle) / cell
    far = (np.abs(offset) >= _SIDE - 1).any(axis=1)
    at = np.floor(offset.clip(1 - _SIDE, _SIDE - 2)).astype(np.int64) + _SIDE
    with np.errstate(over="ignore"):
        bridge = 3.0 * np.exp(scene.scales.max(axis=1).astype(np.float64)) >= cell
    alone = ~bridge & (far | (_company(at) <= COMPANY))
    return scene.take(~alone)


def spacing(scene: Gaussians) -> float:
    """Return the typical distance between neighbours, scene units: 0 where most positions are the same."""
    points = scene.means[morton_order(scene.means)].astype(np.float64)
    nearest = np.full(len(points), np.inf)
    for step in range(1, min(_ALONG + 1, len(points))):
        gap = np.linalg.norm(points[step:] - points[:-step], axis=1)
        np.minimum(nearest[step:], gap, out=nearest[step:])
        np.minimum(nearest[:-step], gap, out=nearest[:-step])
    return float(np.median(nearest))


def _company(at: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the rows of ``at`` (n, 3) in the 27 cells around each row, itself included, int64 (n,)."""
    key = (at[:, 0] << 42) | (at[:, 1] << 21) | at[:, 2]
    cells, inverse, count = np.unique(key, return_inverse=True, return_counts=True)
    total = np.zeros(len(cells), np.int64)
    for x, y, z in itertools.product((-1, 0, 1), repeat=3):
        wanted = cells + x * (1 << 42) + y * (1 << 21) + z
        place = np.minimum(np.searchsorted(cells, wanted), len(cells) - 1)
        total += np.where(cells[place] == wanted, count[place], 0)
    return np.asarray(total[inverse])


def drop_huge(scene: Gaussians, factor: float = HUGE) -> Gaussians:
    """Remove the Gaussians whose longest standard deviation is above ``factor`` times the scene's radius.

    The radius is the median distance of opaque Gaussians from their middle (:class:`splatpack.render.views.Stage`).

    Raises
    ------
    UsageError
        The factor is not positive and finite.
    """
    _positive(factor)
    bound = np.log(factor * stage(scene).radius)
    return scene.take(scene.scales.max(axis=1) <= bound)


def drop_unseen(scene: Gaussians, share: float = 0.001, *, threads: int | None = None) -> Gaussians:
    """Remove the Gaussians that make the least of the pictures, as many as together make ``share`` of them.

    Parameters
    ----------
    scene : Gaussians
        Finite numbers.
    share : float
        Of the importance of all (:func:`splatpack.fit.importance.importance`), from 0 to below 1.
    threads : int, optional
        For rendering; the result is the same for any number.

    Raises
    ------
    UsageError
        The share is out of range.
    """
    if not 0 <= share < 1:
        raise UsageError(f"share {share:g}, expected 0 to below 1.")
    if not len(scene):
        return scene
    weights = importance(scene, threads=threads)
    order = np.argsort(weights, kind="stable")
    running = np.cumsum(weights[order])
    drop = int(np.searchsorted(running, share * running[-1], side="right"))
    return scene.take(np.sort(order[min(drop, len(scene) - 1) :]))


def _positive(factor: float) -> None:
    if not (factor > 0 and np.isfinite(factor)):
        raise UsageError(f"factor {factor:g}, expected a positive, finite number.")
