"""mkkellogg's ``.ksplat``, compression levels 0 to 2: reading.

Layout: ``mkkellogg/GaussianSplats3D``, ``SplatBuffer.js`` (MIT). A header of 4096 bytes, section headers of 1024 bytes,
then the sections: lengths of the partly filled buckets, bucket centres, rows. Rows are not aligned.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import CorruptError, TruncatedError, UnsupportedError
from splatpack.formats.blocks import ROWS, dc_table, empty_scene_arrays, logit_table, read_rows, row_bytes
from splatpack.formats.files import open_regular
from splatpack.limits import Limits
from splatpack.scene.gaussians import SH_COEFFICIENTS, FloatArray, Gaussians
from splatpack.scene.validate import normalise_quats

HEADER_BYTES, SECTION_BYTES = 4096, 1024
CENTRE_BYTES = 12
FULL_RANGE = 32767
SH_REACH = 1.5

_MAIN = struct.Struct("<BBxxIIIIHxx3fff")
_SECTION = struct.Struct("<IIIIfHxxIIIIH")
_BANDS = (3, 5, 7)
_CODES = (("<f4", "<f4", "<f4"), ("<u2", "<f2", "<f2"), ("<u2", "<f2", "u1"))
"""By level: types of positions; of scales and rotations; of SH."""


@dataclass(frozen=True)
class Main:
    """The main header: sections declared, Gaussians, compression level, what the ends of an SH byte mean."""

    sections: int
    count: int
    level: int
    sh_low: float
    sh_high: float


@dataclass(frozen=True)
class Section:
    """One section: where its rows and buckets are, and how its rows are coded."""

    place: int
    count: int
    bucket_size: int
    buckets: int
    block: float
    span: int
    full: int
    partial: int
    degree: int

    @property
    def rows_place(self) -> int:
        """Where the rows start, in bytes from the start of the file."""
        return self.place + 4 * self.partial + CENTRE_BYTES * self.buckets


def read_ksplat(path: str | os.PathLike[str], *, limits: Limits | None = None, normalise: bool = True) -> Gaussians:
    """Read a ``.ksplat`` file. Safe on untrusted input.

    Memory: the columns once, and the buckets of a section.

    Parameters
    ----------
    path : path-like
        A regular file.
    limits : Limits, optional
        What the file may make us allocate. Default: ``Limits()``.
    normalise : bool
        Make the quats unit length. False leaves them as stored.

    Returns
    -------
    Gaussians
        In frame ``rdf``; its SH degree is the highest of the sections. A scale of zero becomes a log-scale of -inf, for
        :func:`splatpack.scene.validate.validate` to find.

    Raises
    ------
    CorruptError, TruncatedError
        The headers contradict each other or do not tile the file.
    UnsupportedError
        Another version or compression level.
    LimitError, StorageError
        Too large for ``limits``; cannot be read.
    """
    limits = limits or Limits()
    with open_regular(path) as (file, size):
        budget = limits.start(size)
        main = _read_main(file, size)
        sections = _read_sections(file, main, size)
        n = sum(s.count for s in sections)
        if n != main.count:
            raise CorruptError(f".ksplat: {n:,} splats in the sections, {main.count:,} in the header.")
        degree = max((s.degree for s in sections), default=0)
        budget.count(n, limits.gaussians, ".ksplat splats")
        budget.debit(n * row_bytes(degree), f".ksplat scene of {n:,} Gaussians")
        arrays = empty_scene_arrays(n, degree)
        start = 0
        for section in sections:
            part = {name: a[start : start + section.count] for name, a in arrays.items()}
            budget.debit(section.buckets * CENTRE_BYTES + section.count * 4, ".ksplat buckets")
            _read_section(file, main, section, part)
            start += section.count
    if normalise:
        normalise_quats(arrays["quats"])
    return Gaussians(**arrays, frame="rdf", metadata={"source": {"format": "ksplat", "level": main.level}})


def _read_main(file: BinaryIO, size: int) -> Main:
    if size < HEADER_BYTES:
        raise TruncatedError(f".ksplat: {size:,} bytes, expected a header of {HEADER_BYTES:,}.")
    major, minor, sections, _, _, count, level, _, _, _, low, high = _MAIN.unpack_from(file.read(HEADER_BYTES))
    if (major, minor) != (0, 1):
        raise UnsupportedError(f".ksplat version {major}.{minor}, this version reads 0.1.")
    if level > 2:
        raise UnsupportedError(f".ksplat compression level {level}, this version reads 0 to 2.")
    if HEADER_BYTES + sections * SECTION_BYTES > size:
        raise TruncatedError(f".ksplat: {sections:,} section headers do not fit into {size:,} bytes.")
    low, high = low or -SH_REACH, high or SH_REACH
    if not (-1e6 < low < high < 1e6):
        raise CorruptError(f".ksplat: SH from {low} to {high}, expected two finite, rising numbers.")
    return Main(sections, count, level, low, high)


def _read_sections(file: BinaryIO, main: Main, size: int) -> list[Section]:
    """Parse the section headers; the sections tile the rest of the file."""
    place, sections = HEADER_BYTES + main.sections * SECTION_BYTES, []
    for i in range(main.sections):
        fields = _SECTION.unpack_from(file.read(SECTION_BYTES))
        section, room = _parse_section(i, fields, main.level, place)
        place += room
        if place > size:
            raise TruncatedError(f".ksplat section {i}: ends at byte {place:,}, the file has {size:,}.")
        sections.append(section)
    if place != size:
        raise CorruptError(f".ksplat: {size - place:,} bytes after the last section, expected the end of the file.")
    return sections


def _parse_section(i: int, fields: tuple[Any, ...], level: int, place: int) -> tuple[Section, int]:
    """Return a section and its bytes: storage is sized by the declared maximum, not by the count."""
    count, most, bucket_size, buckets, block, centre_bytes, span, _, full, partial, degree = fields
    if count > most:
        raise CorruptError(f".ksplat section {i}: {count:,} splats, storage for {most:,}.")
    if degree > 3:
        raise CorruptError(f".ksplat section {i}: SH degree {degree}, expected 0 to 3.")
    if buckets and centre_bytes != CENTRE_BYTES:
        raise CorruptError(f".ksplat section {i}: {centre_bytes} bytes a bucket, expected {CENTRE_BYTES}.")
    span = span or FULL_RANGE
    if level and count:
        if span > FULL_RANGE or not 0 < block < 1e9:
            raise CorruptError(f".ksplat section {i}: range {span}, block size {block}; expected 1 to 32767, positive.")
        if full + partial > buckets or full * bucket_size > count:
            raise CorruptError(f".ksplat section {i}: {full} + {partial} buckets filled of {buckets}.")
    room = 4 * partial + CENTRE_BYTES * buckets + most * _row(level, degree).itemsize
    return Section(place, count, bucket_size, buckets, block, span, full, partial, degree), room


def _row(level: int, degree: int) -> np.dtype[np.void]:
    position, shape, sh = _CODES[level]
    fields: list[Any] = [("means", position, 3), ("scales", shape, 3), ("quats", shape, 4), ("rgb", "u1", 3)]
    fields += [("alpha", "u1"), ("sh", sh, 3 * SH_COEFFICIENTS[degree])]
    return np.dtype(fields)


def _read_section(file: BinaryIO, main: Main, section: Section, arrays: dict[str, Any]) -> None:
    """Decode the rows, block by block."""
    centres = _centre_of_each(file, section) if main.level and section.count else None
    file.seek(section.rows_place)
    buffer = np.empty(min(ROWS, section.count), _row(main.level, section.degree))
    logits, dc = logit_table(), dc_table()
    for start in range(0, section.count, ROWS):
        rows = buffer[: min(ROWS, section.count - start)]
        read_rows(file, rows, ".ksplat rows")
        part = slice(start, start + len(rows))
        if centres is None:
            arrays["means"][part] = rows["means"]
        else:
            step = np.float32(section.block / 2 / section.span)
            table, index = centres
            offset = rows["means"].astype(np.float32) - np.float32(section.span)
            arrays["means"][part] = offset * step + table[index[part]]
        with np.errstate(divide="ignore", invalid="ignore"):
            np.log(rows["scales"].astype(np.float32), out=arrays["scales"][part])
            arrays["quats"][part] = rows["quats"]
        arrays["opacities"][part] = logits[rows["alpha"]]
        arrays["sh0"][part, 0] = dc[rows["rgb"]]
        _spread_sh(rows["sh"], main, arrays["shN"][part])


def _centre_of_each(file: BinaryIO, section: Section) -> tuple[FloatArray, NDArray[np.int32]]:
    """Return the bucket centres, and the bucket of each splat: full buckets first, then the partly filled ones."""
    lengths, centres = np.empty(section.partial, "<u4"), np.empty((section.buckets, 3), "<f4")
    file.seek(section.place)
    read_rows(file, lengths, ".ksplat buckets")
    read_rows(file, centres, ".ksplat buckets")
    in_full = section.full * section.bucket_size
    if int(lengths.sum(dtype=np.uint64)) != section.count - in_full:
        raise CorruptError(
            f".ksplat: partly filled buckets hold {int(lengths.sum(dtype=np.uint64)):,} splats, expected "
            f"{section.count - in_full:,}."
        )
    index = np.empty(section.count, np.int32)
    if section.full:
        index[:in_full] = np.arange(in_full, dtype=np.int64) // section.bucket_size
    index[in_full:] = np.repeat(np.arange(section.full, section.full + section.partial, dtype=np.int32), lengths)
    return centres, index


def _spread_sh(stored: NDArray[Any], main: Main, out: FloatArray) -> None:
    """Channel-major inside each band in the file, coefficient-major in memory; bands that are not stored are zero."""
    if stored.dtype == np.uint8:
        step = np.float32((main.sh_high - main.sh_low) / 255)
        values = stored.astype(np.float32) * step + np.float32(main.sh_low)
    else:
        with np.errstate(invalid="ignore"):
            values = stored.astype(np.float32)
    at = first = 0
    for width in _BANDS:
        if first >= out.shape[1]:
            break
        band = out[:, first : first + width]
        if at < values.shape[1]:
            band[:] = values[:, at : at + 3 * width].reshape(-1, 3, width).transpose(0, 2, 1)
        else:
            band[:] = 0
        at, first = at + 3 * width, first + width
