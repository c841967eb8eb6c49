"""Importance of Gaussians: how much of the pictures each one makes, seen from automatic cameras."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from splatpack.fit.kernels.importance import TILE, weigh_band
from splatpack.parallel import ordered_map, thread_count
from splatpack.render.project import project
from splatpack.render.views import encoder_cameras, stage
from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import Gaussians

FLOOR = 0.05
"""Share of the expected weight that a Gaussian keeps when no camera saw it."""

VIEW_BYTES = 96
"""Memory of one view per Gaussian: its projection, sorted, and its weights."""

FREE = 64 << 20
"""What views may take together in any case; more only up to the size of the scene, so that SH 0 scenes stay small."""

_BLOCK = 1 << 16


def importance(
    scene: Gaussians,
    *,
    views: int = 16,
    width: int = 240,
    height: int = 180,
    seed: int = 7,
    threads: int | None = None,
) -> NDArray[np.float64]:
    """Return the importance of each Gaussian.

    W = the mean over the views of the sum over pixels of w^2, w = alpha T being the weight in blending: to first order
    the squared error of the picture per squared error of the colour. What the views miss gets a floor,
    ``W = max(W, 0.05 k min(prior, p99(prior)))``, where prior = opacity^2 s0 s1 (the two largest axes) and k is the
    median of W / prior over what was seen.

    Parameters
    ----------
    scene : Gaussians
        Finite numbers.
    views, width, height, seed : int
        Cameras of :func:`splatpack.render.views.encoder_cameras`.
    threads : int, optional
        Views are spread over threads and summed in order. The result is the same, to the bit, for any number, and with
        ``NUMBA_DISABLE_JIT=1``.

    Returns
    -------
    float64 (N,)
        Not negative.
    """
    near = stage(scene).near
    cameras = encoder_cameras(scene, views, width, height, seed)
    total = np.zeros(len(scene))
    threads = thread_count(threads)
    at_once = min(threads, max(1, max(FREE, scene.nbytes) // (VIEW_BYTES * max(len(scene), 1))))
    inside = threads if at_once == 1 else 1
    for one in ordered_map(lambda camera: view_weights(scene, camera, near, inside), cameras, at_once):
        total += one
        del one  # not kept while the next view is drawn
    if views:
        total /= views
    return _floored(total, prior(scene))


def view_weights(scene: Gaussians, camera: Camera, near: float, threads: int = 1) -> NDArray[np.float64]:
    """Return the sum over the pixels of one view of w^2 for each Gaussian, float64 (N,).

    Only the projection uses ``threads``.
    """
    view = project(scene, camera, near=near, colour=False, threads=threads)
    weights = np.zeros(len(scene))
    through, live, lanes = np.empty(TILE * TILE, np.float32), np.empty(TILE, np.int64), np.empty(TILE, np.float32)
    for band in range(view.bands):
        starts, members = view.band_lists(band)
        weigh_band(
            view.ellipses, view.boxes, starts, members, band, view.width, view.height, through, live, lanes, weights
        )
    return weights


def prior(scene: Gaussians) -> NDArray[np.float64]:
    """Return opacity^2 times the two largest standard deviations, float64 (N,): importance as the file alone tells it.

    Logarithms are held to a range in which no product overflows.
    """
    out = np.empty(len(scene))
    for start in range(0, len(scene), _BLOCK):
        rows = slice(start, start + _BLOCK)
        axes = np.sort(scene.scales[rows].astype(np.float64), axis=1)
        logit = np.clip(scene.opacities[rows].astype(np.float64), -40.0, 40.0)
        opacity = 1.0 / (1.0 + np.exp(-logit))
        out[rows] = opacity * opacity * np.exp(np.clip(axes[:, 1] + axes[:, 2], -80.0, 80.0))
    return out


def _floored(weights: NDArray[np.float64], expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """Apply the floor; with nothing seen, the expectation itself is the importance."""
    if len(weights) == 0:
        return weights
    expected = np.minimum(expected, np.percentile(expected, 99))
    seen = weights > 0
    k = float(np.median(weights[seen] / expected[seen])) if seen.any() else 1.0 / FLOOR
    return np.maximum(weights, FLOOR * k * expected)
