"""Floaters: Gaussians that stand alone, that are larger than anything in the scene, or that no picture shows."""

from __future__ import annotations

import itertools
import math

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
_LEVELS = 40
_ALONG = 4


def drop_floaters(scene: Gaussians) -> Gaussians:
    """Remove huge Gaussians, then isolated ones, with the default factors."""
    return drop_isolated(drop_huge(scene))


def drop_isolated(scene: Gaussians, factor: float = APART) -> Gaussians:
    """Remove the Gaussians that have fewer than four others near them.

    Near is: in the same cell of a grid or in one of the 26 around it. The side of a cell is ``factor`` times the
    typical :func:`spacing`, and for a Gaussian that reaches farther itself (3 standard deviations) a power of two times
    that, so that sky and walls are not alone. What lies a million cells from the middle is.

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
    cell = factor * spacing(scene)
    if not cell > 0:
        return scene
    offset = (scene.means - np.median(scene.means, axis=0)).astype(np.float64)
    reach = math.log(3.0) + scene.scales.max(axis=1).astype(np.float64)
    level = np.ceil((reach - math.log(cell)) / math.log(2.0)).clip(0, _LEVELS).astype(np.int64)
    alone = np.zeros(len(scene), bool)
    for k in np.unique(level):
        rows = level == k
        with np.errstate(over="ignore"):
            at = np.floor((offset / (cell * 2.0**k)).clip(-_SIDE, _SIDE - 1)).astype(np.int64)
        far = (np.abs(at[rows]) >= _SIDE - 1).any(axis=1)
        alone[rows] = far | (_company(at, rows) <= COMPANY)
    return scene.take(~alone)


def spacing(scene: Gaussians) -> float:
    """Return the typical distance between neighbours, scene units.

    It is the median, over the scene, of the distance to the nearest of the eight neighbours along a Morton curve that
    is in another place; 0 where there is none.
    """
    points = scene.means[morton_order(scene.means)].astype(np.float64)
    nearest = np.full(len(points), np.inf)
    for step in range(1, min(_ALONG + 1, len(points))):
        gap = np.linalg.norm(points[step:] - points[:-step], axis=1)
        gap[gap == 0] = np.inf
        np.minimum(nearest[step:], gap, out=nearest[step:])
        np.minimum(nearest[:-step], gap, out=nearest[:-step])
    known = nearest[np.isfinite(nearest)]
    return float(np.median(known)) if len(known) else 0.0


def _company(at: NDArray[np.int64], rows: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count the cells ``at`` (n, 3) in the 27 around those of ``rows``, themselves included, int64 (rows,)."""
    key = (at + _SIDE) @ np.array([1 << 42, 1 << 21, 1])
    cells, count = np.unique(key, return_counts=True)
    asked, inverse = np.unique(key[rows], return_inverse=True)
    total = np.zeros(len(asked), np.int64)
    for step in itertools.product((-1, 0, 1), repeat=3):
        wanted = asked + np.dot(step, (1 << 42, 1 << 21, 1))
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
