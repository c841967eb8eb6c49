"""The data of a PLY file: sizes checked against the file, rows as blocks of columns, never the file twice."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import CorruptError, LimitError, TruncatedError
from splatpack.formats.plyheader import ENCODINGS, Element, Header

BLOCK_BYTES = 512 << 10
"""Bytes read at a time: small enough to stay in a core's cache while the columns are picked out of it."""

MAX_LIST_ROWS = 10_000_000
MAX_TOKEN = 128
MAX_LINE = 1 << 20
_ASCII_ROWS = 1024

Columns = list[NDArray[Any]]


def check_counts(header: Header, size: int) -> None:
    """Hold every declared count against the bytes that the file has; nothing is allocated before.

    Raises
    ------
    TruncatedError
        The file is too small for its counts.
    """
    left = size - header.size
    for e in header.elements:
        if header.encoding == "ascii":
            least = e.count * max(1, 2 * sum(1 for p in e.properties if p.count_code is None))
            least -= 1 if e is header.elements[-1] else 0
        else:
            least = e.count * sum(np.dtype(p.count_code or p.code).itemsize for p in e.properties)
        if least > left:
            raise TruncatedError(
                f"PLY element {e.name!r}: {e.count:,} rows need at least {least:,} bytes, the file has {left:,} left "
                "for them. The count lies or the file is cut off."
            )
        left -= least
    if left and header.encoding != "ascii" and not any(e.has_lists for e in header.elements):
        raise CorruptError(f"PLY: {left:,} bytes after the last declared row, expected the end of the file.")


def blocks(file: BinaryIO, header: Header, vertex: Element, size: int) -> Iterator[tuple[int, Columns]]:
    """Yield (first row, one column per property) for the rows of ``vertex``; the columns live until the next block.

    Raises
    ------
    TruncatedError, CorruptError, LimitError
        The data do not fill the declared rows, go on after them, or hold a token that is no number.
    """
    if header.encoding == "ascii":
        return _ascii_blocks(file, header, vertex)
    return _binary_blocks(file, header, vertex, size)


def _binary_blocks(file: BinaryIO, header: Header, vertex: Element, size: int) -> Iterator[tuple[int, Columns]]:
    file.seek(_locate(file, header, vertex, size))
    order = ENCODINGS[header.encoding]
    row = np.dtype([(f"p{i}", order + p.code) for i, p in enumerate(vertex.properties)])
    step = min(max(1, BLOCK_BYTES // row.itemsize), max(1, vertex.count))
    buffer = np.zeros(step, row)
    raw = buffer.view(np.uint8)
    columns = [buffer[f"p{i}"] for i in range(len(vertex.properties))]
    for start in range(0, vertex.count, step):
        rows = min(step, vertex.count - start)
        got = file.readinto(raw[: rows * row.itemsize])  # type: ignore[attr-defined]
        if got != rows * row.itemsize:
            raise TruncatedError(f"PLY: the file ended while row {start:,} was read, expected {vertex.count:,} rows.")
        yield start, [c[:rows] for c in columns]


def _locate(file: BinaryIO, header: Header, vertex: Element, size: int) -> int:
    """Return where the rows of ``vertex`` start, after checking that all elements tile the file exactly."""
    offset, found = header.size, 0
    for e in header.elements:
        if e is vertex:
            found = offset
        offset = _after_lists(file, header, e, offset, size) if e.has_lists else offset + e.count * e.row_size
        if offset > size:
            raise TruncatedError(f"PLY element {e.name!r}: ends at byte {offset:,}, the file has {size:,}.")
    if offset != size:
        raise CorruptError(f"PLY: {size - offset:,} bytes after the last declared row, expected the end of the file.")
    return found


def _after_lists(file: BinaryIO, header: Header, element: Element, offset: int, size: int) -> int:
    """Walk the rows of an element with lists and return where it ends."""
    if element.count > MAX_LIST_ROWS:
        raise LimitError(
            f"PLY element {element.name!r}: {element.count:,} rows of lists, expected at most {MAX_LIST_ROWS:,}."
        )
    order = ENCODINGS[header.encoding]
    fields = [(p.count_code and np.dtype(order + p.count_code), np.dtype(p.code).itemsize) for p in element.properties]
    file.seek(offset)
    for row in range(element.count):
        for count_type, item in fields:
            if not count_type:
                offset += item
                file.seek(item, 1)
                continue
            raw = file.read(count_type.itemsize)
            count = int(np.frombuffer(raw, count_type)[0]) if len(raw) == count_type.itemsize else size
            offset += count_type.itemsize + count * item
            if count < 0 or offset > size:
                raise CorruptError(
                    f"PLY element {element.name!r} row {row:,}: a list of {count:,} items leaves the file."
                )
            file.seek(count * item, 1)
    return offset


def _ascii_blocks(file: BinaryIO, header: Header, vertex: Element) -> Iterator[tuple[int, Columns]]:
    file.seek(header.size)
    for e in header.elements:
        lines = _lines(file, e)
        if e is not vertex:
            for _ in lines:
                pass
            continue
        for start in range(0, e.count, _ASCII_ROWS):
            yield start, _parse(list(islice(lines, _ASCII_ROWS)), e, start)
    while tail := file.read(MAX_LINE):
        if tail.strip():
            raise CorruptError(f"PLY: {tail.strip()[:40]!r} after the last declared row, expected the end of the file.")


def _lines(file: BinaryIO, element: Element) -> Iterator[bytes]:
    """Yield the lines of the declared rows; each must end in LF, or a cut number would pass for a short one."""
    longest = MAX_LINE if element.has_lists else MAX_TOKEN * len(element.properties) + 2
    for row in range(element.count):
        line = file.readline(longest)
        if not line.endswith(b"\n"):
            where = f"PLY element {element.name!r} row {row:,} of {element.count:,}"
            if len(line) >= longest:
                raise CorruptError(f"{where}: longer than {longest:,} bytes, expected one line of numbers.")
            raise TruncatedError(
                f"{where}: the file ends without a line feed. It is cut off, or lacks its last line end."
            )
        yield line


def _parse(lines: list[bytes], element: Element, start: int) -> Columns:
    rows = [line.split() for line in lines]
    want = len(element.properties)
    for i, (row, line) in enumerate(zip(rows, lines, strict=True), start):
        if len(row) != want or b"_" in line:
            raise CorruptError(f"PLY row {i:,}: {line[:60]!r} has {len(row)} values, expected {want} plain numbers.")
    columns: Columns = []
    for p, tokens in zip(element.properties, zip(*rows, strict=True), strict=True):
        convert = float if p.code.startswith("f") else int
        try:
            columns.append(np.array([convert(t) for t in tokens], p.code if convert is int else "f8"))
        except (ValueError, OverflowError):
            raise CorruptError(
                f"PLY rows {start:,} to {start + len(lines) - 1:,}, property {p.name!r}: a value is no number of type "
                f"{p.code}, expected one."
            ) from None
    return columns
