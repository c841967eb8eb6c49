"""A run in a file, from which it goes on exactly as if it had not been broken off.

Layout, little-endian: the signature, version and length of the head (4 bytes each), its SHA-256, the head (strict
msgpack), then the arrays one after the other, each with a SHA-256 in the head. Nothing in it is code.
"""

from __future__ import annotations

import hashlib
import math
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from splatpack.container import meta
from splatpack.container.atomic import atomic_write
from splatpack.errors import ChecksumError, CorruptError, StorageError, TruncatedError, UnsupportedError, UsageError
from splatpack.limits import Limits
from splatpack.train.data.photo import Photo
from splatpack.train.record import Point
from splatpack.train.settings import TrainSettings

SIGNATURE = b"SPKTRAIN"
VERSION = 1
HEAD_MAX = 16 << 20
_HEAD = struct.Struct("<8sII32s")
_DTYPES = ("<f4", "<f8", "<i8")

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Attributes
    ----------
    settings : TrainSettings
    numbers : dict of str to number or None
        Iteration, seconds, steps of Adam, running means.
    history : list of Point
    photos : str
        :func:`identity` of the photos that were trained on.
    arrays : dict of str to array
    """

    settings: TrainSettings
    numbers: dict[str, float | int | None]
    history: list[Point]
    photos: str
    arrays: Arrays


def identity(photos: Sequence[Photo]) -> str:
    """Return a digest of names and cameras: what a checkpoint may go on with."""
    h = hashlib.sha256()
    for photo in photos:
        c = photo.camera
        h.update(repr((photo.name, c.fx, c.fy, c.cx, c.cy, c.width, c.height)).encode())
        h.update(np.ascontiguousarray(c.viewmat).tobytes())
    return h.hexdigest()


def save(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Write a checkpoint; it takes the place of an old one only when it is whole.

    Raises
    ------
    StorageError
        The file system refused, for one because the disk is full. The old file is untouched.
    """
    arrays = {name: np.ascontiguousarray(a, a.dtype.newbyteorder("<")) for name, a in checkpoint.arrays.items()}
    raw = {name: array.reshape(-1).view(np.uint8).data for name, array in arrays.items()}
    rows = [
        [name, array.dtype.str, list(array.shape), hashlib.sha256(raw[name]).hexdigest()]
        for name, array in arrays.items()
    ]
    head = meta.pack({
        "settings": checkpoint.settings.as_dict(), "numbers": checkpoint.numbers, "photos": checkpoint.photos,
        "history": [{k: _finite(v) for k, v in asdict(point).items()} for point in checkpoint.history],
        "arrays": rows,
    })  # fmt: skip
    with atomic_write(path, force=True) as out:
        out.write(_HEAD.pack(SIGNATURE, VERSION, len(head), hashlib.sha256(head).digest()))
        out.write(head)
        for data in raw.values():
            out.write(data)


def load(path: str | os.PathLike[str], limits: Limits | None = None) -> Checkpoint:
    """Read a checkpoint. Safe on untrusted input.

    Raises
    ------
    StorageError
        The file cannot be opened or read.
    CorruptError, TruncatedError, ChecksumError, UnsupportedError, LimitError
        It is no checkpoint, of another version, damaged, or larger than the limits allow.
    """
    try:
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            return _read(file, size, (limits or Limits()).start(size), str(path))
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"{path}: cannot be read: {error.strerror or error}.") from error


