"""Opening what commands read, with errors that say which command would have been right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from splatpack.container.reader import ContainerReader
from splatpack.errors import UsageError
from splatpack.formats.detect import detect

if TYPE_CHECKING:
    from collections.abc import Iterable

    from splatpack.limits import Limits

_FOREIGN = ("ply", "compressed-ply", "spz", "sog", "splat", "ksplat", "gltf", "usd", "rad", "splatv", "checkpoint")


def open_spk(path: str, limits: Limits | None = None, *, partial: bool = False) -> ContainerReader:
    """Open a ``.spk``; another known format is a mistake of the caller, anything else a damaged file.

    Raises
    ------
    UsageError
        The file is of another format.
    CorruptError, TruncatedError, ChecksumError, UnsupportedError, LimitError, StorageError
        As the bytes deserve.
    """
    kind = detect(path)
    if kind in _FOREIGN:
        raise UsageError(f"{path}: a file of format {kind}, expected a .spk. 'splatpack compress' makes one.")
    return ContainerReader.open(path, limits, partial=partial)


def corners(items: Iterable[tuple[tuple[float, ...], tuple[float, ...]]]) -> tuple[list[float], list[float]]:
    """Return the lowest and the highest corner of boxes (low, high)."""
    boxes = list(items)
    return [min(b[0][k] for b in boxes) for k in range(3)], [max(b[1][k] for b in boxes) for k in range(3)]
