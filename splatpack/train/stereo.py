"""Depth that the photos agree on: a plane sweep from each photo to a few others, and the points that hold in several.

This is where the first Gaussians come from when a data set has poses and no points. It needs to be right where it
speaks, and may be silent elsewhere: training fills the rest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splatpack.parallel import ordered_map
from splatpack.scene.cameras import Camera
from splatpack.train.kernels import sweep
from splatpack.train.seeds import Seeds, depth_range, lifted
from splatpack.train.views import View

Plane = NDArray[np.float32]

PLANES = 96
"""Depths that are tried, evenly in inverse depth."""
OTHERS = 4
"""Photos that each one is compared with."""
ANGLE = math.radians(9.0)
"""The angle between the rays to the scene from two photos that are compared, about."""
RADIUS = 2
"""Half the side of the squares that are compared, pixels."""
SCORE, MARGIN = 0.6, 0.03
"""Correlation that a depth must reach, and by which it must beat every other depth."""
AGREE = 1.5
"""Planes by which the depths of two photos may differ."""
_GREY = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class DepthMap:
    """The depth of a photo.

    Attributes
    ----------
    inverse : float32 (H, W)
        1 / z; NaN where nothing is known.
    step : float
        Distance of the planes, in inverse depth.
    """

    inverse: Plane
    step: float


def stereo(views: Sequence[View], threads: int | None = None) -> Seeds:
    """Return the points on which photos agree, in training coordinates, with their colours; perhaps none.

    Parameters
    ----------
    views : sequence of View
        Reduced photos: some 10,000 pixels each are enough.
    threads : int, optional
        The result does not depend on it.
    """
    cameras = [view.camera for view in views]
    ranges = depth_range(cameras)
    grey = [np.ascontiguousarray(view.pixels @ _GREY) for view in views]
    beside = partners(cameras, ranges)

    def work(k: int) -> DepthMap:
        return _depth(k, cameras, grey, beside[k], ranges[k])

    maps = list(ordered_map(work, range(len(views)), threads))
    parts = [_agreed(k, views, maps, beside[k]) for k in range(len(views))]
    points = [points for points, _ in parts]
    colors = [colors for _, colors in parts]
    none = np.empty((0, 3), np.float32)
    return Seeds(np.concatenate([none, *points]), np.concatenate([none, *colors]))


def partners(cameras: Sequence[Camera], ranges: Sequence[tuple[float, float]]) -> list[list[int]]:
    """Return for each photo those that it is compared with: they see the same from about :data:`ANGLE` away."""
    places = np.stack([camera.position for camera in cameras])
    ways = np.stack([camera.viewmat[2, :3] for camera in cameras])
    out = []
    for k, (near, far) in enumerate(ranges):
        middle = places[k] + ways[k] * (2.0 / (1.0 / near + 1.0 / far))
        rays = middle - places
        rays /= np.maximum(np.linalg.norm(rays, axis=1, keepdims=True), 1e-12)
        angle = np.arccos(np.clip(rays @ rays[k], -1.0, 1.0))
        apart = np.abs(np.log(np.maximum(angle, 1e-6) / ANGLE))
        apart[(ways @ ways[k] < 0.5) | ((ways * rays).sum(axis=1) < 0.5) | (angle < 0.1 * ANGLE)] = np.inf
        apart[k] = np.inf
        order = np.argsort(apart, kind="stable")[:OTHERS]
        out.append([int(j) for j in order if np.isfinite(apart[j])])
    return out


def _way(camera: Camera, other: Camera) -> NDArray[np.float64]:
    """Return the map of :func:`splatpack.train.kernels.sweep.warp` from one camera's pixels to another's."""
    motion = other.viewmat @ np.linalg.inv(camera.viewmat)
    matrix = other.K @ motion[:3, :3] @ np.linalg.inv(camera.K)
    return np.concatenate([matrix.ravel(), other.K @ motion[:3, 3]])


def _depth(
    k: int, cameras: Sequence[Camera], grey: Sequence[Plane], others: list[int], span: tuple[float, float]
) -> DepthMap:
    shape = grey[k].shape
    step = (1.0 / span[0] - 1.0 / span[1]) / (PLANES - 1)
    if len(others) < 2 or min(shape) <= 2 * RADIUS:
        return DepthMap(np.full(shape, np.nan, np.float32), step)
    ways = [_way(cameras[k], cameras[j]) for j in others]
    volume = np.empty((PLANES, *shape), np.float32)
    scores, warped, columns = (
        np.empty((len(others), *shape), np.float32),
        np.empty(shape, np.float32),
        np.empty((6, shape[1])),
    )
    for d in range(PLANES):
        for m, j in enumerate(others):
            sweep.warp(grey[j], ways[m], 1.0 / span[1] + d * step, warped)
            sweep.correlate(grey[k], warped, RADIUS, columns, scores[m])
        sweep.best_two(scores, volume[d])
    place, score, rival = (np.empty(shape, np.float32) for _ in range(3))
    sweep.best_plane(volume, place, score, rival)
    inverse = (1.0 / span[1] + place * step).astype(np.float32)
    inverse[(score < SCORE) | (score - rival < MARGIN)] = np.nan
    return DepthMap(inverse, step)


def _agreed(k: int, views: Sequence[View], maps: Sequence[DepthMap], others: list[int]) -> tuple[Plane, Plane]:
    """Return the points (n, 3) of a photo that another photo's depth confirms, and their colours (n, 3)."""
    inverse, camera = maps[k].inverse, views[k].camera
    y, x = np.nonzero(np.isfinite(inverse))
    u, v, depth = (np.asarray(values, np.float64) for values in (x + 0.5, y + 0.5, 1.0 / inverse[y, x]))
    points = lifted(camera, u, v, depth)
    votes = np.zeros(len(points), np.int64)
    for j in others:
        other = views[j].camera
        local = points @ other.viewmat[:3, :3].T + other.viewmat[:3, 3]
        z = np.maximum(local[:, 2], 1e-9)
        u, v = other.fx * local[:, 0] / z + other.cx, other.fy * local[:, 1] / z + other.cy
        inside = (local[:, 2] > 1e-6) & (u >= 0) & (u < other.width) & (v >= 0) & (v < other.height)
        rows = np.flatnonzero(inside)
        there = maps[j].inverse[v[rows].astype(np.int64), u[rows].astype(np.int64)]
        with np.errstate(invalid="ignore"):
            votes[rows] += np.abs(there - 1.0 / z[rows]) < AGREE * maps[j].step
    good = votes >= 1
    return points[good].astype(np.float32), views[k].pixels[y[good], x[good]]
