"""Kernels of the splat codec: spherical harmonics, band by band."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, int16, int32, int64, uint8, uint16
from numpy.typing import NDArray

from splatpack.codecs.kernels.contexts import BANDS, MASK
from splatpack.codecs.kernels.rans import (
    BASES,
    DIRECT,
    STREAM,
    WIDTHS,
    Stream,
    put_token,
    read_bits,
    take_tokens,
    unzigzag,
)
from splatpack.codecs.kernels.shape import UNIT, round_step
from splatpack.jit import Int, kernel, ro, rw


@kernel(int64(ro(float32, 3), ro(uint8), ro(int64), rw(int16, 3), rw(uint8)))
def quantise_sh(
    shN: NDArray[Any], classes: NDArray[Any], steps: NDArray[Any], out: NDArray[Any], masks: NDArray[Any]
) -> Int:
    """Luma and chroma symbols of ``shN`` (n, K, 3) in ``out`` (3, K, n), and the mask of bands that are not zero."""
    for i in range(classes.size):
        step = steps[classes[i]] * UNIT
        mask = 0
        for k in range(shN.shape[1]):
            r = np.float64(shN[i, k, 0])
            g = np.float64(shN[i, k, 1])
            b = np.float64(shN[i, k, 2])
            y0 = round_step((r + g + b) * 0.5773502691896258, step, 32767)
            y1 = round_step((r - b) * 0.7071067811865476, step, 32767)
            y2 = round_step((r - 2.0 * g + b) * 0.4082482904638631, step, 32767)
            out[0, k, i] = y0
            out[1, k, i] = y1
            out[2, k, i] = y2
            if y0 != 0 or y1 != 0 or y2 != 0:
                mask |= 1 if k < 3 else (2 if k < 8 else 4)
        masks[i] = mask
    return 0


@kernel(
    int64(
        ro(int16, 3),
        ro(uint8),
        ro(uint8),
        int64,
        int64,
        int64,
        int64,
        rw(int32),
        rw(uint8),
        rw(uint8),
        rw(uint16),
        rw(int64),
        int64,
        rw(uint8),
        int64,
    )
)
def put_sh_band(
    symbols: NDArray[Any],
    masks: NDArray[Any],
    classes: NDArray[Any],
    band: Int,
    first: Int,
    count: Int,
    base: Int,
    picked: NDArray[Any],
    runs: NDArray[Any],
    tokens: NDArray[Any],
    contexts: NDArray[Any],
    plane_starts: NDArray[Any],
    planes: Int,
    bits: NDArray[Any],
    bit: Int,
) -> Int:
    """Tokens of one band: planes (Y, C1, C2) x coefficients over the Gaussians whose mask holds the band.

    The context of a coefficient is ``base`` + chroma * 48 + class * 6 + min(sum of min(token, 2) so far in this band
    of this Gaussian, 5). ``plane_starts[planes]`` is where the tokens go; each plane adds one entry. Return the next
    bit position, -2 without room.
    """
    m = np.int64(0)
    for i in range(masks.size):
        if (np.int64(masks[i]) >> band) & 1:
            picked[m] = i
            runs[m] = 0
            m += 1
    at = plane_starts[planes]
    for ch in range(3):
        chroma = base + (48 if ch > 0 else 0)
        for k in range(first, first + count):
            for j in range(m):
                row = np.int64(picked[j])
                s = np.int64(symbols[ch, k, row])
                v: Int = (s << 1) ^ (s >> 63)
                run: Int = np.int64(runs[j])
                contexts[at + j] = chroma + np.int64(classes[row]) * 6 + min(run, 5)
                runs[j] = min(run + min(v, 2), 5)
                bit = put_token(v, tokens, at + j, bits, bit)
                if bit < 0:
                    return -2
            at += m
            planes += 1
            plane_starts[planes] = at
    return bit


@kernel(int64(STREAM, int64, ro(uint8), rw(uint8), rw(uint8), rw(int16)))
def take_coefficient(
    stream: Stream, base: Int, limits: NDArray[Any], contexts: NDArray[Any], tokens: NDArray[Any], symbols: NDArray[Any]
) -> Int:
    """Decode a plane of one coefficient, and move ``contexts`` on, at most to ``limits``.

    Return 0, -1 when the words run out, -2 when the bits do or for an unknown token, -3 for a symbol outside 16 bits.
    """
    status = take_tokens(stream, base, contexts, tokens)
    if status < 0:
        return status
    for j in range(contexts.size):
        v: Int = np.int64(tokens[j])
        if v >= DIRECT:  # rare here
            bit, width = stream.cursors[1], WIDTHS[v]
            if bit + width > stream.cursors[2]:
                return -2
            v = BASES[v] | read_bits(stream.bits, bit, width)
            if v > 65534:
                return -3
            stream.cursors[1] = bit + width
        symbols[j] = unzigzag(v)
        contexts[j] = min(np.int64(contexts[j]) + min(v, 2), np.int64(limits[j]))
    return 0


@kernel(int64(ro(int16, 2), ro(int32), ro(uint8), ro(int64), int64, rw(float32, 3)))
def dequantise_band(
    symbols: NDArray[Any], rows: NDArray[Any], classes: NDArray[Any], steps: NDArray[Any], first: Int, shN: NDArray[Any]
) -> Int:
    """Floats of the coefficients from ``first`` on in ``rows`` of ``shN`` (n, K, 3); ``symbols`` are (3 count, m)."""
    count = symbols.shape[0] // 3
    for j in range(rows.size):
        row = np.int64(rows[j])
        step = steps[classes[row]] * UNIT
        s0 = step * 0.5773502691896258
        s1 = step * 0.7071067811865476
        s2 = step * 0.4082482904638631
        for k in range(count):
            y0 = np.int64(symbols[k, j]) * s0
            y1 = np.int64(symbols[count + k, j]) * s1
            y2 = np.int64(symbols[2 * count + k, j]) * s2
            shN[row, first + k, 0] = y0 + y1 + y2
            shN[row, first + k, 1] = y0 - 2.0 * y2
            shN[row, first + k, 2] = y0 - y1 + y2
    return 0


@kernel(int64(STREAM, ro(uint8), ro(int64), int64, rw(uint8, 2), rw(int32), rw(int16), rw(float32, 3)))
def decode_sh(
    stream: Stream, classes: NDArray[Any], steps: NDArray[Any], degree: Int, scratch: NDArray[Any],
    picked: NDArray[Any], symbols: NDArray[Any], shN: NDArray[Any],
) -> Int:  # fmt: skip
    """Decode an SH section into ``shN`` (n, K, 3), which holds zeros; bands that are not coded stay zero.

    ``scratch`` is (4, n), ``picked`` (n,), ``symbols`` (21 n,). Status as
    :func:`take_coefficient`; -3 also for a mask of bands above ``degree``.
    """
    n = classes.size
    masks, tokens = scratch[0], scratch[1]
    status = take_tokens(stream, MASK, classes, masks)
    top = np.int64(0)
    for i in range(n):
        top |= np.int64(masks[i])
    if status < 0:
        return status
    if top >> degree != 0:
        return -3
    for band in range(degree):
        count = 2 * band + 3
        m = np.int64(0)
        for i in range(n):
            c = 6 * np.int64(classes[i])
            picked[m] = i
            scratch[2, m] = c
            scratch[3, m] = c + 5
            m += (np.int64(masks[i]) >> band) & 1
        planes = symbols[: 3 * count * m].reshape(3 * count, m)
        for plane in range(3 * count):
            base = BANDS + 96 * band + (48 if plane >= count else 0)
            status = take_coefficient(stream, base, scratch[3, :m], scratch[2, :m], tokens, planes[plane])
            if status < 0:
                return status
        dequantise_band(planes, picked[:m], classes, steps, band * (band + 2), shN)
    return 0
