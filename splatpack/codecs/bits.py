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
        self._data = bytes(data) + bytes(16)
        self._end = len(data) * 8
        self._at = 0
        self._what = what

    def _window(self) -> int:
        """The next 96 bits and more, zeros behind the end."""
        byte = self._at >> 3
        return int.from_bytes(self._data[byte : byte + 13], "little") >> (self._at & 7)

    def _skip(self, width: int) -> None:
        self._at += width
        if self._at > self._end:
            raise CorruptError(f"{self._what}: the bits end early.")

    def get(self, width: int) -> int:
        """Return the next ``width`` (at most 96) bits.

        Raises
        ------
        CorruptError
            They are not there.
        """
        value = self._window() & ((1 << width) - 1)
        self._skip(width)
        return value

    def get_golomb(self, order: int) -> int:
        """Return the next exponential Golomb number of ``order``; its unary part has at most 32 zeros."""
        window = self._window()
        zeros = (window & -window).bit_length() - 1
        if not 0 <= zeros <= 32:
            self._skip(33)
            raise CorruptError(f"{self._what}: a number above 2^32.")
        width = zeros + order
        value = (window >> (zeros + 1)) & ((1 << width) - 1)
        self._skip(zeros + 1 + width)
        return (value | (1 << width)) - (1 << order)

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
        if self._end - self._at >= 8 or self._window():
            raise CorruptError(f"{self._what}: bits are left over.")
