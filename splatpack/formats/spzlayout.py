"""The frame of an SPZ file: headers, extension records, and streams taken one after the other, bounded.

Layout: ``nianticlabs/spz``, ``load-spz.cc`` and ``extensions/README.md`` (MIT). Versions 1 to 3 are one gzip member: a
header of 16 bytes, six streams back to back, extension records. Version 4 is a plain header of 32 bytes, extension
records, a table of contents, and one zstd frame for each stream that is not empty.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Protocol

from splatpack.errors import CorruptError, TruncatedError, UnsupportedError
from splatpack.formats import _zstd
from splatpack.limits import Limits

MAGIC = b"NGSP"
HEADER = struct.Struct("<4sIIBBBB")
"""Magic, version, count, SH degree, fractional bits, flags, reserved (version 4: count of streams)."""
HEADER_V4 = 32
ANTIALIASED, EXTENSIONS, SPARK_LOD = 1, 2, 0x80
SH_PER_CHANNEL = (0, 3, 8, 15, 24)
MAX_FRACTION = 24
MAX_EXTENSION_BYTES = 1 << 20

SAFE_ORBIT, COORDINATES = 0xADBE0002, 0xADBE0003


@dataclass(frozen=True)
class Header:
    """What the first bytes say.

    Attributes
    ----------
    version, count, degree, fraction, flags : int
        ``fraction`` is the count of fractional bits of a position; ``degree`` may be 4.
    last : int
        The last byte: reserved, or in version 4 the count of streams.
    """

    version: int
    count: int
    degree: int
    fraction: int
    flags: int
    last: int

    @property
    def widths(self) -> tuple[int, ...]:
        """Bytes per Gaussian of the six streams: positions, alphas, colours, scales, rotations, SH."""
        return 9, 1, 3, 3, 4 if self.version >= 3 else 3, 3 * SH_PER_CHANNEL[self.degree]


class Streams(Protocol):
    """The streams of a file in order."""

    def take(self, nbytes: int, what: str) -> bytes:
        """Return the next stream, which has exactly ``nbytes``."""

    def finish(self) -> bytes:
        """Return the extension records; nothing may follow what was taken."""


def parse_header(data: bytes) -> Header:
    """Check and return a header.

    Raises
    ------
    TruncatedError, CorruptError, UnsupportedError
        Cut off; no SPZ; a future version, or Spark's level-of-detail tree.
    """
    if len(data) < HEADER.size:
        raise TruncatedError(f"SPZ: the header has {len(data)} bytes, expected {HEADER.size}.")
    magic, version, count, degree, fraction, flags, last = HEADER.unpack_from(data)
    if magic != MAGIC:
        raise CorruptError(f"SPZ: starts with {magic!r}, expected {MAGIC!r}.")
    if not 1 <= version <= 4:
        raise UnsupportedError(f"SPZ version {version}, this version reads 1 to 4.")
    if degree >= len(SH_PER_CHANNEL):
        raise CorruptError(f"SPZ: SH degree {degree}, expected 0 to 4.")
    if fraction > MAX_FRACTION:
        raise CorruptError(f"SPZ: {fraction} fractional bits, expected at most {MAX_FRACTION}.")
    if flags & SPARK_LOD:
        raise UnsupportedError(
            "SPZ with Spark's level-of-detail tree (flag 0x80): its opacities are halved and inner nodes stand among "
            "the Gaussians. Export the scene without LOD."
        )
    return Header(version, count, degree, fraction, flags, last)


class Gzip:
    """The streams of versions 1 to 3. At most what is asked for is ever inflated.

    Parameters
    ----------
    data : bytes
        The whole file.
    """

    def __init__(self, data: bytes) -> None:
        self._inflate = zlib.decompressobj(wbits=31)
        self._rest: bytes = data

    def read(self, nbytes: int) -> bytes:
        """Return up to ``nbytes``, fewer at the end of the member."""
        parts, need = [], nbytes
        while need and self._rest and not self._inflate.eof:
            try:
                part = self._inflate.decompress(self._rest, need)
            except zlib.error as error:
                raise CorruptError(f"SPZ: damaged gzip data ({error}).") from error
            self._rest = self._inflate.unconsumed_tail
            parts.append(part)
            need -= len(part)
            if not part and not self._rest:
                break
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def take(self, nbytes: int, what: str) -> bytes:
        """Return the next stream."""
        data = self.read(nbytes)
        if len(data) != nbytes:
            raise TruncatedError(f"SPZ {what}: {len(data):,} bytes, expected {nbytes:,}. The count lies or it is cut.")
        return data

    def finish(self) -> bytes:
        """Return what follows the streams, which the checksum at the end covers."""
        data = self.read(MAX_EXTENSION_BYTES + 1)
        if len(data) > MAX_EXTENSION_BYTES:
            raise CorruptError(f"SPZ: more than {MAX_EXTENSION_BYTES:,} bytes after the last stream.")
        if not self._inflate.eof:
            self.read(1)
        if not self._inflate.eof:
            raise TruncatedError("SPZ: the gzip member has no end, the file is cut off.")
        if self._inflate.unused_data:
            raise CorruptError(f"SPZ: {len(self._inflate.unused_data):,} bytes after the gzip member.")
        return data


class Frames:
    """The streams of version 4: one zstd frame each, tiling the file to its end.

    Parameters
    ----------
    data : bytes
        The whole file.
    header : Header
    """

    def __init__(self, data: bytes, header: Header) -> None:
        if len(data) < HEADER_V4:
            raise TruncatedError(f"SPZ: {len(data)} bytes, expected a header of {HEADER_V4}.")
        (toc,) = struct.unpack_from("<I", data, HEADER.size)
        offset = toc + 16 * header.last
        if toc < HEADER_V4 or offset > len(data):
            raise CorruptError(f"SPZ: table of contents at byte {toc:,} of {len(data):,}.")
        if toc - HEADER_V4 > MAX_EXTENSION_BYTES or (toc > HEADER_V4 and not header.flags & EXTENSIONS):
            raise CorruptError(f"SPZ: {toc - HEADER_V4:,} bytes between header and table of contents.")
        self._extensions = data[HEADER_V4:toc]
        self._data = memoryview(data)
        self._entries: list[tuple[int, int, int]] = []
        for i in range(header.last):
            packed, raw = struct.unpack_from("<QQ", data, toc + 16 * i)
            self._entries.append((offset, packed, raw))
            offset += packed
        if offset != len(data):
            raise TruncatedError(f"SPZ: the streams end at byte {offset:,}, the file at {len(data):,}.")
        self._entries.reverse()

    def take(self, nbytes: int, what: str) -> bytes:
        """Return the next stream; an empty one is not in the file."""
        if nbytes == 0:
            return b""
        if not self._entries:
            raise CorruptError(f"SPZ {what}: no such stream, expected one of {nbytes:,} bytes.")
        offset, packed, raw = self._entries.pop()
        if raw != nbytes:
            raise CorruptError(f"SPZ {what}: {raw:,} bytes declared, expected {nbytes:,}.")
        return _zstd.decompress(self._data[offset : offset + packed], nbytes, f"SPZ {what}")

    def finish(self) -> bytes:
        """Return the extension records."""
        if self._entries:
            raise CorruptError(f"SPZ: {len(self._entries)} streams more than expected.")
        return self._extensions


def open_streams(data: bytes, budget: Limits) -> tuple[Header, Streams]:
    """Return the header and the streams of a file; what they inflate to is debited before.

    Raises
    ------
    CorruptError, TruncatedError, UnsupportedError, LimitError
        As the bytes deserve.
    """
    streams: Streams
    if data.startswith(MAGIC):
        header = parse_header(data)
        if header.version < 4:
            raise CorruptError(f"SPZ version {header.version} that is not compressed, expected gzip around it.")
        streams = Frames(data, header)
    else:
        streams = gzip = Gzip(data)
        header = parse_header(gzip.read(HEADER.size))
        if header.version >= 4:
            raise CorruptError(f"SPZ version {header.version} inside gzip, expected a plain header.")
    budget.count(header.count, budget.gaussians, "SPZ points")
    budget.debit(header.count * sum(header.widths), f"SPZ streams of {header.count:,} Gaussians")
    return header, streams


def extension_records(data: bytes) -> list[tuple[int, bytes]]:
    """Return (type, payload) of each extension record.

    Raises
    ------
    CorruptError
        A record is cut off.
    """
    records, at = [], 0
    while at < len(data):
        if len(data) - at < 8:
            raise CorruptError(f"SPZ extensions: {len(data) - at} bytes left, expected a record of at least 8.")
        kind, length = struct.unpack_from("<II", data, at)
        at += 8
        if length > len(data) - at:
            raise CorruptError(f"SPZ extension {kind:#x}: {length:,} bytes, the file has {len(data) - at:,} left.")
        records.append((kind, data[at : at + length]))
        at += length
    return records
