"""Metadata: one strict msgpack map, plain or packed (``spec/format.md``, section 4)."""

from __future__ import annotations

import math
import zlib
from functools import cache
from importlib.resources import files
from typing import Any

import msgpack

from splatpack.container.layout import META_MAX
from splatpack.errors import CorruptError

MAX_DEPTH = 12


def pack(meta: dict[str, Any]) -> bytes:
    """Return ``meta`` as msgpack: maps with string keys, lists, strings, integers, finite floats, booleans, nil.

    Raises
    ------
    CorruptError
        ``meta`` holds something else.
    """
    _check(meta, 0)
    return bytes(msgpack.packb(meta, use_bin_type=True))


def unpack(data: bytes) -> dict[str, Any]:
    """Read metadata. Safe on untrusted input.

    Raises
    ------
    CorruptError
        Not msgpack, not one map, duplicate keys, non-finite floats, too deep, or a type that is not allowed.
    """
    try:
        value = msgpack.unpackb(data, raw=False, strict_map_key=True, object_pairs_hook=_unique)
    except (ValueError, TypeError, RecursionError, msgpack.exceptions.UnpackException) as error:
        raise CorruptError(f"metadata is not valid msgpack: {error}.") from error
    if not isinstance(value, dict):
        raise CorruptError("metadata is not a map.")
    _check(value, 0)
    return value


@cache
def _dictionary() -> bytes:
    return files("splatpack.container").joinpath("metadata.dict").read_bytes()


def deflate(data: bytes) -> bytes:
    """Pack what :func:`pack` returned: raw DEFLATE with the dictionary of the specification."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, _dictionary())
    return packer.compress(data) + packer.flush()


def inflate(data: bytes) -> bytes:
    """Undo :func:`deflate`. Safe on untrusted input: no more than the format allows is expanded.

    Raises
    ------
    CorruptError
        Not DEFLATE, more than 1 MiB, or bytes are missing or left over.
    """
    unpacker = zlib.decompressobj(-15, _dictionary())
    try:
        out = unpacker.decompress(data, META_MAX + 1)
    except zlib.error as error:
        raise CorruptError(f"packed metadata: {error}.") from error
    if len(out) > META_MAX or not unpacker.eof or unpacker.unused_data:
        raise CorruptError(f"packed metadata: more than {META_MAX:,} bytes, or it ends early or before its last byte.")
    return out


def _unique(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("duplicate keys")
    return out


def _check(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise CorruptError(f"metadata is nested deeper than {MAX_DEPTH}.")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise CorruptError(f"metadata has a key {key!r} that is not a string.")
            _check(item, depth + 1)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check(item, depth + 1)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise CorruptError(f"metadata has a float {value}.")
    elif value is not None and not isinstance(value, (str, int, bool)):
        raise CorruptError(f"metadata has a value of type {type(value).__name__}.")
