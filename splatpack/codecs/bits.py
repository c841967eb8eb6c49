"""A small bit writer and reader for headers: tables, context maps. Little-endian within bytes, low bit first."""

from __future__ import annotations

from splatpack.errors import CorruptError


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


class BitReader:
    """Reads what :class:`BitWriter` wrote. Safe on untrusted input."""

    def __init__(self, data: bytes | memoryview, what: str) -> None:
        self._value = int.from_bytes(data, "little")
        self._left = len(data) * 8
        self._what = what

    def get(self, width: int) -> int:
        """Return the next ``width`` bits.

        Raises
        ------
        CorruptError
            They are not there.
        """
        if width > self._left:
            raise CorruptError(f"{self._what}: the bits end early.")
        value = self._value & ((1 << width) - 1)
        self._value >>= width
        self._left -= width
        return value

    def get_golomb(self, order: int) -> int:
        """Return the next exponential Golomb number of ``order``, at most 2^32."""
        zeros = 0
        while self.get(1) == 0:
            zeros += 1
            if zeros > 32:
                raise CorruptError(f"{self._what}: a number above 2^32.")
        return (self.get(zeros + order) | (1 << (zeros + order))) - (1 << order)

    def get_signed(self, order: int) -> int:
        """Return the next signed number."""
        v = self.get_golomb(order)
        return -((v + 1) >> 1) if v & 1 else v >> 1

    def finish(self) -> None:
        """Check that only zero padding below one byte is left.

        Raises
        ------
        CorruptError
            More is left, or the padding is not zero.
        """
        if self._left >= 8 or self._value:
            raise CorruptError(f"{self._what}: bits are left over.")
