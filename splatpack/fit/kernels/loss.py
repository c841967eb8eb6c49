"""Kernels of the structural similarity and its gradient, in strips of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, float64, int64
from numpy.typing import NDArray

from splatpack.jit import kernel, ro, rw
from splatpack.render.kernels.ssim import K1, K2


@kernel(
    float64(
        ro(float32, 2), ro(float32, 2), ro(float64), int64, int64, int64, rw(float64, 2), rw(float64, 2),
        rw(float64, 3),
    )
)  # fmt: skip
def ssim_slopes(
    a: NDArray[Any],
    b: NDArray[Any],
    window: NDArray[Any],
    channels: int,
    start: int,
    stop: int,
    columns: NDArray[Any],
    moments: NDArray[Any],
    slopes: NDArray[Any],
) -> float:
    """Sum the structural similarity over the windows of rows ``start`` to ``stop``, and differentiate it.

    Parameters
    ----------
    a, b : float32 (H, W * channels)
    window : float64 (n,)
        Weights of one axis; they sum to 1.
    columns, moments : float64 (5, W * channels), overwritten
    slopes : float64 (3, H - n + 1, (W - n + 1) * channels), rows written
        Derivatives with respect to the windowed means of a, a^2 and a b.
    """
    taps = window.shape[0]
    width = slopes.shape[2]
    total = 0.0
    for y in range(start, stop):
        columns[:] = 0.0
        moments[:] = 0.0
        for k in range(taps):
            weight = window[k]
            for x in range(a.shape[1]):
                p = np.float64(a[y + k, x])
                q = np.float64(b[y + k, x])
                columns[0, x] += weight * p
                columns[1, x] += weight * q
                columns[2, x] += weight * p * p
                columns[3, x] += weight * q * q
                columns[4, x] += weight * p * q
        for c in range(5):
            for k in range(taps):
                weight = window[k]
                at = k * channels
                for x in range(width):
                    moments[c, x] += weight * columns[c, at + x]
        for x in range(width):
            ma = moments[0, x]
            mb = moments[1, x]
            a1 = 2.0 * ma * mb + K1
            a2 = 2.0 * (moments[4, x] - ma * mb) + K2
            b1 = ma * ma + mb * mb + K1
            b2 = moments[2, x] - ma * ma + moments[3, x] - mb * mb + K2
            # windows weigh in float64: a variance is at most rounded to -1e-16, so b2 stays above 0
            inverse = np.divide(1.0, b1 * b2)
            value = a1 * a2 * inverse
            total += value
            slopes[0, y, x] = 2.0 * (mb * (a2 - a1) - value * ma * (b2 - b1)) * inverse
            slopes[1, y, x] = -value * b1 * inverse
            slopes[2, y, x] = 2.0 * a1 * inverse
    return total


@kernel(
    int64(
        ro(float32, 2), ro(float32, 2), ro(float64), int64, float64, int64, int64, ro(float64, 3), rw(float64, 2),
        rw(float64, 2), rw(float32, 2),
    )
)  # fmt: skip
def ssim_back(
    a: NDArray[Any],
    b: NDArray[Any],
    window: NDArray[Any],
    channels: int,
    scale: float,
    start: int,
    stop: int,
    slopes: NDArray[Any],
    columns: NDArray[Any],
    spread: NDArray[Any],
    grad: NDArray[Any],
) -> int:
    """Write rows ``start`` to ``stop`` of the gradient of ``scale`` times the sum of :func:`ssim_slopes`.

    Parameters
    ----------
    columns : float64 (3, (W + n - 1) * channels), zeroed, overwritten
        The margins of (n - 1) * channels on both sides stay zero.
    spread : float64 (3, W * channels), overwritten
    grad : float32 (H, W * channels), rows written
    """
    taps = window.shape[0]
    margin = (taps - 1) * channels
    for y in range(start, stop):
        columns[:] = 0.0
        spread[:] = 0.0
        for c in range(3):
            for k in range(max(0, y - slopes.shape[1] + 1), min(taps, y + 1)):
                weight = window[k]
                row = slopes[c, y - k]
                for x in range(row.shape[0]):
                    columns[c, margin + x] += weight * row[x]
            for k in range(taps):
                weight = window[k]
                at = margin - k * channels
                for x in range(spread.shape[1]):
                    spread[c, x] += weight * columns[c, at + x]
        for x in range(spread.shape[1]):
            slope = spread[0, x] + 2.0 * a[y, x] * spread[1, x] + b[y, x] * spread[2, x]
            grad[y, x] = scale * slope
    return 0
