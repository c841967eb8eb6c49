"""The first 128 bytes of a ``.spk`` file, and the fixed numbers of format 1 (``spec/format.md``, section 3)."""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass

from splatpack.errors import ChecksumError, CorruptError, TruncatedError, UnsupportedError

MAGIC = b"\x89SPK\r\n\x1a\n"
MAJOR = 1
HEADER_SIZE = 128
ROOT_MAX = 16384 - HEADER_SIZE
META_MAX = 1 << 20
TABLES_MAX = 1 << 20
KINDS = {1: "gaussians", 2: "field", 3: "sequence"}
PARTED_MODELS = 1 << 0
"""Required feature of format 1.1: tables may hold models by parts (``spec/codecs/rans.md``, section 5)."""
PACKED_METADATA = 1 << 1
"""Required feature of format 1.1: the metadata is packed (``spec/format.md``, section 4.4)."""
LEVELS = 1 << 2
"""Required feature of format 1.2: chunks have parents, and some stand in for others (``spec/format.md``, 5.3)."""
KNOWN_REQUIRED = PARTED_MODELS | PACKED_METADATA | LEVELS
"""Required feature bits that this version understands."""


def minor_version(required: int) -> int:
    """Return the least minor version that knows these required features."""
    return 2 if required & LEVELS else 1 if required else 0


_STRUCT = struct.Struct("<8sHHB3xQQQIIIIII16s16s16s12x")


def content_hash(data: bytes | memoryview) -> bytes:
    """Return the identity of some bytes: the first 16 bytes of their SHA-256."""
    return hashlib.sha256(data).digest()[:16]


@dataclass(frozen=True)
class Header:
    """The header: where things are, and a checksum and hash of each.

    The root directory page starts at byte 128, the metadata follows it, then the tables, then the data region; nothing
    lies between them.
    """

    kind: int
    required: int
    optional: int
    file_len: int
    root_len: int
    root_crc: int
    meta_len: int
    meta_crc: int
    tables_len: int
    tables_crc: int
    root_hash: bytes
    meta_hash: bytes
    tables_hash: bytes
    major: int = MAJOR
    minor: int = 0

    @property
    def meta_offset(self) -> int:
        """First byte of the metadata."""
        return HEADER_SIZE + self.root_len

    @property
    def tables_offset(self) -> int:
        """First byte of the tables."""
        return self.meta_offset + self.meta_len

    @property
    def data_offset(self) -> int:
        """First byte of the data region: chunks, and leaf pages in a large file."""
        return self.tables_offset + self.tables_len

    def pack(self) -> bytes:
        """Return the 128 bytes."""
        body = _STRUCT.pack(
            MAGIC, self.major, self.minor, self.kind, self.required, self.optional, self.file_len,
            self.root_len, self.root_crc, self.meta_len, self.meta_crc, self.tables_len, self.tables_crc,
            self.root_hash, self.meta_hash, self.tables_hash,
        )  # fmt: skip
        return body + struct.pack("<I", zlib.crc32(body))

    @classmethod
    def unpack(cls, data: bytes) -> Header:
        """Check and read a header. Safe on untrusted input.

        Raises
        ------
        CorruptError, TruncatedError, ChecksumError
            Not a ``.spk`` file, cut short, or damaged.
        UnsupportedError
            A future version, a required feature that is not known, or a reserved kind of asset.
        """
        if len(data) < HEADER_SIZE:
            if data[:8] == MAGIC[: len(data)]:
                raise TruncatedError(f"header: {len(data)} bytes, expected {HEADER_SIZE}.")
            raise CorruptError("not a .spk file: the first 8 bytes are not its signature.")
        if data[:8] != MAGIC:
            raise CorruptError("not a .spk file: the first 8 bytes are not its signature.")
        if struct.unpack_from("<I", data, 124)[0] != zlib.crc32(data[:124]):
            raise ChecksumError("header: its checksum does not match. The file is damaged.")
        _, major, minor, kind, *rest = _STRUCT.unpack(data[:124])
        if major != MAJOR:
            raise UnsupportedError(f"format version {major}.{minor}, expected {MAJOR}.x. Update splatpack.")
        if any(data[13:16]) or any(data[112:124]):
            raise CorruptError("header: reserved bytes are not zero.")
        head = cls(kind, *rest[:12], major=major, minor=minor)  # type: ignore[misc]
        if head.required & ~KNOWN_REQUIRED:
            raise UnsupportedError(f"required features {head.required:#x} are not known here. Update splatpack.")
        if kind not in KINDS:
            raise UnsupportedError(f"asset kind {kind}, expected one of {KINDS}.")
        head._check_lengths()
        return head

    def _check_lengths(self) -> None:
        for name, value, most in (
            ("root page", self.root_len, ROOT_MAX),
            ("metadata", self.meta_len, META_MAX),
            ("tables", self.tables_len, TABLES_MAX),
        ):
            if value > most:
                raise CorruptError(f"header: {name} of {value:,} bytes, expected at most {most:,}.")
        if self.data_offset > self.file_len:
            raise CorruptError(f"header: {self.file_len} bytes declared, {self.data_offset} needed before any chunk.")
