"""Opening a foreign file: a regular file, its size, and operating-system errors in our words."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from splatpack.errors import StorageError


@contextmanager
def open_regular(path: str | os.PathLike[str]) -> Iterator[tuple[BinaryIO, int]]:
    """Open ``path`` for reading; gives the file and its size in bytes.

    Raises
    ------
    StorageError
        It does not exist, is a folder, a pipe or a device, or may not be read.
    """
    name = os.fspath(path)
    try:
        if not stat.S_ISREG(os.stat(name).st_mode):
            raise StorageError(f"{name}: not a regular file, expected a file on disk.")
        with open(name, "rb") as file:
            yield file, os.fstat(file.fileno()).st_size
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(f"{name}: {error.strerror or error}. Check the path and its permissions.") from error
