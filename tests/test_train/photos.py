"""Photos of a ball before a wall, cast ray by ray from formulas: nothing of the rasteriser is in them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from splatpack.scene.cameras import Camera, look_at
from splatpack.train.data.dataset import Dataset
from splatpack.train.data.photo import Photo

Float = NDArray[np.float64]

BALL, RADIUS, WALL = np.array([0.1, 0.2, 0.0]), 0.7, 1.0
"""Centre and radius of the ball; the wall is the plane z = WALL."""


def camera(k: int, count: int = 8, size: tuple[int, int] = (64, 48)) -> Camera:
    """Camera ``k`` of an arc of 60 degrees."""
    angle = math.radians(60) * (k / max(1, count - 1) - 0.5)
    place = (3.2 * math.sin(angle), -0.4 + 0.25 * math.cos(5 * angle), -3.2 * math.cos(angle))
    return look_at(place, (0, 0, 0.3), (0, -1, 0), math.radians(48), *size, name=f"photo-{k}")


def _texture(points: Float, scale: float) -> Float:
    x, y, z = (points * scale).T
    waves = [np.sin(1.9 * x + 0.7 * y) + np.cos(2.3 * y - z), np.sin(2.6 * y + 1.1 * z + x), np.cos(2.2 * x - 1.3 * y)]
    return 0.5 + 0.2 * np.stack(waves, axis=1)


def rays(view: Camera, spots: Float) -> tuple[Float, Float]:
    """Origins and unit directions (n, 3) through pixels (n, 2)."""
    local = np.concatenate([(spots - (view.cx, view.cy)) / (view.fx, view.fy), np.ones((len(spots), 1))], axis=1)
    ways = local @ view.viewmat[:3, :3]
    return np.tile(view.position, (len(spots), 1)), ways / np.linalg.norm(ways, axis=1, keepdims=True)


def cast(view: Camera) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Colours (H, W, 3), the mean of 2x2 rays a pixel, and depths z (H, W) at the centres."""
    ys, xs = np.mgrid[: view.height, : view.width]
    total = np.zeros((view.height * view.width, 3))
    for dx, dy in ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)):
        total += _colour(*rays(view, np.stack([xs + dx, ys + dy], axis=-1).reshape(-1, 2).astype(np.float64)))[0]
    origins, ways = rays(view, np.stack([xs + 0.5, ys + 0.5], axis=-1).reshape(-1, 2).astype(np.float64))
    reach = _colour(origins, ways)[1]
    depth = reach * (ways @ view.viewmat[2, :3])
    shape = (view.height, view.width)
    return (total / 4).reshape(*shape, 3).astype(np.float32), depth.reshape(shape).astype(np.float32)


def _colour(origins: Float, ways: Float) -> tuple[Float, Float]:
    wall = (WALL - origins[:, 2]) / ways[:, 2]
    out = origins - BALL
    b = (out * ways).sum(axis=1)
    root = b * b - ((out * out).sum(axis=1) - RADIUS**2)
    ball = np.where(root > 0, -b - np.sqrt(np.maximum(root, 0)), np.inf)
    reach = np.minimum(wall, ball)
    points = origins + reach[:, None] * ways
    return np.where((ball < wall)[:, None], _texture(points, 3.1), _texture(points, 2.4)[:, ::-1]), reach


def dataset(count: int = 8, size: tuple[int, int] = (64, 48), held_out: tuple[int, ...] = ()) -> Dataset:
    """A data set of ``count`` photos, some of them held out."""
    views = [camera(k, count, size) for k in range(count)]
    all_photos = [Photo.of(view.name, view, cast(view)[0]) for view in views]
    train = tuple(photo for k, photo in enumerate(all_photos) if k not in held_out)
    return Dataset("ball", train, tuple(all_photos[k] for k in held_out), frame="rdf")
