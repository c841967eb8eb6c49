"""Kernels of the backward pass, second half: the chain rules of projection and spherical harmonics, in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import boolean, float32, float64, int16, int64
from numpy.typing import NDArray

from splatpack.jit import kernel, ro, rw
from splatpack.render.kernels.project import DILATION, LOG_SCALE


@kernel(int64(ro(float32, 2), int64, ro(float64, 2), rw(float32, 2)), inline=True)
def quat_back(quats: NDArray[Any], i: int, turn: NDArray[Any], grad: NDArray[Any]) -> int:
    """Write the gradient of the quat, of any length, from that of the rotation matrix, float64 (3, 3)."""
    w = np.float64(quats[i, 0])
    x = np.float64(quats[i, 1])
    y = np.float64(quats[i, 2])
    z = np.float64(quats[i, 3])
    norm = math.sqrt(w * w + x * x + y * y + z * z)
    if not norm > 0.0:
        return 0
    w /= norm
    x /= norm
    y /= norm
    z /= norm
    d01 = turn[0, 1]
    d02 = turn[0, 2]
    d10 = turn[1, 0]
    d12 = turn[1, 2]
    d20 = turn[2, 0]
    d21 = turn[2, 1]
    gw = 2.0 * (z * (d10 - d01) + y * (d02 - d20) + x * (d21 - d12))
    gx = 2.0 * (y * (d01 + d10) + z * (d02 + d20) + w * (d21 - d12) - 2.0 * x * (turn[1, 1] + turn[2, 2]))
    gy = 2.0 * (x * (d01 + d10) + z * (d12 + d21) + w * (d02 - d20) - 2.0 * y * (turn[0, 0] + turn[2, 2]))
    gz = 2.0 * (x * (d02 + d20) + y * (d12 + d21) + w * (d10 - d01) - 2.0 * z * (turn[0, 0] + turn[1, 1]))
    # the length does nothing, so the gradient is orthogonal to the quat
    along = gw * w + gx * x + gy * y + gz * z
    grad[i, 0] = (gw - along * w) / norm
    grad[i, 1] = (gx - along * x) / norm
    grad[i, 2] = (gy - along * y) / norm
    grad[i, 3] = (gz - along * z) / norm
    return 0


@kernel(int64(ro(float32, 2), int64, rw(float64, 2)), inline=True)
def rotation(quats: NDArray[Any], i: int, turn: NDArray[Any]) -> int:
    """Write the rotation matrix of a quat of any length; zero is taken for the identity."""
    w = np.float64(quats[i, 0])
    x = np.float64(quats[i, 1])
    y = np.float64(quats[i, 2])
    z = np.float64(quats[i, 3])
    norm = w * w + x * x + y * y + z * z
    s = 2.0 / norm if norm > 0.0 else np.float64(0.0)
    turn[0, 0] = 1.0 - s * (y * y + z * z)
    turn[0, 1] = s * (x * y - w * z)
    turn[0, 2] = s * (x * z + w * y)
    turn[1, 0] = s * (x * y + w * z)
    turn[1, 1] = 1.0 - s * (x * x + z * z)
    turn[1, 2] = s * (y * z - w * x)
    turn[2, 0] = s * (x * z - w * y)
    turn[2, 1] = s * (y * z + w * x)
    turn[2, 2] = 1.0 - s * (x * x + y * y)
    return 0


@kernel(
    int64(ro(float32, 2), ro(float64, 2), int64, ro(float64), ro(float64), rw(float64, 2), rw(float64)), inline=True
)
def spread(
    scales: NDArray[Any],
    turn: NDArray[Any],
    i: int,
    a: NDArray[Any],
    b: NDArray[Any],
    rows: NDArray[Any],
    sizes: NDArray[Any],
) -> int:
    """Write M = T R S, the square root of the screen covariance, to ``rows`` (2, 3), and S to ``sizes``; T is a, b."""
    for k in range(3):
        s = math.exp(min(max(np.float64(scales[i, k]), -LOG_SCALE), LOG_SCALE))
        sizes[k] = s
        rows[0, k] = s * (a[0] * turn[0, k] + a[1] * turn[1, k] + a[2] * turn[2, k])
        rows[1, k] = s * (b[0] * turn[0, k] + b[1] * turn[1, k] + b[2] * turn[2, k])
    return 0


@kernel(int64(ro(float64), boolean, ro(float64, 2), rw(float64, 2)), inline=True)
def covariance_back(sums: NDArray[Any], antialiased: bool, rows: NDArray[Any], slopes: NDArray[Any]) -> int:
    """Write the gradient of M = ``rows`` (2, 3): covariance M M^T, and the opacity compensation sqrt(flat / det)."""
    xx = sums[2]
    xy = sums[3]
    yy = sums[4]
    flatness = np.float64(0.0)
    c0 = rows[0, 1] * rows[1, 2] - rows[0, 2] * rows[1, 1]
    c1 = rows[0, 2] * rows[1, 0] - rows[0, 0] * rows[1, 2]
    c2 = rows[0, 0] * rows[1, 1] - rows[0, 1] * rows[1, 0]
    if antialiased:
        flat = c0 * c0 + c1 * c1 + c2 * c2
        trace = np.float64(0.0)
        for k in range(3):
            trace += rows[0, k] * rows[0, k] + rows[1, k] * rows[1, k]
        det = flat + DILATION * trace + DILATION * DILATION
        # log alpha holds log(flat) / 2 - log(det) / 2
        xx -= 0.5 * sums[5] * DILATION / det
        yy -= 0.5 * sums[5] * DILATION / det
        if flat > 0.0:
            flatness = sums[5] * (1.0 / flat - 1.0 / det)
    for k in range(3):
        slopes[0, k] = 2.0 * (xx * rows[0, k] + xy * rows[1, k])
        slopes[1, k] = 2.0 * (xy * rows[0, k] + yy * rows[1, k])
    slopes[0, 0] += flatness * (rows[1, 1] * c2 - rows[1, 2] * c1)
    slopes[0, 1] += flatness * (rows[1, 2] * c0 - rows[1, 0] * c2)
    slopes[0, 2] += flatness * (rows[1, 0] * c1 - rows[1, 1] * c0)
    slopes[1, 0] += flatness * (c1 * rows[0, 2] - c2 * rows[0, 1])
    slopes[1, 1] += flatness * (c2 * rows[0, 0] - c0 * rows[0, 2])
    slopes[1, 2] += flatness * (c0 * rows[0, 1] - c1 * rows[0, 0])
    return 0


@kernel(
    int64(
        ro(float32, 2), ro(float32, 2), ro(float32, 2), ro(float32), ro(float64), boolean, ro(int16, 2), int64,
        ro(float64, 2), rw(float32, 2), rw(float32, 2), rw(float32, 2), rw(float32),
    )
)  # fmt: skip
def project_back(
    means: NDArray[Any],
    scales: NDArray[Any],
    quats: NDArray[Any],
    opacities: NDArray[Any],
    cam: NDArray[Any],
    antialiased: bool,
    boxes: NDArray[Any],
    start: int,
    sums: NDArray[Any],
    grad_means: NDArray[Any],
    grad_scales: NDArray[Any],
    grad_quats: NDArray[Any],
    grad_opacities: NDArray[Any],
) -> int:
    """Apply the chain rule of ``project`` to the Gaussians from ``start`` on.

    Parameters
    ----------
    means, scales, quats, opacities, cam, antialiased, boxes
        As in ``project``.
    sums : float64 (count, 9)
        From ``gather``.
    grad_means, grad_scales, grad_quats, grad_opacities : float32, shaped like the attributes
        Written where visible; the others must be zero before.
    """
    fx = cam[12]
    fy = cam[13]
    left = -cam[14] / fx - 0.15 * cam[16] / fx
    right = (cam[16] - cam[14]) / fx + 0.15 * cam[16] / fx
    top = -cam[15] / fy - 0.15 * cam[17] / fy
    bottom = (cam[17] - cam[15]) / fy + 0.15 * cam[17] / fy
    turn = np.empty((3, 3))
    rows = np.empty((2, 3))
    slopes = np.empty((2, 3))
    sizes = np.empty(3)
    a = np.empty(3)
    b = np.empty(3)
    for n in range(sums.shape[0]):
        i = start + n
        if boxes[i, 0] == boxes[i, 1]:
            continue
        x = np.float64(means[i, 0])
        y = np.float64(means[i, 1])
        z = np.float64(means[i, 2])
        tz = cam[8] * x + cam[9] * y + cam[10] * z + cam[11]
        u = (cam[0] * x + cam[1] * y + cam[2] * z + cam[3]) / tz
        v = (cam[4] * x + cam[5] * y + cam[6] * z + cam[7]) / tz
        jz = fx / tz
        kz = fy / tz
        jx = -jz * min(max(u, left), right)
        ky = -kz * min(max(v, top), bottom)
        for k in range(3):
            a[k] = jz * cam[k] + jx * cam[8 + k]
            b[k] = kz * cam[4 + k] + ky * cam[8 + k]
        rotation(quats, i, turn)
        spread(scales, turn, i, a, b, rows, sizes)
        covariance_back(sums[n], antialiased, rows, slopes)
        gjx = np.float64(0.0)
        gjz = np.float64(0.0)
        gky = np.float64(0.0)
        gkz = np.float64(0.0)
        for k in range(3):
            log_scale = scales[i, k]
            held = log_scale < -LOG_SCALE or log_scale > LOG_SCALE
            grad_scales[i, k] = 0.0 if held else slopes[0, k] * rows[0, k] + slopes[1, k] * rows[1, k]
            # M = T (R S): from here on with respect to T R
            slopes[0, k] *= sizes[k]
            slopes[1, k] *= sizes[k]
        for k in range(3):
            ga = slopes[0, 0] * turn[k, 0] + slopes[0, 1] * turn[k, 1] + slopes[0, 2] * turn[k, 2]
            gb = slopes[1, 0] * turn[k, 0] + slopes[1, 1] * turn[k, 1] + slopes[1, 2] * turn[k, 2]
            gjz += ga * cam[k]
            gjx += ga * cam[8 + k]
            gkz += gb * cam[4 + k]
            gky += gb * cam[8 + k]
        for j in range(3):
            for k in range(3):
                turn[j, k] = a[j] * slopes[0, k] + b[j] * slopes[1, k]
        quat_back(quats, i, turn, grad_quats)
        grad_opacities[i] = sums[n, 5] / (1.0 + math.exp(min(np.float64(opacities[i]), 700.0)))
        # jx = -jz held(u): where it is held, u moves the centre only
        gjz -= gjx * min(max(u, left), right)
        gkz -= gky * min(max(v, top), bottom)
        gu = fx * sums[n, 0] - (gjx * jz if left < u < right else 0.0)
        gv = fy * sums[n, 1] - (gky * kz if top < v < bottom else 0.0)
        gx = gu / tz
        gy = gv / tz
        gz = -(gu * u + gv * v + gjz * jz + gkz * kz) / tz
        for k in range(3):
            grad_means[i, k] = cam[k] * gx + cam[4 + k] * gy + cam[8 + k] * gz
    return 0


C0 = 0.28209479177387814
C1 = 0.4886025119029199
C2A = 1.0925484305920792
C2B = 0.31539156525252005
C2C = 0.5462742152960396
C3A = 0.5900435899266435
C3B = 2.890611442640554
C3C = 0.4570457994644658
C3D = 0.3731763325901154
C3E = 1.445305721320277


@kernel(int64(float64, float64, float64, int64, rw(float64)), inline=True)
def harmonics(x: float, y: float, z: float, bands: int, basis: NDArray[Any]) -> int:
    """Write the basis of ``colours`` at a unit direction, without the constant: float64 (15,), ``bands`` of them."""
    basis[0] = -C1 * y
    basis[1] = C1 * z
    basis[2] = -C1 * x
    xx = x * x
    yy = y * y
    zz = z * z
    if bands > 3:
        basis[3] = C2A * x * y
        basis[4] = -C2A * y * z
        basis[5] = C2B * (2.0 * zz - xx - yy)
        basis[6] = -C2A * x * z
        basis[7] = C2C * (xx - yy)
    if bands > 8:
        basis[8] = -C3A * y * (3.0 * xx - yy)
        basis[9] = C3B * x * y * z
        basis[10] = -C3C * y * (4.0 * zz - xx - yy)
        basis[11] = C3D * z * (2.0 * zz - 3.0 * xx - 3.0 * yy)
        basis[12] = -C3C * x * (4.0 * zz - xx - yy)
        basis[13] = C3E * z * (xx - yy)
        basis[14] = -C3A * x * (xx - 3.0 * yy)
    return 0


@kernel(int64(float64, float64, float64, int64, ro(float64), rw(float64)), inline=True)
def harmonics_back(x: float, y: float, z: float, bands: int, h: NDArray[Any], way: NDArray[Any]) -> int:
    """Write the gradient, float64 (3,), of the sum of h times the basis with respect to the direction."""
    gx = -C1 * h[2]
    gy = -C1 * h[0]
    gz = C1 * h[1]
    if bands > 3:
        gx += C2A * (y * h[3] - z * h[6]) + 2.0 * x * (C2C * h[7] - C2B * h[5])
        gy += C2A * (x * h[3] - z * h[4]) - 2.0 * y * (C2C * h[7] + C2B * h[5])
        gz += -C2A * (y * h[4] + x * h[6]) + 4.0 * C2B * z * h[5]
    if bands > 8:
        xx = x * x
        yy = y * y
        zz = z * z
        gx += -6.0 * C3A * x * y * h[8] + C3B * y * z * h[9] + 2.0 * C3C * x * y * h[10] - 6.0 * C3D * x * z * h[11]
        gx += -C3C * (4.0 * zz - 3.0 * xx - yy) * h[12] + 2.0 * C3E * x * z * h[13] - 3.0 * C3A * (xx - yy) * h[14]
        gy += -3.0 * C3A * (xx - yy) * h[8] + C3B * x * z * h[9] - C3C * (4.0 * zz - xx - 3.0 * yy) * h[10]
        gy += -6.0 * C3D * y * z * h[11] + 2.0 * C3C * x * y * h[12] - 2.0 * C3E * y * z * h[13]
        gy += 6.0 * C3A * x * y * h[14]
        gz += C3B * x * y * h[9] - 8.0 * C3C * z * (y * h[10] + x * h[12])
        gz += C3D * (6.0 * zz - 3.0 * xx - 3.0 * yy) * h[11] + C3E * (xx - yy) * h[13]
    way[0] = gx
    way[1] = gy
    way[2] = gz
    return 0


@kernel(
    int64(
        ro(float32, 2), ro(float32, 3), ro(float64), ro(int16, 2), ro(float32, 2), int64, ro(float64, 2),
        rw(float32, 2), rw(float32, 3), rw(float32, 3),
    )
)  # fmt: skip
def colours_back(
    means: NDArray[Any],
    shN: NDArray[Any],
    eye: NDArray[Any],
    boxes: NDArray[Any],
    rgb: NDArray[Any],
    start: int,
    sums: NDArray[Any],
    grad_means: NDArray[Any],
    grad_sh0: NDArray[Any],
    grad_shN: NDArray[Any],
) -> int:
    """Apply the chain rule of ``colours`` to the Gaussians from ``start`` on; a colour clamped at 0 passes nothing.

    Parameters
    ----------
    means, shN, eye, boxes, rgb
        As in ``colours``.
    sums : float64 (count, 9)
        From ``gather``.
    grad_means : float32 (N, 3), added to
        The colour depends on the mean through the view direction.
    grad_sh0, grad_shN : float32 (N, 1, 3), (N, K, 3)
        Written where visible; the others must be zero before.
    """
    bands = shN.shape[1]
    basis = np.empty(15)
    h = np.empty(15)
    way = np.empty(3)
    for n in range(sums.shape[0]):
        i = start + n
        if boxes[i, 0] == boxes[i, 1]:
            continue
        r = sums[n, 6] if rgb[i, 0] > 0.0 else 0.0
        g = sums[n, 7] if rgb[i, 1] > 0.0 else 0.0
        b = sums[n, 8] if rgb[i, 2] > 0.0 else 0.0
        grad_sh0[i, 0, 0] = C0 * r
        grad_sh0[i, 0, 1] = C0 * g
        grad_sh0[i, 0, 2] = C0 * b
        if bands == 0:
            continue
        dx = np.float64(means[i, 0]) - eye[0]
        dy = np.float64(means[i, 1]) - eye[1]
        dz = np.float64(means[i, 2]) - eye[2]
        norm = max(math.sqrt(dx * dx + dy * dy + dz * dz), 1e-30)
        x = dx / norm
        y = dy / norm
        z = dz / norm
        harmonics(x, y, z, bands, basis)
        for j in range(bands):
            h[j] = r * shN[i, j, 0] + g * shN[i, j, 1] + b * shN[i, j, 2]
            grad_shN[i, j, 0] = basis[j] * r
            grad_shN[i, j, 1] = basis[j] * g
            grad_shN[i, j, 2] = basis[j] * b
        harmonics_back(x, y, z, bands, h, way)
        along = way[0] * x + way[1] * y + way[2] * z
        grad_means[i, 0] += (way[0] - along * x) / norm
        grad_means[i, 1] += (way[1] - along * y) / norm
        grad_means[i, 2] += (way[2] - along * z) / norm
    return 0
