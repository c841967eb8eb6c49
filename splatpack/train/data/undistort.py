"""From the picture that a lens made to the one that a pinhole camera would have made, at the size of training."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import UsageError
from splatpack.scene.cameras import Camera
from splatpack.train.data.kernels.resample import resample
from splatpack.train.data.lens import Lens
from splatpack.train.data.photo import FULL, Packed, Picture

WIDER = 1.5
"""How far beyond a side of the photo the pinhole picture may reach, as a factor of the distance from the centre."""
LEAST_SIDE = 16
"""The smallest side that can be trained on, pixels: the loss looks through windows of 11."""

_EDGE = 65
_STRIP = 1 << 15


def pinhole(lens: Lens, viewmat: NDArray[np.float64], downscale: int, name: str = "") -> Camera:
    """Return the camera of the undistorted picture.

    The focal length of the centre stays, so that nothing is magnified. The picture keeps its size, and grows where the
    lens saw more than that on the whole length of a side, by half of the way to the side at most.

    Parameters
    ----------
    lens : Lens
    viewmat : float64 (4, 4)
    downscale : int
        Pixels a side that become one. What is left over at the right and below is cut off.
    name : str

    Raises
    ------
    UsageError
        The result would be smaller than 16 pixels a side, or ``viewmat`` is none.
    """
    left, right, top, bottom = _extent(lens)
    width, height = (left + right) // downscale, (top + bottom) // downscale
    if min(width, height) < LEAST_SIDE:
        raise UsageError(
            f"{name}: {width}x{height} pixels after downscale {downscale}, expected {LEAST_SIDE} a side at least. "
            "Choose a smaller --downscale."
        )
    f = 1 / downscale
    cx, cy = (lens.cx + left - round(lens.cx)) * f, (lens.cy + top - round(lens.cy)) * f
    return Camera(viewmat, lens.fx * f, lens.fy * f, cx, cy, width, height, name)


@lru_cache(maxsize=1024)
def _extent(lens: Lens) -> tuple[int, int, int, int]:
    """Return how far the pinhole picture reaches to the left, right, top and bottom, whole pixels from the centre."""
    cx, cy = round(lens.cx), round(lens.cy)
    plain = (cx, lens.width - cx, cy, lens.height - cy)
    if lens.straight:
        return plain
    across = (np.linspace(0, lens.width, _EDGE) - lens.cx) / lens.fx
    down = (np.linspace(0, lens.height, _EDGE) - lens.cy) / lens.fy
    one = np.ones(_EDGE)
    near, far = -lens.cx / lens.fx, (lens.width - lens.cx) / lens.fx
    up, low = -lens.cy / lens.fy, (lens.height - lens.cy) / lens.fy
    sides = (
        -lens.undistort(near * one, down)[0] * lens.fx,
        lens.undistort(far * one, down)[0] * lens.fx,
        -lens.undistort(across, up * one)[1] * lens.fy,
        lens.undistort(across, low * one)[1] * lens.fy,
    )
    return tuple(_reach(seen, least) for seen, least in zip(sides, plain, strict=True))  # type: ignore[return-value]


def _reach(seen: NDArray[np.float64], least: int) -> int:
    """Return how far a side reaches: to what the lens saw of all of it, within bounds; NaN is beyond any bound."""
    farthest = math.floor(WIDER * least)
    inner = np.nan_to_num(seen, nan=farthest).min()
    return max(least, min(int(inner), farthest))


def develop(picture: Picture, lens: Lens, camera: Camera, downscale: int) -> Picture:
    """Return the picture as ``camera``, which :func:`pinhole` made of ``lens``, sees it.

    Each pixel is the mean of ``downscale`` x ``downscale`` bilinear samples of what counts there.

    Parameters
    ----------
    picture : Picture
        Of the lens's size.
    """
    weighed = picture.weight is not None
    planes = [picture.pixels]
    planes += [plane[..., None] for plane in (picture.alpha, picture.weight) if plane is not None]
    source = np.ascontiguousarray(np.concatenate(planes, axis=2))
    colours = source.shape[2] - weighed
    out: Packed = np.empty((camera.height, camera.width, colours + 1), np.uint16)
    step = max(1, _STRIP // (camera.width * downscale * downscale))
    for start in range(0, camera.height, step):
        stop = min(start + step, camera.height)
        x, y = _samples(lens, camera, downscale, start, stop)
        strip = np.empty((stop - start, camera.width, colours + 1), np.float32)
        resample(source, x, y, downscale, int(weighed), np.empty(colours + 1), strip)
        out[start:stop] = np.rint(strip)
    share = out[..., colours]
    alpha = None if picture.alpha is None else np.ascontiguousarray(out[..., 3])
    weight = None if (share == FULL).all() else np.ascontiguousarray(share)
    return Picture(np.ascontiguousarray(out[..., :3]), weight, alpha)


def _samples(
    lens: Lens, camera: Camera, downscale: int, start: int, stop: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where in the photo the samples of the rows from ``start`` to ``stop`` lie, pixels."""
    columns = (np.arange(camera.width * downscale) + 0.5) / downscale
    rows = (np.arange(start * downscale, stop * downscale) + 0.5) / downscale
    x, y = np.meshgrid((columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy)
    if not lens.straight:
        x, y = lens.distort(x, y)
    return np.ascontiguousarray(x * lens.fx + lens.cx), np.ascontiguousarray(y * lens.fy + lens.cy)
