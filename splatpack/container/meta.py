"""Metadata: one strict msgpack map (``spec/format.md``, section 4)."""

from __future__ import annotations

import math
from typing import Any

import msgpack

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
