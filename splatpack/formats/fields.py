"""Fields of a JSON that came from a file: each is checked before it is used."""

from __future__ import annotations

import json
from typing import Any, TypeGuard

import numpy as np

from splatpack.errors import CorruptError
from splatpack.scene.gaussians import FloatArray

LARGEST = 1e30
"""No number in such a file means anything beyond this."""

Fields = dict[str, Any]


def parse_object(data: bytes | memoryview, name: str) -> Fields:
    """Return the object that a JSON text holds. The caller has bounded its size.

    Raises
    ------
    CorruptError
        It is no JSON, is nested too deep, or holds something else.
    """
    try:
        value = json.loads(bytes(data))
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"{name}: no valid JSON ({str(error)[:80]}).") from None
    if not isinstance(value, dict):
        raise CorruptError(f"{name}: expected an object.")
    return value


def whole(value: object) -> TypeGuard[int]:
    """Whether a JSON value is a whole number that can count something."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40


def integer(fields: Fields, key: str, what: str, default: int | None = None) -> int:
    """Return a whole number of 0 or more.

    Raises
    ------
    CorruptError
        It is something else, or is missing and has no default.
    """
    value = fields.get(key, default)
    if not whole(value):
        raise CorruptError(f"{what}: {key} {str(value)[:40]}, expected a whole number.")
    return value


def numbers(value: object, count: int, what: str) -> FloatArray:
    """Return ``count`` finite numbers as float32; a single number may stand without its list.

    Raises
    ------
    CorruptError
        They are not that.
    """
    found = value if isinstance(value, list) else [value]
    if len(found) != count or not all(isinstance(v, (int, float)) and abs(v) < LARGEST for v in found):
        raise CorruptError(f"{what}: {str(value)[:60]}, expected {count} finite numbers.")
    return np.array(found, np.float32)


def objects(fields: Fields, key: str, what: str) -> list[Fields]:
    """Return a list of objects; none where the key is missing.

    Raises
    ------
    CorruptError
        It is something else.
    """
    value = fields.get(key, [])
    if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
        raise CorruptError(f"{what}: {key} {str(value)[:40]}, expected a list of objects.")
    return value
