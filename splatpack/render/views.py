"""Automatic cameras: the views by which scenes are judged, the views by which they are encoded, and orbits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splatpack.render.cpu import render
from splatpack.render.project import NEAR
from splatpack.scene.cameras import Camera, look_at
from splatpack.scene.gaussians import Gaussians

Vector = NDArray[np.float64]

EVALUATION_VIEWS = 12
EVALUATION_SEED = 20260101
"""Of the cameras by which results are judged. No search and no importance may use it."""
INSIDE_VIEWS = 3
CLOSE_UP = 8
"""Every so many views of the encoder, one is a close-up."""
COVERED = 0.1
"""An inside view is kept when the scene covers this share of the picture."""

_AXES: dict[str, tuple[tuple[int, int, int], ...]] = {
    "rdf": ((1, 0, 0), (0, -1, 0), (0, 0, 1)),
    "rub": ((1, 0, 0), (0, 1, 0), (0, 0, -1)),
    "luf": ((-1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "z_up": ((1, 0, 0), (0, 0, 1), (0, 1, 0)),
}
"""Right, up and front in the coordinates of each frame: a scene gets the same views in whichever frame it is."""


@dataclass(frozen=True)
class Stage:
    """Where the populated part of a scene is, and which way is up.

    Attributes
    ----------
    centre : float64 (3,)
        Median of the means that are more opaque than 0.1 (of all means when none is).
    radius : float
        Median distance from the centre, scene units, positive.
    distance : float
        From where an orbiting camera sees the bulk of the scene, scene units.
    axes : float64 (3, 3)
        Rows right, up, front, in the frame of the scene; ``unknown`` is taken for ``rdf``.
    """

    centre: Vector
    radius: float
    distance: float
    axes: Vector

    @property
    def up(self) -> Vector:
        """Direction that appears upwards, float64 (3,)."""
        return np.asarray(self.axes[1])

    @property
    def near(self) -> float:
        """Near plane: that of the renderer, or closer when the whole scene is tiny; scene units."""
        return min(NEAR, 0.02 * self.distance)

    def direction(self, azimuth: float, rise: float, reach: float) -> Vector:
        """Return ``reach`` along the horizon at ``azimuth`` (radians, from right to front) plus ``rise`` upwards."""
        return np.array([reach * math.cos(azimuth), rise, reach * math.sin(azimuth)]) @ self.axes


def stage(scene: Gaussians) -> Stage:
    """Return the :class:`Stage` of a scene; any finite scene has one, an empty one included."""
    axes = np.array(_AXES.get(scene.frame, _AXES["rdf"]), np.float64)
    means = scene.means.astype(np.float64)
    if len(means) == 0:
        return Stage(np.zeros(3), 1.0, 2.0, axes)
    solid = scene.opacities > math.log(0.1 / 0.9)
    chosen = means[solid] if solid.any() else means
    centre = np.median(chosen, axis=0)
    radius, bulk = np.percentile(np.linalg.norm(chosen - centre, axis=1), (50, 90))
    size = math.exp(min(max(float(np.median(scene.scales.max(axis=1).astype(np.float64))), -40.0), 40.0))
    radius = max(float(radius), size)
    distance = max(2.0 * radius, 1.3 * float(bulk), 4.0 * size)
    return Stage(centre, radius, distance, axes)


def evaluation_cameras(
    scene: Gaussians, width: int = 320, height: int = 240, seed: int = EVALUATION_SEED, *, threads: int | None = None
) -> list[Camera]:
    """Return the 12 views on which scenes are judged.

    Up to three look from the middle outwards and are kept when the scene covers a tenth of the picture; the others
    stand on an orbit at three heights and two distances. The horizontal field of view is 70 degrees inside, 60 on the
    orbit.

    Parameters
    ----------
    scene : Gaussians
        The reference: its means and opacities place the cameras.
    width, height : int
        Pixels.
    seed : int
        Turns the views about the vertical.
    threads : int, optional
        For the renders that decide about the inside views; the cameras do not depend on it.
    """
    place = stage(scene)
    rng = np.random.default_rng(seed)
    inside = []
    for k in range(INSIDE_VIEWS):
        azimuth = 2 * math.pi * (k + rng.random()) / INSIDE_VIEWS
        forward = place.direction(azimuth, -rng.uniform(-0.3, 0.3), 1.0)
        position = place.centre - 0.25 * place.radius * forward
        camera = _camera(position, forward, place, 70.0, (width, height), f"inside-{k}")
        if render(scene, camera, near=place.near, threads=threads).alpha.mean() > COVERED:
            inside.append(camera)
    count = EVALUATION_VIEWS - len(inside)
    orbit = []
    for k in range(count):
        azimuth = 2 * math.pi * (k + 0.5 * rng.random()) / count
        offset = (1.6 if k % 2 else 1.0) * place.distance * _above(place, azimuth, (8.0, 25.0, 45.0)[k % 3])
        orbit.append(_camera(place.centre + offset, -offset, place, 60.0, (width, height), f"orbit-{k:02d}"))
    return orbit + inside


def encoder_cameras(scene: Gaussians, count: int, width: int, height: int, seed: int) -> list[Camera]:
    """Return ``count`` views for measuring importance: near, far, inside looking anywhere, and each eighth a close-up.

    They are drawn at random over the whole sphere, with a seed of their own, so they are never the evaluation views.
    A close-up stands 1 to 8 times the size of a Gaussian away from it, and looks at it or, every other one, anywhere.
    Which Gaussian is drawn by opacity^2 size^3: how likely a camera gets next to it, and how much it then covers.
    """
    place = stage(scene)
    rng = np.random.default_rng(seed)
    sizes, chances = _bulk(scene) if count >= CLOSE_UP else (np.empty(0), np.empty(0))
    cameras = []
    for k in range(count):
        way = rng.normal(size=3)
        way /= np.linalg.norm(way)
        kind = (k - k // CLOSE_UP) % 3
        if k % CLOSE_UP == CLOSE_UP - 1 and len(chances):
            i = min(int(np.searchsorted(chances, rng.random() * chances[-1])), len(chances) - 1)
            reach = max(sizes[i] * 8.0 ** rng.random(), 1.2 * place.near)
            position = scene.means[i].astype(np.float64) + reach * way
            forward = -way if k // CLOSE_UP % 2 == 0 else rng.normal(size=3)
        elif kind == 2:
            position = place.centre + 0.3 * place.radius * rng.normal(size=3)
            forward = way
        else:
            reach = rng.uniform(0.6, 1.1) if kind == 0 else rng.uniform(1.1, 2.0)
            offset = reach * place.distance * way
            position = place.centre + offset
            forward = 0.3 * place.radius * rng.normal(size=3) - offset
        cameras.append(_camera(position, forward, place, 60.0, (width, height), f"encoder-{k:02d}"))
    return cameras


def _bulk(scene: Gaussians) -> tuple[Vector, Vector]:
    """Return sizes (geometric mean of the two longest axes) and the running sum of opacity^2 size^3, float64 (N,)."""
    axes = np.sort(scene.scales.astype(np.float64), axis=1)
    sizes = np.exp(np.clip(0.5 * (axes[:, 1] + axes[:, 2]), -40.0, 40.0))
    opacity = 1.0 / (1.0 + np.exp(-np.clip(scene.opacities.astype(np.float64), -40.0, 40.0)))
    chance = opacity**2 * sizes**3
    return sizes, np.cumsum(np.minimum(chance, np.percentile(chance, 99.9)) if len(chance) else chance)


def orbit_cameras(scene: Gaussians, count: int, width: int, height: int) -> list[Camera]:
    """Return ``count`` views evenly round the scene, from 20 degrees above, 60 degrees of horizontal field of view."""
    place = stage(scene)
    cameras = []
    for k in range(count):
        offset = place.distance * _above(place, 2 * math.pi * k / count, 20.0)
        cameras.append(_camera(place.centre + offset, -offset, place, 60.0, (width, height), f"orbit-{k:02d}"))
    return cameras


def _above(place: Stage, azimuth: float, elevation: float) -> Vector:
    angle = math.radians(elevation)
    return place.direction(azimuth, math.sin(angle), math.cos(angle))


def _camera(position: Vector, forward: Vector, place: Stage, fov_x: float, size: tuple[int, int], name: str) -> Camera:
    """Look along ``forward``, turned by another up where it would be parallel; ``fov_x`` in degrees."""
    forward = forward / np.linalg.norm(forward)
    up = place.up if abs(forward @ place.up) < 0.95 else place.axes[0]
    width, height = size
    fov_y = 2 * math.atan(math.tan(math.radians(fov_x) / 2) * height / width)
    far = max(place.distance, float(np.linalg.norm(position)))
    return look_at(position, position + far * forward, up, fov_y, width, height, name)
