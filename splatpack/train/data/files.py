"""The files that a data set names: looked for inside its folders only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from splatpack.errors import CorruptError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
MAX_NAME = 4096


def plain(name: str) -> str:
    """Return a name from a file as a relative path with ``/`` between its parts.

    Raises
    ------
    CorruptError
        It leaves the folder, or is no name.
    """
    text = name.replace("\\", "/")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if not parts or len(name) > MAX_NAME or not name.isprintable():
        raise CorruptError(f"{name[:60]!r}: expected the name of a file.")
    if text.startswith("/") or re.match(r"[A-Za-z]:", text) or ".." in parts:
        raise CorruptError(
            f"{name[:100]!r} leaves the folder, expected a file inside. Move the file into the folder, and name it "
            "relative to it."
        )
    return "/".join(parts)


def locate(folders: Sequence[Path], name: str, suffixes: Sequence[str] = SUFFIXES) -> Path | None:
    """Return the file called ``name`` in the first folder that has it, or one with another suffix of a picture.

    Names without a suffix (Blender) and with that of another encoding (photos that were converted after COLMAP ran)
    are common.
    """
    for folder in folders:
        path = folder / name
        stem = path.with_suffix("") if path.suffix.lower() in SUFFIXES else path
        others = (stem.with_name(stem.name + s) for suffix in suffixes for s in (suffix, suffix.upper()))
        for candidate in (path, *others):
            if _is_file(candidate):
                return candidate
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False
