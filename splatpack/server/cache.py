"""Chunks in memory: bounded in bytes, each read once however many clients wait for it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from splatpack.container.layout import content_hash
from splatpack.container.source import ByteSource
from splatpack.errors import ChecksumError

Key = bytes
"""The content's hash: two scenes that share a chunk share its bytes here."""


class ChunkCache:
    """Items by their hash, least recently used out first.

    Parameters
    ----------
    capacity : int
        Bytes. An item that is larger passes through.
    loads : int
        Reads that run at a time.
    """

    def __init__(self, capacity: int, loads: int = 16) -> None:
        self.capacity = capacity
        self.bytes = self.hits = self.misses = self.failures = 0
        self._items: OrderedDict[Key, bytes] = OrderedDict()
        self._flights: dict[Key, asyncio.Task[bytes]] = {}
        self._slots = asyncio.Semaphore(loads)

    def __len__(self) -> int:
        return len(self._items)

    def peek(self, digest: Key) -> bytes | None:
        """Return an item that is here."""
        data = self._items.get(digest)
        if data is not None:
            self._items.move_to_end(digest)
            self.hits += 1
        return data

    async def get(self, source: ByteSource, offset: int, length: int, digest: Key) -> bytes:
        """Return an item, read and checked if it is not here. A caller that gives up does not stop the others' read.

        Raises
        ------
        ChecksumError
            The bytes do not hash to ``digest``: the file was damaged or changed in place.
        TruncatedError, StorageError
            They cannot be read.
        """
        data = self.peek(digest)
        if data is not None:
            return data
        flight = self._flights.get(digest)
        if flight is None:
            self.misses += 1
            flight = asyncio.create_task(self._load(source, offset, length, digest))
            self._flights[digest] = flight
            flight.add_done_callback(lambda task: self._landed(digest, task))
        return await asyncio.shield(flight)

    def _landed(self, digest: Key, task: asyncio.Task[bytes]) -> None:
        self._flights.pop(digest, None)
        if not task.cancelled() and task.exception() is not None:
            self.failures += 1

    async def _load(self, source: ByteSource, offset: int, length: int, digest: Key) -> bytes:
        async with self._slots:
            data = await asyncio.to_thread(_read, source, offset, length, digest)
        if length <= self.capacity:
            self._items[digest] = data
            self.bytes += length
            while self.bytes > self.capacity:
                self.bytes -= len(self._items.popitem(last=False)[1])
        return data

    async def close(self) -> None:
        """Wait for reads under way."""
        if self._flights:
            await asyncio.wait(list(self._flights.values()))


def _read(source: ByteSource, offset: int, length: int, digest: bytes) -> bytes:
    data = source.read(offset, length)
    if content_hash(data) != digest:
        raise ChecksumError(f"{source.name}: {length:,} bytes at {offset:,} are not what the directory says.")
    return data
