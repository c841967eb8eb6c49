"""Spark's RAD: reading. A file is a JSON and chunks; a chunk is a JSON and the columns of its Gaussians.

Layout: ``sparkjsdev/spark``, ``spark-lib/src/rad.rs`` and ``splat_encode.rs`` (MIT); there is no other specification.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from splatpack.errors import CorruptError, TruncatedError, UnsupportedError
from splatpack.formats.blocks import empty_scene_arrays, row_bytes
from splatpack.formats.fields import Fields, integer, objects, parse_object
from splatpack.formats.files import open_regular
from splatpack.formats.linear import logit_of
from splatpack.formats.radcode import BANDS, decode_property
from splatpack.limits import Limits
from splatpack.scene.gaussians import C0, SH_COEFFICIENTS, FloatArray, Gaussians
from splatpack.scene.validate import normalise_quats

FILE_MAGIC, CHUNK_MAGIC = b"RAD0", b"RADC"
MAX_JSON, MAX_CHUNKS = 16 << 20, 100_000
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True)
class _Chunk:
    """Properties of a chunk by name, and its payload."""

    count: int
    properties: dict[str, Fields]
    payload: bytes


def read_rad(path: str | os.PathLike[str], *, limits: Limits | None = None, normalise: bool = True) -> Gaussians:
    """Read a ``.rad``, or one chunk of it (``.radc``). Safe on untrusted input.

    Of a file with levels of detail the leaves are read: all Gaussians of the original. Memory: the columns once, the
    largest chunk, and in a file with levels the columns of all levels.

    Parameters
    ----------
    path : path-like
        A regular file; chunks that it names lie beside it.
    limits : Limits, optional
        What the files may make us allocate. Default: ``Limits()``.
    normalise : bool
        Make the quats unit length. False leaves them as decoded, which is unit length up to rounding.

    Returns
    -------
    Gaussians
        In frame ``rdf``, or rather in that of the file from which Spark made it: it turns nothing.

    Raises
    ------
    CorruptError, TruncatedError
        A rule of the format is broken.
    UnsupportedError
        A future version, another kind of data, or SH in a codebook.
    LimitError, StorageError
        Too large for ``limits``; a file cannot be read.
    """
    with open_regular(path) as (file, size):
        magic = file.read(4)
        if magic == CHUNK_MAGIC:
            file.seek(0)
            sources: list[tuple[Path | None, int, int]] = [(None, 0, size)]
            total = None
        else:
            meta = _json(file, size)
            total = integer(meta, "count", ".rad")
            sources = _chunk_places(meta, Path(path).parent, file.tell(), size)
        outside = sum(length for place, _, length in sources if place)
        budget = (limits or Limits()).start(size + outside)
        scene = _read_chunks(file, sources, total, budget)
    if normalise:
        normalise_quats(scene.quats)
    return scene


def _json(file: BinaryIO, size: int) -> Fields:
    """Return the JSON after a magic; the file is then at the multiple of eight bytes from the magic that follows."""
    start = file.tell() - 4
    head = file.read(4)
    length = int.from_bytes(head, "little")
    if len(head) < 4 or length > min(MAX_JSON, size - file.tell()):
        raise TruncatedError(f".rad: a JSON of {length:,} bytes in a file of {size:,}.")
    fields = parse_object(file.read(length), ".rad")
    file.seek((start - file.tell()) % 8, os.SEEK_CUR)
    version = fields.get("version")
    if version != 1 or fields.get("type", "gsplat") != "gsplat":
        raise UnsupportedError(
            f".rad: version {str(version)[:20]} of {str(fields.get('type'))[:20]}, expected 1, gsplat."
        )
    return fields


def _chunk_places(meta: Fields, folder: Path, first: int, size: int) -> list[tuple[Path | None, int, int]]:
    """Return where the chunks are: a file beside, or None for this one; first byte, and length."""
    chunks = objects(meta, "chunks", ".rad")
    if not 0 < len(chunks) <= MAX_CHUNKS:
        raise CorruptError(f".rad: {len(chunks):,} chunks, expected 1 to {MAX_CHUNKS:,}.")
    places: list[tuple[Path | None, int, int]] = []
    at, names = first, set()
    for chunk in chunks:
        name = chunk.get("filename")
        if name is not None:
            if not isinstance(name, str) or not _NAME.fullmatch(name) or name in names:
                raise CorruptError(f".rad: chunk file {str(name)[:60]!r}, expected a plain name of its own.")
            names.add(name)
            with open_regular(folder / name) as (_, length):
                places.append((folder / name, 0, length))
            continue
        start, length = first + integer(chunk, "offset", ".rad chunk"), integer(chunk, "bytes", ".rad chunk")
        if not at <= start < at + 8 or start + length > size:
            wrong = CorruptError if start + length <= size else TruncatedError
            raise wrong(f".rad: a chunk of {length:,} bytes at byte {start:,}, expected at {at:,} of {size:,}.")
        places.append((None, start, length))
        at = start + length
    if size - at >= 8 or (size > at and at % 8 == 0):
        raise CorruptError(f".rad: the chunks end at byte {at:,}, the file at {size:,}.")
    return places


def _read_chunks(
    file: BinaryIO, sources: list[tuple[Path | None, int, int]], total: int | None, budget: Limits
) -> Gaussians:
    """Decode all chunks into columns that are allocated when the first one has told the degree."""
    arrays: dict[str, Any] = {}
    at, leaves = 0, []
    for chunk in _each_chunk(file, sources, budget):
        if not arrays:
            total = chunk.count if total is None else total
            degree = sum(f"sh{band}" in chunk.properties for band in BANDS)
            budget.count(total, budget.gaussians, ".rad Gaussians")
            budget.debit(total * (row_bytes(degree) + 1), f".rad scene of {total:,} Gaussians")
            arrays = empty_scene_arrays(total, degree)
        if total is None or at + chunk.count > total:
            raise CorruptError(f".rad: more than the {total:,} Gaussians that it declares.")
        part = {name: column[at : at + chunk.count] for name, column in arrays.items()}
        leaves.append(_decode(chunk, part))
        at += chunk.count
    if at != total or not at:
        raise CorruptError(f".rad: {at:,} Gaussians in its chunks, declared {total or 0:,}, expected at least 1.")
    kept = np.concatenate(leaves)
    source: dict[str, Any] = {"format": "rad"}
    if not kept.all():
        source["notes"] = [f"levels of detail: {int((~kept).sum()):,} stand-ins left out."]
        arrays = {name: column[kept] for name, column in arrays.items()}
    return Gaussians(**arrays, frame="rdf", metadata={"source": source})


def _each_chunk(file: BinaryIO, sources: list[tuple[Path | None, int, int]], budget: Limits) -> Iterator[_Chunk]:
    for place, start, length in sources:
        if place is None:
            file.seek(start)
            yield _read_chunk(file, start + length, budget)
        else:
            with open_regular(place) as (other, size):
                yield _read_chunk(other, size, budget)


def _read_chunk(file: BinaryIO, end: int, budget: Limits) -> _Chunk:
    """Read one chunk, which ends at byte ``end``."""
    if file.read(4) != CHUNK_MAGIC:
        raise CorruptError(f".rad: no chunk at byte {file.tell() - 4:,}.")
    fields = _json(file, end)
    count = budget.count(integer(fields, "count", ".rad chunk"), budget.gaussians, ".rad chunk")
    head = file.read(8)
    nbytes = int.from_bytes(head, "little")
    room = end - file.tell()
    if len(head) < 8 or nbytes > room:
        raise TruncatedError(f".rad: a payload of {nbytes:,} bytes, {max(room, 0):,} are left of its chunk.")
    if room - nbytes >= 8 or nbytes != integer(fields, "payloadBytes", ".rad chunk", nbytes):
        raise CorruptError(f".rad: a payload of {nbytes:,} bytes in a chunk that has room for {room:,}.")
    budget.debit(nbytes, ".rad chunk")
    properties = objects(fields, "properties", ".rad chunk")
    by_name = {str(each.get("property")): each for each in properties}
    if len(by_name) < len(properties):
        raise CorruptError(".rad: two properties of one name.")
    return _Chunk(count, by_name, file.read(nbytes))


def _decode(chunk: _Chunk, part: dict[str, FloatArray]) -> Any:
    """Decode the columns of a chunk into ``part``; return which rows are leaves, bool (N,)."""

    def column(name: str) -> FloatArray:
        fields = chunk.properties.get(name)
        if fields is None:
            raise CorruptError(f".rad: a chunk without {name}.")
        return decode_property(name, fields, chunk.payload, chunk.count)

    if "sh_label" in chunk.properties or any(name.endswith("_code") for name in chunk.properties):
        raise UnsupportedError(".rad: SH in a codebook, which this version does not read. Write it without.")
    part["means"][:], part["quats"][:], part["scales"][:] = column("center"), column("orientation"), column("scales")
    part["sh0"][:, 0] = (column("rgb") - np.float32(0.5)) / np.float32(C0)
    part["opacities"][:] = logit_of(column("alpha")[:, 0])
    degree = SH_COEFFICIENTS.index(part["shN"].shape[1])
    if degree != sum(f"sh{band}" in chunk.properties for band in BANDS):
        raise CorruptError(".rad: chunks of different SH degrees.")
    for band in range(1, degree + 1):
        rows = slice(SH_COEFFICIENTS[band - 1], SH_COEFFICIENTS[band])
        part["shN"][:, rows] = column(f"sh{band}").reshape(chunk.count, 2 * band + 1, 3)
    return column("child_count")[:, 0] == 0 if "child_count" in chunk.properties else np.ones(chunk.count, bool)
