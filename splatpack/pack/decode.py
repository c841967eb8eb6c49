"""``.spk`` to scene: everything, a box, a level, or what a cut file still holds."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.codecs import splat
from splatpack.container.directory import Chunk
from splatpack.container.reader import ContainerReader
from splatpack.errors import CorruptError, InvalidSceneError, UnsupportedError
from splatpack.limits import MIB, Limits
from splatpack.pack.profile import COLUMN_SECTION, GEOMETRY_SECTION, SH_SECTION, Profile, read_profiles, row_shape
from splatpack.parallel import ordered_map
from splatpack.scene.gaussians import FRAMES, SH_COEFFICIENTS, Gaussians

Arrays = dict[str, NDArray[Any]]
Box = tuple[tuple[float, float, float], tuple[float, float, float]]

_LENGTH = struct.Struct("<I")
_CHUNK_MEMORY = 1024 * MIB
"""What the temporaries of one chunk may take: 65,536 Gaussians of SH 3 with many extra columns need less."""


@dataclass(frozen=True)
class SceneInfo:
    """What the metadata says about the scene, checked.

    Attributes
    ----------
    n : int
        Gaussians in all levels.
    sh_degree : int
    frame : str
    antialiased, surfels : bool
    profiles : list of Profile
    source : dict
    """

    n: int
    sh_degree: int
    frame: str
    antialiased: bool
    surfels: bool
    profiles: list[Profile]
    source: dict[str, Any]


def scene_info(reader: ContainerReader) -> SceneInfo:
    """Check the metadata of an open file against the format and against its directory.

    Raises
    ------
    UnsupportedError
        The asset is not a Gaussian scene.
    CorruptError
        A field is missing or wrong.
    """
    if reader.kind != "gaussians":
        raise UnsupportedError(f"asset kind {reader.kind!r} is reserved in format 1. Update splatpack.")
    m = reader.meta
    n, degree, frame, flags, source = (m.get(k) for k in ("n", "sh_degree", "frame", "flags", "source"))
    if type(n) is not int or type(degree) is not int or not 0 <= degree <= 3 or frame not in FRAMES:
        raise CorruptError(f"metadata: n {n!r}, sh_degree {degree!r}, frame {frame!r}.")
    if not isinstance(flags, list) or any(f not in ("antialiased", "surfels") for f in flags):
        raise CorruptError(f"metadata: flags {flags!r}, expected some of antialiased, surfels.")
    if not isinstance(source, dict):
        raise CorruptError("metadata: source is not a map.")
    profiles = read_profiles(m.get("profiles"), reader.tables, reader.header.required)
    if any(p.sh_degree > degree for p in profiles):
        raise CorruptError(f"metadata: a profile of a higher SH degree than the scene's {degree}.")
    return SceneInfo(n, degree, frame, "antialiased" in flags, "surfels" in flags, profiles, source)


def decode(
    reader: ContainerReader,
    *,
    box: Box | None = None,
    level: int | None = None,
    budget: int | None = None,
    sh: bool = True,
    threads: int | None = None,
) -> Gaussians:
    """Decode a scene from an open file, touching only the chunks that are needed.

    Parameters
    ----------
    reader : ContainerReader
        Opened with ``partial=True``, the chunks that are not whole are left out.
    box : (low, high) or None
        Return only Gaussians whose centre lies in the box.
    level : int or None
        Return only chunks of this level or coarser: a whole scene, less detailed, where the file has levels of detail.
    budget : int or None
        Return the cut of the levels of detail that has at most so many Gaussians, if there is one; other files are
        returned whole.
    sh : bool
        Off leaves out the SH sections: the scene has degree 0.
    threads : int or None

    Raises
    ------
    CorruptError, ChecksumError, TruncatedError, UnsupportedError, LimitError
        As the bytes deserve.
    InvalidSceneError
        Nothing lies in the box, or at the level.
    """
    info = scene_info(reader)
    low, high = box if box is not None else (None, None)
    chunks = [
        c
        for c in reader.select(low=low, high=high, level=level, budget=budget)
        if not reader.partial or reader.present(c)
    ]
    everything = reader.chunks if reader.has_levels else chunks
    if not reader.partial and (everything is not chunks or (box is None and level is None)):
        check_count(everything, info)
    if not chunks:
        raise InvalidSceneError("no chunk lies in the box or at the level that was asked for.")
    for c in chunks:
        check_chunk(c, info)
    scene = _gather(reader, info, chunks, sh, threads)
    if box is None:
        return scene
    inside = ((scene.means >= np.array(low)) & (scene.means <= np.array(high))).all(axis=1)
    if not inside.any():
        raise InvalidSceneError("no Gaussian lies in the box.")
    return scene.take(np.nonzero(inside)[0])


def check_count(chunks: list[Chunk], info: SceneInfo) -> None:
    """Check that all chunks together have as many Gaussians as the metadata says.

    Raises
    ------
    CorruptError
    """
    if sum(c.count for c in chunks) != info.n:
        raise CorruptError(f"metadata: n {info.n}, the directory has {sum(c.count for c in chunks)}.")


def check_chunk(chunk: Chunk, info: SceneInfo) -> None:
    """Check a directory entry against the profiles.

    Raises
    ------
    CorruptError
        It names a profile that does not exist, or its sections are not the profile's.
    """
    if chunk.profile >= len(info.profiles):
        raise CorruptError(f"chunk at {chunk.offset:,}: profile {chunk.profile} of {len(info.profiles)}.")
    kinds = tuple(s.kind for s in chunk.sections)
    if kinds != info.profiles[chunk.profile].sections:
        want = info.profiles[chunk.profile].sections
        raise CorruptError(f"chunk at {chunk.offset:,}: sections {kinds}, its profile says {want}.")


def _gather(reader: ContainerReader, info: SceneInfo, chunks: list[Chunk], sh: bool, threads: int | None) -> Gaussians:
    n = sum(c.count for c in chunks)
    degree = info.sh_degree if sh else 0
    extras = {c.name: (c.dtype, c.shape) for p in info.profiles for c in p.columns if not c.attribute}
    row = 4 * (14 + 3 * SH_COEFFICIENTS[degree]) + sum(
        np.dtype(d).itemsize * int(np.prod(s, dtype=np.int64)) for d, s in extras.values()
    )
    reader.limits.debit(n * row, f"{n:,} Gaussians")
    arrays = {name: np.empty((n, *row_shape(name, degree)), np.float32) for name in splat.GEOMETRY}
    arrays["shN"] = np.zeros((n, *row_shape("shN", degree)), np.float32)
    columns = {name: np.zeros((n, *shape), dtype) for name, (dtype, shape) in extras.items()}
    starts = np.cumsum([0, *(c.count for c in chunks)])

    def store(i: int) -> None:
        rows = slice(int(starts[i]), int(starts[i + 1]))
        out = {name: array[rows] for name, array in arrays.items()}
        part = decode_chunk(reader, chunks[i], info.profiles[chunks[i].profile], sh=sh, out=out)
        for name, value in part.items():
            target = out[name[1:]] if name.startswith("@") else columns[name][rows]
            if value is target:
                continue
            if name == "@shN":
                target[:, : value.shape[1]] = value
            else:
                target[:] = value

    for _ in ordered_map(store, range(len(chunks)), threads):
        pass
    return Gaussians(
        **arrays, extras=columns, frame=info.frame, antialiased=info.antialiased, surfels=info.surfels,
        metadata=info.source,
    )  # fmt: skip


def decode_chunk(
    reader: ContainerReader, chunk: Chunk, profile: Profile, *, sh: bool = True, out: Arrays | None = None
) -> Arrays:
    """Decode one chunk: attributes under ``"@" + name``, extra columns under their own name.

    Attributes of the splat codec are written to the arrays of ``out`` that bear their names, where it is given; that
    of ``shN`` holds zeros and may be of a higher degree.

    Raises
    ------
    CorruptError, ChecksumError, LimitError
        As the bytes deserve.
    """
    limits = Limits(memory=_CHUNK_MEMORY)
    out = out or {}
    part: Arrays = {}
    if profile.params is not None and profile.geometry_model is not None:
        data = _section(reader, chunk, GEOMETRY_SECTION)
        arrays, classes = splat.decode_geometry(data, chunk.count, profile.params, profile.geometry_model, limits, out)
        part.update({f"@{name}": array for name, array in arrays.items()})
        if sh and profile.sh and profile.sh_model is not None:
            data = _section(reader, chunk, SH_SECTION)
            k = SH_COEFFICIENTS[profile.sh_degree]
            part["@shN"] = splat.decode_sh(data, classes, k, profile.params, profile.sh_model, limits, out.get("shN"))
    if profile.columns:
        part.update(_decode_columns(_section(reader, chunk, COLUMN_SECTION), chunk.count, profile, sh, limits))
    return part


def _section(reader: ContainerReader, chunk: Chunk, kind: int) -> memoryview:
    data = reader.section(chunk, kind)
    if data is None:
        raise CorruptError(f"chunk at {chunk.offset:,}: section {kind} is missing.")
    return memoryview(data)


def _decode_columns(data: memoryview, n: int, profile: Profile, sh: bool, limits: Limits) -> dict[str, NDArray[Any]]:
    out: dict[str, NDArray[Any]] = {}
    at = 0
    for column in profile.columns:
        if at + _LENGTH.size > len(data):
            raise CorruptError("column section: a column is missing.")
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        body = data[at : at + length]
        at += length
        if len(body) != length:
            raise CorruptError(f"column {column.name!r} passes the end of its section.")
        if column.attribute and column.name == "shN" and not sh:
            continue
        array = column.pipeline.decode(body, limits)
        if array.shape != (n, column.components) or array.dtype != np.dtype(column.dtype):
            raise CorruptError(
                f"column {column.name!r}: {array.dtype} {array.shape}, expected {column.dtype} of {n} rows."
            )
        if column.attribute and not np.isfinite(array).all():
            raise CorruptError(f"column {column.name!r} holds values that are not finite.")
        out["@" * column.attribute + column.name] = array.reshape(n, *column.shape)
    if at != len(data):
        raise CorruptError("column section: bytes are left over.")
    return out
