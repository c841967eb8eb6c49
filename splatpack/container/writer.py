"""Writing a ``.spk``: chunks in order, then header, directory, metadata and tables before them."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, BinaryIO

from splatpack.container import directory, meta
from splatpack.container.directory import PAGE_CHUNKS, Chunk, PageRef, Section, Vec3
from splatpack.container.layout import (
    HEADER_SIZE,
    LEVELS,
    META_MAX,
    PACKED_METADATA,
    ROOT_MAX,
    TABLES_MAX,
    Header,
    content_hash,
    minor_version,
)
from splatpack.container.reader import ContainerReader
from splatpack.errors import UsageError

_SPOOL = 64 << 20
_COPY = 4 << 20

WORTHWHILE = 1000
"""Metadata are packed where that saves at least one byte of so many of the file."""


class ContainerWriter:
    """Collects chunks in a spool file and lays them out behind the prefix at the end.

    Parameters
    ----------
    kind : int
        Asset kind, 1 for Gaussians.
    folder : str or None
        Where the spool file goes when it outgrows memory: the target's folder, so that a full disk shows there.
    """

    def __init__(self, kind: int = 1, folder: str | None = None) -> None:
        self._kind = kind
        self._chunks: list[Chunk] = []
        self._spool = tempfile.SpooledTemporaryFile(_SPOOL, dir=folder)  # noqa: SIM115  closed by close()
        self._length = 0

    def add(
        self, sections: Sequence[tuple[int, bytes]], *, count: int, low: Vec3, high: Vec3, reach: float,
        level: int = 0, profile: int = 0, error: float = 0.0, gain: float = 0.0, parent: int = -1, successors: int = 0,
    ) -> Chunk:  # fmt: skip
        """Append a chunk of ``sections`` (kind, bytes), kinds ascending. Return its entry, offset from chunk 0."""
        data = b"".join(body for _, body in sections)
        entries = tuple(Section(kind, len(body), zlib.crc32(body)) for kind, body in sections)
        chunk = Chunk(
            self._length, len(data), count, level, profile, low, high, reach, content_hash(data), entries, error, gain,
            len(self._chunks), parent, successors,
        )  # fmt: skip
        self._spool.write(data)
        self._chunks.append(chunk)
        self._length += len(data)
        return chunk

    def finish(
        self, metadata: dict[str, Any], tables: bytes, out: BinaryIO, *, required: int = 0, optional: int = 0
    ) -> int:
        """Write the file to ``out`` and return its length in bytes.

        Metadata are packed where that is :data:`WORTHWHILE`, whatever ``required`` says. The minor version is the least
        that knows the features.

        Raises
        ------
        UsageError
            Metadata or tables are larger than the format allows.
        """
        packed = meta.pack(metadata)
        required &= ~PACKED_METADATA
        if len(packed) > META_MAX or len(tables) > TABLES_MAX:
            raise UsageError(
                f"metadata of {len(packed):,} or tables of {len(tables):,} bytes: more than the format allows."
            )
        levels = bool(required & LEVELS)
        root = directory.pack_chunks(self._chunks, levels)
        short = meta.deflate(packed)
        length = HEADER_SIZE + min(len(root), ROOT_MAX) + len(packed) + len(tables) + self._length
        if (len(packed) - len(short)) * WORTHWHILE >= length:
            packed, required = short, required | PACKED_METADATA
        prefix = HEADER_SIZE + len(packed) + len(tables)
        groups: list[list[Chunk]] = []
        pages: list[bytes] = []
        if len(root) <= ROOT_MAX:
            start = prefix + len(root)
            root = directory.pack_chunks([replace(c, offset=c.offset + start) for c in self._chunks], levels)
            end = start + self._length
        else:
            groups = [self._chunks[i : i + PAGE_CHUNKS] for i in range(0, len(self._chunks), PAGE_CHUNKS)]
            size = directory.index_size(len(groups))
            if size > ROOT_MAX:
                raise UsageError(f"{len(self._chunks):,} chunks: more than the directory of format 1.0 holds.")
            root, pages, end = _paginate(groups, prefix + size, levels)
        header = Header(
            self._kind, required, optional, end, len(root), zlib.crc32(root), len(packed), zlib.crc32(packed),
            len(tables), zlib.crc32(tables), content_hash(root), content_hash(packed), content_hash(tables),
            minor=minor_version(required),
        )  # fmt: skip
        out.write(b"".join([header.pack(), root, packed, tables]))
        self._copy(out, groups, pages)
        return end

    def _copy(self, out: BinaryIO, groups: list[list[Chunk]], pages: list[bytes]) -> None:
        self._spool.seek(0)
        runs = [(page, sum(c.length for c in g)) for page, g in zip(pages, groups, strict=True)] or [
            (b"", self._length)
        ]
        for page, length in runs:
            out.write(page)
            while length:
                part = self._spool.read(min(length, _COPY))
                out.write(part)
                length -= len(part)

    def close(self) -> None:
        """Remove the spool file."""
        self._spool.close()

    def __enter__(self) -> ContainerWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def rewrite(
    reader: ContainerReader, metadata: dict[str, Any], out: BinaryIO, folder: str | None = None,
    chunks: Sequence[Chunk] | None = None,
) -> int:  # fmt: skip
    """Write an open file again with other metadata, its chunks and tables unchanged. Return the length in bytes.

    ``chunks`` keeps only some of them: a chunk needs nothing but the prefix, and its ancestors where it has any (see
    :func:`splatpack.container.levels.closed`). The caller sets their ``n``.
    """
    with ContainerWriter(reader.header.kind, folder) as writer:
        numbers = {-1: -1}
        for c in reader.chunks if chunks is None else chunks:
            numbers[c.index] = len(numbers) - 1
            data, at, sections = reader.chunk_bytes(c), 0, []
            for s in c.sections:
                sections.append((s.kind, data[at : at + s.length]))
                at += s.length
            writer.add(
                sections, count=c.count, low=c.low, high=c.high, reach=c.reach, level=c.level, profile=c.profile,
                error=c.error, gain=c.gain, parent=numbers[c.parent], successors=c.successors,
            )  # fmt: skip
        head = reader.header
        return writer.finish(metadata, reader.tables, out, required=head.required, optional=head.optional)


def _ref(page: bytes, chunks: Sequence[Chunk]) -> PageRef:
    return directory.page_ref(page, chunks, zlib.crc32(page))


def _paginate(groups: list[list[Chunk]], start: int, levels: bool) -> tuple[bytes, list[bytes], int]:
    """Place each leaf page right before its chunks. Return the index page, the leaf pages and the end of the file."""
    pages, refs, at = [], [], start
    for group in groups:
        size = len(directory.pack_chunks(group, levels))
        base = at + size - group[0].offset
        placed = [replace(c, offset=c.offset + base) for c in group]
        page = directory.pack_chunks(placed, levels)
        pages.append(page)
        refs.append(_ref(page, placed))
        at = placed[-1].offset + placed[-1].length
    return directory.pack_index(refs), pages, at
