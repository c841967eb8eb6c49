"""Kernels of the ``floats`` serializer: numbers to pieces and back, contexts, and the fused decoder.

The bitstream is ``spec/codecs/columns.md``, section ``floats``. A component is uint8 (6, m): its pieces E, S, M, N,
C, D by position. Contexts of a position need the position 32 before it, so that decoding computes them row by row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, uint8, uint16, uint32
from numpy.typing import NDArray

from splatpack.jit import Int, kernel, ro, rw

CONTEXTS = 365
COPY = 364
SAME_C, SAME_D = 359, 362


@kernel(int64(ro(uint32, 2), int64, int64, ro(int64), rw(uint8, 2)))
def split(values: NDArray[Any], k: Int, base: Int, rows: NDArray[Any], out: NDArray[Any]) -> Int:
    """Cut component ``k`` of the bit patterns ``values`` (n, K), at ``rows``, into pieces."""
    for p in range(rows.size):
        b = np.int64(values[rows[p], k])
        e = (b >> 23) & 255
        out[0, p] = 1 + (base - e + 255) % 255 if e > 0 else 0
        out[1, p] = b >> 31
        out[2, p] = (b >> 20) & 7
        out[3, p] = (b >> 16) & 15
        out[4, p] = (b >> 8) & 255
        out[5, p] = b & 255
    return 0


@kernel(int64(ro(uint8, 2), int64, int64, ro(int64), rw(uint32, 2)))
def join(pieces: NDArray[Any], k: Int, base: Int, rows: NDArray[Any], out: NDArray[Any]) -> Int:
    """Undo :func:`split`."""
    for p in range(rows.size):
        x = np.int64(pieces[0, p])
        e = 1 + (base - x + 255) % 255 if x > 0 else 0
        b = (np.int64(pieces[1, p]) << 31) | (e << 23) | (np.int64(pieces[2, p]) << 20)
        b |= (np.int64(pieces[3, p]) << 16) | (np.int64(pieces[4, p]) << 8) | np.int64(pieces[5, p])
        out[rows[p], k] = b
    return 0


@kernel(int64(ro(uint8), rw(uint32, 2)))
def copy_rows(distances: NDArray[Any], out: NDArray[Any]) -> Int:
    """Fill the rows of ``out`` whose distance is not 0 with the row so far before. Return -1 when there is none."""
    for i in range(distances.size):
        d = np.int64(distances[i])
        if d > i:
            return -1
        if d > 0:
            for k in range(out.shape[1]):
                out[i, k] = out[i - d, k]
    return 0


@kernel(int64(int64, int64), inline=True)
def nearness(a: Int, x: Int) -> Int:
    """Return how far ``a`` is above ``x``, from 0 (two below or less) to 4."""
    return min(max(a - x, -2), 2) + 2


@kernel(int64(int64, int64, int64, int64, int64), inline=True)
def fit_of(x: Int, g: Int, xq: Int, gq: Int, uq: Int) -> Int:
    """Return what a neighbour says of the top of the mantissa: its own, 0 to 7, or 8 to 10 where it does not match."""
    if g != gq:
        return np.int64(8)
    if xq > x:
        return np.int64(9)
    return uq if xq == x else np.int64(10)


@kernel(int64(int64, ro(uint8, 2), ro(uint8, 2), ro(uint8, 2), int64, int64, int64), inline=True)
def context(piece: Int, own: NDArray[Any], left: NDArray[Any], before: NDArray[Any], p: Int, q: Int, unit: Int) -> Int:
    """Return the context of ``piece`` at position ``p``; P is position ``q`` of ``before``, nothing when below 0."""
    xl: Int = np.int64(left[0, p])
    xp: Int = np.int64(before[0, q]) if q >= 0 else 0
    if piece == 0:
        return 10 * min(xl, 9) + min(xp, 9)
    x = np.int64(own[0, p])
    gl = np.int64(left[1, p])
    gp = np.int64(before[1, q]) if q >= 0 else 0
    if piece == 1:
        return 100 + ((5 * gl + nearness(xl, x)) * 2 + gp) * 5 + nearness(xp, x)
    g = np.int64(own[1, p])
    if unit != 0:
        gp = g
    ul = np.int64(left[2, p])
    up = np.int64(before[2, q]) if q >= 0 else 0
    if piece == 2:
        return 200 + 11 * fit_of(x, g, xp, gp, up) + fit_of(x, g, xl, gl, ul) if x > 0 else np.int64(321)
    u = np.int64(own[2, p])
    vp = np.int64(before[3, q]) if q >= 0 else 0
    close = x == xp and g == gp
    if piece == 3:
        if x == 0:
            return np.int64(357)
        if close and u == up:
            return 322 + vp
        if x == xl and g == gl and u == ul:
            return 338 + np.int64(left[3, p])
        if close and up == u - 1:
            return np.int64(354)
        return np.int64(355) if close and up == u + 1 else np.int64(356)
    same = close and u == up and np.int64(own[3, p]) == vp
    if piece == 4:
        return np.int64(360) if x == 0 else np.int64(359) if same else np.int64(358)
    same = same and np.int64(own[4, p]) == (np.int64(before[4, q]) if q >= 0 else 0)
    return np.int64(363) if x == 0 else np.int64(362) if same else np.int64(361)


@kernel(
    int64(ro(uint8, 2), ro(uint8, 2), ro(uint8, 2), int64, int64, int64, rw(uint8), rw(uint16), rw(int64), int64, int64)
)
def put_component(
    own: NDArray[Any],
    left: NDArray[Any],
    before: NDArray[Any],
    lag: Int,
    unit: Int,
    pieces: Int,
    tokens: NDArray[Any],
    contexts: NDArray[Any],
    starts: NDArray[Any],
    at: Int,
    plane: Int,
) -> Int:
    """Write tokens and contexts of a component from ``at`` on, and the ends of its planes behind ``plane``.

    P of position p is position p - ``lag`` of ``before``. Return the next plane; the next token is its start.
    """
    m: Int = np.int64(own.shape[1])
    for first in range(0, m, 32):
        for piece in range(pieces):
            stop: Int = min(first + 32, m)
            for p in range(first, stop):
                q = p - lag
                c = context(piece, own, left, before, p, q, unit)
                t = np.int64(own[piece, p])
                if (c == 359 or c == 362) and q >= 0:
                    t -= np.int64(before[piece, q])
                tokens[at] = t & 255
                contexts[at] = c
                at += 1
            plane += 1
            starts[plane] = at
    return plane


@kernel(
    int64(
        rw(uint8, 2), ro(uint8, 2), ro(uint8, 2), int64, int64, int64, ro(uint8), ro(uint32), rw(uint32), ro(uint16),
        int64,
    )
)  # fmt: skip
def take_component(
    own: NDArray[Any],
    left: NDArray[Any],
    before: NDArray[Any],
    lag: Int,
    unit: Int,
    pieces: Int,
    context_map: NDArray[Any],
    slots: NDArray[Any],
    states: NDArray[Any],
    words: NDArray[Any],
    word: Int,
) -> Int:
    """Decode a component into ``own``; ``before`` is ``own`` itself when ``lag`` is 32. ``words`` is padded by 32.

    Return the next word position, -1 when the words run out, -2 for a token that its piece does not have.
    """
    m: Int = np.int64(own.shape[1])
    last = np.int64(words.size) - 32
    for first in range(0, m, 32):
        count: Int = min(m - first, 32)
        for piece in range(pieces):
            most = 1 if piece == 1 else 7 if piece == 2 else 15 if piece == 3 else 255
            bad: Int = 0
            for lane in range(count):
                p = first + lane
                q = p - lag
                c = context(piece, own, left, before, p, q, unit)
                x = np.int64(states[lane])
                e = np.int64(slots[(np.int64(context_map[c]) << 12) | (x & 4095)])
                states[lane] = (((e >> 8) & 4095) + 1) * (x >> 12) + (e >> 20)
                t = e & 255
                bad |= 1 if t > most else 0
                if (c == 359 or c == 362) and q >= 0:
                    t += np.int64(before[piece, q])
                own[piece, p] = t & most
            for lane in range(count):
                v = np.int64(states[lane])
                low = v < 65536
                states[lane] = ((v << 16) | np.int64(words[word]) if low else v) & 0xFFFFFFFF
                word += 1 if low else 0
            if bad != 0:
                return -2
            if word > last:
                return -1
    return word
