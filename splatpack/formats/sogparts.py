"""The parts of SOG by name: the files of a folder, or the members of a zip, which is never extracted to disk."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from splatpack.errors import CorruptError, TruncatedError, UnsupportedError
from splatpack.formats.files import open_regular

MAX_MEMBERS = 64
MAX_DIRECTORY = 1 << 16
"""Bytes of the directory of a zip: a KiB a member."""

_END = struct.Struct("<4s4H2IH")
_END_MARK = b"PK\x05\x06"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ZIP_DAMAGE = (
    zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError, OverflowError, KeyError,
)  # fmt: skip


class Parts(Protocol):
    """The files of a scene by name."""

    def size(self, name: str) -> int:
        """Return the bytes of a file."""

    def stored(self, names: Iterable[str]) -> int:
        """Return the bytes on disk that hold these files, whatever they say of themselves."""

    def read(self, name: str) -> bytes:
        """Return a file whole."""


class _Folder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def size(self, name: str) -> int:
        with open_regular(self._folder / name) as (_, size):
            return size

    def stored(self, names: Iterable[str]) -> int:
        return sum(self.size(name) for name in names)

    def read(self, name: str) -> bytes:
        with open_regular(self._folder / name) as (file, size):
            return file.read(size)


class _Zip:
    """A zip whose directory is bounded before it is parsed; of a member no more is inflated than it declares."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        _check_end(file, size)
        try:
            self._archive = zipfile.ZipFile(file)
        except _ZIP_DAMAGE as error:
            raise CorruptError(f".sog: no readable zip ({str(error)[:80]}).") from None
        members = self._archive.infolist()
        self._members = {member.filename: member for member in members}
        if len(self._members) != len(members):
            raise CorruptError(".sog: two members of one name.")
        self._size = size

    def _member(self, name: str) -> zipfile.ZipInfo:
        member = self._members.get(name)
        if member is None:
            raise CorruptError(f".sog: no {name} in it.")
        if member.compress_type not in _METHODS:
            raise UnsupportedError(f".sog {name}: zip method {member.compress_type}, expected stored or deflated.")
        return member

    def size(self, name: str) -> int:
        return self._member(name).file_size

    def stored(self, names: Iterable[str]) -> int:
        del names
        return self._size

    def read(self, name: str) -> bytes:
        member = self._member(name)
        try:
            with self._archive.open(member) as file:
                data = file.read(member.file_size + 1)
        except _ZIP_DAMAGE as error:
            raise CorruptError(f".sog {name}: damaged ({str(error)[:80]}).") from None
        if len(data) != member.file_size:
            raise CorruptError(f".sog {name}: {len(data):,} bytes, declared {member.file_size:,}.")
        return data


def _check_end(file: BinaryIO, size: int) -> None:
    """Check the last 22 bytes of a zip, which say how large its directory is.

    A zip may have a comment after them, or 64-bit sizes before; no ``.sog`` does, and without the two there is only
    one way to find the directory.
    """
    file.seek(max(size - _END.size - 20, 0))
    tail = file.read(_END.size + 20)
    if len(tail) < _END.size:
        raise TruncatedError(f".sog: {size} bytes, expected a zip.")
    mark, _, _, _, members, directory, _, comment = _END.unpack(tail[-_END.size :])
    if mark != _END_MARK or comment:
        raise CorruptError(".sog: no zip directory at its end. The file is cut off, or bytes follow the zip.")
    if tail.startswith(b"PK\x06\x07"):
        raise UnsupportedError(".sog: a zip of 64-bit sizes, expected a plain one.")
    if members > MAX_MEMBERS or directory > MAX_DIRECTORY:
        raise CorruptError(
            f".sog: {members} members in a directory of {directory:,} bytes, expected at most {MAX_MEMBERS} in "
            f"{MAX_DIRECTORY:,}."
        )


@contextmanager
def open_parts(path: str | os.PathLike[str]) -> Iterator[Parts]:
    """Open a folder, the ``meta.json`` in one, or a zip.

    Raises
    ------
    CorruptError, TruncatedError, UnsupportedError
        A damaged zip, or one of another kind.
    StorageError
        A file that cannot be read.
    """
    if os.path.isdir(path):
        yield _Folder(Path(path))
        return
    with open_regular(path) as (file, size):
        if file.read(4) == b"PK\x03\x04":
            yield _Zip(file, size)
        else:
            yield _Folder(Path(path).parent)
