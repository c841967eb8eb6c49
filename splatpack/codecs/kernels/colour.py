"""Kernels of the splat codec: base colour, its error diffusion and its prediction."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import float32, float64, int64, uint8
from numpy.typing import NDArray

from splatpack.codecs.kernels.contexts import CHROMA1, CHROMA2, LUMA
from splatpack.codecs.kernels.rans import INDEX, STREAM, Stream, take_plane, unzigzag
from splatpack.codecs.kernels.shape import UNIT, round_step
from splatpack.jit import Float, Int, kernel, ro, rw


@kernel(int64(ro(float32, 2), ro(uint8), ro(int64), ro(float64), float64, rw(int64, 2)))
def quantise_colour(
    sh0: NDArray[Any], classes: NDArray[Any], steps: NDArray[Any], weights: NDArray[Any], beta: Float, out: NDArray[Any]
) -> Int:
    """Luma and chroma symbols of ``sh0`` (n, 3), with the error carried along the order.

    Neighbours overlap on the screen, so an error that the next Gaussian takes back cancels there. ``weights`` is the
    square root of the importance; ``beta`` 0 turns the diffusion off. Encoder only: the decoder does not know of it.
    """
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
            step = steps[classes[i]] * UNIT
            w = weights[i]
            d = min(max(-beta * error / w, -0.75 * step), 0.75 * step)
            q = round_step(y + d, step, 32767)
            out[ch, i] = q
            error = beta * error + w * (q * step - y)
    return 0


@kernel(int64(rw(int64), ro(uint8), ro(int64), rw(int64)))
def predict_colour(symbols: NDArray[Any], classes: NDArray[Any], steps: NDArray[Any], values: NDArray[Any]) -> Int:
    """Binary refinement along the order: element i is predicted from its coarser neighbours i - s and i + s.

    In place: symbols become residuals. ``values`` is scratch of the same length.
    """
    n = symbols.size
    for i in range(n):
        values[i] = symbols[i] * steps[classes[i]]
    s: Int = np.int64(1)
    while s < n:
        for i in range(s, n, 2 * s):
            a = values[i - s]
            b = values[i + s] if i + s < n else a
            step = steps[classes[i]]
            symbols[i] -= (a + b + step) // (2 * step)
        s *= 2
    return 0


@kernel(int64(rw(int64), ro(uint8), ro(int64)))
def restore_colour(values: NDArray[Any], classes: NDArray[Any], steps: NDArray[Any]) -> Int:
    """Inverse of :func:`predict_colour`, in place: the zigzag of residuals becomes symbols times their Q20 steps.

    Return -3 when a symbol leaves [-32767, 32767]. Sums are below 2^48, for which quotients by reciprocals are exact
    (``docs/design/0006-fused-decoder.md``).
    """
    n = values.size
    halves = np.empty(steps.size, np.float64)
    for k in range(steps.size):
        halves[k] = 0.5 / steps[k]
    s: Int = np.int64(1)
    while s < n:
        s *= 2
    first: Int = np.int64(0)
    while s > 0:
        for i in range(first, n, 2 * s):
            a: Int = values[(i - s) & INDEX] if i > 0 else np.int64(0)
            b = values[(i + s) & INDEX] if i + s < n else a
            c = np.int64(classes[i & INDEX])
            guess: Int = np.int64(math.floor((a + b + steps[c] + 0.5) * halves[c]))
            q = unzigzag(values[i & INDEX]) + guess
            if q > 32767 or q < -32767:
                return -3
            values[i & INDEX] = q * steps[c]
        s >>= 1
        first = s
    return 0


@kernel(int64(int64), inline=True)
def level(v: Int) -> Int:
    """Return the magnitude level of a zigzag residual: 0, 1 to 2, 3 to 6, 7 and more."""
    return np.int64(v > 0) + np.int64(v > 2) + np.int64(v > 6)


@kernel(int64(STREAM, ro(uint8), ro(int64), rw(uint8), rw(uint8), rw(int64, 2), rw(float32, 2)))
def decode_colour(
    stream: Stream, classes: NDArray[Any], steps: NDArray[Any], contexts: NDArray[Any], tokens: NDArray[Any],
    values: NDArray[Any], sh0: NDArray[Any],
) -> Int:  # fmt: skip
    """Base colours ``sh0`` (n, 3) from the planes of luma and chroma; ``values`` (3, n), the rest is scratch.

    Return 0, -1 or -2 as ``take_plane``, -3 for a symbol outside 16 bits.
    """
    n = classes.size
    status = take_plane(stream, LUMA, classes, tokens, values[0])
    if status < 0:
        return status
    for i in range(n):
        contexts[i] = 4 * np.int64(classes[i]) + level(values[0, i])
    status = take_plane(stream, CHROMA1, contexts, tokens, values[1])
    if status < 0:
        return status
    for i in range(n):
        contexts[i] = max(np.int64(contexts[i]), 4 * np.int64(classes[i]) + level(values[1, i]))
    status = take_plane(stream, CHROMA2, contexts, tokens, values[2])
    for channel in range(3):
        if status == 0:
            status = restore_colour(values[channel], classes, steps)
    if status < 0:
        return status
    for i in range(n):
        y0 = values[0, i] * UNIT * 0.5773502691896258
        y1 = values[1, i] * UNIT * 0.7071067811865476
        y2 = values[2, i] * UNIT * 0.4082482904638631
        sh0[i, 0] = y0 + y1 + y2
        sh0[i, 1] = y0 - 2.0 * y2
        sh0[i, 2] = y0 - y1 + y2
    return 0
