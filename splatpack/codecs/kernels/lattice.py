"""Kernels of the splat codec: Morton codes of the position lattice, and positions inside its cells."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import float32, float64, int32, int64, uint8
from numpy.typing import NDArray

from splatpack.codecs.kernels.contexts import DELTA
from splatpack.codecs.kernels.rans import STREAM, Stream, read_bits, take_plane
from splatpack.jit import Float, Int, kernel, ro, rw

LN2_Q20 = 726817
"""round(2^20 ln 2)."""


@kernel(int64(int64), inline=True)
def spread3(v: Int) -> Int:
    """Put bit i of ``v`` (19 bits) at bit 3 i."""
    v = (v | (v << 32)) & 0x1F00000000FFFF
    v = (v | (v << 16)) & 0x1F0000FF0000FF
    v = (v | (v << 8)) & 0x100F00F00F00F00F
    v = (v | (v << 4)) & 0x10C30C30C30C30C3
    return (v | (v << 2)) & 0x1249249249249249


@kernel(int64(int64), inline=True)
def gather3(v: Int) -> Int:
    """Inverse of :func:`spread3`."""
    v = v & 0x1249249249249249
    v = (v | (v >> 2)) & 0x10C30C30C30C30C3
    v = (v | (v >> 4)) & 0x100F00F00F00F00F
    v = (v | (v >> 8)) & 0x1F0000FF0000FF
    v = (v | (v >> 16)) & 0x1F00000000FFFF
    return (v | (v >> 32)) & 0x7FFFF


@kernel(int64(ro(float32, 2), float64, float64, float64, float64, rw(int64)))
def morton_codes(means: NDArray[Any], x0: Float, y0: Float, z0: Float, cell: Float, codes: NDArray[Any]) -> Int:
    """Morton code of the lattice cell of each mean; cells are clamped to [0, 2^19 - 1]."""
    top = (1 << 19) - 1
    for i in range(means.shape[0]):
        a: Int = np.int64(math.floor((np.float64(means[i, 0]) - x0) / cell))
        b: Int = np.int64(math.floor((np.float64(means[i, 1]) - y0) / cell))
        c: Int = np.int64(math.floor((np.float64(means[i, 2]) - z0) / cell))
        a = min(max(a, 0), top)
        b = min(max(b, 0), top)
        c = min(max(c, 0), top)
        codes[i] = spread3(a) | (spread3(b) << 1) | (spread3(c) << 2)
    return 0


@kernel(int64(int64, int64), inline=True)
def sub_bits(mid_q20: Int, position_q20: Int) -> Int:
    """Fineness of the sub-cell position: ceil(3 log2(cell / step)), 0 to 48, from Q20 natural logarithms."""
    k = 3 * (position_q20 - mid_q20)
    k = -((-k) // LN2_Q20)
    return min(max(k, np.int64(0)), np.int64(48))


@kernel(int64(ro(int64), ro(uint8), ro(int64), ro(int64), rw(int64)))
def fineness(
    middle: NDArray[Any], classes: NDArray[Any], slopes: NDArray[Any], position_q20: NDArray[Any], out: NDArray[Any]
) -> Int:
    """:func:`sub_bits` of each Gaussian, from the symbol of its middle axis."""
    for i in range(classes.size):
        c = np.int64(classes[i])
        out[i] = sub_bits(middle[i] * slopes[c], position_q20[c])
    return 0


@kernel(
    int64(
        ro(float32, 2),
        ro(int64),
        ro(int64, 2),
        ro(uint8),
        ro(int64),
        ro(int64),
        ro(int64),
        ro(int64),
        ro(float64),
        rw(int64),
        rw(int64),
    )
)
def quantise_positions(
    means: NDArray[Any],
    codes: NDArray[Any],
    scale_symbols: NDArray[Any],
    classes: NDArray[Any],
    slopes: NDArray[Any],
    position_q20: NDArray[Any],
    sides: NDArray[Any],
    sizes: NDArray[Any],
    lattice: NDArray[Any],
    values: NDArray[Any],
    widths: NDArray[Any],
) -> Int:
    """Sub-cell position of each mean: a number in base n = ``sides[k]`` with ``sizes[k]`` raw bits.

    ``lattice`` is (x0, y0, z0, cell). ``scale_symbols`` rows are s0, s0 - s1, s1 - s2; the step grows with the middle
    axis by ``slopes`` (Q20 nat per symbol).
    """
    cell = lattice[3]
    for i in range(codes.size):
        c = np.int64(classes[i])
        mid = (scale_symbols[0, i] - scale_symbols[1, i]) * slopes[c]
        k = sub_bits(mid, position_q20[c])
        n = sides[k]
        v: Int = np.int64(0)
        for axis in range(3):
            ib = gather3(codes[i] >> axis)
            t = (np.float64(means[i, axis]) - lattice[axis]) / cell - ib
            s: Int = np.int64(math.floor(min(max(t, 0.0), 1.0) * n))
            v = v * n + min(max(s, 0), n - 1)
        values[i] = v
        widths[i] = sizes[k]
    return 0


@kernel(int64(STREAM, int64, ro(uint8), rw(uint8), rw(int64)))
def decode_codes(stream: Stream, first: Int, zeros: NDArray[Any], tokens: NDArray[Any], codes: NDArray[Any]) -> Int:
    """Morton codes from ``first`` and their steps. Return 0, -1 or -2 as ``take_plane``, -3 for a code above 57 bits.

    ``zeros`` are contexts, ``tokens`` is scratch.
    """
    status = take_plane(stream, DELTA, zeros, tokens, codes)
    if status < 0:
        return status
    code = first
    for i in range(codes.size):
        code += codes[i]
        if code >= (1 << 57):
            return -3
        codes[i] = code
    return 0


@kernel(
    int64(
        STREAM, ro(int64), ro(int32), ro(uint8), ro(int64), ro(int64), ro(int64), ro(int64), ro(float64), rw(float32, 2)
    )
)  # fmt: skip
def decode_positions(
    stream: Stream,
    codes: NDArray[Any],
    middle: NDArray[Any],
    classes: NDArray[Any],
    slopes: NDArray[Any],
    position_q20: NDArray[Any],
    sides: NDArray[Any],
    sizes: NDArray[Any],
    lattice: NDArray[Any],
    means: NDArray[Any],
) -> Int:
    """Inverse of :func:`quantise_positions`: centres of the sub-cells. ``middle`` are the symbols of the middle axes.

    Return 0, -2 when the bits run out, -3 when a number is not below n^3. Numbers are below 2^49, for which quotients
    by reciprocals are exact (``docs/design/0006-fused-decoder.md``).
    """
    cell = lattice[3]
    inverses = np.empty(sides.size, np.float64)
    for k in range(sides.size):
        inverses[k] = 1.0 / sides[k]
    bit = stream.cursors[1]
    for i in range(codes.size):
        c = np.int64(classes[i])
        k = sub_bits(np.int64(middle[i]) * slopes[c], position_q20[c])
        width = sizes[k]
        if bit + width > stream.cursors[2]:
            return -2
        v = read_bits(stream.bits, bit, width)
        bit += width
        n = sides[k]
        inverse = inverses[k]
        high: Int = np.int64((v + 0.5) * inverse)
        c0: Int = np.int64((high + 0.5) * inverse)
        if c0 >= n:
            return -3
        code = codes[i]
        means[i, 0] = lattice[0] + (gather3(code) + (c0 + 0.5) * inverse) * cell
        means[i, 1] = lattice[1] + (gather3(code >> 1) + (high - c0 * n + 0.5) * inverse) * cell
        means[i, 2] = lattice[2] + (gather3(code >> 2) + (v - high * n + 0.5) * inverse) * cell
    stream.cursors[1] = bit
    return 0
