"""Atomic, durable saves: a reader sees the old file or the new one, never a part."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from splatpack.errors import StorageError, TargetExistsError


def refuse_existing(path: str | os.PathLike[str], force: bool) -> None:
    """Raise :class:`TargetExistsError` when ``path`` exists and ``force`` is off."""
    if not force and Path(path).exists():
        raise TargetExistsError(f"{path} exists already. Use -f/--force (or force=True) to replace it.")


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str], *, force: bool = False) -> Iterator[BinaryIO]:
    """Yield a binary file that becomes ``path`` when the block ends without an exception.

    The bytes go to a temporary file in the same folder, which is flushed to the disk and then takes the target's
    place; the folder is flushed too. On any exception the temporary file is removed and the target is untouched.

    Raises
    ------
    TargetExistsError
        ``path`` exists and ``force`` is off, before or after the block.
    StorageError
        The file system refused: no such folder, no permission, a full disk.
    """
    target = Path(path)
    refuse_existing(target, force)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    except OSError as error:
        raise StorageError(f"{target}: cannot be written: {error.strerror or error}.") from error
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        refuse_existing(target, force)
        temporary.replace(target)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"{target}: cannot be written: {error.strerror or error}. Nothing was replaced.") from error
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(target.parent)


def publish(temporary: Path, target: Path, *, force: bool = False) -> None:
    """Flush a finished file to the disk and let it take the place of ``target``, which lies in the same folder.

    Raises
    ------
    TargetExistsError
        ``target`` exists and ``force`` is off.
    StorageError
        The file system refused.
    """
    refuse_existing(target, force)
    try:
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        raise StorageError(f"{target}: cannot be written: {error.strerror or error}. {temporary} is kept.") from error
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, where the system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        return
    finally:
        os.close(handle)
