"""Kernels of the splat codec: canonical form, and the symbols of scale, opacity and rotation and back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import float32, float64, int32, int64, uint8
from numpy.typing import NDArray

from splatpack.codecs.kernels.contexts import OPACITY, ROTATION, SCALE0, SCALE1, SCALE2
from splatpack.codecs.kernels.rans import STREAM, Stream, take_plane, unzigzag
from splatpack.jit import Float, Int, kernel, ro, rw

UNIT = 1.0 / 1048576.0
"""A Q20 integer times this is what it stands for."""

SYMBOL = 65535
"""The greatest symbol of scale, opacity and rotation."""


@kernel(int64(rw(float64), int64, int64, int64, float64), inline=True)
def permute_axes(q: NDArray[Any], a0: Int, a1: Int, a2: Int, sign: Float) -> Int:
    """Turn a unit quaternion into that of the rotation whose columns are its own a0, a1 and ``sign`` times a2."""
    w = q[0]
    x = q[1]
    y = q[2]
    z = q[3]
    m = np.empty((3, 3), np.float64)
    m[0, 0] = 1.0 - 2.0 * (y * y + z * z)
    m[0, 1] = 2.0 * (x * y - w * z)
    m[0, 2] = 2.0 * (x * z + w * y)
    m[1, 0] = 2.0 * (x * y + w * z)
    m[1, 1] = 1.0 - 2.0 * (x * x + z * z)
    m[1, 2] = 2.0 * (y * z - w * x)
    m[2, 0] = 2.0 * (x * z - w * y)
    m[2, 1] = 2.0 * (y * z + w * x)
    m[2, 2] = 1.0 - 2.0 * (x * x + y * y)
    r00 = m[0, a0]
    r11 = m[1, a1]
    r22 = sign * m[2, a2]
    d0 = sign * m[1, a2]
    d1 = sign * m[0, a2]
    if r00 + r11 + r22 > 0.0:
        h = 2.0 * math.sqrt(1.0 + (r00 + r11 + r22))
        q[0] = 0.25 * h
        q[1] = (m[2, a1] - d0) / h
        q[2] = (d1 - m[2, a0]) / h
        q[3] = (m[1, a0] - m[0, a1]) / h
    elif r00 >= r11 and r00 >= r22:
        h = 2.0 * math.sqrt(max(1.0 + r00 - r11 - r22, 1e-30))
        q[0] = (m[2, a1] - d0) / h
        q[1] = 0.25 * h
        q[2] = (m[0, a1] + m[1, a0]) / h
        q[3] = (d1 + m[2, a0]) / h
    elif r11 >= r22:
        h = 2.0 * math.sqrt(max(1.0 + r11 - r00 - r22, 1e-30))
        q[0] = (d1 - m[2, a0]) / h
        q[1] = (m[0, a1] + m[1, a0]) / h
        q[2] = 0.25 * h
        q[3] = (d0 + m[2, a1]) / h
    else:
        h = 2.0 * math.sqrt(max(1.0 + r22 - r00 - r11, 1e-30))
        q[0] = (m[1, a0] - m[0, a1]) / h
        q[1] = (d1 + m[2, a0]) / h
        q[2] = (d0 + m[2, a1]) / h
        q[3] = 0.25 * h
    return 0


@kernel(int64(rw(float64), rw(float64, 2), int64), inline=True)
def largest_first(q: NDArray[Any], out: NDArray[Any], row: Int) -> Int:
    """Store q, q i, q j or q k (w parts w, -x, -y, -z), whichever has the largest |w|, with w >= 0."""
    k = 0
    for c in range(1, 4):
        if abs(q[c]) > abs(q[k]):
            k = c
    w = q[0]
    x = q[1]
    y = q[2]
    z = q[3]
    if k == 1:
        w, x, y, z = -x, w, z, -y
    elif k == 2:
        w, x, y, z = -y, -z, w, x
    elif k == 3:
        w, x, y, z = -z, y, -x, w
    sign = -1.0 if w < 0.0 else 1.0
    out[row, 0] = sign * w
    out[row, 1] = sign * x
    out[row, 2] = sign * y
    out[row, 3] = sign * z
    return 0


@kernel(int64(ro(float32, 2), ro(float32, 2), rw(float64, 2), rw(float64, 2)))
def canonical(scales: NDArray[Any], quats: NDArray[Any], out_scales: NDArray[Any], out_quats: NDArray[Any]) -> Int:
    """Equivalent (scales, quats): axes sorted by descending scale, and of the four sign choices the largest w.

    A permutation of the axes permutes the columns of the rotation matrix (the last is negated where the permutation is
    odd); the sign choices are right products with 1, i, j, k.
    """
    q = np.empty(4, np.float64)
    for i in range(scales.shape[0]):
        norm = 0.0
        for c in range(4):
            q[c] = np.float64(quats[i, c])
            norm += q[c] * q[c]
        norm = math.sqrt(norm)
        for c in range(4):
            q[c] /= norm
        a0 = np.int64(0)
        a1 = np.int64(1)
        a2 = np.int64(2)
        sign = 1.0
        if scales[i, a0] < scales[i, a1]:
            a0, a1 = a1, a0
            sign = -sign
        if scales[i, a1] < scales[i, a2]:
            a1, a2 = a2, a1
            sign = -sign
        if scales[i, a0] < scales[i, a1]:
            a0, a1 = a1, a0
            sign = -sign
        out_scales[i, 0] = np.float64(scales[i, a0])
        out_scales[i, 1] = np.float64(scales[i, a1])
        out_scales[i, 2] = np.float64(scales[i, a2])
        if a0 != 0 or a1 != 1:
            permute_axes(q, a0, a1, a2, sign)
        largest_first(q, out_quats, i)
    return 0


@kernel(int64(float64, float64, int64), inline=True)
def round_step(x: Float, step: Float, bound: Int) -> Int:
    """floor(x / step + 1/2), clamped to [-bound, bound]; NaN becomes 0."""
    v = x / step + 0.5
    if v != v:
        return np.int64(0)
    if v >= bound:
        return np.int64(bound)
    if v <= -bound:
        return np.int64(-bound)
    return np.int64(math.floor(v))


@kernel(
    int64(ro(float64, 2), ro(float64, 2), ro(float32), ro(uint8), ro(int64, 2), rw(int64, 2), rw(int64), rw(int64, 2))
)
def quantise_shape(
    scales: NDArray[Any],
    quats: NDArray[Any],
    opacities: NDArray[Any],
    classes: NDArray[Any],
    steps: NDArray[Any],
    scale_out: NDArray[Any],
    opacity_out: NDArray[Any],
    rotation_out: NDArray[Any],
) -> Int:
    """Symbols of scale (s0, s0 - s1, s1 - s2), opacity and rotation (modified Rodrigues vector v / (1 + w)).

    ``steps`` is int64 (rows, 8) in Q20: rows scale, rotation, opacity by importance class.
    """
    for i in range(classes.size):
        c = np.int64(classes[i])
        step = steps[0, c] * UNIT
        s0 = round_step(scales[i, 0], step, 32767)
        s1 = round_step(scales[i, 1], step, 32767)
        s2 = round_step(scales[i, 2], step, 32767)
        scale_out[0, i] = s0
        scale_out[1, i] = s0 - s1
        scale_out[2, i] = s1 - s2
        step = steps[1, c] * UNIT
        h = 1.0 + quats[i, 0]
        for k in range(3):
            rotation_out[k, i] = round_step(quats[i, k + 1] / h, step, 32767)
        opacity_out[i] = round_step(np.float64(opacities[i]), steps[2, c] * UNIT, 32767)
    return 0


@kernel(int64(STREAM, int64, ro(uint8), ro(uint8), ro(int64), rw(uint8), rw(int64)))
def take_symbols(
    stream: Stream, base: Int, contexts: NDArray[Any], classes: NDArray[Any], offsets: NDArray[Any],
    tokens: NDArray[Any], symbols: NDArray[Any],
) -> Int:  # fmt: skip
    """Decode a plane of signed ``symbols``, each moved by the offset of its class; ``tokens`` is scratch.

    Return 0, -1 or -2 as ``take_plane``, -3 for a symbol outside -65535 to 65535.
    """
    status = take_plane(stream, base, contexts, tokens, symbols)
    if status < 0:
        return status
    for i in range(classes.size):
        s = unzigzag(symbols[i]) + offsets[classes[i]]
        if s < -SYMBOL or s > SYMBOL:
            return -3
        symbols[i] = s
    return 0


@kernel(
    int64(STREAM, ro(uint8), ro(int64), ro(int64), int64, rw(uint8), rw(uint8), rw(int64, 2), rw(int32), rw(float32, 2))
)  # fmt: skip
def decode_scales(
    stream: Stream, classes: NDArray[Any], offsets: NDArray[Any], steps: NDArray[Any], signed: Int,
    contexts: NDArray[Any], tokens: NDArray[Any], symbols: NDArray[Any], middle: NDArray[Any], scales: NDArray[Any],
) -> Int:  # fmt: skip
    """Log-scales from the planes s0, d1 = s0 - s1 and d2 = s1 - s2; ``signed`` 1 when the axes are not sorted.

    ``middle`` holds s1 afterwards, and ``contexts`` those of the rotation, 3 class + shape; ``tokens`` and ``symbols``
    (3, n) are scratch. Status as :func:`take_symbols`.
    """
    n = classes.size
    status = take_symbols(stream, SCALE0, classes, classes, offsets, tokens, symbols[0])
    if status == 0:
        status = take_plane(stream, SCALE1, classes, tokens, symbols[1])
    if status < 0:
        return status
    for i in range(n):
        contexts[i] = 8 * min(symbols[1, i], 7) + np.int64(classes[i])
    status = take_plane(stream, SCALE2, contexts, tokens, symbols[2])
    if status < 0:
        return status
    for i in range(n):
        d1 = unzigzag(symbols[1, i]) if signed != 0 else symbols[1, i]
        d2 = unzigzag(symbols[2, i]) if signed != 0 else symbols[2, i]
        if max(abs(d1), abs(d2)) > SYMBOL:
            return -3
        c = np.int64(classes[i])
        contexts[i] = 3 * c + (0 if d1 == 0 and d2 == 0 else (1 if d1 > d2 else 2))
        step = steps[c] * UNIT
        s0 = symbols[0, i]
        middle[i] = s0 - d1
        scales[i, 0] = s0 * step
        scales[i, 1] = (s0 - d1) * step
        scales[i, 2] = (s0 - d1 - d2) * step
    return 0


@kernel(int64(STREAM, ro(uint8), ro(int64), ro(int64), rw(uint8), rw(int64), rw(float32)))
def decode_opacities(
    stream: Stream, classes: NDArray[Any], offsets: NDArray[Any], steps: NDArray[Any], tokens: NDArray[Any],
    symbols: NDArray[Any], opacities: NDArray[Any],
) -> Int:  # fmt: skip
    """Logits. Status as :func:`take_symbols`."""
    status = take_symbols(stream, OPACITY, classes, classes, offsets, tokens, symbols)
    if status < 0:
        return status
    for i in range(classes.size):
        opacities[i] = symbols[i] * (steps[classes[i]] * UNIT)
    return 0


@kernel(int64(STREAM, ro(uint8), ro(uint8), ro(int64), rw(uint8), rw(int64, 2), rw(float32, 2)))
def decode_quats(
    stream: Stream, contexts: NDArray[Any], classes: NDArray[Any], steps: NDArray[Any], tokens: NDArray[Any],
    symbols: NDArray[Any], quats: NDArray[Any],
) -> Int:  # fmt: skip
    """Rotations from the planes of their modified Rodrigues vectors. Status as :func:`take_symbols`."""
    offsets = np.zeros(8, np.int64)
    for axis in range(3):
        status = take_symbols(stream, ROTATION + 24 * axis, contexts, classes, offsets, tokens, symbols[axis])
        if status < 0:
            return status
    for i in range(classes.size):
        step = steps[classes[i]] * UNIT
        x = symbols[0, i] * step
        y = symbols[1, i] * step
        z = symbols[2, i] * step
        d = x * x + y * y + z * z
        h = 2.0 / (1.0 + d)
        quats[i, 0] = (1.0 - d) / (1.0 + d)
        quats[i, 1] = x * h
        quats[i, 2] = y * h
        quats[i, 3] = z * h
    return 0
