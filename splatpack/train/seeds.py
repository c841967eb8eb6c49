"""Where the first Gaussians of a run come from: points, a splat scene, or places in the cameras' frusta."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splatpack.codecs.kernels.lattice import morton_codes
from splatpack.errors import InvalidSceneError
from splatpack.parallel import ordered_map
from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import C0, Gaussians
from splatpack.train.kernels.neighbours import mean_distance, nearest_in_order
from splatpack.train.views import View

Float32 = NDArray[np.float32]

LOGIT = math.log(0.3 / 0.7)
"""Opacity of a seed: 0.3."""
LARGEST, SMALLEST = 0.1, 1e-4
"""Standard deviation of a seed, in units of the extent."""
_WINDOW = 12
_BLOCK = 1 << 14


@dataclass(frozen=True)
class Seeds:
    """Points that Gaussians grow from, in training coordinates.

    Attributes
    ----------
    points : float32 (P, 3)
    colors : float32 (P, 3)
        From 0 to 1.
    sizes : float32 (P,) or None
        Standard deviations; the distance of the neighbours when None.
    """

    points: Float32
    colors: Float32
    sizes: Float32 | None = None

    def __len__(self) -> int:
        return len(self.points)

    def thinned(self, most: int, rng: np.random.Generator) -> Seeds:
        """Return at most so many of them, drawn at random."""
        if len(self) <= most:
            return self
        rows = np.sort(rng.permutation(len(self))[:most])
        return Seeds(self.points[rows], self.colors[rows], None if self.sizes is None else self.sizes[rows])

    def grown(self, *, antialiased: bool = False, threads: int | None = None) -> Gaussians:
        """Return round Gaussians of SH degree 0 at the points, all equally opaque.

        Raises
        ------
        InvalidSceneError
            There is no point, or a coordinate or colour is not finite.
        """
        n = len(self)
        if n == 0:
            raise InvalidSceneError("no point to begin with. Choose another initialiser (stereo or random).")
        if not (np.isfinite(self.points).all() and np.isfinite(self.colors).all()):
            raise InvalidSceneError("the points to begin with hold numbers that are not finite.")
        sizes = spacing(self.points, threads) if self.sizes is None else self.sizes
        logs = np.log(np.clip(sizes, SMALLEST, LARGEST)).astype(np.float32)
        quats = np.zeros((n, 4), np.float32)
        quats[:, 0] = 1.0
        sh0 = ((self.colors - np.float32(0.5)) / np.float32(C0)).astype(np.float32).reshape(n, 1, 3)
        return Gaussians(
            means=np.ascontiguousarray(self.points, np.float32), scales=np.repeat(logs[:, None], 3, axis=1),
            quats=quats, opacities=np.full(n, LOGIT, np.float32), sh0=sh0, shN=np.empty((n, 0, 3), np.float32),
            antialiased=antialiased,
        )  # fmt: skip


def spacing(points: Float32, threads: int | None = None) -> Float32:
    """Return the mean distance of each point from its three nearest ones, float32 (P,).

    Neighbours are looked for along two Morton curves, one shifted by half its largest cell, so a few are missed: seeds
    need no more.
    """
    n = len(points)
    if n < 2:
        return np.full(n, LARGEST, np.float32)
    squares = np.full((n, 3), np.inf)
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    side = max(float((high - low).max()), 1e-12)
    for shift in (0.0, 0.37 * side):
        codes = np.empty(n, np.int64)
        x, y, z = (float(v) for v in low - shift)
        morton_codes(points, x, y, z, 2 * side / (1 << 18), codes)
        order = np.argsort(codes, kind="stable")

        def work(start: int, order: NDArray[np.int64] = order) -> None:
            nearest_in_order(points, order, _WINDOW, start, min(start + _BLOCK, n), squares)

        for _ in ordered_map(work, range(0, n, _BLOCK), threads):
            pass
    out = np.empty(n)
    mean_distance(squares, LARGEST, out)
    return out.astype(np.float32)


def depth_range(cameras: Sequence[Camera]) -> list[tuple[float, float]]:
    """Return for each camera the depths between which the scene is looked for, training coordinates.

    The point nearest to all optical axes is where the cameras look, in the sense of least squares. From there the scene
    reaches towards the camera by three quarters of its distance and far behind it. A camera that looks away from that
    point (a capture from the inside out) looks from a tenth of the extent on.
    """
    ways = np.stack([camera.viewmat[2, :3] for camera in cameras])
    places = np.stack([camera.position for camera in cameras])
    across = np.eye(3) - ways[:, :, None] * ways[:, None, :]
    focus = np.linalg.solve(across.sum(axis=0) + 1e-6 * np.eye(3), np.einsum("nij,nj->i", across, places))
    ranges = []
    for way, place in zip(ways, places, strict=True):
        ahead = float(way @ (focus - place))
        ranges.append((0.25 * ahead, 8.0 * ahead) if 0.2 < ahead < 50.0 else (0.1, 20.0))
    return ranges


def in_frusta(views: Sequence[View], count: int, rng: np.random.Generator) -> Seeds:
    """Return points at random pixels of random cameras, evenly in inverse depth, in the colours that are seen there."""
    ranges = np.array(depth_range([view.camera for view in views]))
    which = rng.integers(0, len(views), count)
    spots, inverse = rng.random((count, 2)), rng.random(count)
    points, colors, sizes = np.empty((count, 3)), np.empty((count, 3), np.float32), np.empty(count)
    for k, view in enumerate(views):
        rows, camera, picture = np.flatnonzero(which == k), view.camera, view.pixels
        near, far = ranges[k]
        depth = 1.0 / (1.0 / far + inverse[rows] * (1.0 / near - 1.0 / far))
        u, v = spots[rows, 0] * camera.width, spots[rows, 1] * camera.height
        points[rows] = lifted(camera, u, v, depth)
        colors[rows] = picture[v.astype(np.int64), u.astype(np.int64)]
        sizes[rows] = 0.5 * depth * math.sqrt(camera.width * camera.height / max(1, count)) / camera.fx
    return Seeds(points.astype(np.float32), colors, sizes.astype(np.float32))


def lifted(
    camera: Camera, u: NDArray[np.float64], v: NDArray[np.float64], depth: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the points (n, 3) at pixels (u, v) and depths z of a camera."""
    local = np.stack([(u - camera.cx) / camera.fx * depth, (v - camera.cy) / camera.fy * depth, depth], axis=1)
    return np.asarray((local - camera.viewmat[:3, 3]) @ camera.viewmat[:3, :3])
