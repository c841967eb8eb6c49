"""A glTF asset: a ``.glb`` or a ``.gltf``, its JSON, and its buffers, every reference checked.

Layout: Khronos glTF 2.0, chapter 4 (binary glTF) and section 3.6 (buffers and buffer views).
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast
from urllib.parse import unquote

from splatpack.errors import CorruptError, TruncatedError, UnsupportedError
from splatpack.formats.fields import Fields, integer, objects, parse_object
from splatpack.formats.files import open_regular
from splatpack.limits import Limits

MAGIC = b"glTF"
MAX_JSON = 16 << 20
JSON_CHUNK, BINARY_CHUNK = 0x4E4F534A, 0x004E4942

_HEADER, _CHUNK = struct.Struct("<4sII"), struct.Struct("<II")
_DATA = re.compile(r"data:[\w.+/;=-]*;base64,", re.ASCII)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


@dataclass(frozen=True)
class Document:
    """The parts of an asset.

    Attributes
    ----------
    tree : dict
        The JSON.
    folder : Path
        Where external buffers lie; nothing outside is opened.
    binary : bytes
        The binary chunk of a ``.glb``.
    budget : Limits
        Granted by the bytes of the asset and of its buffers on disk.
    """

    tree: Fields
    folder: Path
    binary: bytes
    budget: Limits
    _buffers: dict[int, memoryview] = field(default_factory=dict)
    _lists: dict[str, list[Fields]] = field(default_factory=dict)

    def items(self, key: str) -> list[Fields]:
        """Return a list of objects of the JSON, checked once."""
        if key not in self._lists:
            self._lists[key] = objects(self.tree, key, "glTF")
        return self._lists[key]

    def item(self, key: str, index: object, what: str) -> Fields:
        """Return one object of a list of the JSON.

        Raises
        ------
        CorruptError
            There is no such object.
        """
        items = self.items(key)
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(items):
            raise CorruptError(f"glTF {what}: {key} {str(index)[:20]}, expected one of {len(items)}.")
        return items[index]

    def view(self, index: object, what: str) -> tuple[memoryview, int]:
        """Return the bytes of a buffer view, and its stride (0: rows follow each other)."""
        view = self.item("bufferViews", index, what)
        compressed = sorted(key for key in view.get("extensions", ()) if str(key).endswith("meshopt_compression"))
        if compressed:
            raise UnsupportedError(f"glTF {what}: {compressed[0]}, which is not read. Decompress the file first.")
        data = self._buffer(view.get("buffer"), what)
        offset, length = integer(view, "byteOffset", f"glTF {what}", 0), integer(view, "byteLength", f"glTF {what}")
        if offset + length > len(data):
            raise CorruptError(f"glTF {what}: bytes {offset:,} to {offset + length:,} of a buffer of {len(data):,}.")
        return data[offset : offset + length], integer(view, "byteStride", f"glTF {what}", 0)

    def _buffer(self, index: object, what: str) -> memoryview:
        fields, number = self.item("buffers", index, what), cast(int, index)
        if number not in self._buffers:
            size = integer(fields, "byteLength", "glTF buffer")
            data = self._load(fields.get("uri"), number)
            if len(data) < size:
                raise TruncatedError(f"glTF buffer {number}: {len(data):,} bytes, expected {size:,}.")
            self._buffers[number] = memoryview(data)[:size]
        return self._buffers[number]

    def _load(self, uri: object, index: int) -> bytes:
        if uri is None:
            if index or not self.binary:
                raise CorruptError(f"glTF buffer {index}: no uri, and it is not the one in a .glb.")
            return self.binary
        if isinstance(uri, str) and uri.startswith("data:"):
            self.budget.debit(len(uri), f"glTF buffer {index}")
            return _from_data_uri(uri, index)
        path = self.folder / local_path(uri)
        with open_regular(path) as (file, size):
            self.budget.debit(size, f"glTF buffer {index}")
            return file.read(size)


def open_gltf(path: str | os.PathLike[str], limits: Limits) -> Document:
    """Open a ``.glb`` or ``.gltf``. Safe on untrusted input: nothing but files of its folder is opened.

    Raises
    ------
    CorruptError, TruncatedError, UnsupportedError
        As the bytes deserve.
    LimitError, StorageError
        Too large for ``limits``; cannot be read.
    """
    folder = Path(path).parent
    with open_regular(path) as (file, size):
        binary_bytes, head = 0, file.read(_HEADER.size)
        if head.startswith(MAGIC):
            tree, binary_bytes = _read_glb(file, head, size)
        elif size > MAX_JSON:
            raise CorruptError(f"glTF: {size:,} bytes of JSON, expected at most {MAX_JSON:,}.")
        else:
            tree = parse_object(head + file.read(size), "glTF")
        budget = limits.start(size + _external_bytes(tree, folder))
        budget.debit(size, "glTF file")
        return Document(tree, folder, file.read(binary_bytes), budget)


def _read_glb(file: BinaryIO, head: bytes, size: int) -> tuple[Fields, int]:
    """Return the JSON, and the bytes of the binary chunk at whose start the file then is."""
    if len(head) < _HEADER.size:
        raise TruncatedError(f".glb: {size} bytes, expected a header of {_HEADER.size}.")
    _, version, length = _HEADER.unpack(head)
    if version != 2:
        raise UnsupportedError(f".glb version {version}, this version reads 2.")
    if length != size:
        wrong = TruncatedError if length > size else CorruptError
        raise wrong(f".glb: {size:,} bytes, the header says {length:,}.")
    kind, nbytes = _chunk(file, size)
    if kind != JSON_CHUNK or nbytes > MAX_JSON:
        raise CorruptError(f".glb: a first chunk of kind {kind:#x} and {nbytes:,} bytes, expected JSON.")
    tree = parse_object(file.read(nbytes), ".glb")
    if file.tell() == size:
        return tree, 0
    kind, nbytes = _chunk(file, size)
    if kind != BINARY_CHUNK:
        raise CorruptError(f".glb: a second chunk of kind {kind:#x}, expected the binary one.")
    start = file.tell()
    file.seek(nbytes, os.SEEK_CUR)
    while file.tell() < size:
        file.seek(_chunk(file, size)[1], os.SEEK_CUR)
    file.seek(start)
    return tree, nbytes


def _chunk(file: BinaryIO, size: int) -> tuple[int, int]:
    """Return kind and length of the next chunk, which lies inside the file."""
    head = file.read(_CHUNK.size)
    if len(head) < _CHUNK.size:
        raise CorruptError(f".glb: {len(head)} bytes at its end, expected a chunk.")
    nbytes, kind = _CHUNK.unpack(head)
    if nbytes > size - file.tell():
        raise CorruptError(f".glb: a chunk of {nbytes:,} bytes at byte {file.tell():,} of {size:,}.")
    return kind, nbytes


def local_path(uri: object) -> PurePosixPath:
    """Return a relative reference as a path that stays inside its folder.

    Raises
    ------
    UnsupportedError
        It names a host, another scheme or an absolute path.
    CorruptError
        It is no text, or leaves the folder.
    """
    if not isinstance(uri, str) or not uri or "\0" in uri:
        raise CorruptError(f"glTF uri {str(uri)[:40]!r}, expected the name of a file.")
    if _SCHEME.match(uri) or uri.startswith(("/", "\\")):
        raise UnsupportedError(f"glTF uri {uri[:60]!r}, expected a file beside the asset.")
    path = PurePosixPath(unquote(uri))
    if path.is_absolute() or ".." in path.parts or "\\" in str(path) or "\0" in str(path) or not path.parts:
        raise CorruptError(f"glTF uri {uri[:60]!r} leaves the folder of the asset.")
    return path


def _external_bytes(tree: Fields, folder: Path) -> int:
    """Return the bytes on disk of the files that the buffers name, each counted once."""
    uris = {uri for b in objects(tree, "buffers", "glTF") if isinstance(uri := b.get("uri"), str)}
    total = 0
    for uri in sorted(uris):
        if not uri.startswith("data:"):
            with open_regular(folder / local_path(uri)) as (_, size):
                total += size
    return total


def _from_data_uri(uri: str, index: int) -> bytes:
    match = _DATA.match(uri)
    if match is None:
        raise CorruptError(f"glTF buffer {index}: {uri[:40]!r}, expected base64.")
    try:
        return base64.b64decode(uri[match.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise CorruptError(f"glTF buffer {index}: no valid base64 ({error}).") from None
