"""What a file is, told by its first bytes; its name only breaks ties between formats that have no magic."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import PurePath

from splatpack.formats.files import open_regular
from splatpack.formats.table import FORMATS

HEAD_BYTES = 64 << 10

UNKNOWN = "unknown"

_MAGICS: tuple[tuple[bytes, str], ...] = (
    *((magic, f.name) for f in FORMATS.values() for magic in f.magics),
    (b"\x93NUMPY", "npy"),
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"\xff\xd8\xff", "image"),
)
_JSON_KEYS = (
    ("lodLevels", "lod-meta"),
    ("means", "sog"),
    ("frames", "transforms"),
    ("asset", "gltf"),
    ("rotation", "cameras"),
    ("viewmat", "cameras"),
    ("w2c", "cameras"),
)
_KSPLAT_HEADERS = 4096 + 1024
FOLDER_FILE, LOD_FILE = "meta.json", "lod-meta.json"
"""A folder is known by one of these files in it."""


def detect(path: str | os.PathLike[str]) -> str:
    """Return the name of the format of the file or folder at ``path``, or ``unknown``.

    Raises
    ------
    StorageError
        The file cannot be read.
    """
    with open_regular(folder_file(path) or path) as (file, size):
        return sniff(file.read(HEAD_BYTES), os.fspath(path), size)


def folder_file(path: str | os.PathLike[str]) -> str | None:
    """Return the file that makes a folder a scene, or None where there is none, or no folder."""
    places = (os.path.join(path, name) for name in (FOLDER_FILE, LOD_FILE))
    return next((place for place in places if os.path.exists(place)), None) if os.path.isdir(path) else None


def sniff(head: bytes, name: str = "", size: int | None = None) -> str:
    """Return the name of the format that starts with ``head``. Safe on untrusted input.

    Parameters
    ----------
    head : bytes
        The first 64 KiB, or the whole of a smaller file.
    name : str
        File name: its suffix decides only where no magic does (``.splat``, ``.ksplat``).
    size : int, optional
        Bytes of the whole file, to tell a ``.splat`` (rows of 32 bytes). Default: those of ``head``.

    Returns
    -------
    str
        A name of :data:`splatpack.formats.table.FORMATS`, or ``unknown``.
    """
    for magic, known in _MAGICS:
        if head.startswith(magic):
            return _kind_of_ply(head) if known == "ply" else known
    if head.startswith(b"\x1f\x8b"):
        return _inside_gzip(head)
    if head.startswith(b"PK\x03\x04"):
        return _inside_zip(head)
    if head.lstrip(b" \t\r\n\xef\xbb\xbf")[:1] in (b"{", b"["):
        return _json(head)
    return _by_suffix(head, name, len(head) if size is None else size)


def _kind_of_ply(head: bytes) -> str:
    header = head[: head.find(b"end_header")]
    if b"packed_position" in header:
        return "compressed-ply"
    return "stg" if b" trbf_center" in header else "ply"


def _inside_gzip(head: bytes) -> str:
    """SPZ up to version 3 is one gzip member around NGSP; .ingp and NuRec are gzip too."""
    try:
        start = zlib.decompressobj(wbits=31).decompress(head, 4)
    except zlib.error:
        return UNKNOWN
    return "spz" if start == b"NGSP" else "gzip"


def _inside_zip(head: bytes) -> str:
    if b"meta.json" in head or b".webp" in head:
        return "sog"
    if b"data.pkl" in head:
        return "checkpoint"
    return "usd" if b".usd" in head[:4096] else "zip"


def _json(head: bytes) -> str:
    """Tell JSON files by the keys of their outermost objects, in whole or as far as the head goes."""
    text = head.decode("utf-8", "replace")
    try:
        value = json.loads(text)
        item = value[0] if isinstance(value, list) and value else value
        keys = set(item) if isinstance(item, dict) else set()
        if isinstance(item, dict) and "means" in item and _is_png_compression(item["means"]):
            return "png-compression"
    except (ValueError, RecursionError):
        keys = {key for key, _ in _JSON_KEYS if f'"{key}"' in text}
    return next((known for key, known in _JSON_KEYS if key in keys), "json")


def _is_png_compression(means: object) -> bool:
    """gsplat's meta.json says how an image of 8-bit levels is spread; SOG v1 also names its files."""
    return isinstance(means, dict) and "mins" in means and "files" not in means


def _by_suffix(head: bytes, name: str, size: int) -> str:
    """Tell the two formats without magic; until December 2023 ``.ksplat`` files were called ``.splat``."""
    suffix = PurePath(name).suffix.lower()
    if suffix not in (".splat", ".ksplat"):
        return UNKNOWN
    if head[:2] == b"\x00\x01" and (suffix == ".ksplat" or _is_ksplat(head, size)):
        return "ksplat"
    return "splat" if suffix == ".splat" and size else UNKNOWN


def _is_ksplat(head: bytes, size: int) -> bool:
    """Version 0.1, room for the headers, a compression level that exists, and as many sections as fit."""
    sections = int.from_bytes(head[4:8], "little")
    level = int.from_bytes(head[20:22], "little")
    return size >= _KSPLAT_HEADERS and level <= 2 and 1 <= sections <= (size - 4096) // 1024