def _read(file: BinaryIO, size: int, limits: Limits, what: str) -> Checkpoint:
    start = file.read(_HEAD.size)
    if start[: len(SIGNATURE)] != SIGNATURE:
        raise CorruptError(f"{what}: no checkpoint of a training run (it does not begin with {SIGNATURE.decode()}).")
    if len(start) < _HEAD.size:
        raise TruncatedError(f"{what}: {size} bytes, expected at least {_HEAD.size}.")
    _, version, length, digest = _HEAD.unpack(start)
    if version != VERSION:
        raise UnsupportedError(f"{what}: checkpoint version {version}, expected {VERSION}.")
    limits.debit(limits.count(length, HEAD_MAX, f"{what}: bytes of the head"), f"{what}: head")
    data = _exactly(file, length, f"{what}: head")
    if hashlib.sha256(data).digest() != digest:
        raise ChecksumError(f"{what}: the head does not match its SHA-256.")
    head = meta.unpack(data)
    if set(head) != {"settings", "numbers", "photos", "history", "arrays"}:
        raise CorruptError(f"{what}: fields {sorted(head)} in the head.")
    table = _table(head["arrays"], what)
    if _HEAD.size + length + sum(nbytes for *_, nbytes in table) != size:
        raise CorruptError(f"{what}: {size} bytes, which is not what its arrays take.")
    arrays: Arrays = {}
    for name, dtype, shape, digest_of, nbytes in table:
        limits.debit(nbytes, f"{what}: array {name}")
        raw = _exactly(file, nbytes, f"{what}: array {name}")
        if hashlib.sha256(raw).hexdigest() != digest_of:
            raise ChecksumError(f"{what}: array {name} does not match its SHA-256.")
        arrays[name] = np.frombuffer(raw, dtype).reshape(shape).copy()
    return Checkpoint(
        _settings(head["settings"], what), _numbers(head["numbers"], what), _history(head["history"], what),
        str(head["photos"]), arrays,
    )  # fmt: skip


def _exactly(file: BinaryIO, count: int, what: str) -> bytes:
    data = file.read(count)
    if len(data) != count:
        raise TruncatedError(f"{what}: {len(data)} bytes, expected {count}.")
    return data


def _table(rows: Any, what: str) -> list[tuple[str, str, tuple[int, ...], str, int]]:
    if not isinstance(rows, list) or len(rows) > 100:
        raise CorruptError(f"{what}: the table of arrays is no list of at most 100 rows.")
    out = []
    for row in rows:
        good = isinstance(row, list) and len(row) == 4 and isinstance(row[0], str) and row[1] in _DTYPES
        good = good and isinstance(row[2], list) and len(row[2]) <= 4 and isinstance(row[3], str)
        if not good or not all(type(n) is int and 0 <= n < 1 << 40 for n in row[2]):
            raise CorruptError(f"{what}: a row {str(row)[:80]} in the table of arrays.")
        out.append((row[0], row[1], tuple(row[2]), row[3], math.prod(row[2]) * np.dtype(row[1]).itemsize))
    if len({name for name, *_ in out}) != len(out):
        raise CorruptError(f"{what}: two arrays of the same name.")
    return out


def _settings(data: Any, what: str) -> TrainSettings:
    names = {f.name for f in fields(TrainSettings)}
    if not isinstance(data, dict) or set(data) != names or not isinstance(data["rates"], dict):
        raise CorruptError(f"{what}: the settings are not those of this version.")
    try:
        return TrainSettings(**data)
    except (UsageError, TypeError) as error:
        raise CorruptError(f"{what}: settings: {error}") from error


def _numbers(data: Any, what: str) -> dict[str, float | int | None]:
    if not isinstance(data, dict) or not all(v is None or type(v) in (int, float) for v in data.values()):
        raise CorruptError(f"{what}: the numbers of the run are not numbers.")
    return dict(data)


def _history(data: Any, what: str) -> list[Point]:
    names = {f.name for f in fields(Point)}
    out = []
    for row in data if isinstance(data, list) else [None]:
        if not isinstance(row, Mapping) or set(row) != names:
            raise CorruptError(f"{what}: a point of the history is none.")
        if not all(v is None or type(v) in (int, float) for v in row.values()):
            raise CorruptError(f"{what}: a point of the history holds something that is no number.")
        out.append(Point(**{str(k): v for k, v in row.items()}))
    return out


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
