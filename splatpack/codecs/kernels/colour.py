"""Kernels of the splat codec: base colour, its error diffusion and its prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, float64, int64, uint8
from numpy.typing import NDArray

from splatpack.codecs.kernels.shape import round_step
from splatpack.jit import Float, Int, kernel, ro, rw


@kernel(int64(ro(float32, 2), ro(uint8), ro(int64), ro(float64), float64, rw(int64, 2)))
def quantise_colour(
    sh0: NDArray[Any], classes: NDArray[Any], steps: NDArray[Any], weights: NDArray[Any], beta: Float, out: NDArray[Any]
) -> Int:
    """Luma and chroma symbols of ``sh0`` (n, 3), with the error carried along the order.

    Neighbours overlap on the screen, so an error that the next Gaussian takes back cancels there. ``weights`` is the
    square root of the importance; ``beta`` 0 turns the diffusion off. Encoder only: the decoder does not know of it.
    """
    unit = 1.0 / 1048576.0
    for ch in range(3):
        error = 0.0
        for i in range(classes.size):
            r = np.float64(sh0[i, 0])
            g = np.float64(sh0[i, 1])
            b = np.float64(sh0[i, 2])
            if ch == 0:
                y = (r + g + b) * 0.5773502691896258
            elif ch == 1:
                y = (r - b) * 0.7071067811865476
            else:
                y = (r - 2.0 * g + b) * 0.4082482904638631
            step = steps[classes[i]] * unit
            w = weights[i]
            d = min(max(-beta * error / w, -0.75 * step), 0.75 * step)
            q = round_step(y + d, step, 32767)
            out[ch, i] = q
            error = beta * error + w * (q * step - y)
    return 0


@kernel(int64(rw(int64), ro(uint8), ro(int64), rw(int64), int64))
def predict_colour(
    symbols: NDArray[Any], classes: NDArray[Any], steps: NDArray[Any], values: NDArray[Any], inverse: Int
) -> Int:
    """Binary refinement along the order: element i is predicted from its coarser neighbours i - s and i + s.

    In place: symbols become residuals, or with ``inverse`` the zigzag of residuals becomes symbols. ``values`` is
    scratch of the same length and holds Q20 values afterwards. Return -1 when a restored symbol leaves [-32767, 32767].
    """
    n = symbols.size
    if n == 0:
        return 0
    s: Int = np.int64(1)
    while s < n:
        s *= 2
    if inverse != 0:
        v = symbols[0]
        symbols[0] = (v >> 1) ^ -(v & 1)
        if symbols[0] > 32767 or symbols[0] < -32767:
            return -1
    values[0] = symbols[0] * steps[classes[0]]
    while s >= 1:
        i = s
        while i < n:
            a = values[i - s]
            b = values[i + s] if i + s < n else a
            step = steps[classes[i]]
            p = (a + b + step) // (2 * step)
            if inverse != 0:
                v = symbols[i]
                q = ((v >> 1) ^ -(v & 1)) + p
                if q > 32767 or q < -32767:
                    return -1
                symbols[i] = q
                values[i] = q * step
            else:
                values[i] = symbols[i] * step
                symbols[i] -= p
            i += 2 * s
        s //= 2
    return 0
