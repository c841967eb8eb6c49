"""The kernel that turns covariances into axes and rotations."""

from __future__ import annotations

import math
from typing import Any

from numba import float32, float64, void
from numpy.typing import NDArray

from splatpack.jit import kernel, ro, rw

_SWEEPS = 12


@kernel(void(ro(float64, 2), rw(float64, 2), rw(float64, 2), rw(float32, 2), rw(float32, 2)))
def principal_axes(
    covariances: NDArray[Any], a: NDArray[Any], v: NDArray[Any], scales: NDArray[Any], quats: NDArray[Any]
) -> None:
    """Write log standard deviations and rotations of covariances, by cyclic Jacobi rotations.

    LAPACK would do it too, but its last bits depend on the machine, and a file must not.

    Parameters
    ----------
    covariances : float64 (n, 6)
        xx xy xz yy yz zz, positive semi-definite.
    a, v : float64 (3, 3)
        Scratch.
    scales, quats : float32 (n, 3), float32 (n, 4), written
        Quats (w, x, y, z) of the right-handed frame of the axes.
    """
    for i in range(covariances.shape[0]):
        a[0, 0] = covariances[i, 0]
        a[0, 1] = covariances[i, 1]
        a[0, 2] = covariances[i, 2]
        a[1, 1] = covariances[i, 3]
        a[1, 2] = covariances[i, 4]
        a[2, 2] = covariances[i, 5]
        a[1, 0] = a[0, 1]
        a[2, 0] = a[0, 2]
        a[2, 1] = a[1, 2]
        for r in range(3):
            for c in range(3):
                v[r, c] = 1.0 if r == c else 0.0
        for _ in range(_SWEEPS):
            for p in range(2):
                for q in range(p + 1, 3):
                    if abs(a[p, q]) <= 1e-18 * (abs(a[p, p]) + abs(a[q, q])):
                        continue
                    theta = (a[q, q] - a[p, p]) / (2.0 * a[p, q])
                    sign = 1.0 if theta >= 0.0 else -1.0
                    t = sign / (abs(theta) + math.sqrt(theta * theta + 1.0))
                    cos = 1.0 / math.sqrt(t * t + 1.0)
                    sin = t * cos
                    for k in range(3):
                        akp = a[k, p]
                        akq = a[k, q]
                        a[k, p] = cos * akp - sin * akq
                        a[k, q] = sin * akp + cos * akq
                    for k in range(3):
                        apk = a[p, k]
                        aqk = a[q, k]
                        a[p, k] = cos * apk - sin * aqk
                        a[q, k] = sin * apk + cos * aqk
                        vkp = v[k, p]
                        vkq = v[k, q]
                        v[k, p] = cos * vkp - sin * vkq
                        v[k, q] = sin * vkp + cos * vkq
        trace = max(a[0, 0] + a[1, 1] + a[2, 2], 1e-30)
        for k in range(3):
            scales[i, k] = 0.5 * math.log(max(a[k, k], 1e-12 * trace))
        det = (
            v[0, 0] * (v[1, 1] * v[2, 2] - v[1, 2] * v[2, 1])
            - v[0, 1] * (v[1, 0] * v[2, 2] - v[1, 2] * v[2, 0])
            + v[0, 2] * (v[1, 0] * v[2, 1] - v[1, 1] * v[2, 0])
        )
        if det < 0.0:
            for k in range(3):
                v[k, 2] = -v[k, 2]
        w = 0.5 * math.sqrt(max(1.0 + v[0, 0] + v[1, 1] + v[2, 2], 0.0))
        x = 0.5 * math.sqrt(max(1.0 + v[0, 0] - v[1, 1] - v[2, 2], 0.0))
        y = 0.5 * math.sqrt(max(1.0 - v[0, 0] + v[1, 1] - v[2, 2], 0.0))
        z = 0.5 * math.sqrt(max(1.0 - v[0, 0] - v[1, 1] + v[2, 2], 0.0))
        if w >= x and w >= y and w >= z:
            x = (v[2, 1] - v[1, 2]) / (4.0 * w)
            y = (v[0, 2] - v[2, 0]) / (4.0 * w)
            z = (v[1, 0] - v[0, 1]) / (4.0 * w)
        elif x >= y and x >= z:
            w = (v[2, 1] - v[1, 2]) / (4.0 * x)
            y = (v[0, 1] + v[1, 0]) / (4.0 * x)
            z = (v[0, 2] + v[2, 0]) / (4.0 * x)
        elif y >= z:
            w = (v[0, 2] - v[2, 0]) / (4.0 * y)
            x = (v[0, 1] + v[1, 0]) / (4.0 * y)
            z = (v[1, 2] + v[2, 1]) / (4.0 * y)
        else:
            w = (v[1, 0] - v[0, 1]) / (4.0 * z)
            x = (v[0, 2] + v[2, 0]) / (4.0 * z)
            y = (v[1, 2] + v[2, 1]) / (4.0 * z)
        quats[i, 0] = w
        quats[i, 1] = x
        quats[i, 2] = y
        quats[i, 3] = z
