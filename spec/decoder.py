"""An independent decoder of `.spk` files, format 1.2, written from the specification alone.

It needs numpy and the standard library and knows nothing of the splatpack library. Section numbers in the comments are
those of `format.md` and of the pages in `codecs/`. It favours plain code over speed.

    python spec/decoder.py FILE.spk [-o OUT.npz]
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import itertools
import json
import math
import struct
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Ints = NDArray[np.int64]

ATTRIBUTES = ("means", "scales", "quats", "opacities", "sh0", "shN")
COEFFICIENTS = (0, 3, 8, 15)  # of shN, by degree
FRAMES = ("rdf", "rub", "luf", "z_up", "unknown")
FLAGS = ("antialiased", "surfels")
PARTED_MODELS, PACKED_METADATA, DETAIL = 1, 2, 4  # required features 0 to 2


class Corrupt(ValueError):
    """The file breaks a rule of the format."""


class Unsupported(ValueError):
    """The file may be sound, but needs something that format 1.2 does not define."""


class Limit(ValueError):
    """The file would expand to more than this decoder allows."""


def corrupt(message: str) -> NoReturn:
    """Refuse the file."""
    raise Corrupt(message)


def check(holds: bool | np.bool_, message: str) -> None:
    """Refuse the file unless a rule holds."""
    if not holds:
        raise Corrupt(message)


class Budget:
    """What the file may still expand to, in bytes (section 7); everything large is charged before it is made."""

    def __init__(self, file_length: int) -> None:
        self.left = max(256 << 20, 1000 * file_length)

    def spend(self, size: int) -> None:
        """Charge so many bytes."""
        if size > self.left:
            raise Limit(f"the file expands to more than allowed: {size} bytes more, {self.left} left")
        self.left -= size


class Cursor:
    """Reads little-endian fields from bytes, never past their end."""

    def __init__(self, data: bytes, what: str) -> None:
        self.data, self.what, self.at = data, what, 0

    @property
    def left(self) -> int:
        """Bytes not yet read."""
        return len(self.data) - self.at

    def take(self, size: int) -> bytes:
        """The next bytes."""
        check(size <= self.left, f"{self.what}: ends early")
        self.at += size
        return self.data[self.at - size : self.at]

    def uint(self, size: int, order: Literal["little", "big"] = "little") -> int:
        """The next unsigned integer of `size` bytes."""
        return int.from_bytes(self.take(size), order)

    def end(self) -> None:
        """Refuse bytes left over."""
        check(self.left == 0, f"{self.what}: {self.left} bytes left over")


def hash16(data: bytes) -> bytes:
    """Identity of some bytes: half a SHA-256."""
    return hashlib.sha256(data).digest()[:16]


# ---------------------------------------------------------------------------------------------------------------------
# Metadata (format.md, section 4): a strict reader of msgpack

DEEPEST = 12  # arrays and maps that a value may lie in


def unpack(data: bytes) -> dict[str, Any]:
    """The map that the metadata is."""
    cursor = Cursor(data, "metadata")
    value = unpack_value(cursor, 0)
    cursor.end()
    return value if isinstance(value, dict) else corrupt("metadata: not a map")


def unpack_value(cursor: Cursor, depth: int) -> Any:
    """One msgpack value, which lies in so many arrays and maps."""
    check(depth <= DEEPEST, "metadata: nested too deep")
    tag = cursor.uint(1)
    if tag < 0x80 or tag >= 0xE0:
        return tag if tag < 0x80 else tag - 256
    if tag <= 0x8F or tag in (0xDE, 0xDF):
        return unpack_map(cursor, tag & 15 if tag <= 0x8F else cursor.uint(2 << (tag - 0xDE), "big"), depth)
    if tag <= 0x9F or tag in (0xDC, 0xDD):
        return unpack_array(cursor, tag & 15 if tag <= 0x9F else cursor.uint(2 << (tag - 0xDC), "big"), depth)
    if tag <= 0xBF or 0xD9 <= tag <= 0xDB:
        text = cursor.take(tag & 31 if tag <= 0xBF else cursor.uint(1 << (tag - 0xD9), "big"))
        try:
            return text.decode("utf-8")
        except UnicodeDecodeError:
            corrupt("metadata: a string is not UTF-8")
    if tag in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[tag]
    if 0xCC <= tag <= 0xCF:
        return cursor.uint(1 << (tag - 0xCC), "big")
    if 0xD0 <= tag <= 0xD3:
        return int.from_bytes(cursor.take(1 << (tag - 0xD0)), "big", signed=True)
    check(tag == 0xCB, f"metadata: msgpack type {tag:#x} is not allowed")
    number = float(struct.unpack(">d", cursor.take(8))[0])
    check(math.isfinite(number), "metadata: a number that is not finite")
    return number


def unpack_array(cursor: Cursor, count: int, depth: int) -> list[Any]:
    """An array of so many values."""
    check(count <= cursor.left, "metadata: ends early")
    return [unpack_value(cursor, depth + 1) for _ in range(count)]


def unpack_map(cursor: Cursor, count: int, depth: int) -> dict[str, Any]:
    """A map of so many keys, which are strings and differ."""
    check(2 * count <= cursor.left, "metadata: ends early")
    result: dict[str, Any] = {}
    for _ in range(count):
        key = unpack_value(cursor, depth + 1)
        if not isinstance(key, str):
            corrupt("metadata: a key is not a string")
        check(key not in result, f"metadata: two keys {key!r}")
        result[key] = unpack_value(cursor, depth + 1)
    return result


def integer(value: Any, low: int, high: int, what: str) -> int:
    """An integer of the metadata in its range."""
    if not isinstance(value, int) or isinstance(value, bool):
        corrupt(f"{what}: not an integer")
    check(low <= value <= high, f"{what}: {value} is not in {low} to {high}")
    return value


def real(value: Any, low: float, high: float, what: str) -> float:
    """A 64-bit float of the metadata between two bounds, both excluded."""
    if not isinstance(value, float):
        corrupt(f"{what}: not a 64-bit float")
    check(low < value < high, f"{what}: {value} is not between {low} and {high}")
    return value


def array(value: Any, low: int, high: int, what: str) -> list[Any]:
    """An array of the metadata with so many members."""
    if not isinstance(value, list):
        corrupt(f"{what}: not an array")
    check(low <= len(value) <= high, f"{what}: {len(value)} members, not {low} to {high}")
    return value


def exact_map(value: Any, keys: Sequence[str], what: str) -> dict[str, Any]:
    """A map with exactly these keys."""
    if not isinstance(value, dict):
        corrupt(f"{what}: not a map")
    check(set(value) == set(keys), f"{what}: keys {sorted(value)} are not {sorted(keys)}")
    return value


def boolean(value: Any, what: str) -> bool:
    """A boolean of the metadata."""
    return value if isinstance(value, bool) else corrupt(f"{what}: not a boolean")


# ---------------------------------------------------------------------------------------------------------------------
# Profiles (format.md, sections 4.1 and 4.2)


@dataclass(frozen=True)
class Splat:
    """Parameters of the splat codec (splat.md, section 2); tables have one entry for each class."""

    lattice: tuple[float, ...]
    tables: dict[str, Ints]
    attributes: tuple[str, ...]


@dataclass(frozen=True)
class Column:
    """One column of a profile."""

    name: str
    attribute: bool
    dtype: str
    shape: tuple[int, ...]
    transforms: tuple[dict[str, Any], ...]
    serializer: str
    compressors: int

    @property
    def components(self) -> int:
        """Numbers in one row."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Profile:
    """How the sections of a chunk are coded."""

    sh_degree: int
    splat: Splat | None
    sh: bool
    columns: tuple[Column, ...]

    @property
    def sections(self) -> list[int]:
        """The section kinds of a chunk (section 6)."""
        present = (self.splat is not None, self.sh, bool(self.columns))
        return [kind for kind, there in enumerate(present) if there]


