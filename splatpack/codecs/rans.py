"""Token streams: planes of integers in, one interleaved rANS stream with raw bits out (``spec/codecs/rans.md``)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splatpack.codecs.kernels import rans as kernels
from splatpack.codecs.model import Model
from splatpack.errors import CorruptError, TruncatedError
from splatpack.limits import Limits

HEADER = struct.Struct("<II")
STATES = 4 * kernels.LANES
OVERHEAD = HEADER.size + STATES
"""Bytes of a stream without words and raw bits."""


def zigzag(v: NDArray[np.int64]) -> NDArray[np.int64]:
    """Map signed to non-negative: 0, -1, 1, -2 ... to 0, 1, 2, 3 ..."""
    return (v << 1) ^ (v >> 63)


@dataclass(frozen=True)
class Tokens:
    """Planes of tokens with their contexts, and the raw bits that go beside them.

    Attributes
    ----------
    tokens : uint8 (M,)
    contexts : uint16 (M,)
    starts : int64 (planes + 1,)
        Where each plane begins in ``tokens``.
    bits : bytes
        Raw bits of all values, in the order in which a decoder takes them.
    """

    tokens: NDArray[np.uint8]
    contexts: NDArray[np.uint16]
    starts: NDArray[np.int64]
    bits: bytes

    @property
    def bound(self) -> int:
        """Bytes that :meth:`encode` returns at most."""
        return OVERHEAD + 2 * len(self.tokens) + len(self.bits)

    def encode(self, model: Model) -> bytes:
        """Return the stream. The model must know every token under its context."""
        states = np.full(kernels.LANES, kernels.LOWER, np.uint32)
        words = np.empty(len(self.tokens), np.uint16)
        planes = len(self.starts) - 1
        p = kernels.encode(
            self.tokens, self.contexts, model.context_map, self.starts, planes, states, model.ranges, words
        )
        if p < 0:
            raise ValueError("the entropy model does not hold a token that it is asked to code.")
        body = np.ascontiguousarray(words[p:], "<u2").tobytes()
        return b"".join([HEADER.pack(len(words) - p, len(self.bits)), states.astype("<u4").tobytes(), body, self.bits])


class TokenWriter:
    """Collects planes into :class:`Tokens`."""

    def __init__(self, tokens: int, bits: int) -> None:
        self._tokens = np.empty(tokens, np.uint8)
        self._contexts = np.empty(tokens, np.uint16)
        self._starts = np.zeros(256, np.int64)
        self._planes = 0
        self._bits = np.zeros(bits // 8 + 32, np.uint8)
        self._bit = 0

    def plane(self, values: NDArray[np.int64], contexts: NDArray[np.uint16]) -> None:
        """Add a plane of values 0 to 2^57 - 1, each under its context."""
        start = int(self._starts[self._planes])
        self._room(56 * len(values))
        self._bit = kernels.put_plane(
            values, contexts, self._tokens, self._contexts, start, self._bits, np.int64(self._bit)
        )
        if self._bit < 0:
            raise ValueError("a value outside 0 to 2^57 - 1 cannot be coded.")
        self._planes += 1
        self._starts[self._planes] = start + len(values)

    def raw(self, values: NDArray[np.int64], widths: NDArray[np.int64]) -> None:
        """Add the low ``widths`` (0 to 56) bits of each value, uncoded."""
        self._room(56 * len(values))
        self._bit = kernels.put_bits(values, widths, self._bits, np.int64(self._bit))

    def _room(self, bits: int) -> None:
        need = (self._bit + bits) // 8 + 32
        if need > len(self._bits):
            grown = np.zeros(max(need, 2 * len(self._bits)), np.uint8)
            grown[: len(self._bits)] = self._bits
            self._bits = grown

    def finish(self) -> Tokens:
        """Return what was collected, without slack."""
        starts = self._starts[: self._planes + 1].copy()
        m = int(starts[-1])
        bits = self._bits[: (self._bit + 7) // 8].tobytes()
        return Tokens(self._tokens[:m].copy(), self._contexts[:m].copy(), starts, bits)


class TokenReader:
    """Takes planes from a stream, in the order in which they were written. Safe on untrusted input.

    Raises
    ------
    TruncatedError, CorruptError
        The lengths do not fit the data, an initial state is below 2^16, or words or bits run out.
    """

    def __init__(self, data: memoryview, model: Model, limits: Limits, what: str) -> None:
        self.what = what
        if len(data) < OVERHEAD:
            raise TruncatedError(f"{what}: {len(data)} bytes, expected at least {OVERHEAD}.")
        words, raw = HEADER.unpack_from(data)
        if OVERHEAD + 2 * words + raw != len(data):
            raise CorruptError(f"{what}: {words} words and {raw} raw bytes do not fill {len(data)} bytes.")
        limits.debit(2 * words + raw + 256, what)
        states = np.frombuffer(data, "<u4", kernels.LANES, HEADER.size).astype(np.uint32)
        if int(states.min()) < kernels.LOWER:
            raise CorruptError(f"{what}: an initial rANS state is below 2^16.")
        padded = np.zeros(words + 32, np.uint16)
        padded[:words] = np.frombuffer(data, "<u2", words, OVERHEAD)
        bits = np.zeros(raw + 16, np.uint8)
        bits[:raw] = np.frombuffer(data, np.uint8, raw, OVERHEAD + 2 * words)
        self.stream = kernels.Stream(
            tables=model.context_map,
            slots=model.slots,
            ranges=model.ranges,
            states=states,
            row=np.empty(kernels.LANES, np.uint32),
            words=padded,
            bits=bits,
            cursors=np.array([0, 0, 8 * raw], np.int64),
        )

    def tokens(self, base: int, contexts: NDArray[np.uint8], out: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Decode the next plane, a token for each of ``contexts`` (n,), which count from ``base``, and return it."""
        self.check(kernels.take_tokens(self.stream, base, contexts, out))
        return out

    def plane(self, base: int, contexts: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Decode the next plane of non-negative values: int64 (n,), one for each of ``contexts``."""
        n = len(contexts)
        values = np.empty(n, np.int64)
        self.check(kernels.take_plane(self.stream, base, contexts, np.empty(n, np.uint8), values))
        return values

    def check(self, status: int) -> None:
        """Raise ``CorruptError`` for what a kernel found wrong."""
        if status < 0:
            raise CorruptError(f"{self.what}: {_PROBLEMS[status]}.")

    def finish(self) -> None:
        """Check that everything was used: words, bits (zero padding below a byte), and states back at 2^16."""
        s = self.stream
        word, bit, end = s.cursors.tolist()
        if word != len(s.words) - 32 or (s.states != kernels.LOWER).any():
            raise CorruptError(f"{self.what}: the coded words do not end where they should.")
        if end - bit >= 8 or (bit < end and int(s.bits[end // 8 - 1]) >> (bit & 7)):
            raise CorruptError(f"{self.what}: raw bits are left over.")


_PROBLEMS = {
    -1: "the coded words end early",
    -2: "the raw bits end early, or a token is unknown",
    -3: "a symbol is out of range",
}
