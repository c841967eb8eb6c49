"""Where bytes come from: a file or memory, read by range, never whole."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType

from splatpack.errors import StorageError, TruncatedError


class ByteSource(ABC):
    """Bytes that can be read by range, from several threads at once."""

    name: str
    size: int

    @abstractmethod
    def _read(self, offset: int, length: int) -> bytes:
        """Return up to ``length`` bytes at ``offset``."""

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly ``length`` bytes at ``offset``.

        Raises
        ------
        TruncatedError
            They are not all there.
        StorageError
            The file system refused.
        """
        if offset < 0 or length < 0 or offset + length > self.size:
            raise TruncatedError(
                f"{self.name}: bytes {offset:,} to {offset + length:,} asked for, the file has {self.size:,}."
            )
        data = self._read(offset, length)
        if len(data) != length:
            raise TruncatedError(f"{self.name}: {len(data):,} bytes at {offset:,}, expected {length:,}.")
        return data

    def close(self) -> None:
        """Release what the source holds."""
        return

    def __enter__(self) -> ByteSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class MemorySource(ByteSource):
    """Bytes in memory."""

    def __init__(self, data: bytes, name: str = "memory") -> None:
        self.name = name
        self.size = len(data)
        self._data = data

    def _read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]


class FileSource(ByteSource):
    """A local file, read by position."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = str(path)
        try:
            self._file = Path(path).open("rb")  # noqa: SIM115  closed by close()
            self.size = os.fstat(self._file.fileno()).st_size
        except OSError as error:
            raise StorageError(f"{self.name}: cannot be opened: {error.strerror or error}.") from error

    def _read(self, offset: int, length: int) -> bytes:
        parts: list[bytes] = []
        try:
            while length > 0:
                part = os.pread(self._file.fileno(), length, offset)
                if not part:
                    break
                parts.append(part)
                offset += len(part)
                length -= len(part)
        except OSError as error:
            raise StorageError(f"{self.name}: cannot be read: {error.strerror or error}.") from error
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