WIDE = 1 << 31
SPLAT_TABLES = {  # range of each table of splat.md, section 2
    "position": (-WIDE, WIDE),
    "slope": (0, WIDE),
    "scale": (1, WIDE),
    "rotation": (1, WIDE),
    "opacity": (1, WIDE),
    "colour": (1, WIDE),
    "sh": (1, WIDE),
    "scale_offset": (-65535, 65535),
    "opacity_offset": (-65535, 65535),
}
DTYPES = ("<f4", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8")
UNSIGNED = {1: "|u1", 2: "<u2", 4: "<u4", 8: "<u8"}
CODECS = {  # parameters of each codec of columns.md
    "ordered": ("dtype",),
    "quantised": ("step",),
    "delta": (),
    "byte-planes": ("size", "components"),
    "raw": (),
    "planes": (),
    "floats": (),
    "zstd": (),
}
SERIALIZERS = ("raw", "planes", "floats")


def attribute_shape(name: str, degree: int) -> tuple[int, ...]:
    """Shape of one row of an attribute."""
    return {"means": (3,), "scales": (3,), "quats": (4,), "opacities": (), "sh0": (1, 3)}.get(
        name, (COEFFICIENTS[degree], 3)
    )


def parse_profile(value: Any, scene_degree: int, what: str) -> Profile:
    """A profile, with all rules of sections 4.1 and 4.2."""
    profile = exact_map(value, ("sh_degree", "splat", "sh", "columns"), what)
    degree = integer(profile["sh_degree"], 0, scene_degree, f"{what}.sh_degree")
    splat = None if profile["splat"] is None else parse_splat(profile["splat"], f"{what}.splat")
    sh = boolean(profile["sh"], f"{what}.sh")
    check(not sh or (splat is not None and degree > 0), f"{what}.sh: needs splat and a degree above 0")
    check(splat is None or sh or bool(splat.attributes), f"{what}.splat: nothing goes through it")
    columns = tuple(
        parse_column(column, degree, f"{what}.columns[{i}]")
        for i, column in enumerate(array(profile["columns"], 0, 256, f"{what}.columns"))
    )
    pairs = [(column.name, column.attribute) for column in columns]
    check(len(set(pairs)) == len(pairs), f"{what}.columns: two columns of one name")
    coded = [*(splat.attributes if splat else ()), *(["shN"] if sh else ()), *(c.name for c in columns if c.attribute)]
    wanted = ATTRIBUTES if degree else ATTRIBUTES[:5]
    check(sorted(coded) == sorted(wanted), f"{what}: codes {sorted(coded)}, not each attribute once")
    return Profile(degree, splat, sh, columns)


def parse_splat(value: Any, what: str) -> Splat:
    """Parameters of the splat codec."""
    splat = exact_map(value, ("lattice", "attributes", *SPLAT_TABLES), what)
    corner = array(splat["lattice"], 4, 4, f"{what}.lattice")
    lattice = [real(x, -1e30, 1e30, f"{what}.lattice") for x in corner[:3]]
    lattice.append(real(corner[3], 1e-30, 1e30, f"{what}.lattice"))
    tables = {
        name: np.array([integer(x, low, high, f"{what}.{name}") for x in array(splat[name], 8, 8, f"{what}.{name}")])
        for name, (low, high) in SPLAT_TABLES.items()
    }
    given = array(splat["attributes"], 0, 5, f"{what}.attributes")
    check(given == [name for name in ATTRIBUTES[:5] if name in given], f"{what}.attributes: unknown or out of order")
    return Splat(tuple(lattice), tables, tuple(given))


CHAINS = {
    f"{first}{delta} byte-planes {last}{packed}"
    for first in ("ordered", "quantised")
    for delta in ("", " delta")
    for last in ("planes", "raw")
    for packed in ("", " zstd")
} | {"floats"}


def parse_column(value: Any, degree: int, what: str) -> Column:
    """A column; its pipeline is checked to end in the column's dtype and components."""
    column = exact_map(value, ("name", "attribute", "dtype", "shape", "pipeline"), what)
    name, dtype = column["name"], column["dtype"]
    check(isinstance(name, str) and 1 <= len(name) <= 256, f"{what}.name: not a string of 1 to 256 characters")
    attribute = boolean(column["attribute"], f"{what}.attribute")
    check(dtype in DTYPES, f"{what}.dtype: {dtype!r} is not allowed")
    shape = tuple(integer(x, 1, 256, f"{what}.shape") for x in array(column["shape"], 0, 2, f"{what}.shape"))
    if attribute:
        check(name in ATTRIBUTES, f"{what}: {name!r} is no attribute")
        check(dtype == "<f4" and shape == attribute_shape(name, degree), f"{what}: wrong type for {name}")
    else:
        check(len(shape) <= 1, f"{what}: an extra column with rows of {len(shape)} dimensions")
    codecs = [parse_codec(codec, what) for codec in array(column["pipeline"], 1, 8, f"{what}.pipeline")]
    ids = [codec["id"] for codec in codecs]
    check(" ".join(ids) in CHAINS, f"{what}.pipeline: {ids} is not a chain that section 1 of columns.md allows")
    split = next(i for i, codec in enumerate(ids) if codec in SERIALIZERS)
    result = Column(name, attribute, dtype, shape, tuple(codecs[:split]), ids[split], len(ids) - split - 1)
    check_types(result, what)
    return result


def parse_codec(value: Any, what: str) -> dict[str, Any]:
    """One codec of a pipeline with its parameters."""
    if not isinstance(value, dict) or not isinstance(value.get("id"), str):
        corrupt(f"{what}.pipeline: a codec is not a map with an id")
    if value["id"] not in CODECS:
        raise Unsupported(f"{what}.pipeline: unknown codec {value['id']!r}")
    codec = exact_map(value, ("id", *CODECS[value["id"]]), f"{what}.pipeline")
    if "dtype" in codec:
        check(codec["dtype"] in DTYPES, f"{what}.pipeline: dtype {codec['dtype']!r} is not allowed")
    if "step" in codec:
        real(codec["step"], 1e-30, 1e30, f"{what}.pipeline.step")
    if "size" in codec:
        check(integer(codec["size"], 1, 8, f"{what}.pipeline.size") in UNSIGNED, f"{what}.pipeline: wrong size")
        integer(codec["components"], 1, 256, f"{what}.pipeline.components")
    return codec


def check_types(column: Column, what: str) -> None:
    """Follow the types backwards through the transforms: planes of bytes must become the column."""
    if column.serializer == "floats":
        check(column.dtype == "<f4", f"{what}: floats for {column.dtype}")
        return
    check(bool(column.transforms) and column.transforms[-1]["id"] == "byte-planes", f"{what}: planes of what?")
    now = ""
    for codec in reversed(column.transforms):
        if codec["id"] == "byte-planes":
            check(now == "", f"{what}: byte-planes twice")
            check(codec["components"] == column.components, f"{what}: wrong number of components")
            now = UNSIGNED[codec["size"]]
        elif codec["id"] == "ordered":
            check(now == UNSIGNED[np.dtype(codec["dtype"]).itemsize], f"{what}: ordered does not fit")
            now = codec["dtype"]
        elif codec["id"] == "quantised":
            check(now == "<u4", f"{what}: quantised does not fit")
            now = "<f4"
        else:
            check(now in UNSIGNED.values(), f"{what}: delta does not fit")
    check(now == column.dtype, f"{what}: the pipeline ends in {now}, not {column.dtype}")


# ---------------------------------------------------------------------------------------------------------------------
# Header and directory pages (format.md, sections 3 and 5)


def parse_header(data: bytes) -> tuple[int, list[tuple[int, int, bytes]]]:
    """Required features, and length, crc32 and hash of root page, metadata and tables, checked as section 3 says."""
    check(data[:8] == b"\x89SPK\r\n\x1a\n", "not a .spk file: wrong signature")
    check(len(data) >= 128, "header: ends early")
    check(zlib.crc32(data[:124]) == int.from_bytes(data[124:128], "little"), "header: wrong crc32")
    major, _minor, kind, zeros, required, _optional, length = struct.unpack_from("<HHB3sQQQ", data, 8)
    if major != 1 or required & ~(PARTED_MODELS | PACKED_METADATA | DETAIL) or kind != 1:
        raise Unsupported(f"major version {major}, required features {required:#x}, asset kind {kind}")
    check(not any(zeros) and not any(data[112:124]), "header: reserved bytes are not zero")
    check(length == len(data), f"the file has {len(data)} bytes, its header says {length}")
    numbers = struct.unpack_from("<6I", data, 40)
    check(numbers[0] <= 16256, "header: root page too long")
    check(numbers[2] <= 1 << 20 and numbers[4] <= 1 << 20, "header: metadata or tables too long")
    check(128 + sum(numbers[::2]) <= length, "header: the parts pass the end of the file")
    return required, [(*numbers[2 * i : 2 * i + 2], data[64 + 16 * i : 80 + 16 * i]) for i in range(3)]


def part(data: bytes, offset: int, about: tuple[int, int, bytes], what: str) -> bytes:
    """Bytes of the file whose length, crc32 and hash are known."""
    length, crc, identity = about
    check(offset + length <= len(data), f"{what}: passes the end of the file")
    found = data[offset : offset + length]
    check(zlib.crc32(found) == crc, f"{what}: wrong crc32")
    check(hash16(found) == identity, f"{what}: wrong hash")
    return found


U8, U32, U64, F32, BOX, HASH = (np.dtype(name) for name in ("u1", "<u4", "<u8", "<f4", "(3,)<f4", "(16,)u1"))
CHUNK_COLUMNS = {1: U32, 2: U32, 3: U8, 4: U8, 5: BOX, 6: BOX, 7: F32, 8: HASH, 9: U8, 10: U8, 11: U32, 12: U32}
CHUNK_COLUMNS |= {128: F32, 129: F32}
LEVEL_COLUMNS = {13: U32, 14: U32}
INDEX_COLUMNS = {1: U32, 2: U64, 3: U8, 5: BOX, 6: BOX, 7: F32, 8: HASH, 20: U32, 21: U32, 22: U64}
PER_SECTION = (10, 11, 12)


@dataclass(frozen=True)
class Page:
    """A directory page."""

    kind: int
    entries: int
    first: int
    columns: dict[int, Array]


def parse_page(data: bytes, required: int, what: str) -> Page:
    """A page of either kind with the ranges of its numbers."""
    cursor = Cursor(data, what)
    kind, count, zero, entries, first = struct.unpack("<BBHIQ", cursor.take(16))
    check(kind in (0, 1), f"{what}: page kind {kind}")
    check(zero == 0, f"{what}: reserved bytes are not zero")
    known = INDEX_COLUMNS if kind else CHUNK_COLUMNS | (LEVEL_COLUMNS if required & DETAIL else {})
    found: dict[int, bytes] = {}
    last = -1
    for _ in range(count):
        name, zeros, length = struct.unpack("<B3sI", cursor.take(8))
        check(not any(zeros), f"{what}: reserved bytes are not zero")
        check(name > last, f"{what}: column ids do not ascend")
        last, found[name] = name, cursor.take(length)
    cursor.end()
    unknown = [name for name in found if name not in known]
    if unknown and unknown[0] < 128:
        raise Unsupported(f"{what}: unknown column {unknown[0]}")
    missing = [name for name in known if name < 128 and name not in found]
    check(not missing, f"{what}: columns {missing} are missing")
    sections = sum(found[9]) if kind == 0 else 0
    columns: dict[int, Array] = {}
    for name in known.keys() & found.keys():
        content = found[name]
        rows = sections if kind == 0 and name in PER_SECTION else entries
        check(len(content) == rows * known[name].itemsize, f"{what}: column {name} has a wrong size")
        columns[name] = np.frombuffer(content, known[name])
    check((columns[3] <= 31).all(), f"{what}: a level above 31")
    check(np.isfinite(columns[5]).all() and np.isfinite(columns[6]).all(), f"{what}: a box that is not finite")
    check((columns[5] <= columns[6]).all(), f"{what}: a box upside down")
    for name in {7, 128, 129} & set(columns):
        fine = np.isfinite(columns[name]) & (columns[name] >= 0)
        check(fine.all(), f"{what}: column {name} negative or not finite")
    return Page(kind, entries, first, columns)


@dataclass(frozen=True)
class Chunk:
    """What the directory says of a chunk; sections are (kind, length, crc32)."""

    offset: int
    length: int
    count: int
    level: int
    profile: int
    low: Array
    high: Array
    reach: float
    identity: bytes
    sections: tuple[tuple[int, int, int], ...]
    parent: int  # its number, -1 for none
    successors: int


def page_chunks(page: Page, what: str) -> list[Chunk]:
    """The chunks of a chunk page."""
    check(page.kind == 0, f"{what}: not a chunk page")
    column = {name: values.tolist() for name, values in page.columns.items()}
    chunks, offset, section = [], page.first, 0
    for i in range(page.entries):
        count, sections = column[2][i], column[9][i]
        check(1 <= count <= 65536, f"{what}: a chunk of {count} Gaussians")
        check(1 <= sections <= 16, f"{what}: a chunk of {sections} sections")
        span = slice(section, section + sections)
        kinds = column[10][span]
        check(all(a < b for a, b in itertools.pairwise(kinds)), f"{what}: section kinds do not ascend")
        check(sum(column[11][span]) == column[1][i], f"{what}: a chunk is not as long as its sections")
        chunks.append(
            Chunk(
                *(offset, column[1][i], count, column[3][i], column[4][i]),
                *(page.columns[5][i], page.columns[6][i], column[7][i], bytes(column[8][i])),
                tuple(zip(kinds, column[11][span], column[12][span], strict=True)),
                *(column[13][i] - 1 if 13 in column else -1, column[14][i] if 14 in column else 0),
            )
        )
        offset, section = offset + column[1][i], section + sections
    return chunks


def list_chunks(data: bytes, root: Page, begin: int, required: int) -> list[Chunk]:
    """All chunks of the file, from the root page and its leaf pages; they fill the data region."""
    check(root.entries > 0, "root page: empty")
    check(root.first == begin, "root page: the data region begins elsewhere")
    if root.kind == 0:
        chunks = page_chunks(root, "root page")
        check(chunks[-1].offset + chunks[-1].length == len(data), "root page: the chunks do not fill the file")
        return chunks
    chunks, offset = [], begin
    column = {name: values.tolist() for name, values in root.columns.items()}
    for i in range(root.entries):
        what = f"leaf page {i}"
        leaf = parse_page(part(data, offset, (column[1][i], column[20][i], bytes(column[8][i])), what), required, what)
        check(1 <= leaf.entries <= 512, f"{what}: {leaf.entries} chunks")
        check(leaf.first == offset + column[1][i], f"{what}: its chunks begin elsewhere")
        found = page_chunks(leaf, what)
        check(len(found) == column[21][i], f"{what}: another number of chunks than its entry says")
        check(sum(chunk.count for chunk in found) == column[2][i], f"{what}: other Gaussians than its entry says")
        end = found[-1].offset + found[-1].length
        check(end - offset == column[22][i], f"{what}: another span than its entry says")
        low, high = (np.array([getattr(c, side) for c in found], np.float32) for side in ("low", "high"))
        box = (low.min(axis=0) == root.columns[5][i]) & (high.max(axis=0) == root.columns[6][i])
        check(bool(box.all()), f"{what}: another box than its entry says")
        check(np.float32(max(c.reach for c in found)) == column[7][i], f"{what}: another reach than its entry says")
        check(min(c.level for c in found) == column[3][i], f"{what}: another finest level than its entry says")
        check(end <= len(data), f"{what}: its chunks pass the end of the file")
        chunks.extend(found)
        offset = end
    check(offset == len(data), "root page: the leaf pages do not fill the file")
    return chunks


def drawn(chunks: list[Chunk]) -> list[Chunk]:
    """The chunks that are the scene (section 5.3): those that are drawn when all are at hand."""
    children = [0] * len(chunks)
    for i, chunk in enumerate(chunks):
        check(chunk.parent < i, f"chunk {i}: its parent does not stand before it")
        if chunk.parent >= 0:
            parent = chunks[chunk.parent]
            check(chunk.level <= parent.level, f"chunk {i}: its parent is finer")
            children[chunk.parent] += 1
            check(not 0 < parent.successors < children[chunk.parent], f"chunk {chunk.parent}: too many successors")
    reached: list[bool] = []
    for chunk in chunks:
        above = chunk.parent
        reached.append(above < 0 or (reached[above] and children[above] >= chunks[above].successors))
    return [
        chunk
        for i, chunk in enumerate(chunks)
        if reached[i] and not (chunk.successors and children[i] >= chunk.successors)
    ]


# ---------------------------------------------------------------------------------------------------------------------
# Token streams (rans.md)

COST_WEIGHTS = [round(2 ** (16 - cost / 4)) for cost in range(49)]
NEVER = 49


class Bits:
    """Reads a bit string, least significant bit first, from the start."""

    def __init__(self, data: bytes, what: str) -> None:
        self.data, self.at, self.what = data, 0, what

    def read(self, count: int) -> int:
        """A number of so many bits."""
        start, self.at = self.at, self.at + count
        check(self.at <= 8 * len(self.data), f"{self.what}: ends early")
        return (int.from_bytes(self.data[start >> 3 : (self.at + 7) >> 3], "little") >> (start & 7)) & (
            (1 << count) - 1
        )

    def golomb(self, order: int) -> int:
        """A signed exponential Golomb number."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            check(zeros <= 32, f"{self.what}: a number too long")
        exponent = zeros + order
        coded = (1 << exponent) + self.read(exponent) - (1 << order)
        return -(coded + 1) // 2 if coded & 1 else coded // 2

    def end(self) -> None:
        """Refuse whole bytes left over, and padding that is not zero."""
        rest = 8 * len(self.data) - self.at
        check(rest < 8, f"{self.what}: bytes left over")
        check(self.read(rest) == 0, f"{self.what}: padding is not zero")


@dataclass(frozen=True)
class Model:
    """A context map and tables, spread to one entry for each slot: x becomes freq * (x >> 12) + bias."""

    table_of: Ints
    token: Array
    freq: Ints
    bias: Ints


def frequencies(costs: list[int]) -> list[int]:
    """Frequencies of the tokens, with sum 4096."""
    weights = [0 if cost == NEVER else COST_WEIGHTS[cost] for cost in costs]
    total = sum(weights)
    check(total > 0, "model: a table without tokens")
    freq = [max(1, weight * 4096 // total) if weight else 0 for weight in weights]
    while (excess := sum(freq) - 4096) != 0:
        best = freq.index(max(freq))
        freq[best] -= min(excess, freq[best] - 1)  # a negative excess is added
    return freq


def parse_model(data: bytes, contexts: int) -> Model:
    """A model of so many contexts."""
    bits = Bits(data, "model")
    count = bits.read(8)
    check(1 <= count <= 64, f"model: {count} tables")
    table_of, now = [], 0
    for _ in range(contexts):
        now += bits.golomb(0)
        check(0 <= now < count, "model: a table number out of range")
        table_of.append(now)
    token, freq, bias = (np.zeros((count, 4096), np.int64) for _ in range(3))
    for table in range(count):
        costs, now = [], 0
        for _ in range(bits.read(8) + 1):
            now += bits.golomb(1)
            check(0 <= now <= NEVER, "model: a cost out of range")
            costs.append(now)
        widths = np.array(frequencies(costs))
        starts = np.cumsum(widths) - widths
        token[table] = np.repeat(np.arange(len(costs)), widths)
        freq[table] = widths[token[table]]
        bias[table] = np.arange(4096) - starts[token[table]]
    bits.end()
    return Model(np.array(table_of, np.int64), token.ravel(), freq.ravel(), bias.ravel())


# The contexts in each part of a model (splat.md, sections 3 and 5), in order.
PARTS = {"geometry": (1, 8, 1, 8, 8, 64, 8, 72, 8, 32, 32), "sh": (8, 48, 48, 48, 48, 48, 48)}


@functools.cache
def default_models() -> dict[tuple[str, int, int], bytes]:
    """The default models by kind of section, part and number (rans.md, section 5)."""
    text = (Path(__file__).resolve().parent / "codecs" / "defaults.txt").read_bytes()
    if zlib.crc32(text) != 0xECA5DFEB:
        raise RuntimeError("defaults.txt: not that of the specification")
    rows = [line.split() for line in text.decode("ascii").splitlines()]
    return {(kind, int(part), int(number)): bytes.fromhex(model) for kind, part, number, model in rows}


def parse_section_model(data: bytes, kind: str, required: int) -> Model:
    """The model of a section, by parts if it begins with 0 and the file may hold such models (rans.md, section 5)."""
    sizes = PARTS[kind]
    if not required & PARTED_MODELS or data[:1] != b"\0":
        return parse_model(data, sum(sizes))
    cursor = Cursor(data[1:], "model by parts")
    packed = cursor.take((len(sizes) + 1) // 2)
    nibbles = [nibble for byte in packed for nibble in (byte & 15, byte >> 4)]
    check(not any(nibbles[len(sizes) :]), "model by parts: padding is not zero")
    choices = nibbles[: len(sizes)]
    models, places = [], []  # the models in use, and for each part (which of them, its first context there)
    own = sum(size for size, choice in zip(sizes, choices, strict=True) if choice == 0)
    if own:
        models.append(parse_model(cursor.take(cursor.left), own))
    cursor.end()
    at = 0
    for part, (size, choice) in enumerate(zip(sizes, choices, strict=True)):
        if choice == 0:
            places.append((0, at))
            at += size
            continue
        if (kind, part, choice) not in default_models():
            raise Unsupported(f"default model {choice} of {kind}, part {part}")
        places.append((len(models), 0))
        models.append(parse_model(default_models()[kind, part, choice], size))
    firsts = np.cumsum([0, *(len(model.token) // 4096 for model in models)])  # table numbers run through all models
    table_of = [models[m].table_of[a : a + size] + firsts[m] for size, (m, a) in zip(sizes, places, strict=True)]
    spread = [np.concatenate([getattr(model, name) for model in models]) for name in ("token", "freq", "bias")]
    return Model(np.concatenate(table_of), *spread)


class TokenStream:
    """Decodes the planes of a token stream one after the other."""

    def __init__(self, data: bytes, model: Model) -> None:
        cursor = Cursor(data, "token stream")
        words, raw = cursor.uint(4), cursor.uint(4)
        self.states = np.frombuffer(cursor.take(128), "<u4").astype(np.int64)
        check((self.states >= 65536).all(), "token stream: a state below 65536")
        self.words = np.frombuffer(cursor.take(2 * words), "<u2").astype(np.int64)
        self.raw_bytes = np.frombuffer(cursor.take(raw), np.uint8)
        cursor.end()
        self.padded = np.concatenate([self.raw_bytes, np.zeros(8, np.uint8)]).astype(np.uint64)
        self.model, self.word, self.bit = model, 0, 0

    def tokens(self, contexts: Array) -> Ints:
        """The tokens of a plane whose values have these contexts."""
        model = self.model
        base = model.table_of[contexts] * 4096
        result = np.empty(len(base), np.int64)
        for row in range(0, len(base), 32):
            first = base[row : row + 32]
            lanes = self.states[: len(first)]
            at = first + (lanes & 4095)
            result[row : row + 32] = model.token[at]
            lanes = model.freq[at] * (lanes >> 12) + model.bias[at]
            low = np.flatnonzero(lanes < 65536)
            if low.size:
                words = self.words[self.word : self.word + low.size]
                check(words.size == low.size, "token stream: words end early")
                lanes[low] = (lanes[low] << 16) | words
                self.word += low.size
            self.states[: len(first)] = lanes
        return result

    def raw(self, widths: Ints) -> Ints:
        """Raw numbers of these widths in bits, each at most 54."""
        ends = self.bit + np.cumsum(widths)
        if not ends.size:
            return np.zeros(0, np.int64)
        check(ends[-1] <= 8 * self.raw_bytes.size, "token stream: raw bits end early")
        starts = ends - widths
        self.bit, byte = int(ends[-1]), starts >> 3
        window = np.zeros(len(widths), np.uint64)
        for i in range(8):
            window |= self.padded[byte + i] << np.uint64(8 * i)
        result = (window >> (starts & 7).astype(np.uint64)).astype(np.int64) & ((1 << widths) - 1)
        return np.asarray(result, np.int64)

    def values(self, contexts: Array, largest: int = (1 << 57) - 1) -> Ints:
        """The values of a plane, which must not pass the largest one allowed."""
        tokens = self.tokens(contexts)
        values = tokens.copy()
        big = tokens >= 32
        exponents = ((tokens[big] - 32) >> 2) + 5
        check((exponents <= largest.bit_length() - 1).all(), "token stream: a token out of range")
        values[big] = ((4 | ((tokens[big] - 32) & 3)) << (exponents - 2)) | self.raw(exponents - 2)
        check((values <= largest).all(), "token stream: a value out of range")
        return values

    def end(self) -> None:
        """Check that everything was used."""
        check(self.word == self.words.size, "token stream: words left over")
        check((self.states == 65536).all(), "token stream: does not end in its first state")
        check(self.raw_bytes.size == (self.bit + 7) // 8, "token stream: raw bytes left over")
        if self.bit % 8:
            check(self.raw_bytes[-1] >> (self.bit % 8) == 0, "token stream: padding is not zero")


def unzigzag(values: Ints) -> Ints:
    """Signed numbers from their zigzag."""
    return (values >> 1) ^ -(values & 1)


# ---------------------------------------------------------------------------------------------------------------------
# The splat codec (splat.md)

Q20 = float(1 << 20)
SYMBOL, COLOUR_SYMBOL = 65535, 32767
LEVELS = np.array([0, 1, 1, 2, 2, 2, 2, 3])
SIDES = np.array([next(s for s in range(65536, 0, -1) if s**3 <= 1 << k) for k in range(49)])
WIDTHS = np.array([(int(side) ** 3 - 1).bit_length() for side in SIDES])
MORTON_END = 1 << 57


def finite(values: Array, what: str) -> NDArray[np.float32]:
    """Values rounded to f32, which must be finite."""
    with np.errstate(over="ignore"):
        result = np.asarray(values, np.float32)
    check(np.isfinite(result).all(), f"{what}: a value that is not finite")
    return result


def in_range(symbols: Ints, largest: int, what: str) -> Ints:
    """Symbols that lie in -largest to largest."""
    check((np.abs(symbols) <= largest).all(), f"{what}: a symbol out of range")
    return symbols


def to_rgb(luma: Array, first: Array, second: Array) -> Array:
    """Section 4.6: rgb of luma and two chromas, as a new last axis."""
    y, u, v = luma / math.sqrt(3), first / math.sqrt(2), second / math.sqrt(6)
    return np.stack([y + u + v, y - 2 * v, y - u + v], axis=-1)


def decode_geometry(data: bytes, n: int, splat: Splat, model: Model) -> tuple[dict[str, Array], Ints]:
    """Section 4: the attributes of the geometry section, and the classes."""
    cursor = Cursor(data, "geometry")
    code = cursor.uint(8)
    stream = TokenStream(cursor.take(cursor.left), model)
    blocks = stream.values(np.zeros((n + 31) // 32, np.int64), 7)
    classes = stream.values(1 + np.repeat(blocks, 32)[:n], 7)
    table = {name: values[classes] for name, values in splat.tables.items()}
    zeros = np.zeros(n, np.int64)
    result: dict[str, Array] = {}

    steps = zeros
    if "means" in splat.attributes:
        steps = stream.values(np.full(n, 9))
        check(code < MORTON_END, "geometry: a Morton code out of range")
    else:
        check(code == 0, "geometry: a Morton code without means")

    s0, d1, d2 = zeros, zeros, zeros
    if "scales" in splat.attributes:
        s0 = in_range(unzigzag(stream.values(10 + classes)) + table["scale_offset"], SYMBOL, "scales")
        stored = stream.values(18 + classes)
        d1, d2 = stored, stream.values(26 + 8 * np.minimum(stored, 7) + classes)
        if "quats" not in splat.attributes:
            d1, d2 = unzigzag(d1), unzigzag(d2)
        d1, d2 = in_range(d1, SYMBOL, "scales"), in_range(d2, SYMBOL, "scales")
        symbols = np.stack([s0, s0 - d1, s0 - d1 - d2], axis=1)
        result["scales"] = finite(symbols * (table["scale"] / Q20)[:, None], "scales")

    if "opacities" in splat.attributes:
        logits = unzigzag(stream.values(90 + classes)) + table["opacity_offset"]
        result["opacities"] = finite(in_range(logits, SYMBOL, "opacities") * (table["opacity"] / Q20), "opacities")

    if "quats" in splat.attributes:
        shape = np.where((d1 == 0) & (d2 == 0), 0, np.where(d1 > d2, 1, 2))
        planes = [unzigzag(stream.values(98 + 24 * axis + 3 * classes + shape)) for axis in range(3)]
        p = in_range(np.stack(planes, axis=1), SYMBOL, "quats") * (table["rotation"] / Q20)[:, None]
        d = (p * p).sum(axis=1, keepdims=True)
        result["quats"] = finite(np.concatenate([(1 - d) / (1 + d), 2 * p / (1 + d)], axis=1), "quats")

    if "sh0" in splat.attributes:
        luma = stream.values(170 + classes)
        first = stream.values(178 + 4 * classes + LEVELS[np.minimum(luma, 7)])
        second = stream.values(210 + 4 * classes + LEVELS[np.minimum(np.maximum(luma, first), 7)])
        channels = [restore_channel(unzigzag(x), table["colour"]) / Q20 for x in (luma, first, second)]
        result["sh0"] = finite(to_rgb(*channels), "sh0")[:, None, :]

    if "means" in splat.attributes:
        # Steps are below 2^57, so a sum that leaves the range is seen before it can wrap.
        codes = np.uint64(code) + np.cumsum(steps.astype(np.uint64))
        check((codes < MORTON_END).all(), "geometry: a Morton code out of range")
        wanted = 3 * (table["position"] - (s0 - d1) * table["slope"])
        bits = np.clip(-(-wanted // 726817), 0, 48)
        side = SIDES[bits]
        v = stream.raw(WIDTHS[bits])
        cells = [v // (side * side), v // side % side, v % side]
        check((cells[0] < side).all(), "geometry: a position out of its cell")
        *corner, cell = splat.lattice
        centres = []
        for axis in range(3):
            index = zeros
            for bit in range(19):
                index = index | (((codes >> np.uint64(3 * bit + axis)) & np.uint64(1)).astype(np.int64) << bit)
            centres.append(corner[axis] + (index + (cells[axis] + 0.5) / side) * cell)
        result["means"] = finite(np.stack(centres, axis=1), "means")
    stream.end()
    return result, classes


def restore_channel(residual: Ints, steps: Ints) -> Ints:
    """Section 4.6: one colour channel, in Q20, by binary refinement."""
    n = len(residual)
    value = np.zeros(n, np.int64)
    value[0] = in_range(residual[:1], COLOUR_SYMBOL, "sh0")[0] * steps[0]
    s = 1 << (n - 1).bit_length()
    while s:
        i = np.arange(s, n, 2 * s)
        a = value[i - s]
        b = np.where(i + s < n, value[np.minimum(i + s, n - 1)], a)
        q = residual[i] + (a + b + steps[i]) // (2 * steps[i])
        value[i] = in_range(q, COLOUR_SYMBOL, "sh0") * steps[i]
        s //= 2
    return value


def decode_sh(data: bytes, degree: int, splat: Splat, classes: Ints, model: Model) -> Array:
    """Section 5: the coefficients of bands 1 to the degree."""
    n = len(classes)
    stream = TokenStream(data, model)
    mask = stream.values(classes, (1 << degree) - 1)
    symbols = np.zeros((n, COEFFICIENTS[degree], 3), np.int64)
    for band in range(1, degree + 1):
        rows = np.flatnonzero(mask >> (band - 1) & 1)
        run = np.zeros(len(rows), np.int64)
        for channel in range(3):
            context = 8 + 96 * (band - 1) + 48 * (channel > 0) + 6 * classes[rows]
            for coefficient in range(COEFFICIENTS[band - 1], COEFFICIENTS[band]):
                values = stream.values(context + np.minimum(run, 5), (1 << 17) - 1)
                symbols[rows, coefficient, channel] = in_range(unzigzag(values), COLOUR_SYMBOL, "shN")
                run += np.minimum(values, 2)
    stream.end()
    ycc = symbols * (splat.tables["sh"][classes] / Q20)[:, None, None]
    return finite(to_rgb(ycc[..., 0], ycc[..., 1], ycc[..., 2]), "shN")


# ---------------------------------------------------------------------------------------------------------------------
# Columns (columns.md)


def decode_column(data: bytes, n: int, column: Column, budget: Budget) -> Array:
    """A column of n rows; `check_types` has made sure that its transforms fit each other."""
    for _ in range(column.compressors):
        data = Zstandard(data, budget).decode()
    cursor = Cursor(data, f"column {column.name}")
    if column.serializer == "floats":
        return decode_floats(cursor, n, column.components, budget).reshape(n, *column.shape)
    size, components = column.transforms[-1]["size"], column.components
    count = size * components
    check(cursor.uint(2) == count, f"{cursor.what}: wrong number of planes")
    check(cursor.uint(4) == n, f"{cursor.what}: wrong number of rows")
    if column.serializer == "planes":
        planes = coded_planes(cursor, count, n)
    else:
        check(cursor.uint(4) == 0, f"{cursor.what}: reserved bytes are not zero")
        planes = np.frombuffer(cursor.take(count * n), np.uint8)
    cursor.end()
    wide = np.dtype(f">u{size}")
    values = planes.reshape(components, size, n).transpose(2, 0, 1).copy().view(wide)[..., 0].astype(UNSIGNED[size])
    for codec in reversed(column.transforms[:-1]):
        values = undo(codec, values, cursor.what)
    return values.reshape(n, *column.shape)


def coded_planes(cursor: Cursor, count: int, n: int) -> Array:
    """Planes of which some are in a token stream."""
    check(count <= 2048, f"{cursor.what}: too many planes")
    model_size = cursor.uint(4)
    modes = np.frombuffer(cursor.take(count), np.uint8)
    check((modes <= 1).all(), f"{cursor.what}: unknown mode")
    coded = np.flatnonzero(modes == 1)
    model_data = cursor.take(model_size)
    raw = cursor.take(n * (count - len(coded)))
    planes = np.zeros((count, n), np.uint8)
    planes[modes == 0] = np.frombuffer(raw, np.uint8).reshape(-1, n)
    if len(coded):
        stream = TokenStream(cursor.take(cursor.left), parse_model(model_data, len(coded)))
        for context, plane in enumerate(coded):
            planes[plane] = stream.tokens(np.full(n, context))
        stream.end()
    check(len(coded) > 0 or model_size == 0, f"{cursor.what}: a model without planes")
    return planes


PIECE_SHIFTS = (23, 31, 20, 16, 8, 0)
PIECE_LIMITS = (255, 1, 7, 15, 255, 255)


def decode_floats(cursor: Cursor, n: int, components: int, budget: Budget) -> Array:
    """The serializer `floats`: float32 (n, components)."""
    what = cursor.what
    flags, zero = cursor.uint(1), cursor.uint(1)
    check(flags <= 7 and zero == 0, f"{what}: unknown flags")
    check(cursor.uint(2) == components, f"{what}: wrong number of components")
    check(cursor.uint(4) == n, f"{what}: wrong number of rows")
    m, model_size = cursor.uint(4), cursor.uint(4)
    check(1 <= m <= n and (m == n or flags & 1 == 1), f"{what}: {m} coded rows of {n}")
    unit = flags & 2 == 2
    check(not unit or components == 4, f"{what}: rotations of {components} components")
    bases = list(cursor.take(components))
    check(all(bases), f"{what}: a base of 0")
    model = parse_model(cursor.take(model_size), 365)
    budget.spend(40 * m * components)
    pieces = np.zeros((components, 6, m), np.int64)  # by component, piece and position
    if not flags & 4:
        low = np.frombuffer(cursor.take(2 * components * m), np.uint8)
        pieces[:, 4:] = low.reshape(2, components, m).transpose(1, 0, 2)
    stream = TokenStream(cursor.take(cursor.left), model)
    check(stream.raw_bytes.size == 0, f"{what}: raw bits")
    distances = stream.tokens(np.full(n, 364)) if flags & 1 else np.zeros(n, np.int64)
    check((distances <= np.arange(n)).all(), f"{what}: a copy of nothing")
    coded = np.flatnonzero(distances == 0)
    check(len(coded) == m, f"{what}: wrong number of coded rows")
    runs = [np.arange(lane * (m // 32) + min(lane, m % 32), m) for lane in range(32)]
    row_of = np.array([runs[p % 32][p // 32] for p in range(m)])

    numbers = np.zeros((m, components), np.uint32)  # by coded row
    nothing = np.zeros((6, m), np.int64)
    left = nothing
    for j in [1, 2, 3, 0] if unit else range(components):
        own = pieces[j]
        guide = None
        if unit and j == 0:
            guide = cut(unit_w(numbers[row_of]), bases[0])
        for first in range(0, m, 32):
            here = slice(first, min(first + 32, m))
            there = slice(here.start - 32, here.stop - 32)
            before = guide[:, here] if guide is not None else own[:, there] if first else nothing[:, here]
            for piece in range(6 if flags & 4 else 4):
                contexts = float_contexts(piece, own[:, here], left[:, here], before, guide is not None)
                token = stream.tokens(contexts)
                check((token <= PIECE_LIMITS[piece]).all(), f"{what}: a token out of range")
                follows = (contexts == 359) | (contexts == 362)
                own[piece, here] = np.where(follows, (token + before[piece]) % 256, token)
        exponent = np.where(own[0] == 0, 0, 1 + (bases[j] - own[0]) % 255)
        bits = exponent << 23
        for piece in range(1, 6):
            bits |= own[piece] << PIECE_SHIFTS[piece]
        numbers[row_of, j] = bits
        left = own
    stream.end()
    result = np.zeros((n, components), np.uint32)
    result[coded] = numbers
    for i in np.flatnonzero(distances):
        result[i] = result[i - distances[i]]
    return result.view(np.float32)


def cut(values: NDArray[np.float32], base: int) -> Ints:
    """The six pieces of numbers."""
    bits = values.view(np.uint32).astype(np.int64)
    exponent = (bits >> 23) & 255
    x = np.where(exponent == 0, 0, 1 + (base - exponent) % 255)
    return np.array([x, *((bits >> PIECE_SHIFTS[i]) & PIECE_LIMITS[i] for i in range(1, 6))])


def unit_w(rotations: NDArray[np.uint32]) -> NDArray[np.float32]:
    """The first component of unit rotations, from the bits of the others."""
    with np.errstate(all="ignore"):
        x, y, z = rotations[:, 1:].copy().view(np.float32).astype(np.float64).T
        rest = 1 - ((x * x + y * y) + z * z)
        rest[~(rest > 0)] = 0
        return np.asarray(np.sqrt(rest).astype(np.float32))


def float_contexts(piece: int, own: Ints, left: Ints, before: Ints, guided: bool) -> Ints:
    """The contexts of one piece at some positions; pieces that are still to come are not looked at."""

    def same(other: Ints, count: int) -> Array:
        return np.asarray((own[:count] == other[:count]).all(axis=0))

    def near(other: Ints) -> Ints:
        return np.clip(other[0] - own[0], -2, 2) + 2

    def top(other: Ints) -> Ints:
        above = np.where(other[0] > own[0], 9, 10)
        return np.where(same(other, 2), other[2], np.where(own[1] != other[1], 8, above))

    if piece == 0:
        return 10 * np.minimum(left[0], 9) + np.minimum(before[0], 9)
    if piece == 1:
        return 100 + ((5 * left[1] + near(left)) * 2 + before[1]) * 5 + near(before)
    if guided:
        before = before.copy()
        before[1] = own[1]
    if piece == 2:
        found = 200 + 11 * top(before) + top(left)
    elif piece == 3:
        step = np.where(same(before, 2), before[2] - own[2], 9)
        found = np.where(step == -1, 354, np.where(step == 1, 355, 356))
        found = np.where(same(left, 3), 338 + left[3], found)
        found = np.where(same(before, 3), 322 + before[3], found)
    else:
        found = np.where(same(before, piece), 359, 358) + 3 * (piece - 4)
    return np.where(own[0] == 0, (321, 357, 360, 363)[piece - 2], found)


def undo(codec: dict[str, Any], values: Array, what: str) -> Array:
    """Undo a transform; values are (n, components)."""
    one = values.dtype.type(1)
    if codec["id"] == "delta":
        signs = np.where(values & one, ~np.zeros_like(values), np.zeros_like(values))
        steps = (values >> one) ^ signs
        steps[0] = values[0]
        return np.asarray(np.cumsum(steps, axis=0, dtype=values.dtype))
    if codec["id"] == "quantised":
        return finite(unzigzag(values.astype(np.int64)) * codec["step"], what)
    dtype = np.dtype(codec["dtype"])
    if dtype.kind == "u":
        return values
    sign = one << values.dtype.type(8 * values.dtype.itemsize - 1)
    if dtype.kind == "i":
        return np.asarray((values ^ sign).view(dtype))
    return np.where(values & sign, values ^ sign, ~values).view(dtype)


# ---------------------------------------------------------------------------------------------------------------------
# Zstandard (RFC 8878), without dictionaries

LARGEST_BLOCK = 128 << 10
LL_BITS = [0] * 16 + [1, 1, 1, 1, 2, 2, 3, 3, 4, *range(6, 17)]
ML_BITS = [0] * 32 + [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, *range(7, 17)]
LL_BASE = [sum(1 << bits for bits in LL_BITS[:code]) for code in range(36)]
ML_BASE = [3 + sum(1 << bits for bits in ML_BITS[:code]) for code in range(53)]
LL_DEFAULT = [4, 3, *[2] * 11, 1, 1, 1, *[2] * 9, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1]
OF_DEFAULT = [1, 1, 1, 1, 1, 1, 2, 2, 2, *[1] * 15, -1, -1, -1, -1, -1]
ML_DEFAULT = [1, 4, 3, 2, 2, 2, 2, 2, 2, *[1] * 37, *[-1] * 7]
SEQUENCE_CODES = (  # predefined counts and their accuracy, largest accuracy, number of codes
    (LL_DEFAULT, 6, 9, 36),
    (OF_DEFAULT, 5, 8, 32),
    (ML_DEFAULT, 6, 9, 53),
)


class Backward:
    """Reads a bit stream from its end, where a one bit marks the last bit."""

    def __init__(self, data: bytes) -> None:
        check(len(data) > 0 and data[-1] != 0, "zstd: a bit stream without an end mark")
        self.data = data
        self.left = 8 * len(data) - 9 + data[-1].bit_length()

    def read(self, count: int) -> int:
        """A number of so many bits."""
        low, high = self.left - count, (self.left + 7) >> 3
        check(low >= 0, "zstd: a bit stream ends early")
        self.left = low
        return (int.from_bytes(self.data[low >> 3 : high], "little") >> (low & 7)) & ((1 << count) - 1)


@dataclass(frozen=True)
class Fse:
    """An FSE decoding table: what each state stands for, and where it leads."""

    log: int
    symbol: list[int]
    bits: list[int]
    base: list[int]


def fse_table(counts: list[int], log: int) -> Fse:
    """Build a decoding table from normalised counts (RFC 8878, 4.1.1)."""
    size = 1 << log
    symbols = [0] * size
    high = size
    for symbol, count in enumerate(counts):
        if count == -1:
            high -= 1
            symbols[high] = symbol
    position, step = 0, (size >> 1) + (size >> 3) + 3
    for symbol, count in enumerate(counts):
        for _ in range(max(count, 0)):
            symbols[position] = symbol
            position = (position + step) & (size - 1)
            while position >= high:
                position = (position + step) & (size - 1)
    following = [abs(count) for count in counts]
    bits, base = [], []
    for symbol in symbols:
        bits.append(log + 1 - following[symbol].bit_length())
        base.append((following[symbol] << bits[-1]) - size)
        following[symbol] += 1
    return Fse(log, symbols, bits, base)


def fse_description(data: bytes, largest_log: int, symbols: int) -> tuple[Fse, int]:
    """Read a table description; returns the table and the bytes used."""
    bits = Bits(data[:1024], "zstd: FSE table")
    log = bits.read(4) + 5
    check(log <= largest_log, "zstd: accuracy of an FSE table too large")
    left = 1 << log
    counts: list[int] = []
    while left > 0:
        check(len(counts) < symbols, "zstd: too many symbols in an FSE table")
        width = (left + 1).bit_length()
        spare = (1 << width) - 2 - left
        value = bits.read(width - 1)
        if value >= spare:
            value |= bits.read(1) << (width - 1)
            value -= spare if value >= 1 << (width - 1) else 0
        counts.append(value - 1)
        left -= abs(value - 1)
        again = value == 1
        while again:
            zeros = bits.read(2)
            counts.extend([0] * zeros)
            check(len(counts) <= symbols, "zstd: too many symbols in an FSE table")
            again = zeros == 3
    check(left == 0, "zstd: an FSE table of the wrong sum")
    return fse_table(counts, log), (bits.at + 7) // 8


@dataclass(frozen=True)
class Huffman:
    """A Huffman decoding table: symbol and length of the code at the start of each string of `log` bits."""

    log: int
    symbol: Array
    bits: Array


def huffman_weights(data: bytes) -> tuple[list[int], int]:
    """The weights that a tree description holds, and its length (RFC 8878, 4.2.1)."""
    cursor = Cursor(data, "zstd: Huffman tree")
    head = cursor.uint(1)
    if head >= 128:
        nibbles = [half for byte in cursor.take((head - 126) // 2) for half in (byte >> 4, byte & 15)]
        return nibbles[: head - 127], cursor.at
    description = cursor.take(head)
    table, used = fse_description(description, 6, 256)
    stream = Backward(description[used:])
    states = [stream.read(table.log), stream.read(table.log)]
    weights: list[int] = []
    while True:
        check(len(weights) < 254, "zstd: too many Huffman weights")
        state = states[0]
        weights.append(table.symbol[state])
        if table.bits[state] > stream.left:
            weights.append(table.symbol[states[1]])
            return weights, cursor.at
        states = [states[1], table.base[state] + stream.read(table.bits[state])]


def huffman_table(weights: list[int]) -> Huffman:
    """A decoding table; the weight of the last symbol follows from the others."""
    total = sum(1 << (weight - 1) for weight in weights if weight)
    check(0 < total < 1 << 11, "zstd: Huffman codes too long, or none")
    log = total.bit_length()
    rest = (1 << log) - total
    check(rest & (rest - 1) == 0, "zstd: Huffman weights do not add up")
    weights = [*weights, rest.bit_length()]
    order = sorted((weight, symbol) for symbol, weight in enumerate(weights) if weight)
    widths = [1 << (weight - 1) for weight, _ in order]
    symbols = np.repeat(np.array([symbol for _, symbol in order]), widths)
    return Huffman(log, symbols, np.repeat(np.array([log + 1 - weight for weight, _ in order]), widths))


def huffman_stream(data: bytes, count: int, table: Huffman) -> bytes:
    """Decode exactly so many literals from one stream."""
    left = Backward(data).left
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[:left]
    padded = np.concatenate([np.zeros(table.log, np.uint8), bits]).astype(np.int64)
    ahead = np.zeros(left + 1, np.int64)  # for each position, the `log` bits that would be read there
    for i in range(table.log):
        ahead |= padded[i : i + left + 1] << i
    symbols, lengths = table.symbol[ahead].tolist(), table.bits[ahead].tolist()
    result = bytearray()
    for _ in range(count):
        check(left > 0, "zstd: a literal stream ends early")
        result.append(symbols[left])
        left -= lengths[left]
    check(left == 0, "zstd: a literal stream does not end where it should")
    return bytes(result)


@dataclass
class Zstandard:
    """One frame that declares its content size, with nothing behind it."""

    data: bytes
    budget: Budget
    window: int = 0
    out: bytearray = field(default_factory=bytearray)
    huffman: Huffman | None = None
    tables: list[Fse | None] = field(default_factory=lambda: [None, None, None])
    recent: list[int] = field(default_factory=lambda: [1, 4, 8])

    def decode(self) -> bytes:
        """The content; its checksum is verified when there is one."""
        cursor = Cursor(self.data, "zstd")
        check(cursor.uint(4) == 0xFD2FB528, "zstd: not a frame")
        head = cursor.uint(1)
        single = bool(head & 32)
        check(head & 8 == 0, "zstd: reserved bit")
        if not single:
            descriptor = cursor.uint(1)
            base = 1 << (10 + (descriptor >> 3))
            self.window = base + (base >> 3) * (descriptor & 7)
        check(cursor.uint((0, 1, 2, 4)[head & 3]) == 0, "zstd: needs a dictionary")
        check(single or head >= 64, "zstd: the content size is not declared")
        content = cursor.uint((1, 2, 4, 8)[head >> 6]) + (256 if head >> 6 == 1 else 0)
        self.budget.spend(content)
        if single:
            self.window = content
        last = False
        while not last:
            block = cursor.uint(3)
            last, kind, size = bool(block & 1), block >> 1 & 3, block >> 3
            check(kind != 3, "zstd: reserved block type")
            check(size <= min(self.window, LARGEST_BLOCK), "zstd: a block too large")
            if kind == 0:
                self.out += cursor.take(size)
            elif kind == 1:
                self.out += cursor.take(1) * size
            else:
                self.compressed_block(cursor.take(size))
            check(len(self.out) <= content, "zstd: more content than declared")
        check(len(self.out) == content, "zstd: less content than declared")
        if head & 4:
            check(cursor.uint(4) == xxh64(bytes(self.out)) & 0xFFFFFFFF, "zstd: wrong checksum")
        cursor.end()
        return bytes(self.out)

    def compressed_block(self, data: bytes) -> None:
        """Literals, then sequences that place them and copy matches."""
        cursor = Cursor(data, "zstd: block")
        literals = self.literals(cursor)
        begin, at = len(self.out), 0
        for length, value, match in self.sequences(cursor):
            check(at + length <= len(literals), "zstd: a sequence needs more literals than there are")
            self.out += literals[at : at + length]
            at += length
            offset = self.offset(value, length)
            check(0 < offset <= min(len(self.out), self.window), "zstd: an offset out of range")
            check(len(self.out) + match - begin <= LARGEST_BLOCK, "zstd: a block too large")
            start = len(self.out) - offset
            source = self.out[start : start + match]
            self.out += (source * (match // len(source) + 1))[:match]
        self.out += literals[at:]
        check(len(self.out) - begin <= min(self.window, LARGEST_BLOCK), "zstd: a block too large")

    def literals(self, cursor: Cursor) -> bytes:
        """The literals section (RFC 8878, 3.1.1.3.1)."""
        head = cursor.uint(1)
        kind, form = head & 3, head >> 2 & 3
        if kind < 2:
            more = (0, 1, 0, 2)[form]
            size = (head | cursor.uint(more) << 8) >> (4 if more else 3)
            check(size <= LARGEST_BLOCK, "zstd: too many literals")
            return cursor.take(size) if kind == 0 else cursor.take(1) * size
        more, width = ((2, 10), (2, 10), (3, 14), (4, 18))[form]
        sizes = (head | cursor.uint(more) << 8) >> 4
        size, packed = sizes & ((1 << width) - 1), sizes >> width
        check(size <= LARGEST_BLOCK, "zstd: too many literals")
        streams = Cursor(cursor.take(packed), "zstd: literals")
        if kind == 2:
            weights, used = huffman_weights(streams.data)
            self.huffman = huffman_table(weights)
            streams.take(used)
        if self.huffman is None:
            corrupt("zstd: no Huffman tree to use again")
        if form == 0:
            return huffman_stream(streams.take(streams.left), size, self.huffman)
        lengths = [streams.uint(2) for _ in range(3)]
        quarter = (size + 3) // 4
        check(3 * quarter <= size, "zstd: too few literals for four streams")
        parts = [huffman_stream(streams.take(length), quarter, self.huffman) for length in lengths]
        return b"".join(parts) + huffman_stream(streams.take(streams.left), size - 3 * quarter, self.huffman)

    def sequences(self, cursor: Cursor) -> list[tuple[int, int, int]]:
        """The sequences section (3.1.1.3.2): literal length, offset value and match length of each."""
        count = cursor.uint(1)
        if count == 255:
            count = cursor.uint(2) + 0x7F00
        elif count >= 128:
            count = ((count - 128) << 8) + cursor.uint(1)
        if count == 0:
            cursor.end()
            return []
        modes = cursor.uint(1)
        check(modes & 3 == 0, "zstd: reserved bits")
        lengths = self.table(0, modes >> 6, cursor)
        offsets = self.table(1, modes >> 4 & 3, cursor)
        matches = self.table(2, modes >> 2 & 3, cursor)
        stream = Backward(cursor.take(cursor.left))
        ll, of, ml = stream.read(lengths.log), stream.read(offsets.log), stream.read(matches.log)
        result = []
        for i in range(count):
            code = offsets.symbol[of]
            offset = (1 << code) + stream.read(code)
            code = matches.symbol[ml]
            match = ML_BASE[code] + stream.read(ML_BITS[code])
            code = lengths.symbol[ll]
            result.append((LL_BASE[code] + stream.read(LL_BITS[code]), offset, match))
            if i + 1 < count:
                ll = lengths.base[ll] + stream.read(lengths.bits[ll])
                ml = matches.base[ml] + stream.read(matches.bits[ml])
                of = offsets.base[of] + stream.read(offsets.bits[of])
        check(stream.left == 0, "zstd: sequence bits left over")
        return result

    def table(self, which: int, mode: int, cursor: Cursor) -> Fse:
        """The table of one kind of code in its mode; it is kept for later blocks."""
        default, log, largest, symbols = SEQUENCE_CODES[which]
        if mode == 0:
            self.tables[which] = fse_table(default, log)
        elif mode == 1:
            symbol = cursor.uint(1)
            check(symbol < symbols, "zstd: a code out of range")
            self.tables[which] = Fse(0, [symbol], [0], [0])
        elif mode == 2:
            self.tables[which], used = fse_description(cursor.data[cursor.at :], largest, symbols)
            cursor.take(used)
        return self.tables[which] or corrupt("zstd: no table to use again")

    def offset(self, value: int, literals: int) -> int:
        """The offset that a value means, with the three recent ones (3.1.1.5)."""
        if value > 3:
            self.recent = [value - 3, *self.recent[:2]]
            return self.recent[0]
        which = value - 1 + (literals == 0)
        offset = self.recent[which] if which < 3 else self.recent[0] - 1
        self.recent = [offset, *(self.recent[:which] + self.recent[which + 1 :])[:2]]
        return offset


PRIMES = (11400714785074694791, 14029467366897019727, 1609587929392839161, 9650029242287828579, 2870177450012600261)
MASK = (1 << 64) - 1


def xxh64(data: bytes) -> int:
    """XXH64 with seed 0, the content checksum of Zstandard."""
    p1, p2, p3, p4, p5 = PRIMES

    def rotate(x: int, count: int) -> int:
        return (x << count | x >> (64 - count)) & MASK

    def mix(lane: int, value: int) -> int:
        return rotate((lane + value * p2) & MASK, 31) * p1 & MASK

    at, result = 0, p5
    if len(data) >= 32:
        lanes = [(p1 + p2) & MASK, p2, 0, -p1 & MASK]
        at = len(data) // 32 * 32
        for stripe in struct.iter_unpack("<4Q", data[:at]):
            lanes = [mix(lane, value) for lane, value in zip(lanes, stripe, strict=True)]
        result = sum(rotate(lane, count) for lane, count in zip(lanes, (1, 7, 12, 18), strict=True)) & MASK
        for lane in lanes:
            result = ((result ^ mix(0, lane)) * p1 + p4) & MASK
    result = (result + len(data)) & MASK
    for size, step, first, count in ((8, 8, p1, 27), (4, 4, p2, 23), (1, 1, p1, 11)):
        while at + size <= len(data):
            value = int.from_bytes(data[at : at + size], "little")
            value = mix(0, value) if size == 8 else value * (p1 if size == 4 else p5) & MASK
            result = (rotate(result ^ value, count) * first + (p4, p3, 0)[(8, 4, 1).index(size)]) & MASK
            at += step
    result = (result ^ result >> 33) * p2 & MASK
    result = (result ^ result >> 29) * p3 & MASK
    return result ^ result >> 32


# ---------------------------------------------------------------------------------------------------------------------
# The file


def parse_tables(data: bytes, profiles: Sequence[Profile], required: int) -> list[tuple[Model | None, Model | None]]:
    """The geometry model and the SH model of each profile (format.md, section 4.3)."""
    cursor = Cursor(data, "tables")
    models = []
    for profile in profiles:
        geometry = parse_section_model(cursor.take(cursor.uint(4)), "geometry", required) if profile.splat else None
        sh = parse_section_model(cursor.take(cursor.uint(4)), "sh", required) if profile.sh else None
        models.append((geometry, sh))
    cursor.end()
    return models


def inflate(data: bytes) -> bytes:
    """Packed metadata (format.md, section 4.4)."""
    dictionary = (Path(__file__).resolve().parent / "metadata.dict").read_bytes()
    if zlib.crc32(dictionary) != 0xF60003CB:
        raise RuntimeError("metadata.dict: not that of the specification")
    stored = b"\0" + struct.pack("<HH", len(dictionary), len(dictionary) ^ 0xFFFF) + dictionary
    inflater = zlib.decompressobj(wbits=-15)
    try:
        out = inflater.decompress(stored + data, len(dictionary) + (1 << 20) + 1)
    except zlib.error as error:
        corrupt(f"packed metadata: {error}")
    check(len(out) <= len(dictionary) + (1 << 20), "packed metadata: too long")
    check(inflater.eof and not inflater.unused_data, "packed metadata: ends early, or bytes are left over")
    return out[len(dictionary) :]


@dataclass(frozen=True)
class Scene:
    """What the metadata says of the scene."""

    n: int
    sh_degree: int
    frame: str
    flags: tuple[str, ...]
    profiles: tuple[Profile, ...]
    extras: dict[str, Column]


def extra_columns(profiles: Sequence[Profile]) -> dict[str, Column]:
    """The extra columns of all profiles; those of one name are alike, and zero where a profile has none."""
    extras: dict[str, Column] = {}
    for column in (column for profile in profiles for column in profile.columns if not column.attribute):
        first = extras.setdefault(column.name, column)
        check(
            (first.dtype, first.shape) == (column.dtype, column.shape), f"column {column.name}: differs in two profiles"
        )
    return extras


def parse_scene(metadata: dict[str, Any]) -> Scene:
    """The keys of the metadata that decoding needs (format.md, section 4)."""
    for key in ("n", "sh_degree", "frame", "flags", "profiles", "source"):
        check(key in metadata, f"metadata: {key} is missing")
    n = integer(metadata["n"], 1, MASK, "n")
    degree = integer(metadata["sh_degree"], 0, 3, "sh_degree")
    check(metadata["frame"] in FRAMES, "frame: unknown")
    flags = array(metadata["flags"], 0, 1 << 20, "flags")
    check(all(flag in FLAGS for flag in flags), "flags: unknown")
    check(isinstance(metadata["source"], dict), "source: not a map")
    given = array(metadata["profiles"], 1, 16, "profiles")
    profiles = tuple(parse_profile(value, degree, f"profiles[{i}]") for i, value in enumerate(given))
    return Scene(n, degree, metadata["frame"], tuple(flags), profiles, extra_columns(profiles))


def decode_chunk(
    data: bytes, chunk: Chunk, scene: Scene, models: tuple[Model | None, Model | None], budget: Budget
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Attributes and extra columns of one chunk; shN has the scene's degree."""
    profile, what = scene.profiles[chunk.profile], f"chunk at {chunk.offset}"
    content = data[chunk.offset : chunk.offset + chunk.length]
    check(hash16(content) == chunk.identity, f"{what}: wrong hash")
    check([kind for kind, _, _ in chunk.sections] == profile.sections, f"{what}: sections are not its profile's")
    cursor, sections = Cursor(content, what), {}
    for kind, length, crc in chunk.sections:
        sections[kind] = cursor.take(length)
        check(zlib.crc32(sections[kind]) == crc, f"{what}: wrong crc32 of section {kind}")
    n = chunk.count
    found: dict[str, Array] = {}
    extras: dict[str, Array] = {
        name: np.zeros((n, *column.shape), column.dtype) for name, column in scene.extras.items()
    }
    geometry_model, sh_model = models
    if profile.splat and geometry_model:
        found, classes = decode_geometry(sections[0], n, profile.splat, geometry_model)
        if sh_model:
            found["shN"] = decode_sh(sections[1], profile.sh_degree, profile.splat, classes, sh_model)
    if profile.columns:
        cursor = Cursor(sections[2], f"{what}: columns")
        for column in profile.columns:
            values = decode_column(cursor.take(cursor.uint(4)), n, column, budget)
            if column.attribute:
                found[column.name] = finite(values, column.name)
            else:
                extras[column.name] = values
        cursor.end()
    whole = np.zeros((n, COEFFICIENTS[scene.sh_degree], 3), np.float32)
    whole[:, : COEFFICIENTS[profile.sh_degree]] = found.get("shN", 0)
    found["shN"] = whole
    # Section 5.1, ids 5 to 7: box and reach hold the Gaussians, up to the tolerance that splat.md grants a decoder.
    slack = 1e-6 * np.maximum(np.abs(chunk.low), np.abs(chunk.high)).astype(np.float64)
    if profile.splat and "means" in profile.splat.attributes:
        slack += 1e-6 * profile.splat.lattice[3]
    means = found["means"].astype(np.float64)
    inside = (means >= chunk.low - slack) & (means <= chunk.high + slack)
    check(inside.all(), f"{what}: a centre out of its box")
    largest = min(3 * math.exp(min(float(found["scales"].max()), 100)), float(np.finfo(np.float32).max))
    check(chunk.reach >= largest * (1 - 1e-4), f"{what}: a Gaussian reaches farther than it says")
    return found, extras


def decode(data: bytes) -> dict[str, Any]:
    """Decode a whole file and verify every crc32 and hash in it."""
    budget = Budget(len(data))
    parts, offset = [], 128
    required, prefix = parse_header(data)
    for about, name in zip(prefix, ("root page", "metadata", "tables"), strict=True):
        parts.append(part(data, offset, about, name))
        offset += about[0]
    root = parse_page(parts[0], required, "root page")
    scene = parse_scene(unpack(inflate(parts[1]) if required & PACKED_METADATA else parts[1]))
    models = parse_tables(parts[2], scene.profiles, required)
    chunks = list_chunks(data, root, offset, required)
    check(sum(chunk.count for chunk in chunks) == scene.n, "n: not the sum of the chunks")
    for chunk in chunks:
        check(chunk.profile < len(scene.profiles), f"chunk at {chunk.offset}: unknown profile {chunk.profile}")
    row = 4 * (14 + 3 * COEFFICIENTS[scene.sh_degree])
    row += sum(np.dtype(column.dtype).itemsize * column.components for column in scene.extras.values())
    budget.spend(scene.n * row)

    parts_of = {id(chunk): decode_chunk(data, chunk, scene, models[chunk.profile], budget) for chunk in chunks}
    decoded = [parts_of[id(chunk)] for chunk in drawn(chunks)]
    result: dict[str, Any] = {name: np.concatenate([found[name] for found, _ in decoded]) for name in ATTRIBUTES}
    result["extras"] = {name: np.concatenate([extras[name] for _, extras in decoded]) for name in scene.extras}
    result |= {"n": len(result["means"]), "sh_degree": scene.sh_degree, "frame": scene.frame, "flags": scene.flags}
    shown = ("offset", "length", "count", "level", "low", "high", "reach")
    result["chunks"] = [{name: getattr(chunk, name) for name in shown} for chunk in chunks]
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Decode a file on the command line."""
    parser = argparse.ArgumentParser(description="Independent decoder of .spk files")
    parser.add_argument("file", type=Path)
    parser.add_argument("-o", "--output", type=Path, help="write the arrays to this .npz")
    options = parser.parse_args(arguments)
    try:
        scene = decode(options.file.read_bytes())
    except OSError as error:
        parser.error(str(error))
    except (Corrupt, Unsupported, Limit) as error:
        kind, status = {Corrupt: ("corrupt", 3), Unsupported: ("unsupported", 4), Limit: ("limit", 5)}[type(error)]
        print(f"{kind}: {error}", file=sys.stderr)
        return status
    if options.output:
        arrays = {name: scene[name] for name in ATTRIBUTES}
        np.savez(options.output, **arrays, **{f"extra_{name}": values for name, values in scene["extras"].items()})
    print(json.dumps({"ok": True, "n": scene["n"], "sh_degree": scene["sh_degree"], "chunks": len(scene["chunks"])}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
