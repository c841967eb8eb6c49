"""Kernels of the refit: a scene in units of its quantisers, on their grid, and gradient steps in those units.

A row of units is: displacement of the mean in sub-cells (3), log-scales (3), modified Rodrigues vector (3), logit,
luma and two chroma values of the base colour, and of each SH coefficient. A step of a quantiser is 1 everywhere.

``steps`` is float64 (5, 8): scale, rotation, opacity, colour and SH by importance class. ``side`` float64 (n,) is the
side of the sub-cell of each mean.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import float32, float64, int64, uint8
from numpy.typing import NDArray

from splatpack.jit import Float, Int, kernel, ro, rw

LUMA, CHROMA1, CHROMA2 = 0.5773502691896258, 0.7071067811865476, 0.4082482904638631
"""1 / sqrt 3, 1 / sqrt 2 and 1 / sqrt 6: lengths of (1, 1, 1), (1, 0, -1) and (1, -2, 1)."""

MEAN, SCALE, ROTATION, OPACITY, COLOUR, SH = 0, 3, 6, 9, 10, 13
"""First column of each group of units."""

HUGE = 1e18
"""A gradient beyond this counts as 0: its square is not a float32."""


@kernel(int64(float64, float64, float64, float64, rw(float32, 2), int64, int64), inline=True)
def put_colour(r: Float, g: Float, b: Float, factor: Float, out: NDArray[Any], i: Int, k: Int) -> Int:
    """Luma and chroma of (r, g, b) times ``factor`` to ``out[i, k : k + 3]``. The basis is orthonormal."""
    out[i, k] = (r + g + b) * LUMA * factor
    out[i, k + 1] = (r - b) * CHROMA1 * factor
    out[i, k + 2] = (r - 2.0 * g + b) * CHROMA2 * factor
    return 0


@kernel(
    int64(
        ro(float64, 2), ro(float64, 2), ro(float32), ro(float32, 2), ro(float32, 3), ro(uint8), ro(float64, 2),
        rw(float32, 2),
    )
)  # fmt: skip
def to_units(
    scales: NDArray[Any], quats: NDArray[Any], opacities: NDArray[Any], sh0: NDArray[Any], shN: NDArray[Any],
    classes: NDArray[Any], steps: NDArray[Any], units: NDArray[Any],
) -> Int:  # fmt: skip
    """Fill ``units`` from canonical scales and quats (w >= 1/2) and the rest; displacements become 0."""
    for i in range(classes.size):
        c = np.int64(classes[i])
        for k in range(3):
            units[i, MEAN + k] = 0.0
            units[i, SCALE + k] = scales[i, k] / steps[0, c]
            units[i, ROTATION + k] = quats[i, k + 1] / (1.0 + quats[i, 0]) / steps[1, c]
        units[i, OPACITY] = np.float64(opacities[i]) / steps[2, c]
        put_colour(
            np.float64(sh0[i, 0]), np.float64(sh0[i, 1]), np.float64(sh0[i, 2]), 1.0 / steps[3, c], units, i, COLOUR
        )
        for k in range(shN.shape[1]):
            r = np.float64(shN[i, k, 0])
            g = np.float64(shN[i, k, 1])
            b = np.float64(shN[i, k, 2])
            put_colour(r, g, b, 1.0 / steps[4, c], units, i, SH + 3 * k)
    return 0


@kernel(float64(float32), inline=True)
def nearest(v: Float) -> Float:
    """Round to the nearest integer, halves up, as the quantisers do."""
    return math.floor(np.float64(v) + 0.5)


@kernel(
    int64(
        ro(float32, 2), ro(float64, 2), ro(float64), ro(uint8), ro(float64, 2), int64, int64,
        rw(float32, 2), rw(float32, 2), rw(float32, 2), rw(float32), rw(float32, 2), rw(float32, 3),
    )
)  # fmt: skip
def on_grid(
    units: NDArray[Any], origin: NDArray[Any], side: NDArray[Any], classes: NDArray[Any], steps: NDArray[Any],
    start: Int, stop: Int, means: NDArray[Any], scales: NDArray[Any], quats: NDArray[Any], opacities: NDArray[Any],
    sh0: NDArray[Any], shN: NDArray[Any],
) -> Int:  # fmt: skip
    """Attributes of rows ``start`` to ``stop`` as a decoder would give them: every unit rounded.

    ``origin`` float64 (n, 3): centres of the sub-cells of the means at the start.
    """
    for i in range(start, stop):
        c = np.int64(classes[i])
        for k in range(3):
            means[i, k] = origin[i, k] + nearest(units[i, MEAN + k]) * side[i]
            scales[i, k] = nearest(units[i, SCALE + k]) * steps[0, c]
        x = nearest(units[i, ROTATION]) * steps[1, c]
        y = nearest(units[i, ROTATION + 1]) * steps[1, c]
        z = nearest(units[i, ROTATION + 2]) * steps[1, c]
        d = x * x + y * y + z * z
        h = 2.0 / (1.0 + d)
        quats[i, 0] = (1.0 - d) / (1.0 + d)
        quats[i, 1] = x * h
        quats[i, 2] = y * h
        quats[i, 3] = z * h
        opacities[i] = nearest(units[i, OPACITY]) * steps[2, c]
        y0 = nearest(units[i, COLOUR]) * steps[3, c] * LUMA
        y1 = nearest(units[i, COLOUR + 1]) * steps[3, c] * CHROMA1
        y2 = nearest(units[i, COLOUR + 2]) * steps[3, c] * CHROMA2
        sh0[i, 0] = y0 + y1 + y2
        sh0[i, 1] = y0 - 2.0 * y2
        sh0[i, 2] = y0 - y1 + y2
        for k in range(shN.shape[1]):
            y0 = nearest(units[i, SH + 3 * k]) * steps[4, c] * LUMA
            y1 = nearest(units[i, SH + 3 * k + 1]) * steps[4, c] * CHROMA1
            y2 = nearest(units[i, SH + 3 * k + 2]) * steps[4, c] * CHROMA2
            shN[i, k, 0] = y0 + y1 + y2
            shN[i, k, 1] = y0 - 2.0 * y2
            shN[i, k, 2] = y0 - y1 + y2
    return 0


@kernel(
    int64(
        ro(float32, 2), ro(float32, 2), ro(float32, 2), ro(float32), ro(float32, 2), ro(float32, 3), ro(float32, 2),
        ro(float64, 2), int64, int64, int64, float64, rw(float32, 2),
    )
)  # fmt: skip
def pull_row(
    means: NDArray[Any], scales: NDArray[Any], quats: NDArray[Any], opacities: NDArray[Any], sh0: NDArray[Any],
    shN: NDArray[Any], at: NDArray[Any], steps: NDArray[Any], i: Int, c: Int, row: Int, side: Float,
    out: NDArray[Any],
) -> Int:  # fmt: skip
    """Gradients of Gaussian ``i``, of class ``c``, with respect to its units, to ``out[row]``.

    The others are gradients of the attributes; ``at`` are the quats at which they were taken, unit, w > 0. With
    p = v / (1 + w): dw/dp = -4 p / (1 + d)^2 and dv/dp = 2 I / (1 + d) - 4 p p^T / (1 + d)^2, d = |p|^2.
    """
    for k in range(3):
        out[row, MEAN + k] = means[i, k] * side
        out[row, SCALE + k] = scales[i, k] * steps[0, c]
    f = 1.0 / (1.0 + at[i, 0])
    x = at[i, 1] * f
    y = at[i, 2] * f
    z = at[i, 3] * f
    d = 1.0 / (1.0 + x * x + y * y + z * z)
    along = -4.0 * d * d * (quats[i, 0] + quats[i, 1] * x + quats[i, 2] * y + quats[i, 3] * z)
    out[row, ROTATION] = (along * x + 2.0 * d * quats[i, 1]) * steps[1, c]
    out[row, ROTATION + 1] = (along * y + 2.0 * d * quats[i, 2]) * steps[1, c]
    out[row, ROTATION + 2] = (along * z + 2.0 * d * quats[i, 3]) * steps[1, c]
    out[row, OPACITY] = opacities[i] * steps[2, c]
    put_colour(np.float64(sh0[i, 0]), np.float64(sh0[i, 1]), np.float64(sh0[i, 2]), steps[3, c], out, row, COLOUR)
    for k in range(shN.shape[1]):
        r = np.float64(shN[i, k, 0])
        g = np.float64(shN[i, k, 1])
        b = np.float64(shN[i, k, 2])
        put_colour(r, g, b, steps[4, c], out, row, SH + 3 * k)
    return 0


@kernel(
    int64(
        ro(float32, 2), ro(float32, 2), ro(float32, 2), ro(float32), ro(float32, 2), ro(float32, 3), ro(float32, 2),
        ro(float64), ro(uint8), ro(float64, 2), int64, int64, ro(float32), ro(float32, 2), float64, float64, float64,
        float64, float64, rw(float32, 2), rw(float32, 2), rw(float32, 2), rw(float32, 2),
    )
)  # fmt: skip
def descend(
    means: NDArray[Any], scales: NDArray[Any], quats: NDArray[Any], opacities: NDArray[Any], sh0: NDArray[Any],
    shN: NDArray[Any], at: NDArray[Any], side: NDArray[Any], classes: NDArray[Any], steps: NDArray[Any], start: Int,
    stop: Int, rates: NDArray[Any], bits: NDArray[Any], beta1: Float, beta2: Float, shrink: Float, unbias: Float,
    eps: Float, scratch: NDArray[Any], units: NDArray[Any], first: NDArray[Any], second: NDArray[Any],
) -> Int:  # fmt: skip
    """Take a step of Adam for the rows ``start`` to ``stop`` that have a gradient; the others are not touched.

    Parameters
    ----------
    means to shN
        Gradients of the attributes.
    at : float32 (n, 4)
        Quats at which they were taken.
    rates : float32 (D,)
        Learning rate of each unit.
    bits : float32 (D, 8) or (0, 8)
        What a step away from 0 adds to the loss, by unit and class: the gradient of a rate.
    shrink, unbias : float
        1 / (1 - beta1^t) and 1 / sqrt(1 - beta2^t).
    scratch : float32 (1, D)
    units, first, second : float32 (n, D), updated
        Parameters, and the moving averages of gradients and of their squares.
    """
    zero = np.float32(0.0)
    width = units.shape[1]
    priced = bits.shape[0] == width
    for i in range(start, stop):
        # a pixel that a Gaussian reaches moves its opacity, or where alpha is at its limit its colour
        if opacities[i] == zero and sh0[i, 0] == zero and sh0[i, 1] == zero and sh0[i, 2] == zero:
            continue
        c = np.int64(classes[i])
        pull_row(means, scales, quats, opacities, sh0, shN, at, steps, i, c, 0, side[i], scratch)
        for k in range(width):
            g: Float = np.float64(scratch[0, k])
            g = g if -HUGE < g < HUGE else 0.0
            if priced and units[i, k] != zero:
                g += bits[k, c] if units[i, k] > zero else -bits[k, c]
            m = beta1 * first[i, k] + (1.0 - beta1) * g
            v = beta2 * second[i, k] + (1.0 - beta2) * g * g
            first[i, k] = m
            second[i, k] = v
            units[i, k] -= rates[k] * (m * shrink) / (math.sqrt(v) * unbias + eps)
    return 0
