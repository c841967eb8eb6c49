"""A scene from a server to a file: resumable, each chunk checked, and a valid ``.spk`` however little has arrived."""

from __future__ import annotations

import asyncio
import fcntl
import os
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from splatpack.container.atomic import atomic_write, publish, refuse_existing
from splatpack.container.layout import HEADER_SIZE, Header
from splatpack.container.levels import closed
from splatpack.container.reader import ContainerReader
from splatpack.container.source import ByteSource, FileSource
from splatpack.container.writer import rewrite
from splatpack.errors import CorruptError, StorageError
from splatpack.limits import Limits
from splatpack.scene.cameras import Camera
from splatpack.stream.client import SceneStream
from splatpack.stream.mirror import Mirror

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class FetchReport:
    """What :func:`fetch` did; the keys of ``splatpack fetch --json``.

    Attributes
    ----------
    url, output : str
    bytes, chunks : int
        What came over the network now; a resumed transfer counts only the rest.
    bytes_out, chunks_out : int
        What the written file has.
    complete : bool
        The file is the server's, byte for byte; else it holds the chunks that came.
    seconds : float
    resumed : int
        How often the transfer went on where it had been broken off.
    """

    url: str
    output: str
    bytes: int
    chunks: int
    bytes_out: int
    chunks_out: int
    complete: bool
    seconds: float
    resumed: int


class PartFile:
    """The bytes that have come, at the places where they lie in the scene's file.

    There is no other state: what the file holds is found again by its hashes, so nothing in it is trusted.

    Parameters
    ----------
    path : Path
        ``OUT.spk.part``. It is locked: two transfers to one target exclude each other.

    Raises
    ------
    StorageError
        It cannot be opened, or is in use.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file: BinaryIO = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        except OSError as error:
            raise StorageError(f"{path}: cannot be written: {error.strerror or error}.") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise StorageError(f"{path}: another transfer writes it. Wait for it, or choose another output.") from error

    def recover(self, limits: Limits | None) -> Mirror | None:
        """Return what an earlier transfer left, checked; None: nothing of use."""
        size = os.fstat(self._file.fileno()).st_size
        try:
            with FileSource(self.path) as source:
                prefix = _prefix(source) if size >= HEADER_SIZE else None
                if prefix is not None:
                    mirror = Mirror(prefix, str(self.path), limits)
                    mirror.recover(source)
                    return mirror
        except CorruptError:
            pass
        self._file.truncate(0)
        return None

    def put(self, offset: int, data: bytes) -> None:
        """Write bytes to their place."""
        try:
            self._file.seek(offset)
            self._file.write(data)
        except OSError as error:
            raise StorageError(f"{self.path}: cannot be written: {error.strerror or error}.") from error

    def begin(self, mirror: Mirror) -> None:
        """Start over with another scene."""
        self._file.truncate(0)
        self.put(0, mirror.prefix)

    def save(self, mirror: Mirror, target: Path, *, force: bool) -> None:
        """Make the target of what is here: the file itself when it is complete, else a smaller scene of its chunks."""
        self._file.flush()
        if mirror.complete:
            publish(self.path, target, force=force)
            return
        with FileSource(self.path) as source, atomic_write(target, force=force) as out:
            write_subset(mirror, source, out, str(target.parent))
        self.path.unlink()

    def close(self) -> None:
        """Release the file, and remove it when it is empty."""
        empty = self._file.seek(0, os.SEEK_END) == 0
        self._file.close()
        if empty:
            self.path.unlink(missing_ok=True)


def _prefix(source: ByteSource) -> bytes:
    head = Header.unpack(source.read(0, HEADER_SIZE))
    return source.read(0, head.data_offset)


def write_subset(mirror: Mirror, source: ByteSource, out: BinaryIO, folder: str | None = None) -> int:
    """Write the chunks that have come as a scene of their own. Return the length in bytes.

    The quality that was measured on the whole scene is left out.
    """
    chunks = closed([mirror.entry(item) for item in np.nonzero(mirror.have)[0].tolist()])
    metadata = {k: v for k, v in mirror.reader.meta.items() if k != "quality"}
    metadata["n"] = sum(c.count for c in chunks)
    return rewrite(ContainerReader(source, partial=True), metadata, out, folder, chunks)


def fetch(
    url: str, output: str | os.PathLike[str], *, camera: Camera | None = None, budget: int | None = None,
    token: str | None = None, force: bool = False, tls: ssl.SSLContext | None = None, limits: Limits | None = None,
    progress: Progress | None = None,
) -> FetchReport:  # fmt: skip
    """Fetch a scene to a file.

    What arrives goes to ``OUTPUT.part``, which a later call with the same output takes up. See
    :class:`splatpack.stream.client.SceneStream` for the other parameters and the errors.

    Parameters
    ----------
    url : str
    output : path-like
    camera : Camera or None
    budget : int or None
        Bytes to have, at most: then the output is a valid file of the chunks that came.
    token, force, tls, limits, progress
    """
    return asyncio.run(
        fetch_async(
            url, output, camera=camera, budget=budget, token=token, force=force, tls=tls, limits=limits,
            progress=progress,
        )
    )  # fmt: skip


async def fetch_async(
    url: str, output: str | os.PathLike[str], *, camera: Camera | None = None, budget: int | None = None,
    token: str | None = None, force: bool = False, tls: ssl.SSLContext | None = None, limits: Limits | None = None,
    progress: Progress | None = None,
) -> FetchReport:  # fmt: skip
    """:func:`fetch` for callers that run an event loop."""
    begin, target = time.perf_counter(), Path(output)
    refuse_existing(target, force)
    part = PartFile(target.with_name(target.name + ".part"))
    try:
        found = part.recover(limits)
        stream = SceneStream(url, camera=camera, token=token, budget=budget, mirror=found, tls=tls, limits=limits)
        got = await _collect(stream, part, found, progress)
        mirror = stream.mirror
        if mirror is None:
            raise AssertionError("a stream that ended without its scene")
        part.save(mirror, target, force=force)
    finally:
        part.close()
    return FetchReport(
        url, str(target), stream.received, got, target.stat().st_size, int(mirror.have.sum()), mirror.complete,
        time.perf_counter() - begin, stream.resumed,
    )  # fmt: skip


async def _collect(stream: SceneStream, part: PartFile, found: Mirror | None, progress: Progress | None) -> int:
    """Write what comes to its place. Return how many chunks came."""
    at, got, pages = found, 0, set[int]()
    async for chunk in stream:
        if stream.mirror is not at and stream.mirror is not None:
            at, pages = stream.mirror, set()
            part.begin(at)
        part.put(chunk.entry.offset, chunk.data)
        got += 1
        if at is not None:
            for page in set(np.nonzero(at.have_pages)[0].tolist()) - pages:
                ref = at.pages[page]
                part.put(ref.offset, at.source.read(ref.offset, ref.length))
                pages.add(page)
            if progress:
                progress("fetching", int(at.have.sum()), len(at))
    return got
