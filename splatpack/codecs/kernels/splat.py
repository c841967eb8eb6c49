"""Kernels of the splat codec: canonical form, quantisers, position lattice, colour prediction, SH planes.

Everything that a decoder derives is an integer function of integer symbols and of the tables in the file: fixed-point
numbers with 20 fractional bits (Q20). The codec is ``spec/codecs/splat.md``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import float32, float64, int16, int32, int64, uint8, uint16, uint32
from numpy.typing import NDArray

from splatpack.codecs.kernels.rans import read_bits
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


@kernel(int64(ro(float32, 2), ro(float32, 2), rw(float64, 2), rw(float64, 2)))
def canonical(scales: NDArray[Any], quats: NDArray[Any], out_scales: NDArray[Any], out_quats: NDArray[Any]) -> Int:
    """Equivalent (scales, quats): axes sorted by descending scale, and of the four sign choices the largest w.

    A permutation of the axes permutes the columns of the rotation matrix (the last is negated where the permutation is
    odd); the sign choices are right products with 1, i, j, k, whose w parts are w, -x, -y, -z.
    """
    m = np.empty((3, 3), np.float64)
    q = np.empty(4, np.float64)
    for i in range(scales.shape[0]):
        w: Float = np.float64(quats[i, 0])
        x: Float = np.float64(quats[i, 1])
        y: Float = np.float64(quats[i, 2])
        z: Float = np.float64(quats[i, 3])
        norm = math.sqrt(w * w + x * x + y * y + z * z)
        w /= norm
        x /= norm
        y /= norm
        z /= norm
        a0 = np.int64(0)
        a1 = np.int64(1)
        a2 = np.int64(2)
        odd = False
        if scales[i, a0] < scales[i, a1]:
            a0, a1 = a1, a0
            odd = not odd
        if scales[i, a1] < scales[i, a2]:
            a1, a2 = a2, a1
            odd = not odd
        if scales[i, a0] < scales[i, a1]:
            a0, a1 = a1, a0
            odd = not odd
        out_scales[i, 0] = np.float64(scales[i, a0])
        out_scales[i, 1] = np.float64(scales[i, a1])
        out_scales[i, 2] = np.float64(scales[i, a2])
        if a0 != 0 or a1 != 1:
            m[0, 0] = 1.0 - 2.0 * (y * y + z * z)
            m[0, 1] = 2.0 * (x * y - w * z)
            m[0, 2] = 2.0 * (x * z + w * y)
            m[1, 0] = 2.0 * (x * y + w * z)
            m[1, 1] = 1.0 - 2.0 * (x * x + z * z)
            m[1, 2] = 2.0 * (y * z - w * x)
            m[2, 0] = 2.0 * (x * z - w * y)
            m[2, 1] = 2.0 * (y * z + w * x)
            m[2, 2] = 1.0 - 2.0 * (x * x + y * y)
            s = -1.0 if odd else 1.0
            r00 = m[0, a0]
            r01 = m[0, a1]
            r02 = s * m[0, a2]
            r10 = m[1, a0]
            r11 = m[1, a1]
            r12 = s * m[1, a2]
            r20 = m[2, a0]
            r21 = m[2, a1]
            r22 = s * m[2, a2]
            t = r00 + r11 + r22
            if t > 0.0:
                h = 2.0 * math.sqrt(1.0 + t)
                w = 0.25 * h
                x = (r21 - r12) / h
                y = (r02 - r20) / h
                z = (r10 - r01) / h
            elif r00 >= r11 and r00 >= r22:
                h = 2.0 * math.sqrt(max(1.0 + r00 - r11 - r22, 1e-30))
                w = (r21 - r12) / h
                x = 0.25 * h
                y = (r01 + r10) / h
                z = (r02 + r20) / h
            elif r11 >= r22:
                h = 2.0 * math.sqrt(max(1.0 + r11 - r00 - r22, 1e-30))
                w = (r02 - r20) / h
                x = (r01 + r10) / h
                y = 0.25 * h
                z = (r12 + r21) / h
            else:
                h = 2.0 * math.sqrt(max(1.0 + r22 - r00 - r11, 1e-30))
                w = (r10 - r01) / h
                x = (r02 + r20) / h
                y = (r12 + r21) / h
                z = 0.25 * h
        k = 0
        best = abs(w)
        if abs(x) > best:
            k = 1
            best = abs(x)
        if abs(y) > best:
            k = 2
            best = abs(y)
        if abs(z) > best:
            k = 3
        if k == 0:
            q[0] = w
            q[1] = x
            q[2] = y
            q[3] = z
        elif k == 1:  # q * i
            q[0] = -x
            q[1] = w
            q[2] = z
            q[3] = -y
        elif k == 2:  # q * j
            q[0] = -y
            q[1] = -z
            q[2] = w
            q[3] = x
        else:  # q * k
            q[0] = -z
            q[1] = y
            q[2] = -x
            q[3] = w
        sign = -1.0 if q[0] < 0.0 else 1.0
        for c in range(4):
            out_quats[i, c] = sign * q[c]
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
    unit = 1.0 / 1048576.0
    for i in range(classes.size):
        c = np.int64(classes[i])
        step = steps[0, c] * unit
        s0 = round_step(scales[i, 0], step, 32767)
        s1 = round_step(scales[i, 1], step, 32767)
        s2 = round_step(scales[i, 2], step, 32767)
        scale_out[0, i] = s0
        scale_out[1, i] = s0 - s1
        scale_out[2, i] = s1 - s2
        step = steps[1, c] * unit
        h = 1.0 + quats[i, 0]
        for k in range(3):
            rotation_out[k, i] = round_step(quats[i, k + 1] / h, step, 32767)
        opacity_out[i] = round_step(np.float64(opacities[i]), steps[2, c] * unit, 32767)
    return 0


@kernel(int64(int64, int64), inline=True)
def sub_bits(mid_q20: Int, position_q20: Int) -> Int:
    """Fineness of the sub-cell position: ceil(3 log2(cell / step)), 0 to 48, from Q20 natural logarithms."""
    k = 3 * (position_q20 - mid_q20)
    k = -((-k) // LN2_Q20)
    return min(max(k, np.int64(0)), np.int64(48))


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


@kernel(
    int64(
        ro(int64),
        ro(int64, 2),
        ro(uint8),
        ro(int64),
        ro(int64),
        ro(int64),
        ro(int64),
        ro(float64),
        ro(uint8),
        int64,
        int64,
        rw(float32, 2),
    )
)
def decode_positions(
    codes: NDArray[Any],
    scale_symbols: NDArray[Any],
    classes: NDArray[Any],
    slopes: NDArray[Any],
    position_q20: NDArray[Any],
    sides: NDArray[Any],
    sizes: NDArray[Any],
    lattice: NDArray[Any],
    bits: NDArray[Any],
    bit: Int,
    end: Int,
    means: NDArray[Any],
) -> Int:
    """Inverse of :func:`quantise_positions`: centres of the sub-cells. Return the next bit position.

    Return -1 when the bits run out, -2 when a number is not below n^3.
    """
    cell = lattice[3]
    for i in range(codes.size):
        c = np.int64(classes[i])
        mid = (scale_symbols[0, i] - scale_symbols[1, i]) * slopes[c]
        k = sub_bits(mid, position_q20[c])
        width = sizes[k]
        if bit + width > end:
            return -1
        v = read_bits(bits, bit, width)
        bit += width
        n = sides[k]
        inverse = 1.0 / n
        high = v // n
        c2 = v - high * n
        c0 = high // n
        c1 = high - c0 * n
        if c0 >= n:
            return -2
        code = codes[i]
        means[i, 0] = lattice[0] + (gather3(code) + (c0 + 0.5) * inverse) * cell
        means[i, 1] = lattice[1] + (gather3(code >> 1) + (c1 + 0.5) * inverse) * cell
        means[i, 2] = lattice[2] + (gather3(code >> 2) + (c2 + 0.5) * inverse) * cell
    return bit


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


@kernel(
    int64(
        ro(int64, 2),
        ro(int64),
        ro(int64, 2),
        ro(int64, 2),
        ro(uint8),
        ro(int64, 2),
        rw(float32, 2),
        rw(float32),
        rw(float32, 2),
        rw(float32, 2),
    )
)
def dequantise(
    scale_symbols: NDArray[Any],
    opacity: NDArray[Any],
    rotation: NDArray[Any],
    colour: NDArray[Any],
    classes: NDArray[Any],
    steps: NDArray[Any],
    scales: NDArray[Any],
    opacities: NDArray[Any],
    quats: NDArray[Any],
    sh0: NDArray[Any],
) -> Int:
    """Floats of scale, opacity, rotation and base colour. ``steps`` rows: scale, rotation, opacity, colour (Q20)."""
    unit = 1.0 / 1048576.0
    for i in range(classes.size):
        c = np.int64(classes[i])
        step = steps[0, c] * unit
        s0 = scale_symbols[0, i]
        s1 = s0 - scale_symbols[1, i]
        scales[i, 0] = s0 * step
        scales[i, 1] = s1 * step
        scales[i, 2] = (s1 - scale_symbols[2, i]) * step
        step = steps[1, c] * unit
        x = rotation[0, i] * step
        y = rotation[1, i] * step
        z = rotation[2, i] * step
        d = x * x + y * y + z * z
        h = 2.0 / (1.0 + d)
        quats[i, 0] = (1.0 - d) / (1.0 + d)
        quats[i, 1] = x * h
        quats[i, 2] = y * h
        quats[i, 3] = z * h
        opacities[i] = opacity[i] * (steps[2, c] * unit)
        step = steps[3, c] * unit
        y0 = colour[0, i] * step * 0.5773502691896258
        y1 = colour[1, i] * step * 0.7071067811865476
        y2 = colour[2, i] * step * 0.4082482904638631
        sh0[i, 0] = y0 + y1 + y2
        sh0[i, 1] = y0 - 2.0 * y2
        sh0[i, 2] = y0 - y1 + y2
    return 0


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
    room = np.int64(bits.size) * 8 - 64
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
                if v < 32:
                    tokens[at + j] = v
                    continue
                e = np.int64(5)
                while (v >> (e + 1)) != 0:
                    e += 1
                tokens[at + j] = 32 + 4 * (e - 5) + ((v >> (e - 2)) & 3)
                if bit > room:
                    return -2
                extra = v & ((1 << (e - 2)) - 1)
                byte = bit >> 3
                head = bit & 7
                bits[byte] |= (extra << head) & 255
                done = 8 - head
                while done < e - 2:
                    byte += 1
                    bits[byte] = (extra >> done) & 255
                    done += 8
                bit += e - 2
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
