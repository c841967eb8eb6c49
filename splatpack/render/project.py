"""Projection of a scene into a camera, and the lists of Gaussians per tile: what every rasteriser starts from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import UsageError
from splatpack.parallel import ordered_map
from splatpack.render.kernels import project as kernels
from splatpack.render.kernels import tiles
from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians

NEAR = 0.05
"""Near plane, scene units: Gaussians with a centre closer than this are not drawn."""

TILE = tiles.TILE
"""Side of a tile, pixels."""

_BLOCK = 1 << 14


@dataclass(frozen=True)
class Projection:
    """What of a scene is visible in a camera, in depth order.

    Attributes
    ----------
    ellipses : float64 (N, 6)
        Centre (pixels), conic xx, xy, yy, logarithm of the opacity; undefined where not visible.
    depths : float32 (N,)
        z in the camera frame; undefined where not visible.
    boxes : int16 (N, 4)
        Pixels x0, x1, y0, y1 (end excluded) that the ellipse can reach; empty where not visible.
    rgb : float32 (N, 3), or (0, 3)
        Colours, not negative; undefined where not visible.
    order : int32 (V,)
        The visible Gaussians by ascending depth (float32), ties by index.
    sorted_boxes : int16 (V, 4)
        Their boxes, in that order.
    width, height : int
        Image size, pixels.
    """

    ellipses: NDArray[np.float64]
    depths: NDArray[np.float32]
    boxes: NDArray[np.int16]
    rgb: NDArray[np.float32]
    order: NDArray[np.int32]
    sorted_boxes: NDArray[np.int16]
    width: int
    height: int

    @property
    def bands(self) -> int:
        """Count of rows of tiles."""
        return -(-self.height // TILE)

    def band_lists(self, band: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return the Gaussians of each tile of a row of tiles: starts int64 (columns + 1,), members int32 (total,)."""
        starts = np.zeros(-(-self.width // TILE) + 1, np.int64)
        hits = np.empty(len(self.order), np.int32)
        found = tiles.count_band(self.sorted_boxes, band, starts, hits)
        members = np.empty(int(starts[-1]), np.int32)
        tiles.fill_band(self.sorted_boxes, self.order, hits[:found], starts.copy(), members)
        return starts, members


def project(
    scene: Gaussians, camera: Camera, *, near: float = NEAR, colour: bool = True, threads: int | None = None
) -> Projection:
    """Project ``scene`` into ``camera`` and sort what is visible.

    Parameters
    ----------
    scene : Gaussians
        Finite numbers; quats of any length.
    camera : Camera
    near : float
        Near plane, scene units.
    colour : bool
        Evaluate the spherical harmonics too.
    threads : int, optional
        The result does not depend on it.

    Raises
    ------
    UsageError
        ``near`` is not positive.
    """
    if not near > 0:
        raise UsageError(f"near plane {near}, expected a positive distance.")
    n = len(scene)
    ellipses, depths, boxes = np.empty((n, 6)), np.empty(n, np.float32), np.empty((n, 4), np.int16)
    rgb = np.empty((n if colour else 0, 3), np.float32)
    means, scales, quats, opacities, sh0, shN = (np.ascontiguousarray(getattr(scene, name)) for name in ATTRIBUTES)
    cam = pack_camera(camera, near)
    eye = camera.position

    def work(start: int) -> None:
        stop = min(start + _BLOCK, n)
        kernels.project(means, scales, quats, opacities, cam, scene.antialiased, start, stop, ellipses, depths, boxes)
        if colour:
            kernels.colours(means, sh0, shN, eye, boxes, start, stop, rgb)

    _drain(ordered_map(work, range(0, n, _BLOCK), threads))
    order = _depth_order(depths, boxes)
    return Projection(ellipses, depths, boxes, rgb, order, boxes[order], camera.width, camera.height)


def pack_camera(camera: Camera, near: float) -> NDArray[np.float64]:
    """Return what the kernels take for a camera, float64 (19,): 3 rows of 4, fx, fy, cx, cy, width, height, near."""
    tail = (camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height, near)
    return np.concatenate([camera.viewmat[:3].ravel(), np.array(tail, np.float64)])


def _depth_order(depths: NDArray[np.float32], boxes: NDArray[np.int16]) -> NDArray[np.int32]:
    n = len(depths)
    index = np.empty((2, n), np.int32)
    starts = np.zeros((3, tiles.BUCKETS), np.int64)
    count = tiles.sort_visible(depths.view(np.uint32), boxes, starts, np.empty((2, n), np.uint32), index)
    return index[0, :count].copy()


def _drain(results: Iterator[None]) -> None:
    for _ in results:
        pass
