"""The kernel of the structural similarity."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, float64, int64
from numpy.typing import NDArray

from splatpack.jit import kernel, ro, rw

K1 = 1e-4
"""(0.01 L)^2 for a data range L of 1."""
K2 = 9e-4
"""(0.03 L)^2."""


@kernel(float64(ro(float32, 2), ro(float32, 2), ro(float64), int64, rw(float64, 2)))
def ssim_sum(a: NDArray[Any], b: NDArray[Any], window: NDArray[Any], channels: int, moments: NDArray[Any]) -> float:
    """Sum the structural similarity (Wang et al. 2004) over all windows that lie inside the picture, all channels.

    Parameters
    ----------
    a, b : float32 (H, W * channels)
        In [0, 1].
    window : float64 (n,)
        Weights of one axis; they sum to 1.
    moments : float64 (5, W * channels), overwritten
        Weighted column sums of a, b, a^2, b^2, ab.
    """
    taps = window.shape[0]
    stride = a.shape[1]
    total = 0.0
    for y in range(a.shape[0] - taps + 1):
        moments[:] = 0.0
        for k in range(taps):
            weight = window[k]
            for x in range(stride):
                p = np.float64(a[y + k, x])
                q = np.float64(b[y + k, x])
                moments[0, x] += weight * p
                moments[1, x] += weight * q
                moments[2, x] += weight * p * p
                moments[3, x] += weight * q * q
                moments[4, x] += weight * p * q
        for x in range(stride - (taps - 1) * channels):
            ma = 0.0
            mb = 0.0
            aa = 0.0
            bb = 0.0
            ab = 0.0
            for k in range(taps):
                weight = window[k]
                at = x + k * channels
                ma += weight * moments[0, at]
                mb += weight * moments[1, at]
                aa += weight * moments[2, at]
                bb += weight * moments[3, at]
                ab += weight * moments[4, at]
            high = (2.0 * ma * mb + K1) * (2.0 * (ab - ma * mb) + K2)
            total += high / ((ma * ma + mb * mb + K1) * ((aa - ma * ma) + (bb - mb * mb) + K2))
    return total
