"""Reading a ``.spk`` by range: header and directory first, then only the chunks that are asked for."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from functools import cached_property
from types import TracebackType
from typing import Any

from splatpack.container import directory, levels, meta
from splatpack.container.directory import Chunk, PageRef
from splatpack.container.layout import HEADER_SIZE, KINDS, LEVELS, PACKED_METADATA, Header, content_hash
from splatpack.container.source import ByteSource, FileSource
from splatpack.errors import ChecksumError, CorruptError, TruncatedError
from splatpack.limits import Limits


class ContainerReader:
    """An open ``.spk``. Nothing is decoded here; sections come out as stored, checked against their CRC-32.

    Parameters
    ----------
    source : ByteSource
    limits : Limits or None
    partial : bool
        Accept a file that was cut: chunks that are whole can be read. Off, a cut file is a ``TruncatedError``.

    Raises
    ------
    CorruptError, TruncatedError, ChecksumError, UnsupportedError, LimitError, StorageError
        As the bytes deserve.
    """

    def __init__(self, source: ByteSource, limits: Limits | None = None, *, partial: bool = False) -> None:
        self.source = source
        self.limits = (limits or Limits()).start(source.size)
        self.partial = partial
        self.header = Header.unpack(source.read(0, min(HEADER_SIZE, source.size)))
        if self.header.file_len > source.size and not partial:
            raise TruncatedError(f"{source.name}: {source.size:,} bytes, its header says {self.header.file_len:,}.")
        if self.header.file_len < source.size:
            extra = source.size - self.header.file_len
            raise CorruptError(f"{source.name}: {extra:,} bytes behind the end of the file that the header declares.")
        root = self._part("root page", HEADER_SIZE, self.header.root_len, self.header.root_crc, self.header.root_hash)
        self._root = directory.unpack(root, self.limits, "root page", levels=self.has_levels)
        self._check_tiling()

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], limits: Limits | None = None, *, partial: bool = False
    ) -> ContainerReader:
        """Open a local file."""
        source = FileSource(path)
        try:
            return cls(source, limits, partial=partial)
        except BaseException:
            source.close()
            raise

    @property
    def kind(self) -> str:
        """Asset kind by name: ``gaussians``, ``field`` or ``sequence``."""
        return KINDS[self.header.kind]

    @property
    def has_levels(self) -> bool:
        """Whether chunks stand in for others (required feature 2), so that not all of them are drawn."""
        return bool(self.header.required & LEVELS)

    @cached_property
    def meta(self) -> dict[str, Any]:
        """The metadata, checked for form but not for meaning."""
        h = self.header
        data = self._part("metadata", h.meta_offset, h.meta_len, h.meta_crc, h.meta_hash)
        if h.required & PACKED_METADATA:
            data = meta.inflate(data)  # at most 1 MiB, whatever the file says
            self.limits.debit(len(data), "metadata")
        return meta.unpack(data)

    @cached_property
    def tables(self) -> bytes:
        """The codec tables that all chunks share."""
        h = self.header
        return self._part("tables", h.tables_offset, h.tables_len, h.tables_crc, h.tables_hash)

    @property
    def pages(self) -> list[PageRef]:
        """Leaf pages of a large file; empty when the root page lists the chunks itself."""
        return [p for p in self._root if isinstance(p, PageRef)]

    @cached_property
    def chunks(self) -> list[Chunk]:
        """All chunks, in file order. Reads every leaf page."""
        found = [c for c in self._root if isinstance(c, Chunk)]
        for page in self.pages:
            if self.partial and page.offset + page.length > self.source.size:
                break
            found += self.page_chunks(page)
        if self.has_levels:
            levels.check(found)
        return found

    def page_chunks(self, page: PageRef) -> list[Chunk]:
        """Read one leaf page and check it against its reference."""
        what = f"page at {page.offset:,}"
        data = self._part(what, page.offset, page.length, page.crc, page.hash)
        before = sum(p.chunks for p in self.pages if p.offset < page.offset) if self.has_levels else 0
        chunks = directory.unpack(data, self.limits, what, levels=self.has_levels, index=before)
        entries = [c for c in chunks if isinstance(c, Chunk)]
        if len(entries) != page.chunks or sum(c.count for c in entries) != page.count:
            raise CorruptError(f"{what}: {len(entries)} chunks, its reference says {page.chunks}.")
        if directory.page_ref(data, entries, page.crc) != page:
            raise CorruptError(f"{what}: its box, reach, level or hash differs from its reference.")
        end = entries[-1].offset + entries[-1].length
        if entries[0].offset != page.offset + page.length or end != page.offset + page.span:
            raise CorruptError(f"{what}: its chunks do not fill the bytes behind it.")
        return entries

    def select(
        self, *, low: tuple[float, ...] | None = None, high: tuple[float, ...] | None = None,
        level: int | None = None, budget: int | None = None,
    ) -> Iterator[Chunk]:  # fmt: skip
        """Yield the chunks to draw whose box meets [low, high], of the level ``level`` or coarser ones.

        Of a file with levels of detail, these are what stands for the scene when the chunks of those levels are at
        hand, in a partial file those that are whole; with ``budget``, so many of them that no more Gaussians are
        drawn, if that can be. Of any other file, leaf pages that hold none of them are not read.
        """
        if self.has_levels:
            yield from (c for c in self._cut(level, budget) if _meets(c, low, high))
            return
        for entry in self._root:
            if not _meets(entry, low, high):
                continue
            for chunk in self.page_chunks(entry) if isinstance(entry, PageRef) else [entry]:
                if _meets(chunk, low, high) and (level is None or chunk.level >= level):
                    yield chunk

    def _cut(self, level: int | None, budget: int | None) -> list[Chunk]:
        chunks = self.chunks
        here = [c.level >= (level or 0) and (not self.partial or self.present(c)) for c in chunks]
        if budget is not None:
            here = levels.within(chunks, here, budget)
        return [c for c, one in zip(chunks, levels.drawn(chunks, here), strict=True) if one]

    def present(self, chunk: Chunk) -> bool:
        """Whether all bytes of ``chunk`` are in the source (only a partial file lacks some)."""
        return chunk.offset + chunk.length <= self.source.size

    def section(self, chunk: Chunk, kind: int) -> bytes | None:
        """Return the bytes of one section, checked against its CRC-32, or None when the chunk has none of that kind."""
        at = chunk.offset
        for s in chunk.sections:
            if s.kind == kind:
                data = self.source.read(at, s.length)
                if zlib.crc32(data) != s.crc:
                    raise ChecksumError(f"chunk at {chunk.offset:,}, section {kind}: its checksum does not match.")
                return data
            at += s.length
        return None

    def chunk_bytes(self, chunk: Chunk) -> bytes:
        """Return a whole chunk, checked against its content hash."""
        data = self.source.read(chunk.offset, chunk.length)
        if content_hash(data) != chunk.hash:
            raise ChecksumError(f"chunk at {chunk.offset:,}: its content hash does not match.")
        return data

    def _part(self, what: str, offset: int, length: int, crc: int, digest: bytes) -> bytes:
        self.limits.debit(length, what)
        data = self.source.read(offset, length)
        if zlib.crc32(data) != crc or content_hash(data) != digest:
            raise ChecksumError(f"{what}: its checksum does not match. The file is damaged.")
        return data

    def _check_tiling(self) -> None:
        """The entries of the root page must fill the data region exactly, and declare no more than the limits allow."""
        at = self.header.data_offset
        if not self._root:
            raise CorruptError("root page: no chunks, expected at least one.")
        for entry in self._root:
            if entry.offset != at:
                raise CorruptError(
                    f"root page: an entry at {entry.offset:,}, expected {at:,}. Entries overlap or leave a gap."
                )
            at += entry.span if isinstance(entry, PageRef) else entry.length
        if at != self.header.file_len:
            raise CorruptError(f"root page: entries end at {at:,}, the file at {self.header.file_len:,}.")
        self.limits.count(sum(e.count for e in self._root), self.limits.gaussians, "Gaussians in the file")

    def close(self) -> None:
        """Close the source."""
        self.source.close()

    def __enter__(self) -> ContainerReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _meets(entry: Chunk | PageRef, low: tuple[float, ...] | None, high: tuple[float, ...] | None) -> bool:
    if low is not None and any(entry.high[k] < low[k] for k in range(3)):
        return False
    return high is None or all(entry.low[k] <= high[k] for k in range(3))
