"""Finished measurements in a folder, so that a run that was broken off goes on where it stood."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from splatpack.errors import StorageError


class Store:
    """A folder of records, each under a digest of everything that it depends on.

    Records are small JSON objects; a coded file may lie beside one. A file that cannot be read counts as absent.

    Parameters
    ----------
    folder : Path
        Made if it is not there.

    Raises
    ------
    StorageError
        It cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{folder}: {error.strerror or error}. Name another folder.") from error

    def get(self, key: dict[str, Any]) -> dict[str, Any] | None:
        """Return the record of ``key``, or None."""
        try:
            record = json.loads(self._path(key, ".json").read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return record["value"] if isinstance(record, dict) and record.get("key") == _plain(key) else None

    def put(self, key: dict[str, Any], value: dict[str, Any]) -> None:
        """Keep a record; it appears whole or not at all."""
        path = self._path(key, ".json")
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps({"key": key, "value": value}, indent=1), "utf-8")
        os.replace(temporary, path)

    def file(self, key: dict[str, Any]) -> Path:
        """Return where the coded file of ``key`` is, or goes."""
        return self._path(key, ".coded")

    def _path(self, key: dict[str, Any], suffix: str) -> Path:
        text = json.dumps(key, sort_keys=True)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}{suffix}"


def _plain(key: dict[str, Any]) -> Any:
    return json.loads(json.dumps(key))
