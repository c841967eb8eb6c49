"""Kernels of the ``floats`` serializer: numbers to pieces and back, contexts, and the fused decoder.

The bitstream is ``spec/codecs/columns.md``, section ``floats``. A component is uint8: its pieces E, S, M, N, C, D by
position, behind 32 zeros (what stands before the first positions) and up to whole rows of 32. Contexts need the
position 32 before, so that decoding computes them row by row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, uint8, uint16, uint32
from numpy.typing import NDArray

from splatpack.codecs.kernels.rans import STREAM, Stream, advance
from splatpack.jit import Int, kernel, ro, rw

PAD = 32
CONTEXTS = 365
COPY = 364
SAME_C, SAME_D = 359, 362


@kernel(int64(ro(uint32, 2), int64, int64, ro(int64), rw(uint8, 2)))
def split(values: NDArray[Any], k: Int, base: Int, rows: NDArray[Any], out: NDArray[Any]) -> Int:
    """Cut component ``k`` of the bit patterns ``values`` (n, K), at ``rows``, into pieces."""
    for i in range(rows.size):
        b = np.int64(values[rows[i], k])
        p = i + PAD
        e = (b >> 23) & 255
        x = base - e
        x = x + 1 if x >= 0 else x + 256
        out[0, p] = x if e > 0 else 0
        out[1, p] = b >> 31
        out[2, p] = (b >> 20) & 7
        out[3, p] = (b >> 16) & 15
        out[4, p] = (b >> 8) & 255
        out[5, p] = b & 255
    return 0


@kernel(int64(ro(uint8, 2), int64, int64, ro(int64), rw(uint32, 2)))
def join(pieces: NDArray[Any], k: Int, base: Int, rows: NDArray[Any], out: NDArray[Any]) -> Int:
    """Undo :func:`split`."""
    for i in range(rows.size):
        p = i + PAD
        x = np.int64(pieces[0, p])
        e = base - x
        e = e + 1 if e >= 0 else e + 256
        e = e if x > 0 else 0
        b = (np.int64(pieces[1, p]) << 31) | (e << 23) | (np.int64(pieces[2, p]) << 20)
        b |= (np.int64(pieces[3, p]) << 16) | (np.int64(pieces[4, p]) << 8) | np.int64(pieces[5, p])
        out[rows[i], k] = b
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
    d = a - x
    d = d if d > -2 else -2
    return (d if d < 2 else 2) + 2


@kernel(int64(int64, int64, int64, int64, int64), inline=True)
def hint(x: Int, g: Int, xq: Int, gq: Int, uq: Int) -> Int:
    """Return what a neighbour says of the top of the mantissa: its own, 0 to 7, or 8 to 10 where it does not match."""
    v = 10 - np.int64(xq > x)
    v += np.int64(xq == x) * (uq - v)
    return 8 + np.int64(g == gq) * (v - 8)


@kernel(int64(int64, int64), inline=True)
def context_e(xl: Int, xp: Int) -> Int:
    """Context of piece E."""
    return 10 * (xl if xl < 9 else 9) + (xp if xp < 9 else 9)


@kernel(int64(int64, int64, int64, int64, int64), inline=True)
def context_s(x: Int, xl: Int, gl: Int, xp: Int, gp: Int) -> Int:
    """Context of piece S."""
    return 100 + ((5 * gl + nearness(xl, x)) * 2 + gp) * 5 + nearness(xp, x)


@kernel(int64(int64, int64, int64, int64, int64, int64, int64, int64), inline=True)
def context_m(x: Int, g: Int, xl: Int, gl: Int, ul: Int, xp: Int, gp: Int, up: Int) -> Int:
    """Context of piece M."""
    c = 200 + 11 * hint(x, g, xp, gp, up) + hint(x, g, xl, gl, ul)
    return c + np.int64(x == 0) * (321 - c)


@kernel(int64(int64, int64, int64, int64, int64, int64, int64), inline=True)
def context_n(x: Int, u: Int, left: Int, vl: Int, close: Int, up: Int, vp: Int) -> Int:
    """Context of piece N; ``close`` where x and g are those of P, ``left`` where x, g and u are those of L."""
    c = 356 - close * (2 * np.int64(up == u - 1) + np.int64(up == u + 1))
    c += left * (338 + vl - c)
    c += close * np.int64(u == up) * (322 + vp - c)
    return c + np.int64(x == 0) * (357 - c)


_COMPONENTS = (ro(uint8, 2), ro(uint8, 2), ro(uint8, 2))


@kernel(int64(int64, *_COMPONENTS, int64, int64, int64))
def context(piece: Int, own: NDArray[Any], left: NDArray[Any], before: NDArray[Any], p: Int, q: Int, unit: Int) -> Int:
    """Return the context of ``piece`` at index ``p`` of ``own`` and ``left``; P is index ``q`` of ``before``."""
    xl, xp = np.int64(left[0, p]), np.int64(before[0, q])
    if piece == 0:
        return context_e(xl, xp)
    x = np.int64(own[0, p])
    gl, gp = np.int64(left[1, p]), np.int64(before[1, q])
    if piece == 1:
        return context_s(x, xl, gl, xp, gp)
    g = np.int64(own[1, p])
    gp = g if unit != 0 else gp
    ul, up = np.int64(left[2, p]), np.int64(before[2, q])
    if piece == 2:
        return context_m(x, g, xl, gl, ul, xp, gp, up)
    u = np.int64(own[2, p])
    close = np.int64(1 if x == xp and g == gp else 0)
    vp = np.int64(before[3, q])
    if piece == 3:
        same_left = np.int64(1 if x == xl and g == gl and u == ul else 0)
        return context_n(x, u, same_left, np.int64(left[3, p]), close, up, vp)
    same = close != 0 and u == up and np.int64(own[3, p]) == vp
    same = same and (piece == 4 or own[4, p] == before[4, q])
    return 3 * (piece - 4) + (360 if x == 0 else 359 if same else 358)


@kernel(int64(int64, *_COMPONENTS, int64, int64, int64, rw(uint8), rw(uint16), rw(int64), int64, int64))
def put_component(
    m: Int,
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
    for first in range(PAD, PAD + m, 32):
        stop: Int = min(first + 32, PAD + m)
        for piece in range(pieces):
            for p in range(first, stop):
                c = context(piece, own, left, before, p, p - lag, unit)
                t = np.int64(own[piece, p])
                t -= np.int64(before[piece, p - lag]) if c in (SAME_C, SAME_D) else 0
                tokens[at] = t & 255
                contexts[at] = c
                at += 1
            plane += 1
            starts[plane] = at
    return plane


@kernel(int64(STREAM, ro(int64), int64, int64, rw(int64)), inline=True)
def decode_row(stream: Stream, contexts: NDArray[Any], count: Int, word: Int, tokens: NDArray[Any]) -> Int:
    """Decode a row of ``count`` tokens. Return the next word."""
    for lane in range(count):
        t = np.int64(stream.tables[contexts[lane]])
        s = np.int64(stream.slots[(t << 12) | (np.int64(stream.states[lane]) & 4095)])
        tokens[lane] = s
        stream.row[lane] = stream.ranges[(t << 8) | s]
    return advance(stream, count, word)


@kernel(int64(STREAM, int64, rw(uint8, 2), ro(uint8, 2), ro(uint8, 2), int64, int64, int64))
def take_component(
    stream: Stream,
    m: Int,
    own: NDArray[Any],
    left: NDArray[Any],
    before: NDArray[Any],
    lag: Int,
    unit: Int,
    pieces: Int,
) -> Int:
    """Decode ``m`` positions of a component into ``own``; ``before`` is ``own`` itself when ``lag`` is 32.

    Components reach to the end of their last row. Return 0, -1 when the words run out, -2 for a token that its piece
    does not have.
    """
    last = np.int64(stream.words.size) - 32
    word = stream.cursors[0]
    c = np.zeros(32, np.int64)
    t = np.zeros(32, np.int64)
    x, xl, xp = np.zeros(32, np.int64), np.zeros(32, np.int64), np.zeros(32, np.int64)
    g, gl, gp = np.zeros(32, np.int64), np.zeros(32, np.int64), np.zeros(32, np.int64)
    u, ul, up = np.zeros(32, np.int64), np.zeros(32, np.int64), np.zeros(32, np.int64)
    v, vl, vp = np.zeros(32, np.int64), np.zeros(32, np.int64), np.zeros(32, np.int64)
    close, same = np.zeros(32, np.int64), np.zeros(32, np.int64)
    for row in range((m + 31) // 32):
        at = PAD + 32 * row
        count: Int = min(m - 32 * row, 32)
        beyond: Int = np.int64(0)
        for i in range(32):
            xl[i] = left[0, at + i]
            gl[i] = left[1, at + i]
            ul[i] = left[2, at + i]
            vl[i] = left[3, at + i]
            xp[i] = before[0, at - lag + i]
            gp[i] = before[1, at - lag + i]
            up[i] = before[2, at - lag + i]
            vp[i] = before[3, at - lag + i]
        for i in range(32):
            c[i] = context_e(xl[i], xp[i])
        word = decode_row(stream, c, count, word, x)
        if word > last:
            return -1
        for i in range(32):
            c[i] = context_s(x[i], xl[i], gl[i], xp[i], gp[i])
        word = decode_row(stream, c, count, word, g)
        if word > last:
            return -1
        for i in range(32):
            beyond |= g[i] >> 1
            g[i] &= 1
            gp[i] = g[i] if unit != 0 else gp[i]
            c[i] = context_m(x[i], g[i], xl[i], gl[i], ul[i], xp[i], gp[i], up[i])
        word = decode_row(stream, c, count, word, u)
        if word > last:
            return -1
        for i in range(32):
            beyond |= u[i] >> 3
            u[i] &= 7
            close[i] = np.int64(x[i] == xp[i]) & np.int64(g[i] == gp[i])
            alike = np.int64(x[i] == xl[i]) & np.int64(g[i] == gl[i]) & np.int64(u[i] == ul[i])
            c[i] = context_n(x[i], u[i], alike, vl[i], close[i], up[i], vp[i])
        word = decode_row(stream, c, count, word, v)
        if word > last:
            return -1
        for i in range(32):
            beyond |= v[i] >> 4
            v[i] &= 15
            own[0, at + i] = x[i]
            own[1, at + i] = g[i]
            own[2, at + i] = u[i]
            own[3, at + i] = v[i]
        if beyond != 0:
            return -2
        if pieces < 6:
            continue
        for i in range(32):
            same[i] = close[i] & np.int64(u[i] == up[i]) & np.int64(v[i] == vp[i])
            c[i] = 358 + same[i]
            c[i] += np.int64(x[i] == 0) * (360 - c[i])
        word = decode_row(stream, c, count, word, t)
        if word > last:
            return -1
        for i in range(32):
            guess = np.int64(before[4, at - lag + i])
            low = (t[i] + np.int64(c[i] == SAME_C) * guess) & 255
            own[4, at + i] = low
            same[i] &= np.int64(low == guess)
            c[i] = 361 + same[i]
            c[i] += np.int64(x[i] == 0) * (363 - c[i])
        word = decode_row(stream, c, count, word, t)
        if word > last:
            return -1
        for i in range(32):
            own[5, at + i] = (t[i] + np.int64(c[i] == SAME_D) * np.int64(before[5, at - lag + i])) & 255
    stream.cursors[0] = word
    return 0
