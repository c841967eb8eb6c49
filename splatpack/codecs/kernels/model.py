"""Kernels of the entropy model: histograms and the merging of contexts into tables."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import float64, int64, uint8, uint16, uint32
from numpy.typing import NDArray

from splatpack.codecs.kernels.rans import read_bits
from splatpack.jit import Float, Int, kernel, ro, rw


@kernel(int64(ro(uint8), ro(uint16), rw(int64, 2)))
def histogram(tokens: NDArray[Any], contexts: NDArray[Any], counts: NDArray[Any]) -> Int:
    """Add each token to ``counts[context, token]``."""
    for i in range(tokens.size):
        counts[contexts[i], tokens[i]] += 1
    return 0


@kernel(int64(ro(uint8), rw(int64), int64, int64), inline=True)
def golomb(bits: NDArray[Any], at: NDArray[Any], end: Int, order: Int) -> Int:
    """Next signed exponential Golomb number of ``order`` at bit ``at[0]``; -2^40 if bits end or it is too long."""
    zeros = np.int64(0)
    while (
        zeros <= 32 and at[0] + zeros < end and (np.int64(bits[(at[0] + zeros) >> 3]) >> ((at[0] + zeros) & 7)) & 1 == 0
    ):
        zeros += 1
    width = zeros + order
    if zeros > 32 or at[0] + zeros + 1 + width > end:
        return np.int64(-(1 << 40))
    v = (read_bits(bits, at[0] + zeros + 1, width) | (np.int64(1) << width)) - (np.int64(1) << order)
    at[0] += zeros + 1 + width
    return -((v + 1) >> 1) if v & 1 else v >> 1


@kernel(int64(ro(uint8), int64, int64, rw(uint8), rw(int64), rw(uint8, 2)))
def parse_model(
    bits: NDArray[Any], end: Int, most: Int, context_map: NDArray[Any], sizes: NDArray[Any], costs: NDArray[Any]
) -> Int:
    """Read a model: context map and tables of ``spec/codecs/rans.md``, section 4. Safe on untrusted input.

    Parameters
    ----------
    bits : uint8
        The model, padded by 16 bytes.
    end : int
        Its length in bits.
    most : int
        Tables that are allowed.
    context_map : uint8 (C,), written
    sizes : int64 (most,), written
        Costs in each table.
    costs : uint8 (most, 256), written

    Returns
    -------
    int
        The number of tables; -1 when bits end early or are left over, -2 for a number of tables, -3 for a table
        number, -4 for a cost, -5 for a table without tokens.
    """
    at = np.zeros(1, np.int64)
    if end < 8:
        return -1
    count = read_bits(bits, 0, 8)
    at[0] = 8
    if count < 1 or count > most:
        return -2
    value = np.int64(0)
    for i in range(context_map.size):
        value += golomb(bits, at, end, 0)
        if value < -(1 << 33):
            return -1
        if value < 0 or value >= count:
            return -3
        context_map[i] = value
    for t in range(count):
        if at[0] + 8 > end:
            return -1
        size = read_bits(bits, at[0], 8) + 1
        at[0] += 8
        sizes[t] = size
        value = np.int64(0)
        least = np.int64(49)
        for s in range(size):
            value += golomb(bits, at, end, 1)
            if value < -(1 << 33):
                return -1
            if value < 0 or value > 49:
                return -4
            costs[t, s] = value
            least = min(least, value)
        if least == 49:
            return -5
    if end - at[0] >= 8 or read_bits(bits, at[0], 8) != 0:
        return -1
    return count


@kernel(int64(ro(int64, 2), ro(int64), rw(uint32), rw(uint8)))
def expand_tables(costs: NDArray[Any], weights: NDArray[Any], ranges: NDArray[Any], slots: NDArray[Any]) -> Int:
    """Ranges of states and their slots from tables of quarter-bit costs.

    Parameters
    ----------
    costs : int64 (T, 256)
        49 where a token does not occur; each table has one that does.
    weights : int64 (50,)
        Weight of each cost, 0 for 49.
    ranges : uint32 (T * 256,), written
        Of each token: frequency | first slot << 16.
    slots : uint8 (T * 4096,), written
        The token of each slot.
    """
    f = np.empty(256, np.int64)
    for t in range(costs.shape[0]):
        total = np.int64(0)
        for s in range(256):
            total += weights[costs[t, s]]
        excess = np.int64(-4096)
        for s in range(256):
            w = weights[costs[t, s]]
            f[s] = max((w << 12) // total, 1) if w > 0 else 0
            excess += f[s]
        while excess != 0:
            top = 0
            for s in range(256):
                if f[s] > f[top]:
                    top = s
            step = min(excess, f[top] - 1)
            f[top] -= step
            excess -= step
        at = np.int64(0)
        for s in range(256):
            ranges[(t << 8) | s] = f[s] | (at << 16)
            for slot in range(at, at + f[s]):
                slots[(t << 12) | slot] = s
            at += f[s]
    return 0


@kernel(float64(ro(int64)), inline=True)
def cost(counts: NDArray[Any]) -> Float:
    """Bits that an ideal coder spends on ``counts`` and on their table (about 5 bits a token)."""
    total = np.int64(0)
    bits = 0.0
    for s in range(counts.size):
        c = counts[s]
        if c > 0:
            total += c
            bits += 5.0 - np.float64(c) * math.log2(np.float64(c))
    if total > 0:
        bits += 8.0 + np.float64(total) * math.log2(np.float64(total))
    return bits


@kernel(int64(rw(int64, 2), rw(int64), rw(float64), rw(float64, 2), int64))
def merge_contexts(
    counts: NDArray[Any], owner: NDArray[Any], costs: NDArray[Any], gains: NDArray[Any], most: Int
) -> Int:
    """Merge the pair of histograms that costs least, while that saves bits or more than ``most`` are left.

    ``owner[i]`` becomes the context whose row of ``counts`` holds context i in the end; ``gains`` is scratch (C, C).
    Ties go to the lowest indices, so the result is reproducible. Return the number of histograms left.
    """
    n = owner.size
    joined = np.empty(counts.shape[1], np.int64)
    alive = np.int64(0)
    for i in range(n):
        owner[i] = i
        costs[i] = cost(counts[i])
        if costs[i] > 0.0:
            alive += 1
    for i in range(n):
        if costs[i] > 0.0:
            for j in range(i + 1, n):
                if costs[j] > 0.0:
                    for s in range(joined.size):
                        joined[s] = counts[i, s] + counts[j, s]
                    gains[i, j] = cost(joined) - costs[i] - costs[j]
    while alive > 1:
        a: Int = np.int64(-1)
        b: Int = np.int64(-1)
        best = math.inf
        for i in range(n):
            if costs[i] > 0.0:
                for j in range(i + 1, n):
                    if costs[j] > 0.0 and gains[i, j] < best:
                        best = gains[i, j]
                        a = i
                        b = j
        if best >= 0.0 and alive <= most:
            break
        for s in range(joined.size):
            counts[a, s] += counts[b, s]
        costs[a] = cost(counts[a])
        costs[b] = 0.0
        alive -= 1
        for i in range(n):
            if owner[i] == b:
                owner[i] = a
        for j in range(n):
            if j != a and costs[j] > 0.0:
                for s in range(joined.size):
                    joined[s] = counts[a, s] + counts[j, s]
                g = cost(joined) - costs[a] - costs[j]
                if a < j:
                    gains[a, j] = g
                else:
                    gains[j, a] = g
    return alive
