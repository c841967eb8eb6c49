"""The ``floats`` serializer: a column of float32 without loss (``spec/codecs/columns.md``).

What trainers leave in a float is mostly noise in its mantissa. What there is to gain: Gaussians that were cloned and
never moved apart (whole rows again), exponents and signs that are like those of the row before and of the component
before, the top of the mantissa where the exponent agrees, and one component of a rotation of unit length.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from splatpack.codecs.base import Array, Serializer
from splatpack.codecs.kernels import floats as kernels
from splatpack.codecs.kernels.rans import LOWER
from splatpack.codecs.model import Model, count, fit
from splatpack.codecs.rans import TokenReader, Tokens
from splatpack.errors import CorruptError
from splatpack.limits import Limits

_HEAD = struct.Struct("<BBHIII")
COPIES, UNIT, LOW = 1, 2, 4
GROUPS = [(0, 100), (100, 200), (200, 322), (322, 358), (358, 361), (361, 364)]
"""Contexts of each piece."""

TABLES = 32
"""More save nothing, and these stay in a core's cache."""

WORTH = 0.25
"""Bits that coding must take off the low 16 of each number; else they are stored, which decodes faster."""

U8 = NDArray[np.uint8]
Ints = NDArray[np.int64]


class Floats(Serializer):
    """Float32 (n, K) by rANS, piece by piece of each number, every bit pattern."""

    id = "floats"

    def encode(self, array: Array) -> bytes:
        """Return the bytes of float32 (n, K)."""
        values = np.ascontiguousarray(array, np.float32).view(np.uint32)
        n, k = values.shape
        distances = _distances(values)
        rows = np.flatnonzero(distances == 0)[_positions(int((distances == 0).sum()))]
        m = len(rows)
        unit = k == 4 and _is_unit(values[rows])
        bases = [_base(values[rows, j]) for j in range(k)]
        tokens, contexts = np.empty(n + 6 * k * m, np.uint8), np.empty(n + 6 * k * m, np.uint16)
        starts = np.zeros(2 + 6 * k * ((m + 31) // 32), np.int64)
        plane = 0
        if m < n:
            tokens[:n], contexts[:n], starts[1], plane = distances, kernels.COPY, n, 1
        left = _blank(m)
        begin, pieces = plane, 6
        parts: list[tuple[U8, U8, U8, int]] = []
        for j in _order(k, unit):
            own = _blank(m)
            kernels.split(values, j, bases[j], rows, own)
            guided = unit and j == 0
            parts.append((own, left, _guide(values, rows, bases[0]) if guided else own, 0 if guided else 32))
            left = own
        for own, left, before, lag in parts:
            plane = kernels.put_component(
                m, own, left, before, lag, int(lag == 0), pieces, tokens, contexts, starts, starts[plane], plane
            )
        counts = np.zeros((kernels.CONTEXTS, 256), np.int64)
        count(tokens[: starts[plane]], contexts[: starts[plane]], counts)
        raw = b""
        if _bits(counts[358:364]) > (16 - WORTH) * k * m:
            counts[358:364] = 0
            plane, pieces = begin, 4
            for own, left, before, lag in parts:
                plane = kernels.put_component(
                    m, own, left, before, lag, int(lag == 0), pieces, tokens, contexts, starts, starts[plane], plane
                )
            low = np.empty((2, k, m), np.uint8)
            for j, part in zip(_order(k, unit), parts, strict=True):
                low[:, j] = part[0][4:, kernels.PAD : kernels.PAD + m]
            raw = low.tobytes()
        model = fit(counts, GROUPS, TABLES)
        end = int(starts[plane])
        stream = Tokens(tokens[:end], contexts[:end], starts[: plane + 1], b"").encode(model)
        packed = model.to_bytes()
        flags = COPIES * (m < n) | UNIT * unit | LOW * (pieces == 6)
        return b"".join([_HEAD.pack(flags, 0, k, n, m, len(packed)), bytes(bases), packed, raw, stream])

    def decode(self, data: bytes | memoryview, limits: Limits) -> Array:
        """Return float32 (n, K)."""
        if len(data) < _HEAD.size:
            raise CorruptError(f"floats: {len(data)} bytes, expected at least {_HEAD.size}.")
        flags, zero, k, n, m, model_len = _HEAD.unpack_from(data)
        if flags > 7 or zero or not 1 <= k <= 256 or not 1 <= m <= n <= LOWER or (flags & UNIT and k != 4):
            raise CorruptError(f"floats: flags {flags:#x}, {k} components, {m} of {n} rows.")
        if m < n and not flags & COPIES:
            raise CorruptError(f"floats: {m} of {n} rows, and no copies.")
        at = _HEAD.size + k
        raw = 0 if flags & LOW else 2 * k * m
        if at + model_len + raw > len(data):
            raise CorruptError(f"floats: {k} components of {n} rows do not fit {len(data)} bytes.")
        bases = bytes(data[_HEAD.size : at])
        if 0 in bases:
            raise CorruptError("floats: a base of 0.")
        limits.debit(4 * n * k + 48 * n, "floats")
        model = Model.from_bytes(memoryview(data)[at : at + model_len], kernels.CONTEXTS)
        at += model_len
        low = np.frombuffer(data, np.uint8, raw, at).reshape(2, -1, m)
        reader = TokenReader(memoryview(data)[at + raw :], model, limits, "floats")
        distances = _read_distances(reader, n, m, bool(flags & COPIES))
        rows = np.flatnonzero(distances == 0)[_positions(m)]
        out = np.empty((n, k), np.uint32)
        left = _blank(m)
        for j in _order(k, bool(flags & UNIT)):
            own = _blank(m)
            if not flags & LOW:
                own[4:, kernels.PAD : kernels.PAD + m] = low[:, j]
            guided = bool(flags & UNIT) and j == 0
            before = _guide(out, rows, bases[0]) if guided else own
            reader.check(kernels.take_component(
                reader.stream, m, own, left, before, 0 if guided else 32, int(guided), 6 if flags & LOW else 4
            ))  # fmt: skip
            kernels.join(own, j, bases[j], rows, out)
            left = own
        reader.finish()
        if kernels.copy_rows(distances, out) < 0:
            raise CorruptError("floats: a copy of a row before the first.")
        return out.view(np.float32)


def _blank(m: int) -> U8:
    """Room for the pieces of a component of ``m`` coded rows."""
    return np.zeros((6, kernels.PAD + (m + 31) // 32 * 32), np.uint8)


def _order(k: int, unit: bool) -> list[int]:
    return [1, 2, 3, 0] if unit else list(range(k))


def _positions(m: int) -> Ints:
    """Coded row of each position: 32 runs side by side."""
    lane, step = np.arange(m) % 32, np.arange(m) // 32
    return lane * (m // 32) + np.minimum(lane, m % 32) + step


def _read_distances(reader: TokenReader, n: int, m: int, copies: bool) -> U8:
    distances = np.zeros(n, np.uint8)
    if copies:
        reader.tokens(kernels.COPY, np.zeros(n, np.uint8), distances)
        if int((distances == 0).sum()) != m or distances[0]:
            raise CorruptError(f"floats: the copies do not leave {m} rows.")
    return distances


def _guide(values: NDArray[np.uint32], rows: Ints, base: int) -> U8:
    """Pieces of the first component of a unit rotation, told from the other three."""
    with np.errstate(all="ignore"):
        x, y, z = (np.ascontiguousarray(values[rows, j]).view(np.float32).astype(np.float64) for j in (1, 2, 3))
        r = 1.0 - ((x * x + y * y) + z * z)
        w = np.where(r > 0, np.sqrt(np.where(r > 0, r, 0.0)), 0.0).astype(np.float32)
    out = _blank(len(rows))
    kernels.split(w.view(np.uint32).reshape(-1, 1), 0, base, np.arange(len(rows)), out)
    return out


def _is_unit(values: NDArray[np.uint32]) -> bool:
    """Whether at least half of rotations have unit length, as exactly as float32 can."""
    with np.errstate(all="ignore"):
        norm = (np.ascontiguousarray(values).view(np.float32).astype(np.float64) ** 2).sum(axis=1)
        return bool(2 * int((np.abs(norm - 1) < 1e-5).sum()) >= len(values))


def _base(bits: NDArray[np.uint32]) -> int:
    """The exponent that one in fifty numbers passes."""
    e = np.sort((bits >> 23) & 255)
    e = e[e > 0]
    return int(e[49 * len(e) // 50]) if len(e) else 127


def _bits(counts: Ints) -> float:
    """Bits of an ideal coder under these contexts, with its tables."""
    total = counts.sum(axis=1, keepdims=True)
    used = counts > 0
    return float((counts * np.log2(np.where(used, total / np.maximum(counts, 1), 1.0))).sum()) + 5.0 * int(used.sum())


def _distances(values: NDArray[np.uint32]) -> U8:
    """How far before each row an equal one is, 0 where none is within 255 rows, or copying does not pay."""
    n, k = values.shape
    weights = np.random.default_rng(0).integers(1, 1 << 63, k, np.uint64) | np.uint64(1)
    mixed = (values.astype(np.uint64) * weights).sum(axis=1, dtype=np.uint64)
    order = np.argsort(mixed, kind="stable")
    a, b = order[:-1], order[1:]
    near = (mixed[a] == mixed[b]) & (b - a <= 255)
    a, b = a[near], b[near]
    equal = (values[a] == values[b]).all(axis=1)
    out = np.zeros(n, np.uint8)
    out[b[equal]] = (b - a)[equal]
    bits = _bits(np.bincount(out, minlength=256)[None, :])
    return out if bits < 24.0 * k * int((out > 0).sum()) else np.zeros(n, np.uint8)
