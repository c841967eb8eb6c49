"""The header of a PLY file: read by hand, bounded, every rule checked before a number is believed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from splatpack.errors import CorruptError, TruncatedError, UnsupportedError

MAX_HEADER_BYTES = 64 << 10
MAX_HEADER_LINES = 4096

ENCODINGS = {"ascii": "=", "binary_little_endian": "<", "binary_big_endian": ">"}
"""The three encodings and the byte order of each (ascii: the machine's own)."""

SCALARS = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
"""Names of the scalar types, old and new, as numpy type codes."""

_COUNT = re.compile(r"[0-9]+")


@dataclass(frozen=True)
class Property:
    """One property: its name, the numpy code of its type, and that of its list count (None for a scalar)."""

    name: str
    code: str
    count_code: str | None = None


@dataclass
class Element:
    """One element: its name, the declared count of rows and the properties of a row."""

    name: str
    count: int
    properties: list[Property] = field(default_factory=list)

    @property
    def has_lists(self) -> bool:
        """Whether a row has no fixed size."""
        return any(p.count_code is not None for p in self.properties)

    @property
    def row_size(self) -> int:
        """Bytes of a row of scalars in a binary file."""
        return sum(np.dtype(p.code).itemsize for p in self.properties)


@dataclass(frozen=True)
class Header:
    """A parsed header.

    Attributes
    ----------
    encoding : str
        A key of :data:`ENCODINGS`.
    elements : list of Element
        In file order.
    comments : list of str
        The texts of ``comment`` and ``obj_info`` lines.
    size : int
        Bytes of the header: where the data start.
    """

    encoding: str
    elements: list[Element]
    comments: list[str]
    size: int

    def element(self, name: str) -> Element | None:
        """Return the element called ``name``, or None."""
        return next((e for e in self.elements if e.name == name), None)


def read_header(file: BinaryIO) -> Header:
    """Parse the header at the start of ``file``; the position afterwards is not defined.

    Raises
    ------
    CorruptError, UnsupportedError
        The header breaks a rule of the format, or is longer than 64 KiB or 4096 lines.
    """
    return parse_header(file.read(MAX_HEADER_BYTES + 1))


def parse_header(head: bytes) -> Header:
    """Parse the header at the start of ``head`` (the first 64 KiB of the file, or the whole of a smaller one).

    Lines end in LF or CRLF. Safe on untrusted input.

    Raises
    ------
    CorruptError, UnsupportedError
        The header breaks a rule of the format, or is longer than 64 KiB or 4096 lines.
    """
    lines, size = _split(head)
    encoding = _encoding(lines[1]) if len(lines) > 1 else ""
    elements: list[Element] = []
    comments: list[str] = []
    for number, line in enumerate(lines[2:], 3):
        word = line.split(maxsplit=1)[0] if line.split() else ""
        if word in ("comment", "obj_info"):
            comments.append("".join(c for c in line[len(word) :].strip() if c.isprintable()))
        elif word == "element":
            elements.append(_element(line.split(), number, elements))
        elif word == "property":
            _add_property(line.split(), number, elements)
        else:
            raise CorruptError(f"PLY header line {number}: {line[:60]!r}, expected element, property or comment.")
    if not encoding:
        raise CorruptError("PLY header: ends without a format line, expected 'format binary_little_endian 1.0'.")
    return Header(encoding, elements, comments, size)


def _split(head: bytes) -> tuple[list[str], int]:
    """Cut the header into lines without ``end_header``; also its size in bytes."""
    lines: list[str] = []
    start = 0
    while (end := head.find(b"\n", start, MAX_HEADER_BYTES)) >= 0:
        line = head[start:end].removesuffix(b"\r").strip(b" \t")
        start = end + 1
        if not lines and line != b"ply":
            break
        if line == b"end_header":
            return lines, start
        lines.append(_decode(line, len(lines) + 1))
        if len(lines) > MAX_HEADER_LINES:
            raise CorruptError(f"PLY header: more than {MAX_HEADER_LINES} lines, expected end_header before.")
    if not lines:
        raise CorruptError(f"not a PLY file: starts with {head[:8]!r}, expected b'ply' and a line end.")
    if len(head) < MAX_HEADER_BYTES:
        raise TruncatedError(f"PLY header: the file ends after {len(head)} bytes, expected an end_header line.")
    raise CorruptError(f"PLY header: no end_header in the first {MAX_HEADER_BYTES} bytes, expected one.")


def _decode(line: bytes, number: int) -> str:
    if line.startswith((b"comment", b"obj_info")):
        return line.decode("utf-8", "replace")
    try:
        return line.decode("ascii")
    except UnicodeDecodeError:
        raise CorruptError(f"PLY header line {number}: {line[:60]!r} is not ASCII, expected plain text.") from None


def _encoding(line: str) -> str:
    words = line.split()
    if len(words) != 3 or words[0] != "format":
        raise CorruptError(f"PLY header line 2: {line[:60]!r}, expected 'format binary_little_endian 1.0' or the like.")
    if words[1] not in ENCODINGS or words[2] != "1.0":
        known = ", ".join(ENCODINGS)
        raise UnsupportedError(
            f"PLY format {words[1][:40]!r} version {words[2][:20]!r}, expected {known}, version 1.0."
        )
    return words[1]


def _element(words: list[str], number: int, elements: list[Element]) -> Element:
    if len(words) != 3 or not _COUNT.fullmatch(words[2]) or len(words[2]) > 40:
        got = " ".join(words)[:60]
        raise CorruptError(f"PLY header line {number}: {got!r}, expected 'element NAME COUNT' with a whole count.")
    if any(e.name == words[1] for e in elements):
        raise CorruptError(f"PLY header line {number}: element {words[1][:40]!r} is declared twice, expected once.")
    return Element(words[1], int(words[2]))


def _add_property(words: list[str], number: int, elements: list[Element]) -> None:
    got = " ".join(words)[:60]
    if not elements:
        raise CorruptError(f"PLY header line {number}: {got!r} stands before any element.")
    is_list = len(words) == 5 and words[1] == "list"
    types = words[2:4] if is_list else words[1:2]
    if not (is_list or len(words) == 3) or any(t not in SCALARS for t in types):
        raise CorruptError(f"PLY header line {number}: {got!r}, expected 'property TYPE NAME' with a scalar PLY type.")
    codes = [SCALARS[t] for t in types]
    if is_list and codes[0].startswith("f"):
        raise CorruptError(f"PLY header line {number}: {got!r}, expected an integer type for the list count.")
    element = elements[-1]
    if any(p.name == words[-1] for p in element.properties):
        raise CorruptError(f"PLY header line {number}: property {words[-1][:40]!r} is declared twice, expected once.")
    element.properties.append(Property(words[-1], codes[-1], codes[0] if is_list else None))
