"""Importance of Gaussians: how much of the pictures each one makes, seen from automatic cameras."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splatpack.fit.view import SLAB, SLAB_BYTES, VIEW_BYTES, log_opacity, reaches, view_weights
from splatpack.parallel import ordered_map, thread_count
from splatpack.render.views import encoder_cameras, stage
from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import Gaussians

VIEWS = 64
"""Cameras of a scene of up to 100,000 Gaussians."""

FEWEST = 16

WORK = 64 * 64 * 100_000
"""Gaussians times the square of the views: larger scenes get fewer views, down to :data:`FEWEST`."""

UNSEEN = 0.001
"""Share of the weight that it would have in the open which a Gaussian keeps when no camera saw it."""

FREE = 64 << 20
"""What views may take together in any case; more only up to the size of the scene, so that SH 0 scenes stay small."""

_BLOCK = 1 << 16


@dataclass(frozen=True)
class Survey:
    """What measuring the importance of a scene found.

    Attributes
    ----------
    weights : float64 (N,)
        The importance of each Gaussian, not negative.
    views, planned : int
        Cameras that were drawn, and that were planned: fewer were drawn only where a time limit ended the work.
    seconds : float
        Wall time.
    """

    weights: NDArray[np.float64]
    views: int
    planned: int
    seconds: float


def importance(
    scene: Gaussians,
    *,
    views: int = VIEWS,
    cameras: Sequence[Camera] = (),
    width: int = 120,
    height: int = 90,
    seed: int = 7,
    threads: int | None = None,
) -> NDArray[np.float64]:
    """Return the importance of each Gaussian, float64 (N,): the weights of :func:`survey` without a time limit."""
    return survey(scene, views=views, cameras=cameras, width=width, height=height, seed=seed, threads=threads).weights


def survey(
    scene: Gaussians,
    *,
    views: int = VIEWS,
    cameras: Sequence[Camera] = (),
    width: int = 120,
    height: int = 90,
    seed: int = 7,
    seconds: float = math.inf,
    threads: int | None = None,
) -> Survey:
    """Measure the importance of each Gaussian.

    W = the mean over the views and their pixels of w^2, w = alpha T being the weight in blending: to first order the
    squared error of the picture per squared error of the colour. A camera between the views may see what they all
    miss, so that nothing falls below 0.001 of what it would weigh face on and in the open (:func:`in_the_open`).

    Parameters
    ----------
    scene : Gaussians
        Finite numbers.
    views : int
        At most this many; large scenes get fewer, see :func:`view_count`.
    cameras : sequence of Camera
        The scene's own, where they are known: a half of the views is taken from them, evenly, and reduced to the size
        of the others. The rest are those of :func:`splatpack.render.views.encoder_cameras`.
    width, height, seed : int
        Of the automatic views.
    seconds : float
        No further view is begun after so much wall time; the result then depends on the machine, and says so
        (``views`` below ``planned``).
    threads : int, optional
        Views are spread over threads and summed in order. Without a time limit the result is the same, to the bit, for
        any number, and with ``NUMBA_DISABLE_JIT=1``.
    """
    start = time.perf_counter()
    place = stage(scene)
    planned = _planned(scene, view_count(len(scene), views), cameras, width, height, seed)
    total = np.zeros(len(scene))
    threads = thread_count(threads)
    one_view = VIEW_BYTES * len(scene) + SLAB_BYTES * min(len(scene), SLAB)
    at_once = min(threads, max(1, max(FREE, scene.nbytes) // max(one_view, 1)))
    inside = threads if at_once == 1 else 1
    reach = reaches(scene)
    drawn = 0
    for one in ordered_map(lambda camera: view_weights(scene, camera, place.near, reach, inside), planned, at_once):
        total += one
        drawn += 1
        del one  # not kept while the next view is drawn
        if time.perf_counter() - start > seconds:
            break
    if drawn:
        total /= drawn
    np.maximum(total, UNSEEN * in_the_open(scene, place.distance), out=total)
    return Survey(total, drawn, len(planned), time.perf_counter() - start)


def view_count(n: int, most: int = VIEWS) -> int:
    """Return how many views a scene of ``n`` Gaussians is measured from: ``most`` up to 100,000, 20 for a million.

    It depends on the count and not on the clock, so that the same scene gets the same file everywhere.
    """
    return min(most, max(FEWEST, math.isqrt(WORK // max(n, 1))))


def in_the_open(scene: Gaussians, distance: float) -> NDArray[np.float64]:
    """Return the weight of each Gaussian alone before a camera at ``distance`` (scene units), float64 (N,).

    pi opacity^2 s0 s1 / distance^2, with the two largest standard deviations: the integral of the squared Gaussian over
    a picture of 60 degrees by 3:4, whose area is the square of its focal length. At most 1, the whole picture.
    """
    out = np.empty(len(scene))
    least = math.log(math.pi) - 2.0 * math.log(distance)
    for start in range(0, len(scene), _BLOCK):
        rows = slice(start, start + _BLOCK)
        axes = np.sort(scene.scales[rows].astype(np.float64), axis=1)
        out[rows] = 2.0 * log_opacity(scene.opacities[rows]) + np.clip(axes[:, 1] + axes[:, 2], -300.0, 300.0)
    return np.asarray(np.exp(np.clip(out + least, -700.0, 0.0)))


def _planned(scene: Gaussians, count: int, own: Sequence[Camera], width: int, height: int, seed: int) -> list[Camera]:
    """Return the views in the order in which they are drawn: own and automatic ones in turn, each spread evenly."""
    half = min(len(own), count // 2)
    automatic = encoder_cameras(scene, count - half, width, height, seed)
    taken = [own[(2 * k + 1) * len(own) // (2 * half)] for k in range(half)]
    out = []
    for camera in taken:
        shrink = math.sqrt(width * height / (camera.width * camera.height))
        size = max(1, round(camera.width * shrink)), max(1, round(camera.height * shrink))
        out.append(camera.resized(*size) if shrink < 1 else camera)
    return [c for pair in zip(automatic, out, strict=False) for c in pair] + automatic[half:]
