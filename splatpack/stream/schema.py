"""Checks of message fields: each takes a value from the wire and returns a clean one, or raises (close code 4400)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgpack

from splatpack.errors import PeerError

MALFORMED = 4400
IDS_MAX = 8192
"""Item numbers in one message, at most."""

Check = Callable[[Any, str], Any]


def unpack(data: bytes) -> dict[str, Any]:
    """Read one msgpack map with string keys, none of them twice. Safe on untrusted input.

    Raises
    ------
    PeerError
        With close code 4400.
    """
    try:
        value = msgpack.unpackb(
            data, raw=False, strict_map_key=True, object_pairs_hook=_unique, max_array_len=IDS_MAX, max_map_len=64,
            max_ext_len=0,
        )  # fmt: skip
    except (ValueError, TypeError, RecursionError, OverflowError, msgpack.exceptions.UnpackException) as error:
        raise PeerError(f"a message that is not valid msgpack: {error}.", MALFORMED) from error
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise PeerError("a message that is not a map with string keys.", MALFORMED)
    return value


def _unique(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("duplicate keys")
    return out


def _bad(value: Any, where: str, want: str) -> PeerError:
    shown = repr(value)
    return PeerError(f"{where}: {shown[:60]}, expected {want}.", MALFORMED)


def integer(low: int, high: int) -> Check:
    """Accept an integer in [low, high]; a boolean is none."""

    def check(value: Any, where: str) -> int:
        if type(value) is not int or not low <= value <= high:
            raise _bad(value, where, f"an integer from {low} to {high}")
        return value

    return check


def number(low: float, high: float) -> Check:
    """Accept an integer or a finite float in [low, high]."""

    def check(value: Any, where: str) -> float:
        if type(value) not in (int, float) or not low <= value <= high:
            raise _bad(value, where, f"a number from {low:g} to {high:g}")
        return float(value)

    return check


def boolean(value: Any, where: str) -> bool:
    """Accept a boolean."""
    if type(value) is not bool:
        raise _bad(value, where, "a boolean")
    return value


def text(longest: int) -> Check:
    """Accept a string of at most ``longest`` characters, without control characters."""

    def check(value: Any, where: str) -> str:
        if type(value) is not str or len(value) > longest or not (value.isprintable() or value == ""):
            raise _bad(value, where, f"printable text of at most {longest} characters")
        return value

    return check


def blob(least: int, most: int) -> Check:
    """Accept bytes of a length in [least, most]."""

    def check(value: Any, where: str) -> bytes:
        if type(value) is not bytes or not least <= len(value) <= most:
            raise _bad(value, where, f"{least} to {most} bytes")
        return value

    return check


def vector(length: int, bound: float = 1e30) -> Check:
    """Accept ``length`` finite numbers, none of them beyond ``bound``."""
    entry = number(-bound, bound)

    def check(value: Any, where: str) -> tuple[float, ...]:
        if type(value) is not list or len(value) != length:
            raise _bad(value, where, f"{length} numbers")
        return tuple(entry(v, where) for v in value)

    return check


def unit_quat(value: Any, where: str) -> tuple[float, ...]:
    """Accept a quaternion (w, x, y, z) of length 1 within 1e-3; return it normalised."""
    q: tuple[float, ...] = vector(4, 2.0)(value, where)
    norm = math.sqrt(sum(v * v for v in q))
    if abs(norm - 1.0) > 1e-3:
        raise _bad(value, where, "a unit quaternion")
    return tuple(v / norm for v in q)


def viewport(value: Any, where: str) -> tuple[float, ...]:
    """Accept width and height in pixels, 1 to 65,536."""
    size: tuple[float, ...] = vector(2, 65536.0)(value, where)
    if min(size) < 1.0:
        raise _bad(value, where, "a width and a height of at least 1 pixel")
    return size


def _integers(high: int, most: int) -> Check:
    entry = integer(0, high)

    def check(value: Any, where: str) -> tuple[int, ...]:
        if type(value) is not list or len(value) > most:
            raise _bad(value, where, f"at most {most} integers")
        return tuple(entry(v, where) for v in value)

    return check


identifiers = _integers(0xFFFF_FFFE, IDS_MAX)
versions = _integers(1 << 16, 16)
