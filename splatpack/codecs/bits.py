"""A small bit writer for tables and context maps. Little-endian within bytes, low bit first."""

from __future__ import annotations


class BitWriter:
    """Collects bits into bytes."""

    def __init__(self) -> None:
        self._value = 0
        self._count = 0

    def put(self, value: int, width: int) -> None:
        """Append the low ``width`` bits of ``value``."""
        self._value |= (value & ((1 << width) - 1)) << self._count
        self._count += width

    def put_golomb(self, value: int, order: int) -> None:
        """Append a value >= 0 in the exponential Golomb code of ``order``: a unary exponent, then the rest."""
        v = value + (1 << order)
        e = v.bit_length() - 1
        self.put(1 << (e - order), e - order + 1)
        self.put(v, e)

    def put_signed(self, value: int, order: int) -> None:
        """Append a signed value: zigzag, then exponential Golomb."""
        self.put_golomb((value << 1) if value >= 0 else (-value << 1) - 1, order)

    def to_bytes(self) -> bytes:
        """Return the bytes; the last one is padded with zero bits."""
        return self._value.to_bytes((self._count + 7) // 8, "little")
