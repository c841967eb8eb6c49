"""A scene as immutable objects, each named by its content: for hosts and CDNs that serve small files best.

``<id>.spkm`` is the file's prefix, ``c/ab/<hash>.spkc`` its chunks, ``c/ab/<hash>.spkp`` its leaf pages; ``id`` is the
hash of the header. The bytes are those of the ``.spk``: scenes share the objects that they have in common.
"""

from __future__ import annotations

import bisect
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from urllib.parse import urljoin

from splatpack.container.atomic import atomic_write
from splatpack.container.layout import HEADER_SIZE, content_hash
from splatpack.container.reader import ContainerReader
from splatpack.container.source import ByteSource
from splatpack.errors import ChecksumError, CorruptError, StorageError
from splatpack.limits import Limits
from splatpack.stream.http import HttpClient, is_url
from splatpack.stream.mirror import Mirror
from splatpack.stream.wire import PAGE

SUFFIX = ".spkm"
KEEP = 16
"""Objects that a reader keeps in memory: the sections of a chunk are read one by one."""
MANIFEST_MAX = 4 << 20


@dataclass(frozen=True)
class ExplodeReport:
    """What :func:`explode` did; the keys of ``splatpack explode --json``.

    Attributes
    ----------
    input, manifest : str
        ``manifest`` is the path of the ``.spkm``.
    objects, written : int
        Objects of the scene, and those that were not there yet.
    bytes, bytes_written : int
    """

    input: str
    manifest: str
    objects: int
    written: int
    bytes: int
    bytes_written: int


def object_key(digest: bytes, suffix: str) -> str:
    """Return the relative path of an object, with slashes."""
    name = digest.hex()
    return f"c/{name[:2]}/{name}.{suffix}"


def explode(
    path: str | os.PathLike[str], folder: str | os.PathLike[str], limits: Limits | None = None
) -> ExplodeReport:
    """Write the objects of a ``.spk`` below ``folder``; what is there already is left alone.

    Every chunk is checked on the way. The manifest is written last, so that whoever finds it finds everything.

    Raises
    ------
    CorruptError, ChecksumError, TruncatedError, UnsupportedError, LimitError
        The file is damaged.
    StorageError
        A file cannot be read or written.
    """
    root = Path(folder)
    written = bytes_written = 0
    with ContainerReader.open(path, limits) as reader:
        source = reader.source
        prefix = source.read(0, reader.header.data_offset)
        pages = ((object_key(p.hash, "spkp"), source.read(p.offset, p.length)) for p in reader.pages)
        chunks = ((object_key(c.hash, "spkc"), reader.chunk_bytes(c)) for c in reader.chunks)
        name = content_hash(prefix[:HEADER_SIZE]).hex() + SUFFIX
        for key, data in chain(pages, chunks, [(name, prefix)]):
            if _put(root / key, data):
                written += 1
                bytes_written += len(data)
        count = len(reader.pages) + len(reader.chunks) + 1
        return ExplodeReport(str(path), str(root / name), count, written, source.size, bytes_written)


def _put(path: Path, data: bytes) -> bool:
    """Write an object unless it is there in full."""
    try:
        if path.stat().st_size == len(data):
            return False
    except FileNotFoundError:
        pass
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}.") from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{path.parent}: cannot be made: {error.strerror or error}.") from error
    with atomic_write(path, force=True) as file:
        file.write(data)
    return True


class ObjectSource(ByteSource):
    """An exploded scene as the file that it was. Every object is checked against its name.

    Parameters
    ----------
    manifest : bytes
        The ``.spkm``.
    get : callable
        An object by its key and length.
    name : str
    limits : Limits or None
    done : callable
        Called when the source is closed.

    Raises
    ------
    CorruptError, ChecksumError, UnsupportedError, LimitError
        The manifest or a leaf page is damaged.
    StorageError
        A leaf page cannot be had.
    """

    def __init__(
        self, manifest: bytes, get: Callable[[str, int], bytes], name: str, limits: Limits | None = None,
        done: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._get, self._done = get, done
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()
        mirror = Mirror(manifest, name, limits)
        self.name, self.size = name, mirror.reader.header.file_len
        self._manifest = manifest
        rows: list[tuple[int, int, str]] = []
        for i, page in enumerate(mirror.pages):
            key = object_key(page.hash, "spkp")
            mirror.accept(PAGE + i, self._object(key, page.length, page.hash))
            rows.append((page.offset, page.length, key))
        rows += [(c.offset, c.length, object_key(c.hash, "spkc")) for c in map(mirror.entry, range(len(mirror)))]
        self._rows = sorted(rows)
        self._hashes = {object_key(p.hash, "spkp"): p.hash for p in mirror.pages}
        self._hashes |= {object_key(c.hash, "spkc"): c.hash for c in map(mirror.entry, range(len(mirror)))}

    def _read(self, offset: int, length: int) -> bytes:
        parts: list[bytes] = []
        while length > 0:
            if offset < len(self._manifest):
                part = self._manifest[offset : offset + length]
            else:
                start, size, key = self._rows[bisect.bisect_right(self._rows, (offset, self.size, "")) - 1]
                part = self._object(key, size, self._hashes[key])[offset - start : offset - start + length]
            parts.append(part)
            offset, length = offset + len(part), length - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Release what objects are fetched with."""
        self._done()

    def _object(self, key: str, length: int, digest: bytes) -> bytes:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        data = self._get(key, length)
        if len(data) != length or content_hash(data) != digest:
            raise ChecksumError(f"{self.name}: object {key} is not what its name says. Upload it again.")
        with self._lock:
            self._kept[key] = data
            while len(self._kept) > KEEP:
                self._kept.popitem(last=False)
        return data


def open_exploded(place: str, client: HttpClient | None = None, limits: Limits | None = None) -> ObjectSource:
    """Open an exploded scene by the path or the URL of its ``.spkm``.

    Raises
    ------
    CorruptError, ChecksumError, UnsupportedError, LimitError
        It is damaged.
    StorageError
        It cannot be read.
    """
    if not is_url(place):
        base = Path(place).parent
        return ObjectSource(_local(Path(place), MANIFEST_MAX), lambda key, n: _local(base / key, n), place, limits)
    fetch = client or HttpClient()

    def get(key: str, length: int) -> bytes:
        reply = fetch.get(urljoin(place, key), {}, lambda response: response.read(length + 1))
        if reply.status != 200:
            raise StorageError(f"{urljoin(place, key)}: HTTP status {reply.status}, expected 200.")
        return reply.body

    try:
        return ObjectSource(get(place, MANIFEST_MAX), get, place, limits, fetch.close)
    except BaseException:
        fetch.close()
        raise


def _local(path: Path, most: int) -> bytes:
    """Read a file of at most ``most`` bytes."""
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}.") from error
    if len(data) > most:
        raise CorruptError(f"{path}: more than {most:,} bytes.")
    return data
