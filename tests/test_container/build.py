"""Small containers for tests, without any codec: sections are arbitrary bytes."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from splatpack.container import directory
from splatpack.container.layout import Header, content_hash
from splatpack.container.reader import ContainerReader
from splatpack.container.source import MemorySource
from splatpack.container.writer import ContainerWriter

META: dict[str, Any] = {"n": 0, "name": "test"}


def container(chunks: int = 3, *, tables: bytes = b"tables", level: int = 0, size: int = 40) -> bytes:
    """Return a container of ``chunks`` chunks in a row along x, two sections each."""
    out = io.BytesIO()
    with ContainerWriter() as writer:
        for i in range(chunks):
            body = bytes((i * 7 + k) % 256 for k in range(size))
            writer.add(
                [(0, body), (1, body[:5])], count=10 + i, low=(float(i), 0.0, 0.0), high=(i + 0.5, 1.0, 1.0),
                reach=0.25, level=level,
            )  # fmt: skip
        writer.finish(META, tables, out)
    return out.getvalue()


def opened(data: bytes, **options: Any) -> ContainerReader:
    """Open bytes as a container."""
    return ContainerReader(MemorySource(data), **options)


def reseal(
    data: bytes,
    *,
    root: bytes | None = None,
    meta: bytes | None = None,
    tables: bytes | None = None,
    move: bool = True,
    **fields: Any,
) -> bytes:
    """Return ``data`` with parts or header fields replaced and all checksums of the prefix made right again.

    ``move`` lets the root page follow where its first entry went.
    """
    head = Header.unpack(data[:128])
    parts = [
        data[128 : head.meta_offset] if root is None else root,
        data[head.meta_offset : head.tables_offset] if meta is None else meta,
        data[head.tables_offset : head.data_offset] if tables is None else tables,
    ]
    if move:
        first = struct.pack("<Q", 128 + sum(map(len, parts)))
        parts[0] = parts[0][:8] + first + parts[0][16:]
    body = data[head.data_offset :]
    values: dict[str, Any] = {
        "kind": head.kind, "required": head.required, "optional": 0, "file_len": 128 + sum(map(len, parts)) + len(body),
        "root_len": len(parts[0]), "root_crc": zlib.crc32(parts[0]), "meta_len": len(parts[1]),
        "meta_crc": zlib.crc32(parts[1]), "tables_len": len(parts[2]), "tables_crc": zlib.crc32(parts[2]),
        "root_hash": content_hash(parts[0]), "meta_hash": content_hash(parts[1]), "tables_hash": content_hash(parts[2]),
        "major": head.major, "minor": head.minor,
    }  # fmt: skip
    values.update(fields)
    return Header(**values).pack() + b"".join(parts) + body


def patched_header(data: bytes, at: int, value: bytes) -> bytes:
    """Return ``data`` with header bytes replaced and the header's checksum made right again."""
    head = bytearray(data[:124])
    head[at : at + len(value)] = value
    return bytes(head) + struct.pack("<I", zlib.crc32(bytes(head))) + data[128:]


def patched_column(data: bytes, ident: int, value: bytes, at: int = 0) -> bytes:
    """Return ``data`` with bytes of one root page column replaced, resealed."""
    head = Header.unpack(data[:128])
    root = bytearray(data[128 : head.meta_offset])
    pos = 16
    for _ in range(root[1]):
        length = struct.unpack_from("<I", root, pos + 4)[0]
        if root[pos] == ident:
            root[pos + 8 + at : pos + 8 + at + len(value)] = value
            return reseal(data, root=bytes(root))
        pos += 8 + length
    raise KeyError(ident)


def page_entries(data: bytes) -> list[directory.Chunk]:
    """Return the chunks of a container."""
    return opened(data).chunks
