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
            self.tokens, self.contexts, model.context_map, self.starts, planes, states, model.freqs, model.starts, words
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
        self.model = model
        self.what = what
        if len(data) < OVERHEAD:
            raise TruncatedError(f"{what}: {len(data)} bytes, expected at least {OVERHEAD}.")
        words, raw = HEADER.unpack_from(data)
        if OVERHEAD + 2 * words + raw != len(data):
            raise CorruptError(f"{what}: {words} words and {raw} raw bytes do not fill {len(data)} bytes.")
        limits.debit(2 * words + raw + 256, what)
        self.states = np.frombuffer(data, "<u4", kernels.LANES, HEADER.size).astype(np.uint32)
        if int(self.states.min()) < kernels.LOWER:
            raise CorruptError(f"{what}: an initial rANS state is below 2^16.")
        self.words = np.zeros(words + 32, np.uint16)
        self.words[:words] = np.frombuffer(data, "<u2", words, OVERHEAD)
        self.bits = np.zeros(raw + 16, np.uint8)
        self.bits[:raw] = np.frombuffer(data, np.uint8, raw, OVERHEAD + 2 * words)
        self.end = raw * 8
        self.word = 0
        self.bit = 0
        self._cursors = np.zeros(2, np.int64)

    def plane(self, contexts: NDArray[np.uint16], out: NDArray[np.int64], *, signed: bool = False) -> NDArray[np.int64]:
        """Decode the next plane into ``out``, int64 (n,), for n contexts, and return it.

        ``signed`` undoes the zigzag.
        """
        cursors = self._cursors
        cursors[0], cursors[1] = self.word, self.bit
        status = kernels.take_plane(
            contexts, self.model.context_map, self.model.slots, self.states, self.words, self.bits, self.end,
            int(signed), cursors, out,
        )  # fmt: skip
        if status < 0:
            what = "coded words end early" if status == -1 else "raw bits end early, or a token is unknown"
            raise CorruptError(f"{self.what}: the {what}.")
        self.word, self.bit = int(cursors[0]), int(cursors[1])
        return out

    def finish(self) -> None:
        """Check that everything was used: words, bits (zero padding below a byte), and states back at 2^16."""
        if self.word != len(self.words) - 32 or (self.states != kernels.LOWER).any():
            raise CorruptError(f"{self.what}: the coded words do not end where they should.")
        if self.end - self.bit >= 8 or (self.bit < self.end and int(self.bits[self.end // 8 - 1]) >> (self.bit & 7)):
            raise CorruptError(f"{self.what}: raw bits are left over.")
