"""What a client knows of a scene: the checked prefix and pages, and which chunks it has."""

from __future__ import annotations

import bisect
import zlib

import numpy as np

from splatpack.container.directory import Chunk
from splatpack.container.layout import HEADER_SIZE, Header, content_hash
from splatpack.container.reader import ContainerReader
from splatpack.container.source import ByteSource
from splatpack.errors import ChecksumError, CorruptError
from splatpack.limits import Limits
from splatpack.stream.index import pack_have
from splatpack.stream.wire import PAGE, PREFIX


class PatchSource(ByteSource):
    """Pieces of a file at their offsets; what is not there cannot be read."""

    def __init__(self, size: int, name: str) -> None:
        self.size, self.name = size, name
        self._starts: list[int] = []
        self._pieces: dict[int, bytes] = {}

    def put(self, offset: int, data: bytes) -> None:
        """Add a piece. Pieces do not overlap."""
        if offset not in self._pieces:
            bisect.insort(self._starts, offset)
        self._pieces[offset] = data

    def _read(self, offset: int, length: int) -> bytes:
        at = bisect.bisect_right(self._starts, offset) - 1
        if at < 0:
            return b""
        start = self._starts[at]
        return self._pieces[start][offset - start : offset - start + length]


class Mirror:
    """A scene as far as it has arrived. Everything in it has been checked against the file's own hashes.

    Parameters
    ----------
    prefix : bytes
        Header, root page, metadata and tables.
    name : str
    limits : Limits or None

    Raises
    ------
    CorruptError, ChecksumError, TruncatedError, UnsupportedError, LimitError
        As the bytes deserve.
    """

    def __init__(self, prefix: bytes, name: str = "stream", limits: Limits | None = None) -> None:
        head = Header.unpack(prefix[:HEADER_SIZE])
        if len(prefix) != head.data_offset:
            raise CorruptError(f"{name}: a prefix of {len(prefix):,} bytes, its header says {head.data_offset:,}.")
        self.source = PatchSource(head.file_len, name)
        self.source.put(0, prefix)
        self.prefix, self.name = prefix, name
        self.id = content_hash(prefix[:HEADER_SIZE])
        self.reader = ContainerReader(self.source, limits)
        _ = self.reader.meta, self.reader.tables  # checked now, kept by the reader
        self.pages = self.reader.pages
        self._entries: list[list[Chunk] | None] = [None] * len(self.pages) or [self.reader.chunks]
        counts = [p.chunks for p in self.pages] or [len(self.reader.chunks)]
        self._first: list[int] = np.concatenate([[0], np.cumsum(counts)]).tolist()
        self.have = np.zeros(self._first[-1], np.bool_)
        self.have_pages = np.zeros(len(self.pages), np.bool_)

    def __len__(self) -> int:
        return len(self.have)

    @property
    def complete(self) -> bool:
        """Whether every chunk has arrived."""
        return bool(self.have.all() and self.have_pages.all())

    def entry(self, item: int) -> Chunk:
        """Return the directory entry of a chunk.

        Raises
        ------
        CorruptError
            There is no such chunk, or its page has not come.
        """
        if not 0 <= item < len(self.have):
            raise CorruptError(f"{self.name}: chunk {item}, expected below {len(self.have)}.")
        page = bisect.bisect_right(self._first, item) - 1
        entries = self._entries[page]
        if entries is None:
            raise CorruptError(f"{self.name}: chunk {item} came before its directory page {page}.")
        return entries[item - self._first[page]]

    def length(self, item: int) -> int:
        """Return the bytes of an item.

        Raises
        ------
        CorruptError
            There is no such item.
        """
        if item == PREFIX:
            return len(self.prefix)
        if item >= PAGE:
            if item - PAGE >= len(self.pages):
                raise CorruptError(f"{self.name}: page {item - PAGE}, expected below {len(self.pages)}.")
            return self.pages[item - PAGE].length
        return self.entry(item).length

    def offset(self, item: int) -> int:
        """Return where an item lies in the file."""
        return self.pages[item - PAGE].offset if item >= PAGE else self.entry(item).offset

    def accept(self, item: int, data: bytes) -> None:
        """Check a page or a chunk and note that it is here. The chunk's bytes are not kept.

        Raises
        ------
        ChecksumError, CorruptError
            It is not what the directory says.
        """
        if item >= PAGE:
            page = item - PAGE
            self.source.put(self.pages[page].offset, data)
            self._entries[page] = self.reader.page_chunks(self.pages[page])
            self.have_pages[page] = True
            return
        check_chunk(self.entry(item), data, f"{self.name}: chunk {item}")
        self.have[item] = True

    def drop(self, item: int) -> None:
        """Note that a chunk is not kept."""
        if item < PAGE:
            self.have[item] = False

    def have_set(self) -> bytes:
        """Return what OPEN sends to go on from here."""
        return pack_have(self.have, self.have_pages)

    def recover(self, source: ByteSource) -> int:
        """Find the pages and chunks that lie in ``source`` at their places, checked. Return how many chunks."""
        for page, ref in enumerate(self.pages):
            self._try(PAGE + page, source, ref.offset, ref.length)
        for item in range(len(self.have)):
            if self.pages and not self.have_pages[bisect.bisect_right(self._first, item) - 1]:
                continue
            entry = self.entry(item)
            self._try(item, source, entry.offset, entry.length)
        return int(self.have.sum())

    def _try(self, item: int, source: ByteSource, offset: int, length: int) -> None:
        try:
            self.accept(item, source.read(offset, length))
        except CorruptError:
            return


def check_chunk(entry: Chunk, data: bytes, what: str) -> None:
    """Check a chunk's bytes against its directory entry: hash, then each section's CRC-32.

    Raises
    ------
    ChecksumError
    """
    if len(data) != entry.length or content_hash(data) != entry.hash:
        raise ChecksumError(f"{what}: its content hash does not match.")
    at = 0
    for s in entry.sections:
        if zlib.crc32(memoryview(data)[at : at + s.length]) != s.crc:
            raise ChecksumError(f"{what}, section {s.kind}: its checksum does not match.")
        at += s.length
