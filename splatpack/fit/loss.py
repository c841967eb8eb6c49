"""Losses between a picture and its target, each with its gradient with respect to the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import UsageError
from splatpack.fit.kernels.loss import ssim_back, ssim_slopes
from splatpack.parallel import ordered_map

Image = NDArray[np.float32]

_RADIUS = 5
_TAPS = 2 * _RADIUS + 1
_BELL = np.exp(-0.5 * (np.arange(-_RADIUS, _RADIUS + 1) / 1.5) ** 2)
_WINDOW = _BELL / _BELL.sum()
_STRIP = 32


@dataclass(frozen=True)
class Loss:
    """The value of a loss, and its gradient with respect to the picture, float32 (H, W, 3)."""

    value: float
    grad: Image


def l2(picture: Image, target: Image) -> Loss:
    """Return the mean squared difference over pixels and channels.

    Raises
    ------
    UsageError
        The pictures are not float32 (H, W, 3) of the same size.
    """
    _check(picture, target)
    difference = picture - target
    value = float(np.mean(np.square(difference, dtype=np.float64)))
    return Loss(value, difference * np.float32(2 / difference.size))


def l1(picture: Image, target: Image) -> Loss:
    """Return the mean absolute difference over pixels and channels; the gradient is 0 where there is none.

    Raises
    ------
    UsageError
        As for :func:`l2`.
    """
    _check(picture, target)
    difference = picture - target
    value = float(np.mean(np.abs(difference), dtype=np.float64))
    return Loss(value, np.sign(difference) * np.float32(1 / difference.size))


def dssim(picture: Image, target: Image, *, threads: int | None = None) -> Loss:
    """Return 1 - SSIM, with the SSIM of :func:`splatpack.render.compare.ssim`: windows inside the picture only.

    Parameters
    ----------
    picture, target : float32 (H, W, 3)
        In [0, 1], sides of at least 11 pixels.
    threads : int, optional
        The result does not depend on it.

    Raises
    ------
    UsageError
        As for :func:`l2`, or a side is below 11 pixels.
    """
    _check(picture, target)
    height, width, channels = picture.shape
    if min(height, width) < _TAPS:
        raise UsageError(f"dssim: pictures of {width}x{height}, expected at least {_TAPS} pixels a side.")
    a, b = (np.ascontiguousarray(image).reshape(height, -1) for image in (picture, target))
    rows, stride = height - _TAPS + 1, width * channels
    slopes = np.empty((3, rows, (width - _TAPS + 1) * channels))
    grad = np.empty_like(a)
    windows = slopes[0].size

    def ahead(start: int) -> float:
        scratch = np.empty((2, 5, stride))
        stop = min(start + _STRIP, rows)
        return float(ssim_slopes(a, b, _WINDOW, channels, start, stop, scratch[0], scratch[1], slopes))

    def back(start: int) -> None:
        columns, spread = np.zeros((3, stride + (_TAPS - 1) * channels)), np.empty((3, stride))
        stop = min(start + _STRIP, height)
        ssim_back(a, b, _WINDOW, channels, -1 / windows, start, stop, slopes, columns, spread, grad)

    total = sum(ordered_map(ahead, range(0, rows, _STRIP), threads))
    for _ in ordered_map(back, range(0, height, _STRIP), threads):
        pass
    return Loss(1 - total / windows, grad.reshape(picture.shape))


def photometric(picture: Image, target: Image, *, weight: float = 0.2, threads: int | None = None) -> Loss:
    """Return (1 - weight) L1 + weight (1 - SSIM), the loss of Kerbl et al. (2023).

    Raises
    ------
    UsageError
        As for :func:`dssim`.
    """
    near, alike = l1(picture, target), dssim(picture, target, threads=threads)
    share = np.float32(weight)
    value = (1 - weight) * near.value + weight * alike.value
    return Loss(value, (1 - share) * near.grad + share * alike.grad)


def _check(picture: Image, target: Image) -> None:
    for image in (picture, target):
        if image.dtype != np.float32 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise UsageError(f"loss: picture {image.dtype} {image.shape}, expected float32 (H, W, 3), not empty.")
    if picture.shape != target.shape:
        raise UsageError(f"loss: picture {picture.shape} and target {target.shape}, expected the same size.")
