"""What the ``meta.json`` of SOG says of its textures, checked.

Layout: ``playcanvas/splat-transform``, ``write-sog.ts`` and ``read-sog.ts`` (MIT). The page of the specification is
wrong on rotations (mode 0 leaves out w) and on the width of the centroids (64 entries a row).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from splatpack.errors import CorruptError, UnsupportedError
from splatpack.formats.detect import FOLDER_FILE
from splatpack.formats.fields import numbers, parse_object, whole
from splatpack.formats.sogparts import Parts
from splatpack.scene.gaussians import SH_COEFFICIENTS, FloatArray

MAX_META = 1 << 20
PER_ROW = 64
"""Entries of the palette in a row of its texture."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_TEXTURES = {"means": 2, "quats": 1, "scales": 1, "sh0": 1}


@dataclass(frozen=True)
class Meta:
    """What ``meta.json`` says.

    Attributes
    ----------
    version, count, degree : int
    files : dict of str to tuple of str
        Names of the textures of each attribute.
    tables : dict of str to float32 array
        ``means`` (2, 3), the ends of the range; ``scales``, ``sh0`` and ``shN``: in version 2 the codebook (256,), in
        version 1 the ends (2, channels).
    palette : int or None
        Entries of the palette; version 1 does not say.
    antialiased : bool
    """

    version: int
    count: int
    degree: int
    files: dict[str, tuple[str, ...]]
    tables: dict[str, FloatArray]
    palette: int | None
    antialiased: bool


def read_meta(parts: Parts, name: str = FOLDER_FILE) -> Meta:
    """Read and check ``meta.json``. Safe on untrusted input.

    Raises
    ------
    CorruptError
        It is no JSON, or a field is missing or has another type or range.
    UnsupportedError
        A future version.
    """
    meta = load_json(parts, name)
    version = meta.get("version", 1)
    if not whole(version) or version not in (1, 2):
        raise UnsupportedError(f"{name}: SOG version {str(version)[:20]}, this version reads 1 and 2.")
    shape = _object(meta, "means", name).get("shape")
    count = meta.get("count") if version == 2 else shape[0] if isinstance(shape, list) and shape else None
    if not whole(count) or count == 0:
        raise CorruptError(f"{name}: a count of {str(count)[:40]}, expected a whole number above 0.")
    files = {key: _files(meta, key, number, name) for key, number in _TEXTURES.items()}
    sizes = {"means": 3} if version == 2 else {"means": 3, "scales": 3, "sh0": 4}
    tables = {key: _ends(meta, key, channels, name) for key, channels in sizes.items()}
    books = ["scales", "sh0"] if version == 2 else []
    degree, palette = 0, None
    if meta.get("shN") is not None:
        files["shN"] = _files(meta, "shN", 2, name)
        degree, palette = _palette(meta["shN"], version, name)
        books += ["shN"] if version == 2 else []
        tables |= {} if version == 2 else {"shN": _ends(meta, "shN", 1, name)}
    tables |= {key: _codebook(meta, key, name) for key in books}
    named = [file for each in files.values() for file in each]
    if len(set(named)) < len(named):
        raise CorruptError(f"{name}: one file for two textures, expected {len(named)} names.")
    smooth = meta.get("model") == "antialiased" or meta.get("antialias") is True
    return Meta(version, count, degree, files, tables, palette, smooth)


def load_json(parts: Parts, name: str) -> dict[str, Any]:
    """Return the object that a JSON file of at most a MiB holds."""
    size = parts.size(name)
    if size > MAX_META:
        raise CorruptError(f"{name}: {size:,} bytes, expected at most {MAX_META:,}.")
    return parse_object(parts.read(name), name)


def _object(meta: dict[str, Any], key: str, name: str) -> dict[str, Any]:
    value = meta.get(key)
    if not isinstance(value, dict):
        raise CorruptError(f"{name} {key}: {str(value)[:40]}, expected an object.")
    return value


def _files(meta: dict[str, Any], key: str, number: int, name: str) -> tuple[str, ...]:
    """Return names that stay inside the folder."""
    names = _object(meta, key, name).get("files")
    plain = isinstance(names, list) and all(isinstance(n, str) and _NAME.fullmatch(n) for n in names)
    if not (plain and isinstance(names, list) and len(names) == number):
        raise CorruptError(f"{name} {key}: files {str(names)[:80]}, expected {number} plain file names.")
    return tuple(names)


def _ends(meta: dict[str, Any], key: str, channels: int, name: str) -> FloatArray:
    value = _object(meta, key, name)
    return np.stack([numbers(value.get(end), channels, f"{name} {key} {end}") for end in ("mins", "maxs")])


def _codebook(meta: dict[str, Any], key: str, name: str) -> FloatArray:
    return numbers(_object(meta, key, name).get("codebook"), 256, f"{name} {key} codebook")


def _palette(shn: dict[str, Any], version: int, name: str) -> tuple[int, int | None]:
    """Return the SH degree and the entries of the palette; version 1 leaves both to the width of the centroids."""
    if version == 1:
        return -1, None
    bands, count = shn.get("bands"), shn.get("count")
    if not whole(bands) or not 1 <= bands < len(SH_COEFFICIENTS):
        raise CorruptError(f"{name} shN: {str(bands)[:20]} bands, expected 1 to 3.")
    if not whole(count) or not 1 <= count <= 1 << 16:
        raise CorruptError(f"{name} shN: a palette of {str(count)[:20]}, expected 1 to 65,536.")
    return bands, count


def texture_sides(count: int) -> tuple[int, int]:
    """Return width and height of the textures of ``count`` Gaussians: multiples of 4, nearly square."""
    width = math.ceil(math.sqrt(count) / 4) * 4
    return width, math.ceil(count / width / 4) * 4
