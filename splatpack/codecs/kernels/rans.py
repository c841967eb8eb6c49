"""Interleaved rANS with static tables: 32 lanes, 12-bit frequencies, 16-bit words, and the raw bits beside it.

The bitstream is ``spec/codecs/rans.md``. Symbol i of a plane belongs to lane i mod 32; every plane starts at lane 0 and
its last row may be short. Integers are int64 throughout, which means the same compiled, as plain Python and on a GPU.
Every decoder here is safe on untrusted input when the caller pads ``words`` by 32 entries and ``bits`` by 16 bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, uint8, uint16, uint32
from numpy.typing import NDArray

from splatpack.jit import Int, kernel, ro, rw

LANES = 32
PROB_BITS = 12
PROB = 1 << PROB_BITS
LOWER = 1 << 16
DIRECT = 32
"""Values below this are their own token; above, a token is the exponent and the two bits behind the leading one."""


@kernel(int64(ro(uint8), ro(uint16), ro(uint8), ro(int64), int64, rw(uint32), ro(uint32, 2), ro(uint32, 2), rw(uint16)))
def encode(
    tokens: NDArray[Any],
    contexts: NDArray[Any],
    context_map: NDArray[Any],
    plane_starts: NDArray[Any],
    planes: Int,
    states: NDArray[Any],
    freqs: NDArray[Any],
    starts: NDArray[Any],
    words: NDArray[Any],
) -> Int:
    """Encode ``planes`` planes backwards; words fill ``words`` from its end. Return the index of the first word.

    Plane j is ``tokens[plane_starts[j]:plane_starts[j + 1]]``. ``words`` must hold one entry per token: a symbol never
    emits more than one word. Return -1 when it does not, -2 for a token that its table does not hold.
    """
    p = np.int64(words.size)
    for j in range(planes - 1, -1, -1):
        a = plane_starts[j]
        for i in range(plane_starts[j + 1] - 1, a - 1, -1):
            lane = (i - a) & 31
            t = np.int64(context_map[contexts[i]])
            s = np.int64(tokens[i])
            f = np.int64(freqs[t, s])
            if f == 0:
                return -2
            x = np.int64(states[lane])
            if x >= (f << 20):
                p -= 1
                if p < 0:
                    return -1
                words[p] = x & 0xFFFF
                x >>= 16
            q = x // f
            states[lane] = (q << 12) + (x - q * f) + np.int64(starts[t, s])
    return p


@kernel(int64(int64, ro(uint16), ro(uint8), ro(uint32), rw(uint32), ro(uint16), int64, rw(uint8)))
def decode_plane(
    n: Int,
    contexts: NDArray[Any],
    context_map: NDArray[Any],
    slots: NDArray[Any],
    states: NDArray[Any],
    words: NDArray[Any],
    p: Int,
    tokens: NDArray[Any],
) -> Int:
    """Decode ``n`` tokens whose contexts are known. Return the next word position, -1 when the words run out.

    ``slots[t * 4096 + x mod 4096]`` packs symbol (8 bits), frequency - 1 (12) and bias (12). ``words`` is padded by 32.
    """
    last = np.int64(words.size) - 32
    rows = n >> 5
    for j in range(rows):
        b = j << 5
        for k in range(32):
            x = np.int64(states[k])
            t = np.int64(context_map[contexts[b + k]])
            e = np.int64(slots[(t << 12) | (x & 4095)])
            tokens[b + k] = e & 255
            states[k] = (((e >> 8) & 4095) + 1) * (x >> 12) + (e >> 20)
        for k in range(32):
            v = np.int64(states[k])
            w = (v << 16) | np.int64(words[p])
            low = v < 65536
            states[k] = (w if low else v) & 0xFFFFFFFF
            p += 1 if low else 0
        if p > last:
            return -1
    for k in range(n & 31):
        i = (rows << 5) + k
        x = np.int64(states[k])
        t = np.int64(context_map[contexts[i]])
        e = np.int64(slots[(t << 12) | (x & 4095)])
        tokens[i] = e & 255
        x = (((e >> 8) & 4095) + 1) * (x >> 12) + (e >> 20)
        if x < 65536:
            x = (x << 16) | np.int64(words[p])
            p += 1
            if p > last:
                return -1
        states[k] = x
    return p


@kernel(int64(int64, rw(uint8), int64, rw(uint8), int64), inline=True)
def put_token(v: Int, tokens: NDArray[Any], at: Int, bits: NDArray[Any], bit: Int) -> Int:
    """Store the token of ``v`` (0 to 2^57 - 1) and its raw bits. Return the next bit position, -2 without room."""
    if v < 32:
        tokens[at] = v
        return bit
    e = np.int64(5)
    while (v >> (e + 1)) != 0:
        e += 1
    tokens[at] = 32 + 4 * (e - 5) + ((v >> (e - 2)) & 3)
    if bit > np.int64(bits.size) * 8 - 64:
        return np.int64(-2)
    extra = v & ((1 << (e - 2)) - 1)
    byte = bit >> 3
    head = bit & 7
    bits[byte] |= (extra << head) & 255
    done = 8 - head
    while done < e - 2:
        byte += 1
        bits[byte] = (extra >> done) & 255
        done += 8
    return bit + e - 2


@kernel(int64(ro(int64), ro(uint16), rw(uint8), rw(uint16), int64, rw(uint8), int64))
def put_plane(
    values: NDArray[Any],
    contexts: NDArray[Any],
    tokens: NDArray[Any],
    token_contexts: NDArray[Any],
    start: Int,
    bits: NDArray[Any],
    bit: Int,
) -> Int:
    """Turn non-negative ``values`` into tokens at ``start`` and their low bits at bit position ``bit``.

    Return the next bit position, -1 when a value is negative or above 2^57 - 1, -2 when ``bits`` is too short. A value
    takes at most 54 raw bits. Bits are little-endian within bytes; ``bits`` must be zero from ``bit`` on.
    """
    for i in range(values.size):
        v = values[i]
        if v < 0 or v >= (1 << 57):
            return -1
        token_contexts[start + i] = contexts[i]
        bit = put_token(v, tokens, start + i, bits, bit)
        if bit < 0:
            return -2
    return bit


@kernel(int64(ro(int64), ro(int64), rw(uint8), int64))
def put_bits(values: NDArray[Any], widths: NDArray[Any], bits: NDArray[Any], bit: Int) -> Int:
    """Append the low ``widths[i]`` (0 to 56) bits of each value. Return the next bit position, -2 without room."""
    room = np.int64(bits.size) * 8 - 64
    for i in range(values.size):
        width = widths[i]
        if width == 0:
            continue
        if bit > room:
            return -2
        v = values[i]
        byte = bit >> 3
        head = bit & 7
        bits[byte] |= (v << head) & 255
        done = 8 - head
        while done < width:
            byte += 1
            bits[byte] = (v >> done) & 255
            done += 8
        bit += width
    return bit


@kernel(int64(ro(uint8), int64, int64), inline=True)
def read_bits(bits: NDArray[Any], bit: Int, width: Int) -> Int:
    """Return ``width`` (0 to 56) bits at position ``bit``; the caller has checked that they are there."""
    byte = bit >> 3
    head = bit & 7
    v = np.int64(bits[byte]) >> head
    done = 8 - head
    while done < width:
        byte += 1
        v |= np.int64(bits[byte]) << done
        done += 8
    return v & ((1 << width) - 1)


@kernel(
    int64(
        ro(uint16), ro(uint8), ro(uint32), rw(uint32), ro(uint16), ro(uint8), int64, int64, rw(int64), rw(int64)
    )
)  # fmt: skip
def take_plane(
    contexts: NDArray[Any],
    context_map: NDArray[Any],
    slots: NDArray[Any],
    states: NDArray[Any],
    words: NDArray[Any],
    bits: NDArray[Any],
    end: Int,
    signed: Int,
    cursors: NDArray[Any],
    values: NDArray[Any],
) -> Int:
    """Decode a plane of values whose contexts are known; ``signed`` 1 undoes the zigzag.

    ``cursors`` holds the next word and the next bit position and is moved on; bits end at ``end``. ``words`` is padded
    by 32 entries, ``bits`` by 16 bytes. Return 0, -1 when the words run out, -2 when the bits do or a token is above
    251.
    """
    last = np.int64(words.size) - 32
    p = cursors[0]
    n = np.int64(contexts.size)
    rows = n >> 5
    top: Int = np.int64(0)
    for j in range(rows):
        b = j << 5
        for k in range(32):
            x = np.int64(states[k])
            t = np.int64(context_map[contexts[b + k]])
            e = np.int64(slots[(t << 12) | (x & 4095)])
            values[b + k] = e & 255
            top |= e & 255
            states[k] = (((e >> 8) & 4095) + 1) * (x >> 12) + (e >> 20)
        for k in range(32):
            y = np.int64(states[k])
            w = (y << 16) | np.int64(words[p])
            low = y < 65536
            states[k] = (w if low else y) & 0xFFFFFFFF
            p += 1 if low else 0
        if p > last:
            return -1
    for k in range(n & 31):
        at = (rows << 5) + k
        x = np.int64(states[k])
        t = np.int64(context_map[contexts[at]])
        e = np.int64(slots[(t << 12) | (x & 4095)])
        values[at] = e & 255
        top |= e & 255
        x = (((e >> 8) & 4095) + 1) * (x >> 12) + (e >> 20)
        if x < 65536:
            x = (x << 16) | np.int64(words[p])
            p += 1
            if p > last:
                return -1
        states[k] = x
    cursors[0] = p
    bit = cursors[1]
    if top >= 32:
        for i in range(n):
            v: Int = values[i]
            if v >= 32:
                e = ((v - 32) >> 2) + 5
                width = e - 2
                if e > 56 or bit + width > end:
                    return -2
                values[i] = ((4 | ((v - 32) & 3)) << width) | read_bits(bits, bit, width)
                bit += width
    cursors[1] = bit
    if signed != 0:
        for i in range(n):
            values[i] = (values[i] >> 1) ^ -(values[i] & 1)
    return 0
