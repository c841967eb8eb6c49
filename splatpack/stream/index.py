"""What the sender of a scene knows: items, their ranges, and the table that the priority function reads."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from splatpack.container.directory import Chunk
from splatpack.container.layout import HEADER_SIZE, content_hash
from splatpack.container.reader import ContainerReader
from splatpack.errors import PeerError
from splatpack.stream.schema import MALFORMED
from splatpack.stream.wire import PAGE, PREFIX

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ChunkTable:
    """Chunks as the priority function sees them, one row each (``spec/protocol.md``, section 7).

    Attributes
    ----------
    centre : float64 (n, 3)
        Middle of the box of the centres.
    radius : float64 (n,)
        Half the diagonal of that box.
    reach : float64 (n,)
        How far a Gaussian of the chunk can be seen beyond the box, at most ``radius``.
    size : float64 (n,)
        Bytes.
    count : int64 (n,)
        Gaussians.
    error, gain : float64 (n,)
        As the directory has them; a gain that it does not have is 4^level radius^2.
    parent : int64 (n,)
        The chunk that must come first, or -1.
    group : int64 (n,)
        The stand-in that the chunk replaces together with all others of its group, or -1.
    near : float
        The least distance that is told apart: a thousandth of the scene's half diagonal.
    """

    centre: Floats
    radius: Floats
    reach: Floats
    size: Floats
    count: NDArray[np.int64]
    error: Floats
    gain: Floats
    parent: NDArray[np.int64]
    group: NDArray[np.int64]
    near: float

    def __len__(self) -> int:
        return len(self.size)

    def take(self, rows: NDArray[np.int64]) -> ChunkTable:
        """Return the table of some chunks; parents and groups keep their numbers."""
        columns = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "near"}
        return replace(self, **columns)

    @cached_property
    def children(self) -> dict[int, list[int]]:
        """Chunks by their parent."""
        out: dict[int, list[int]] = {}
        for child in np.nonzero(self.parent >= 0)[0].tolist():
            out.setdefault(int(self.parent[child]), []).append(child)
        return out

    @classmethod
    def of(cls, chunks: Sequence[Chunk]) -> ChunkTable:
        """Return the table of a directory's chunks, all of them."""
        low = np.array([c.low for c in chunks], np.float64).reshape(-1, 3)
        high = np.array([c.high for c in chunks], np.float64).reshape(-1, 3)
        radius = np.linalg.norm(high - low, axis=1) / 2
        level = np.array([c.level for c in chunks], np.float64)
        gain = np.array([c.gain for c in chunks], np.float64)
        parent = np.array([c.parent for c in chunks], np.int64)
        replaced = np.array([*(c.successors > 0 for c in chunks), False])
        half = float(np.linalg.norm(high.max(axis=0) - low.min(axis=0))) / 2
        return cls(
            (low + high) / 2, radius, np.minimum([c.reach for c in chunks], radius),
            np.array([c.length for c in chunks], np.float64), np.array([c.count for c in chunks], np.int64),
            np.array([c.error for c in chunks], np.float64), np.where(gain > 0, gain, 4.0**level * radius**2), parent,
            np.where(replaced[parent], parent, -1), max(1e-3 * half, 1e-9),
        )  # fmt: skip


@dataclass(frozen=True)
class SceneIndex:
    """A scene that can be sent: where each item lies, what it hashes to, and the table for priorities.

    Attributes
    ----------
    name : str
        What clients call it.
    id : bytes
        Hash of the header, which covers everything else in the file.
    root : bytes
        Hash of the root page.
    length, prefix : int
        Bytes of the file and of its prefix.
    prefix_hash : bytes
        Hash of the prefix.
    chunks : tuple of (offset, length, hash)
    pages : tuple of (offset, length, hash)
        Leaf pages; empty where the root page lists the chunks.
    page_of : int64 (chunks,)
        The leaf page of each chunk; empty without leaf pages.
    table : ChunkTable
    """

    name: str
    id: bytes
    root: bytes
    length: int
    prefix: int
    prefix_hash: bytes
    chunks: tuple[tuple[int, int, bytes], ...]
    pages: tuple[tuple[int, int, bytes], ...]
    page_of: NDArray[np.int64]
    table: ChunkTable

    @classmethod
    def of(cls, reader: ContainerReader, name: str) -> SceneIndex:
        """Read the whole directory of an open file."""
        head, pages = reader.header, reader.pages
        return cls(
            name, content_hash(reader.source.read(0, HEADER_SIZE)), head.root_hash, head.file_len, head.data_offset,
            content_hash(reader.source.read(0, head.data_offset)),
            tuple((c.offset, c.length, c.hash) for c in reader.chunks),
            tuple((p.offset, p.length, p.hash) for p in pages),
            np.repeat(np.arange(len(pages)), [p.chunks for p in pages]), ChunkTable.of(reader.chunks),
        )  # fmt: skip

    def range_of(self, item: int) -> tuple[int, int, bytes]:
        """Return offset, length and hash of an item.

        Raises
        ------
        PeerError
            With close code 4400: there is no such item.
        """
        if item == PREFIX:
            return 0, self.prefix, self.prefix_hash
        if item < len(self.chunks):
            return self.chunks[item]
        if PAGE <= item < PAGE + len(self.pages):
            return self.pages[item - PAGE]
        raise PeerError(f"scene {self.name}: item {item}, expected below {len(self.chunks)}.", MALFORMED)


def pack_have(chunks: NDArray[np.bool_], pages: NDArray[np.bool_]) -> bytes:
    """Return the have-set: one bit for each chunk, then for each page, least significant first, deflated."""
    return zlib.compress(np.packbits(np.concatenate([chunks, pages]), bitorder="little").tobytes(), 6)


def unpack_have(data: bytes, chunks: int, pages: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Read a have-set of known size. Safe on untrusted input: it inflates to that size or fails.

    Raises
    ------
    PeerError
        With close code 4400.
    """
    want = (chunks + pages + 7) // 8
    inflate = zlib.decompressobj()
    try:
        bits = inflate.decompress(data, want + 1)
    except zlib.error as error:
        raise PeerError(f"Open.have does not inflate: {error}.", MALFORMED) from error
    if len(bits) != want or not inflate.eof or inflate.unused_data:
        raise PeerError(f"Open.have: not the {want} bytes of {chunks} chunks and {pages} pages.", MALFORMED)
    flags = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little").astype(np.bool_)
    if flags[chunks + pages :].any():
        raise PeerError("Open.have: padding bits are set.", MALFORMED)
    return flags[:chunks].copy(), flags[chunks : chunks + pages].copy()
