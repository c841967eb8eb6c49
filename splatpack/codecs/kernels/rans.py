"""Interleaved rANS with static tables: 32 lanes, 12-bit frequencies, 16-bit words, and the raw bits beside it.

The bitstream is ``spec/codecs/rans.md``. Symbol i of a plane belongs to lane i mod 32; every plane starts at lane 0 and
its last row may be short. Integers are int64 throughout, which means the same compiled, as plain Python and on a GPU.
Every decoder here is safe on untrusted input when the caller pads ``words`` by 32 entries and ``bits`` by 16 bytes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import int64, uint8, uint16, uint32
from numpy.typing import NDArray

from splatpack.jit import Int, bundle, kernel, ro, rw

LANES = 32
PROB_BITS = 12
PROB = 1 << PROB_BITS
LOWER = 1 << 16
INDEX = 0xFFFFFFFF
"""Mask of an index that may count from the end as far as the compiler knows: without it, each access costs a test."""
DIRECT = 32
"""Values below this are their own token; above, a token is the exponent and the two bits behind the leading one."""
KNOWN = 240
"""Tokens that stand for something."""
WIDTHS = np.array([max((t >> 2) - 5, 0) * (t >= DIRECT) if t < KNOWN else 1 << 40 for t in range(256)], np.int64)
"""Raw bits of each token; of an unknown one, more than any stream has."""
BASES = np.array([t if t < DIRECT else (4 | (t & 3)) << int(WIDTHS[t]) for t in range(KNOWN)] + [0] * 16, np.int64)
"""Value of each token whose raw bits are zero."""


@kernel(int64(ro(uint8), ro(uint16), ro(uint8), ro(int64), int64, rw(uint32), ro(uint32), rw(uint16)))
def encode(
    tokens: NDArray[Any],
    contexts: NDArray[Any],
    context_map: NDArray[Any],
    plane_starts: NDArray[Any],
    planes: Int,
    states: NDArray[Any],
    ranges: NDArray[Any],
    words: NDArray[Any],
) -> Int:
    """Encode ``planes`` planes backwards; words fill ``words`` from its end. Return the index of the first word.

    Plane j is ``tokens[plane_starts[j]:plane_starts[j + 1]]``. ``words`` must hold one entry per token: a symbol never
    emits more than one word. Return -1 when it does not, -2 for a token that its table does not hold. A word is always
    written and kept by a mask, as in :func:`advance`; the quotient of states below 2^32 is exact in float64.
    """
    p = np.int64(words.size)
    if p < plane_starts[planes]:
        return -1
    for j in range(planes - 1, -1, -1):
        a = plane_starts[j]
        for i in range(plane_starts[j + 1] - 1, a - 1, -1):
            lane = (i - a) & 31
            t = np.int64(context_map[contexts[i & INDEX]])
            r = np.int64(ranges[(t << 8) | np.int64(tokens[i & INDEX])])
            f = r & 8191
            if f == 0:
                return -2
            x = np.int64(states[lane])
            full = ((f << 20) - 1 - x) >> 63
            words[(p - 1) & INDEX] = x & 0xFFFF
            p += full
            x >>= full & 16
            q: Int = np.int64(np.float64(x) / np.float64(f))
            states[lane] = (q << 12) + (x - q * f) + (r >> 16)
    return p


class Stream(NamedTuple):
    """A token stream and its model, as kernels take them. Numba wants every array of a tuple writable.

    Attributes
    ----------
    tables : uint8 (C,)
        Table of each context.
    slots : uint8 (T * 4096,)
        Token of each state modulo 4096. Apart from the ranges, so that the tables of a plane fit a core's first cache.
    ranges : uint32 (T * 256,)
        Frequency | first slot << 16 of each token.
    states, row : uint32 (32,)
        Of the lanes; ``row`` is scratch.
    words : uint16 (W + 32,)
    bits : uint8 (R + 16,)
    cursors : int64 (3,)
        The next word, the next bit, and where the bits end.
    """

    tables: NDArray[np.uint8]
    slots: NDArray[np.uint8]
    ranges: NDArray[np.uint32]
    states: NDArray[np.uint32]
    row: NDArray[np.uint32]
    words: NDArray[np.uint16]
    bits: NDArray[np.uint8]
    cursors: NDArray[np.int64]


STREAM = bundle(
    Stream, rw(uint8), rw(uint8), rw(uint32), rw(uint32), rw(uint32), rw(uint16), rw(uint8), rw(int64)
)  # fmt: skip


@kernel(int64(STREAM, int64, int64), inline=True)
def advance(stream: Stream, count: Int, p: Int) -> Int:
    """Take the tokens whose ranges stand in ``stream.row`` off the first ``count`` lanes, and refill the low ones.

    Return the next word position. The first two loops are simple enough for SIMD. The last has a mask, not a branch:
    whether a lane runs low is as random as the data.
    """
    states, row, words = stream.states, stream.row, stream.words
    for k in range(count):
        x = np.int64(states[k])
        r = np.int64(row[k])
        states[k] = (r & 8191) * (x >> 12) + (x & 4095) - (r >> 16)
    for k in range(count):
        x = np.int64(states[k])
        row[k] = 65535 if x < LOWER else 0
        states[k] = x << 16 if x < LOWER else x
    for k in range(count):
        low = np.int64(row[k])
        states[k] = np.int64(states[k]) | (np.int64(words[p & INDEX]) & low)
        p += low & 1
    return p


@kernel(int64(STREAM, ro(uint8), ro(uint8), int64, int64, int64, rw(uint8)), inline=True)
def decode_row(
    stream: Stream, tables: NDArray[Any], contexts: NDArray[Any], at: Int, count: Int, p: Int, tokens: NDArray[Any]
) -> Int:
    """Decode a token for each of the first ``count`` lanes, from ``at`` on. Return the next word position."""
    at &= INDEX
    for k in range(count):
        t = np.int64(tables[contexts[at + k]])
        s = np.int64(stream.slots[(t << 12) | (np.int64(stream.states[k]) & 4095)])
        tokens[at + k] = s
        stream.row[k] = stream.ranges[(t << 8) | s]
    return advance(stream, count, p)


@kernel(int64(STREAM, int64, ro(uint8), rw(uint8)))
def take_tokens(stream: Stream, base: Int, contexts: NDArray[Any], tokens: NDArray[Any]) -> Int:
    """Decode a plane: a token for each of ``contexts``, which count from ``base``. Return 0, -1 when words run out."""
    last = np.int64(stream.words.size) - 32
    tables = stream.tables[base:]
    n = np.int64(contexts.size)
    p = stream.cursors[0]
    for at in range(0, n - 31, 32):
        p = decode_row(stream, tables, contexts, at, 32, p, tokens)
        if p > last:
            return -1
    p = decode_row(stream, tables, contexts, n & -32, n & 31, p, tokens)
    if p > last:
        return -1
    stream.cursors[0] = p
    return 0


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
    byte = (bit >> 3) & INDEX
    v = np.int64(0)
    for k in range(8):
        v |= np.int64(bits[byte + k]) << (8 * k)
    return (v >> (bit & 7)) & ((1 << width) - 1)


@kernel(int64(STREAM, int64, ro(uint8), rw(uint8), rw(int64)))
def take_plane(stream: Stream, base: Int, contexts: NDArray[Any], tokens: NDArray[Any], values: NDArray[Any]) -> Int:
    """Decode a plane of ``values``, 0 to 2^57 - 1; ``tokens`` is scratch.

    Return 0, -1 when the words run out, -2 when the bits do or for an unknown token. Tokens without raw bits get no
    branch of their own: in most planes it would be mispredicted.
    """
    status = take_tokens(stream, base, contexts, tokens)
    if status < 0:
        return status
    bit = stream.cursors[1]
    for i in range(contexts.size):
        t = np.int64(tokens[i])
        width = WIDTHS[t]
        if bit + width > stream.cursors[2]:
            return -2
        values[i] = BASES[t] | read_bits(stream.bits, bit, width)
        bit += width
    stream.cursors[1] = bit
    return 0


@kernel(int64(int64), inline=True)
def unzigzag(v: Int) -> Int:
    """Map 0, 1, 2, 3 ... to 0, -1, 1, -2 ..."""
    return (v >> 1) ^ -(v & 1)
