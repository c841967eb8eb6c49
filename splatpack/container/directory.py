"""Directory pages: what lies where, columnar, every number fixed-width (``spec/format.md``, section 5)."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from splatpack.container.layout import content_hash
from splatpack.errors import CorruptError, UnsupportedError
from splatpack.limits import Limits

CHUNK_PAGE, INDEX_PAGE = 0, 1
PAGE_CHUNKS = 512
"""Chunks in one leaf page, at most."""
MAX_LEVEL = 31
MAX_SECTIONS = 16
MAX_CHUNK_COUNT = 1 << 16
OPTIONAL_COLUMN = 128
"""Columns from here on may be ignored by a reader that does not know them."""

_HEAD = struct.Struct("<BBHIQ")
_COLUMN = struct.Struct("<BxxxI")

# Columns of a chunk page, with the struct code of one entry ("s": per section).
_CHUNK_COLUMNS = {1: "I", 2: "I", 3: "B", 4: "B", 5: "3f", 6: "3f", 7: "f", 8: "16s", 9: "B"}
_SECTION_COLUMNS = {10: "B", 11: "I", 12: "I"}
_LEVEL_COLUMNS = {13: "I", 14: "I"}  # with required feature 2 only
_OPTIONAL_COLUMNS = {128: "f", 129: "f"}
# Columns of an index page.
_INDEX_COLUMNS = {1: "I", 2: "Q", 3: "B", 5: "3f", 6: "3f", 7: "f", 8: "16s", 20: "I", 21: "I", 22: "Q"}

Vec3 = tuple[float, float, float]


@dataclass(frozen=True)
class Section:
    """One part of a chunk: what it holds (``kind``), its bytes and their CRC-32."""

    kind: int
    length: int
    crc: int


@dataclass(frozen=True)
class Chunk:
    """One chunk: the unit of fetching, checking and decoding.

    Attributes
    ----------
    offset, length : int
        Where it lies in the file, bytes.
    count : int
        Gaussians in it.
    level : int
        0 is the finest.
    profile : int
        Which entry of the metadata's ``profiles`` says how its sections are coded.
    low, high : tuple of float
        Box of the decoded centres.
    reach : float
        Three standard deviations of the largest Gaussian: how far it can be seen beyond the box.
    hash : bytes
        First 16 bytes of the chunk's SHA-256.
    sections : tuple of Section
        They tile the chunk in order, kinds ascending.
    error, gain : float
        For streaming: geometric error of the level in scene units, image error removed by the chunk; 0 if unknown.
    index : int
        Its number in the file.
    parent : int
        The number of the chunk that it makes finer, which stands before it; -1 for none.
    successors : int
        How many chunks with this parent replace it when they are all at hand; 0: it is never replaced.
    """

    offset: int
    length: int
    count: int
    level: int
    profile: int
    low: Vec3
    high: Vec3
    reach: float
    hash: bytes
    sections: tuple[Section, ...]
    error: float = 0.0
    gain: float = 0.0
    index: int = 0
    parent: int = -1
    successors: int = 0


@dataclass(frozen=True)
class PageRef:
    """A leaf page and the chunks that follow it.

    ``span`` is the bytes of the page and of its chunks together, ``count`` the Gaussians in them, ``chunks`` how many
    chunks, ``level`` the finest level, ``low``, ``high`` and ``reach`` a bound over all of them.
    """

    offset: int
    length: int
    count: int
    level: int
    low: Vec3
    high: Vec3
    reach: float
    hash: bytes
    crc: int
    chunks: int
    span: int


def pack_chunks(chunks: Sequence[Chunk], levels: bool = False) -> bytes:
    """Return a chunk page; its chunks must be contiguous. ``levels``: with the columns of required feature 2."""
    sections = [s for c in chunks for s in c.sections]
    columns: dict[int, bytes] = {
        1: _join("I", (c.length for c in chunks)),
        2: _join("I", (c.count for c in chunks)),
        3: _join("B", (c.level for c in chunks)),
        4: _join("B", (c.profile for c in chunks)),
        5: b"".join(struct.pack("<3f", *c.low) for c in chunks),
        6: b"".join(struct.pack("<3f", *c.high) for c in chunks),
        7: _join("f", (c.reach for c in chunks)),
        8: b"".join(c.hash for c in chunks),
        9: _join("B", (len(c.sections) for c in chunks)),
        10: _join("B", (s.kind for s in sections)),
        11: _join("I", (s.length for s in sections)),
        12: _join("I", (s.crc for s in sections)),
    }
    if levels:
        columns[13] = _join("I", (c.parent + 1 for c in chunks))
        columns[14] = _join("I", (c.successors for c in chunks))
    if any(c.error or c.gain for c in chunks):
        columns[128] = _join("f", (c.error for c in chunks))
        columns[129] = _join("f", (c.gain for c in chunks))
    first = chunks[0].offset if chunks else 0
    return _pack(CHUNK_PAGE, len(chunks), first, columns)


def pack_index(pages: Sequence[PageRef]) -> bytes:
    """Return an index page over leaf pages, which must be contiguous with their chunks."""
    columns = {
        1: _join("I", (p.length for p in pages)),
        2: _join("Q", (p.count for p in pages)),
        3: _join("B", (p.level for p in pages)),
        5: b"".join(struct.pack("<3f", *p.low) for p in pages),
        6: b"".join(struct.pack("<3f", *p.high) for p in pages),
        7: _join("f", (p.reach for p in pages)),
        8: b"".join(p.hash for p in pages),
        20: _join("I", (p.crc for p in pages)),
        21: _join("I", (p.chunks for p in pages)),
        22: _join("Q", (p.span for p in pages)),
    }
    return _pack(INDEX_PAGE, len(pages), pages[0].offset, columns)


def index_size(pages: int) -> int:
    """Return the bytes of an index page over ``pages`` leaf pages."""
    entry = sum(struct.calcsize("<" + code) for code in _INDEX_COLUMNS.values())
    return _HEAD.size + len(_INDEX_COLUMNS) * _COLUMN.size + pages * entry


def _join(code: str, values: object) -> bytes:
    items = list(values)  # type: ignore[call-overload]
    return struct.pack(f"<{len(items)}{code}", *items)


def _pack(kind: int, n: int, first: int, columns: dict[int, bytes]) -> bytes:
    head = _HEAD.pack(kind, len(columns), 0, n, first)
    return head + b"".join(_COLUMN.pack(i, len(b)) + b for i, b in sorted(columns.items()))


def unpack(
    data: bytes, limits: Limits, what: str, *, levels: bool = False, index: int = 0
) -> list[Chunk] | list[PageRef]:  # fmt: skip
    """Check and read a page. Safe on untrusted input.

    Parameters
    ----------
    data : bytes
    limits : Limits
    what : str
        Its name in errors.
    levels : bool
        The file has required feature 2.
    index : int
        Chunks in the pages before this one.

    Raises
    ------
    CorruptError, UnsupportedError, LimitError
        A rule of section 5 is broken, a required column is not known, or too many entries are declared.
    """
    if len(data) < _HEAD.size:
        raise CorruptError(f"{what}: {len(data)} bytes, expected at least {_HEAD.size}.")
    kind, ncolumns, reserved, n, first = _HEAD.unpack_from(data)
    if kind not in (CHUNK_PAGE, INDEX_PAGE) or reserved:
        raise CorruptError(f"{what}: page kind {kind}, reserved {reserved}.")
    limits.count(n, limits.chunks, f"{what}: entries")
    if n > len(data):
        raise CorruptError(f"{what}: {n} entries in {len(data)} bytes.")
    columns = _columns(data, ncolumns, what)
    return _chunks(columns, n, first, what, levels, index) if kind == CHUNK_PAGE else _pages(columns, n, first, what)


def _columns(data: bytes, count: int, what: str) -> dict[int, bytes]:
    columns: dict[int, bytes] = {}
    at, last = _HEAD.size, -1
    for _ in range(count):
        if at + _COLUMN.size > len(data):
            raise CorruptError(f"{what}: the columns end early.")
        ident, length = _COLUMN.unpack_from(data, at)
        if any(data[at + 1 : at + 4]) or ident <= last:
            raise CorruptError(f"{what}: column {ident} after {last}, or reserved bytes set.")
        at += _COLUMN.size
        if at + length > len(data):
            raise CorruptError(f"{what}: column {ident} of {length} bytes passes the end of the page.")
        columns[ident] = data[at : at + length]
        at, last = at + length, ident
    if at != len(data):
        raise CorruptError(f"{what}: {len(data) - at} bytes behind the last column.")
    return columns


def _take(columns: dict[int, bytes], ident: int, code: str, n: int, what: str) -> list[tuple[float, ...]]:
    size = struct.calcsize("<" + code)
    if ident not in columns or len(columns[ident]) != size * n:
        got = len(columns[ident]) if ident in columns else "no"
        raise CorruptError(f"{what}: column {ident} has {got} bytes, expected {size * n}.")
    return list(struct.iter_unpack("<" + code, columns.pop(ident)))


def _chunks(
    columns: dict[int, bytes], n: int, first: int, what: str, levels: bool, index: int
) -> list[Chunk]:  # fmt: skip
    c = {i: _take(columns, i, code, n, what) for i, code in _CHUNK_COLUMNS.items()}
    total = sum(int(v[0]) for v in c[9])
    s = {i: _take(columns, i, code, total, what) for i, code in _SECTION_COLUMNS.items()}
    zero: list[tuple[float, ...]] = [(0.0,)] * n
    tree = {i: _take(columns, i, code, n, what) if levels else zero for i, code in _LEVEL_COLUMNS.items()}
    o = {i: _take(columns, i, code, n, what) if i in columns else zero for i, code in _OPTIONAL_COLUMNS.items()}
    _no_more(columns, what)
    out: list[Chunk] = []
    at, k = first, 0
    for i in range(n):
        m = int(c[9][i][0])
        sections = tuple(Section(int(s[10][j][0]), int(s[11][j][0]), int(s[12][j][0])) for j in range(k, k + m))
        chunk = Chunk(
            at, int(c[1][i][0]), int(c[2][i][0]), int(c[3][i][0]), int(c[4][i][0]), c[5][i], c[6][i], c[7][i][0],  # type: ignore[arg-type]
            c[8][i][0], sections, o[128][i][0], o[129][i][0],  # type: ignore[arg-type]
            index + i, int(tree[13][i][0]) - 1, int(tree[14][i][0]),
        )  # fmt: skip
        _check_chunk(chunk, f"{what}, chunk {i}")
        out.append(chunk)
        at += chunk.length
        k += m
    return out


def _check_chunk(c: Chunk, what: str) -> None:
    if not 1 <= c.count <= MAX_CHUNK_COUNT:
        raise CorruptError(f"{what}: {c.count} Gaussians, expected 1 to {MAX_CHUNK_COUNT}.")
    if c.level > MAX_LEVEL or not 1 <= len(c.sections) <= MAX_SECTIONS:
        raise CorruptError(f"{what}: level {c.level}, {len(c.sections)} sections.")
    kinds = [s.kind for s in c.sections]
    if kinds != sorted(set(kinds)) or sum(s.length for s in c.sections) != c.length:
        raise CorruptError(f"{what}: its sections do not tile its {c.length} bytes, or their kinds do not ascend.")
    _check_bounds(c.low, c.high, c.reach, what)
    if c.parent >= c.index:
        raise CorruptError(f"{what}: chunk {c.index} of the file names {c.parent} as its parent, expected one before.")
    if not (math.isfinite(c.error) and math.isfinite(c.gain) and c.error >= 0 and c.gain >= 0):
        raise CorruptError(f"{what}: error {c.error}, gain {c.gain}.")


def _check_bounds(low: Vec3, high: Vec3, reach: float, what: str) -> None:
    fine = all(math.isfinite(v) for v in (*low, *high, reach))
    if not fine or reach < 0 or any(a > b for a, b in zip(low, high, strict=True)):
        raise CorruptError(f"{what}: bounds {low} to {high}, reach {reach}.")


def _pages(columns: dict[int, bytes], n: int, first: int, what: str) -> list[PageRef]:
    c = {i: _take(columns, i, code, n, what) for i, code in _INDEX_COLUMNS.items()}
    _no_more(columns, what)
    if n == 0:
        raise CorruptError(f"{what}: an index page without pages.")
    out: list[PageRef] = []
    at = first
    for i in range(n):
        page = PageRef(
            at, int(c[1][i][0]), int(c[2][i][0]), int(c[3][i][0]), c[5][i], c[6][i], c[7][i][0], c[8][i][0],  # type: ignore[arg-type]
            int(c[20][i][0]), int(c[21][i][0]), int(c[22][i][0]),
        )  # fmt: skip
        _check_bounds(page.low, page.high, page.reach, f"{what}, page {i}")
        if (
            page.level > MAX_LEVEL
            or not 1 <= page.chunks <= PAGE_CHUNKS
            or page.length > page.span
            or page.length < _HEAD.size
        ):
            raise CorruptError(f"{what}, page {i}: {page.chunks} chunks, {page.length} of {page.span} bytes.")
        out.append(page)
        at += page.span
    return out


def _no_more(columns: dict[int, bytes], what: str) -> None:
    unknown = [i for i in columns if i < OPTIONAL_COLUMN]
    if unknown:
        raise UnsupportedError(f"{what}: required columns {unknown} are not known here. Update splatpack.")


def page_ref(page: bytes, chunks: Sequence[Chunk], crc: int) -> PageRef:
    """Return the reference to a leaf page that stands right before its chunks."""
    offset = chunks[0].offset - len(page)
    low = tuple(min(c.low[k] for c in chunks) for k in range(3))
    high = tuple(max(c.high[k] for c in chunks) for k in range(3))
    return PageRef(
        offset, len(page), sum(c.count for c in chunks), min(c.level for c in chunks), low, high,  # type: ignore[arg-type]
        max(c.reach for c in chunks), content_hash(page), crc, len(chunks), len(page) + sum(c.length for c in chunks),
    )  # fmt: skip
