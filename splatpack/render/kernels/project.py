"""Kernels of projection: 3D Gaussians to screen-space ellipses, and spherical harmonics to colour.

Arithmetic is float64 and free of fused operations, so that plain Python gives the same bits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import boolean, float32, float64, int16, int64
from numba.core.types import UniTuple
from numpy.typing import NDArray

from splatpack.jit import kernel, ro, rw

TUPLE: Any = UniTuple  # untyped in Numba

LOG_255 = 5.541263545158426
"""ln 255: an opacity below 1/255 is never drawn."""

DILATION = 0.3
"""Variance that is added to both screen axes, square pixels (Inria)."""

LOG_SCALE = 60.0
"""Log-scales are held to this magnitude, so that no product overflows; e^60 covers any picture."""


@kernel(
    TUPLE(float64, 4)(
        ro(float32, 2), ro(float32, 2), int64, float64, float64, float64, float64, float64, float64
    ),
    inline=True,
)  # fmt: skip
def covariance(
    scales: NDArray[Any],
    quats: NDArray[Any],
    i: int,
    a0: float,
    a1: float,
    a2: float,
    b0: float,
    b1: float,
    b2: float,
) -> tuple[Any, Any, Any, Any]:
    """Return xx, xy, yy and the determinant of M M^T, M = T R S, for Gaussian ``i``; rows a, b of T are given.

    The determinant is the squared length of the cross product of the rows of M (Cauchy-Binet): never negative.
    """
    w = np.float64(quats[i, 0])
    x = np.float64(quats[i, 1])
    y = np.float64(quats[i, 2])
    z = np.float64(quats[i, 3])
    norm = math.sqrt(w * w + x * x + y * y + z * z)
    if norm > 0.0:
        w /= norm
        x /= norm
        y /= norm
        z /= norm
    else:
        w = np.float64(1.0)
    s = math.exp(min(max(np.float64(scales[i, 0]), -LOG_SCALE), LOG_SCALE))
    r0 = s * (1.0 - 2.0 * (y * y + z * z))
    r1 = s * (2.0 * (x * y + w * z))
    r2 = s * (2.0 * (x * z - w * y))
    m00 = a0 * r0 + a1 * r1 + a2 * r2
    m10 = b0 * r0 + b1 * r1 + b2 * r2
    s = math.exp(min(max(np.float64(scales[i, 1]), -LOG_SCALE), LOG_SCALE))
    r0 = s * (2.0 * (x * y - w * z))
    r1 = s * (1.0 - 2.0 * (x * x + z * z))
    r2 = s * (2.0 * (y * z + w * x))
    m01 = a0 * r0 + a1 * r1 + a2 * r2
    m11 = b0 * r0 + b1 * r1 + b2 * r2
    s = math.exp(min(max(np.float64(scales[i, 2]), -LOG_SCALE), LOG_SCALE))
    r0 = s * (2.0 * (x * z + w * y))
    r1 = s * (2.0 * (y * z - w * x))
    r2 = s * (1.0 - 2.0 * (x * x + y * y))
    m02 = a0 * r0 + a1 * r1 + a2 * r2
    m12 = b0 * r0 + b1 * r1 + b2 * r2
    c0 = m01 * m12 - m02 * m11
    c1 = m02 * m10 - m00 * m12
    c2 = m00 * m11 - m01 * m10
    xx = m00 * m00 + m01 * m01 + m02 * m02
    xy = m00 * m10 + m01 * m11 + m02 * m12
    yy = m10 * m10 + m11 * m11 + m12 * m12
    return xx, xy, yy, c0 * c0 + c1 * c1 + c2 * c2


@kernel(TUPLE(int64, 2)(float64, float64, float64), inline=True)
def span(centre: float, reach: float, limit: float) -> tuple[int, int]:
    """Return the pixels [first, end) of [0, limit) whose centres lie within ``reach`` of ``centre``."""
    first = math.ceil(min(max(centre - reach - 0.5, 0.0), limit))
    end = math.floor(min(max(centre + reach - 0.5, -1.0), limit - 1.0)) + 1
    return first, end


@kernel(
    int64(
        ro(float32, 2), ro(float32, 2), ro(float32, 2), ro(float32), ro(float64), boolean, int64, int64,
        rw(float64, 2), rw(float32), rw(int16, 2),
    )
)  # fmt: skip
def project(
    means: NDArray[Any],
    scales: NDArray[Any],
    quats: NDArray[Any],
    opacities: NDArray[Any],
    cam: NDArray[Any],
    antialiased: bool,
    start: int,
    stop: int,
    ellipses: NDArray[Any],
    depths: NDArray[Any],
    boxes: NDArray[Any],
) -> int:
    """Project Gaussians ``start`` to ``stop``; return how many are visible.

    The EWA splatting of Zwicker et al. (2001) with the constants of the Inria rasteriser: the Jacobian is taken at
    tx/tz held to 1.3 times the half field of view.

    Parameters
    ----------
    means, scales, quats, opacities : float32 (N, 3), (N, 3), (N, 4), (N,)
        Any finite numbers; a zero quat is taken for the identity.
    cam : float64 (19,)
        World to camera (3 rows of 4), fx, fy, cx, cy, width, height, near.
    ellipses : float64 (N, 6), written
        Centre x, y (pixels), conic xx, xy, yy (1/pixels^2), logarithm of the opacity after compensation.
    depths : float32 (N,), written
        z in the camera frame.
    boxes : int16 (N, 4), written
        Pixels x0, x1, y0, y1 (end excluded) whose centres the ellipse alpha >= 1/255 can reach; all zero: not visible.
    """
    fx = cam[12]
    fy = cam[13]
    cx = cam[14]
    cy = cam[15]
    width = cam[16]
    height = cam[17]
    near = cam[18]
    left = -cx / fx - 0.15 * width / fx
    right = (width - cx) / fx + 0.15 * width / fx
    top = -cy / fy - 0.15 * height / fy
    bottom = (height - cy) / fy + 0.15 * height / fy
    visible = 0
    for i in range(start, stop):
        boxes[i, 0] = 0
        boxes[i, 1] = 0
        boxes[i, 2] = 0
        boxes[i, 3] = 0
        x = np.float64(means[i, 0])
        y = np.float64(means[i, 1])
        z = np.float64(means[i, 2])
        tz = cam[8] * x + cam[9] * y + cam[10] * z + cam[11]
        logit = np.float64(opacities[i])
        if not near <= tz < 3.0e38 or logit < -LOG_255:
            continue
        tx = cam[0] * x + cam[1] * y + cam[2] * z + cam[3]
        ty = cam[4] * x + cam[5] * y + cam[6] * z + cam[7]
        # J W, 2 x 3, at the held position
        jz = fx / tz
        kz = fy / tz
        jx = -jz * min(max(tx / tz, left), right)
        ky = -kz * min(max(ty / tz, top), bottom)
        a0 = jz * cam[0] + jx * cam[8]
        a1 = jz * cam[1] + jx * cam[9]
        a2 = jz * cam[2] + jx * cam[10]
        b0 = kz * cam[4] + ky * cam[8]
        b1 = kz * cam[5] + ky * cam[9]
        b2 = kz * cam[6] + ky * cam[10]
        xx, xy, yy, flat = covariance(scales, quats, i, a0, a1, a2, b0, b1, b2)
        det = flat + DILATION * (xx + yy) + DILATION * DILATION
        if not det < 1.0e280:
            continue
        xx += DILATION
        yy += DILATION
        log_alpha = -math.log(1.0 + math.exp(-logit))
        if antialiased:
            log_alpha += 0.5 * math.log(max(flat / det, 1e-30))
        reach = 2.0 * (LOG_255 + log_alpha)
        if not reach >= 0.0:
            continue
        px = fx * (tx / tz) + cx
        py = fy * (ty / tz) + cy
        ex = math.sqrt(reach * xx)
        ey = math.sqrt(reach * yy)
        x0, x1 = span(px, ex, width)
        y0, y1 = span(py, ey, height)
        if x0 >= x1 or y0 >= y1:
            continue
        ellipses[i, 0] = px
        ellipses[i, 1] = py
        ellipses[i, 2] = yy / det
        ellipses[i, 3] = -xy / det
        ellipses[i, 4] = xx / det
        ellipses[i, 5] = log_alpha
        depths[i] = tz
        boxes[i, 0] = x0
        boxes[i, 1] = x1
        boxes[i, 2] = y0
        boxes[i, 3] = y1
        visible += 1
    return visible


C0 = np.float32(0.28209479177387814)
C1 = np.float32(0.4886025119029199)
C2A = np.float32(1.0925484305920792)
C2B = np.float32(0.31539156525252005)
C2C = np.float32(0.5462742152960396)
C3A = np.float32(0.5900435899266435)
C3B = np.float32(2.890611442640554)
C3C = np.float32(0.4570457994644658)
C3D = np.float32(0.3731763325901154)
C3E = np.float32(1.445305721320277)
HALF = np.float32(0.5)
ZERO = np.float32(0.0)
TWO = np.float32(2.0)
THREE = np.float32(3.0)
FOUR = np.float32(4.0)
HUGE = np.float32(1e30)


@kernel(int64(ro(float32, 2), ro(float32, 3), ro(float32, 3), ro(float64), ro(int16, 2), int64, int64, rw(float32, 2)))
def colours(
    means: NDArray[Any],
    sh0: NDArray[Any],
    shN: NDArray[Any],
    eye: NDArray[Any],
    boxes: NDArray[Any],
    start: int,
    stop: int,
    rgb: NDArray[Any],
) -> int:
    """Evaluate spherical harmonics of the visible Gaussians ``start`` to ``stop``: rgb = max(0, 0.5 + sum).

    Parameters
    ----------
    means, sh0, shN : float32 (N, 3), (N, 1, 3), (N, K, 3)
        K = 0, 3, 8 or 15. The basis is that of the Inria rasteriser.
    eye : float64 (3,)
        Camera centre, world; the direction is mean - eye.
    boxes : int16 (N, 4)
        From :func:`project`; what is not visible is skipped.
    rgb : float32 (N, 3), written
    """
    bands = shN.shape[1]
    basis = np.empty(15, np.float32)
    for i in range(start, stop):
        if boxes[i, 0] == boxes[i, 1]:
            continue
        if bands > 0:
            dx = np.float64(means[i, 0]) - eye[0]
            dy = np.float64(means[i, 1]) - eye[1]
            dz = np.float64(means[i, 2]) - eye[2]
            norm = max(math.sqrt(dx * dx + dy * dy + dz * dz), 1e-30)
            x = np.float32(dx / norm)
            y = np.float32(dy / norm)
            z = np.float32(dz / norm)
            basis[0] = -C1 * y
            basis[1] = C1 * z
            basis[2] = -C1 * x
            if bands > 3:
                xx = x * x
                yy = y * y
                zz = z * z
                basis[3] = C2A * (x * y)
                basis[4] = -C2A * (y * z)
                basis[5] = C2B * (TWO * zz - xx - yy)
                basis[6] = -C2A * (x * z)
                basis[7] = C2C * (xx - yy)
                if bands > 8:
                    basis[8] = -C3A * (y * (THREE * xx - yy))
                    basis[9] = C3B * (x * y * z)
                    basis[10] = -C3C * (y * (FOUR * zz - xx - yy))
                    basis[11] = C3D * (z * (TWO * zz - THREE * xx - THREE * yy))
                    basis[12] = -C3C * (x * (FOUR * zz - xx - yy))
                    basis[13] = C3E * (z * (xx - yy))
                    basis[14] = -C3A * (x * (xx - THREE * yy))
        r = HALF + C0 * sh0[i, 0, 0]
        g = HALF + C0 * sh0[i, 0, 1]
        b = HALF + C0 * sh0[i, 0, 2]
        for j in range(bands):
            r += basis[j] * shN[i, j, 0]
            g += basis[j] * shN[i, j, 1]
            b += basis[j] * shN[i, j, 2]
        rgb[i, 0] = min(max(r, ZERO), HUGE)
        rgb[i, 1] = min(max(g, ZERO), HUGE)
        rgb[i, 2] = min(max(b, ZERO), HUGE)
    return 0
