"""Plain-numpy twins of the codec kernels, written from the specification: slow, obvious, one value at a time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from splatpack.codecs.model import Model


def encode_stream(
    tokens: list[int], contexts: list[int], starts: list[int], model: Model
) -> tuple[list[int], list[int]]:
    """Return (states, words) of planes, by the rules of spec/codecs/rans.md section 3."""
    states, words = [65536] * 32, []
    for a, b in reversed(list(pairwise(starts))):
        for i in reversed(range(a, b)):
            lane = (i - a) % 32
            t = int(model.context_map[contexts[i]])
            f, start = int(model.freqs[t, tokens[i]]), int(model.starts[t, tokens[i]])
            x = states[lane]
            if x >= f << 20:
                words.append(x & 0xFFFF)
                x >>= 16
            states[lane] = (x // f) * 4096 + x % f + start
    return states, words[::-1]


def decode_stream(
    states: list[int], words: list[int], planes: list[list[int]], model: Model
) -> tuple[list[list[int]], int, list[int]]:
    """Return tokens by plane, words used and final states."""
    x, p, out = list(states), 0, []
    for contexts in planes:
        tokens = []
        for i, c in enumerate(contexts):
            lane = i % 32
            t = int(model.context_map[c])
            slot = x[lane] % 4096
            freq, start = model.freqs[t], model.starts[t]
            s = next(k for k in range(256) if freq[k] and start[k] <= slot < start[k] + freq[k])
            tokens.append(s)
            v = int(freq[s]) * (x[lane] >> 12) + slot - int(start[s])
            if v < 65536:
                v = (v << 16) | words[p]
                p += 1
            x[lane] = v
        out.append(tokens)
    return out, p, x


def frequencies(costs: list[int]) -> list[int]:
    """Frequencies of the tokens with ``costs``, by the rule of spec/codecs/rans.md section 4."""
    weights = [int(2.0 ** (16 - c / 4) + 0.5) if c < 49 else 0 for c in costs]
    freqs = [max(1, w * 4096 // sum(weights)) if w else 0 for w in weights]
    while sum(freqs) != 4096:
        i = freqs.index(max(freqs))
        excess = sum(freqs) - 4096
        freqs[i] -= min(excess, freqs[i] - 1) if excess > 0 else excess
    return freqs


def tokenise(v: int) -> tuple[int, int, int]:
    """Return token, raw bits and their number."""
    if v < 32:
        return v, 0, 0
    e = v.bit_length() - 1
    return 32 + 4 * (e - 5) + ((v >> (e - 2)) & 3), v & ((1 << (e - 2)) - 1), e - 2


def predict(symbols: list[int], steps: list[int]) -> list[int]:
    """Residuals of the binary refinement of spec/codecs/splat.md section 4.6."""
    n = len(symbols)
    value = [s * t for s, t in zip(symbols, steps, strict=True)]
    out = list(symbols)
    s = 1
    while s < n:
        s *= 2
    while s >= 1:
        for i in range(s, n, 2 * s):
            a = value[i - s]
            b = value[i + s] if i + s < n else a
            out[i] = symbols[i] - (a + b + steps[i]) // (2 * steps[i])
        s //= 2
    return out


def rotation_matrix(q: Any) -> Any:
    """Rotation matrices (n, 3, 3) of quats (n, 4) wxyz of any length."""
    q = np.asarray(q, np.float64)
    q = q / np.linalg.norm(q, axis=1, keepdims=True)
    w, x, y, z = q.T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), 2, 0)


def covariance(scales: Any, quats: Any) -> Any:
    """Covariances (n, 3, 3) of log-scales and quats."""
    r = rotation_matrix(quats) * np.exp(np.asarray(scales, np.float64))[:, None, :]
    return r @ np.swapaxes(r, 1, 2)
