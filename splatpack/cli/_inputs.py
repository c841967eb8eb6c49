"""Opening what commands read, with errors that say which command would have been right."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from splatpack.container.reader import ContainerReader
from splatpack.errors import UsageError
from splatpack.formats.detect import detect

if TYPE_CHECKING:
    from collections.abc import Iterable

    from splatpack.container.directory import Chunk
    from splatpack.limits import Limits

_FOREIGN = ("ply", "compressed-ply", "spz", "sog", "splat", "ksplat", "gltf", "usd", "rad", "splatv", "checkpoint")


def open_spk(path: str, limits: Limits | None = None, *, partial: bool = False) -> ContainerReader:
    """Open a ``.spk`` by its path or URL, or an exploded one by its ``.spkm``.

    Another known format is a mistake of the caller, anything else a damaged file.

    Raises
    ------
    UsageError
        The file is of another format.
    CorruptError, TruncatedError, ChecksumError, UnsupportedError, LimitError, StorageError
        As the bytes deserve.
    """
    if remote(path):
        from splatpack.stream.ranges import open_url

        return open_url(path, limits, partial=partial, token=os.environ.get("SPLATPACK_TOKEN"))
    if path.endswith(".spkm"):
        from splatpack.stream.explode import open_exploded

        return ContainerReader(open_exploded(path), limits, partial=partial)
    kind = detect(path)
    if kind in _FOREIGN:
        raise UsageError(f"{path}: a file of format {kind}, expected a .spk. 'splatpack compress' makes one.")
    return ContainerReader.open(path, limits, partial=partial)


def remote(path: str) -> bool:
    """Whether what a command reads is a URL."""
    return path.startswith(("http://", "https://", "s3://", "gs://", "az://"))


def prefetch(reader: ContainerReader, chunks: Iterable[Chunk]) -> None:
    """Bring chunks of a remote file here in joined, concurrent requests; a local file needs none."""
    if hasattr(reader.source, "prefetch"):
        reader.source.prefetch((c.offset, c.length) for c in chunks)


def corners(items: Iterable[tuple[tuple[float, ...], tuple[float, ...]]]) -> tuple[list[float], list[float]]:
    """Return the lowest and the highest corner of boxes (low, high)."""
    boxes = list(items)
    return [min(b[0][k] for b in boxes) for k in range(3)], [max(b[1][k] for b in boxes) for k in range(3)]
