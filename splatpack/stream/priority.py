"""The priority function: which chunk a camera should get next (``spec/protocol.md``, section 7).

Plain numpy: the process that serves has no compiler. ``spec/protocol/priority.json`` holds vectors for every port.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from splatpack.stream.index import ChunkTable, Floats
from splatpack.stream.wire import Quat, Vec3, View

SEEN, SOON, AHEAD, BEHIND = 1.0, 0.5, 0.2, 0.05
FULL_ANGLE, FADED_ANGLE, FADED = math.radians(45.0), math.radians(60.0), 0.4
LEAD_MAX = 1.0


def lead(rtt: float, goodput: float, size: float) -> float:
    """Return how far ahead to look, seconds: until what is chosen now will have arrived, at most one second."""
    return min(LEAD_MAX, rtt + (size / goodput if goodput > 0 else LEAD_MAX))


def scores(table: ChunkTable, view: View, ahead: float = 0.0) -> Floats:
    """Return the score of each chunk for a view, float64 (n,), greater first.

    Parameters
    ----------
    table : ChunkTable
    view : View
        Its quaternion turns camera axes (x right, y down, z forward) into the scene's.
    ahead : float
        Seconds to look ahead along the view's velocities.
    """
    axes = rotation(view.quat)
    local = (table.centre - np.array(view.pos)) @ axes
    dist = np.sqrt((local * local).sum(axis=1))
    d = np.maximum(dist - table.radius, table.near)
    ball = table.radius + table.reach
    vis = np.where(local[:, 2] > 0, AHEAD, BEHIND)
    if ahead > 0 and (any(view.vel) or any(view.angvel)):
        vis[_meets(table, *_predicted(view, axes, ahead), view, ball)] = SOON
    vis[_inside(local, ball, view)] = SEEN
    value: Floats = np.sqrt(table.gain) / d * vis * _fade(local[:, 2], dist, ball) / np.sqrt(table.size)
    return _together(table, value)


def _together(table: ChunkTable, value: Floats) -> Floats:
    """Give the chunks that replace one stand-in one score, since they are of use only together."""
    key = table.group + 1  # 0: none
    if not key.any():
        return value
    size = np.bincount(key, table.size)
    mean = np.bincount(key, table.size * value * value) / np.where(size > 0, size, 1.0)
    return np.where(key > 0, np.sqrt(mean[key]), value)


def error_pixels(table: ChunkTable, view: View) -> Floats:
    """Return the error of each chunk on the screen, pixels; infinite where the directory does not know it."""
    dist = np.sqrt(((table.centre - np.array(view.pos)) ** 2).sum(axis=1))
    d = np.maximum(dist - table.radius, table.near)
    pixels = table.error * view.viewport[1] / (2.0 * d * math.tan(view.fov_y / 2.0))
    return np.where(table.error > 0, pixels, np.inf)


def rotation(q: Quat) -> Floats:
    """Return the matrix of a unit quaternion (w, x, y, z), float64 (3, 3)."""
    w, x, y, z = q
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip


def _predicted(view: View, axes: Floats, ahead: float) -> tuple[Floats, Floats]:
    """Return the camera's place and axes after ``ahead`` seconds; ``angvel`` is in scene axes, radians per second."""
    speed = math.sqrt(sum(v * v for v in view.angvel))
    half = speed * ahead / 2.0
    s = math.sin(half) / speed if speed > 0 else 0.0
    spin: Vec3 = (view.angvel[0] * s, view.angvel[1] * s, view.angvel[2] * s)
    return np.array(view.pos) + np.array(view.vel) * ahead, rotation((math.cos(half), *spin)) @ axes


def _meets(table: ChunkTable, pos: Floats, axes: Floats, view: View, ball: Floats) -> NDArray[np.bool_]:
    return _inside((table.centre - pos) @ axes, ball, view)


def _inside(local: Floats, ball: Floats, view: View) -> NDArray[np.bool_]:
    """Whether each ball meets the view's pyramid, by its four sides and the plane of the camera."""
    ty = math.tan(view.fov_y / 2.0)
    tx = ty * view.viewport[0] / view.viewport[1]
    z = local[:, 2]
    side = (np.abs(local[:, 0]) - z * tx) / math.sqrt(1.0 + tx * tx) < ball
    top = (np.abs(local[:, 1]) - z * ty) / math.sqrt(1.0 + ty * ty) < ball
    inside: NDArray[np.bool_] = side & top & (z > -ball)
    return inside


def _fade(z: Floats, dist: Floats, ball: Floats) -> Floats:
    """1 up to 45 degrees off the axis, falling to 0.4 at 60: by the nearest edge of the ball."""
    safe = np.maximum(dist, 1e-300)
    angle = np.arccos(np.clip(z / safe, -1.0, 1.0)) - np.arcsin(np.minimum(ball / safe, 1.0))
    angle = np.where(dist > ball, angle, 0.0)
    t = np.clip((angle - FULL_ANGLE) / (FADED_ANGLE - FULL_ANGLE), 0.0, 1.0)
    faded: Floats = 1.0 - (1.0 - FADED) * t
    return faded
