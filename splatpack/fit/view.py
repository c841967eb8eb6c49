"""The weights of Gaussians in one view, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from splatpack.fit.kernels.cull import cull
from splatpack.fit.kernels.importance import weigh_band
from splatpack.render.kernels.project import LOG_255, LOG_SCALE
from splatpack.render.kernels.shade import TILE
from splatpack.render.project import pack_camera, project
from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import Gaussians

SLAB = 1 << 19
"""Gaussians that one view projects at a time, from front to back."""

VIEW_BYTES, SLAB_BYTES = 28, 160
"""Memory of one view per Gaussian of the scene, and besides per Gaussian of a slab."""

_BLOCK = 1 << 16


def view_weights(
    scene: Gaussians,
    camera: Camera,
    near: float,
    reach: NDArray[np.float32] | None = None,
    threads: int = 1,
    slab: int = SLAB,
) -> NDArray[np.float64]:
    """Return the mean over the pixels of one view of w^2 for each Gaussian, float64 (N,).

    What the view cannot see is left out first; the rest is projected and blended in slabs of at most ``slab``
    Gaussians, front to back. The result does not depend on ``slab`` or on ``threads``, which only the projection uses.
    """
    if reach is None:
        reach = reaches(scene)
    bare = replace(scene, shN=scene.shN[:, :0], extras={})
    weights = np.zeros(len(scene))
    canvas = _canvas(camera)
    for rows in _slabs(scene, camera, near, reach, slab):
        part = bare.take(rows) if len(rows) < len(scene) else bare
        weights[rows] = _blend(part, camera, near, canvas, threads)
    return np.asarray(weights / (camera.width * camera.height))


def reaches(scene: Gaussians) -> NDArray[np.float32]:
    """Return how far from its centre each Gaussian can be seen, float32 (N,), rounded up; -1 for never."""
    out = np.empty(len(scene), np.float32)
    for start in range(0, len(scene), _BLOCK):
        rows = slice(start, start + _BLOCK)
        squared = 2.0 * (LOG_255 + 1e-9 + log_opacity(scene.opacities[rows]))
        longest = np.exp(np.clip(scene.scales[rows].max(axis=1).astype(np.float64), -LOG_SCALE, LOG_SCALE))
        out[rows] = np.where(squared >= 0, longest * np.sqrt(np.maximum(squared, 0)) * (1 + 1e-6), -1.0)
    return out


def log_opacity(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the logarithm of the opacity, float64 (n,); logits are held to +-40."""
    return np.asarray(-np.log1p(np.exp(-np.clip(logits.astype(np.float64), -40.0, 40.0))))


def _slabs(
    scene: Gaussians, camera: Camera, near: float, reach: NDArray[np.float32], most: int
) -> Iterator[NDArray[np.int32]]:
    """Yield the rows that the camera may see, ascending, in slabs from front to back; ties of depth go by row."""
    rows, depths = np.empty(len(scene), np.int32), np.empty(len(scene), np.float32)
    found = cull(np.ascontiguousarray(scene.means), reach, pack_camera(camera, near), rows, depths)
    if found <= most:
        yield rows[:found]
        return
    order = np.argsort(depths[:found], kind="stable")
    for start in range(0, found, most):
        yield np.sort(rows[order[start : start + most]])


def _canvas(camera: Camera) -> NDArray[np.float32]:
    """Return the transmittances that a view begins with, by tile, float32 (bands, columns, 256): 1, outside 0."""
    bands, columns = -(-camera.height // TILE), -(-camera.width // TILE)
    picture = np.zeros((bands * TILE, columns * TILE), np.float32)
    picture[: camera.height, : camera.width] = 1.0
    tiles = picture.reshape(bands, TILE, columns, TILE).swapaxes(1, 2)
    return np.ascontiguousarray(tiles).reshape(bands, columns, TILE * TILE)


def _blend(
    part: Gaussians, camera: Camera, near: float, canvas: NDArray[np.float32], threads: int
) -> NDArray[np.float64]:
    """Blend a slab over ``canvas``, in place; return the sum over the pixels of w^2 for each of its Gaussians."""
    view = project(part, camera, near=near, colour=False, threads=threads)
    weights = np.zeros(len(part))
    live, lanes = np.empty(TILE, np.int64), np.empty(TILE, np.float32)
    for band in range(view.bands):
        starts, members = view.band_lists(band)
        weigh_band(view.ellipses, view.boxes, starts, members, band, view.height, canvas[band], live, lanes, weights)
    return weights
