"""Kernels of the splat codec: spherical harmonics, band by band."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, int16, int32, int64, uint8, uint16, uint32
from numpy.typing import NDArray

from splatpack.codecs.kernels.rans import put_token, read_bits
from splatpack.codecs.kernels.shape import round_step
from splatpack.jit import Int, kernel, ro, rw


@kernel(int64(ro(float32, 3), ro(uint8), ro(int64), rw(int16, 3), rw(uint8)))
def quantise_sh(
    shN: NDArray[Any], classes: NDArray[Any], steps: NDArray[Any], out: NDArray[Any], masks: NDArray[Any]
) -> Int:
    """Luma and chroma symbols of ``shN`` (n, K, 3) in ``out`` (3, K, n), and the mask of bands that are not zero."""
    unit = 1.0 / 1048576.0
    for i in range(classes.size):
        step = steps[classes[i]] * unit
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


@kernel(
    int64(
        ro(int32),
        int64,
        ro(uint8),
        int64,
        int64,
        ro(uint8),
        rw(uint8),
        rw(uint8),
        ro(uint32),
        rw(uint32),
        ro(uint16),
        int64,
        ro(uint8),
        int64,
        int64,
        rw(int64),
        int64,
        rw(int16, 2),
    )
)
def get_sh_plane(
    picked: NDArray[Any],
    m: Int,
    classes: NDArray[Any],
    base: Int,
    n: Int,
    context_map: NDArray[Any],
    runs: NDArray[Any],
    tokens: NDArray[Any],
    slots: NDArray[Any],
    states: NDArray[Any],
    words: NDArray[Any],
    p: Int,
    bits: NDArray[Any],
    bit: Int,
    end: Int,
    cursors: NDArray[Any],
    k: Int,
    out: NDArray[Any],
) -> Int:
    """Decode one SH plane over the picked Gaussians into row ``k`` of ``out`` (planes, n).

    ``cursors[0]`` receives the next word position, ``cursors[1]`` the next bit position. Return 0, -1 when the words
    run out, -2 when the bits do, -3 for a value outside 16 bits.
    """
    last = np.int64(words.size) - 32
    rows = m >> 5
    for j in range(rows):
        b = j << 5
        for lane in range(32):
            i = np.int64(picked[b + lane])
            x = np.int64(states[lane])
            ctx = base + np.int64(classes[i]) * 6 + np.int64(runs[b + lane])
            t = np.int64(context_map[ctx])
            e = np.int64(slots[(t << 12) | (x & 4095)])
            tokens[b + lane] = e & 255
            states[lane] = (((e >> 8) & 4095) + 1) * (x >> 12) + (e >> 20)
        for lane in range(32):
            v = np.int64(states[lane])
            w = (v << 16) | np.int64(words[p])
            low = v < 65536
            states[lane] = (w if low else v) & 0xFFFFFFFF
            p += 1 if low else 0
        if p > last:
            return -1
    for lane in range(m & 31):
        j = (rows << 5) + lane
        i = np.int64(picked[j])
        x = np.int64(states[lane])
        t = np.int64(context_map[base + np.int64(classes[i]) * 6 + np.int64(runs[j])])
        e = np.int64(slots[(t << 12) | (x & 4095)])
        tokens[j] = e & 255
        x = (((e >> 8) & 4095) + 1) * (x >> 12) + (e >> 20)
        if x < 65536:
            x = (x << 16) | np.int64(words[p])
            p += 1
            if p > last:
                return -1
        states[lane] = x
    for j in range(m):
        u: Int = np.int64(tokens[j])
        if u >= 32:
            e = ((u - 32) >> 2) + 5
            width = e - 2
            if e > 16:
                return -3
            if bit + width > end:
                return -2
            u = ((4 | ((u - 32) & 3)) << width) | read_bits(bits, bit, width)
            bit += width
        runs[j] = min(np.int64(runs[j]) + min(u, 2), 5)
        s = (u >> 1) ^ -(u & 1)
        if s > 32767 or s < -32767:
            return -3
        out[k, picked[j]] = s
    cursors[0] = p
    cursors[1] = bit
    return 0


@kernel(int64(ro(int16, 3), ro(uint8), ro(int64), rw(float32, 3)))
def dequantise_sh(symbols: NDArray[Any], classes: NDArray[Any], steps: NDArray[Any], shN: NDArray[Any]) -> Int:
    """Floats ``shN`` (n, K, 3) of luma and chroma symbols (3, K, n)."""
    unit = 1.0 / 1048576.0
    for i in range(classes.size):
        step = steps[classes[i]] * unit
        s0 = step * 0.5773502691896258
        s1 = step * 0.7071067811865476
        s2 = step * 0.4082482904638631
        for k in range(shN.shape[1]):
            y0 = symbols[0, k, i] * s0
            y1 = symbols[1, k, i] * s1
            y2 = symbols[2, k, i] * s2
            shN[i, k, 0] = y0 + y1 + y2
            shN[i, k, 1] = y0 - 2.0 * y2
            shN[i, k, 2] = y0 - y1 + y2
    return 0
