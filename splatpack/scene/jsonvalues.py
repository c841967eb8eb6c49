"""JSON that nobody vouches for: a bounded load, and numbers that are checked as they are taken out of it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import CorruptError, LimitError, StorageError, UsageError
from splatpack.limits import Limits

MAX_BYTES = 64 << 20


def load_json(name: str, limits: Limits) -> Any:
    """Parse a file of cameras, refusing what JSON does not have: NaN, infinities, endless nesting.

    Raises
    ------
    StorageError, LimitError, CorruptError
        It cannot be read, is above 64 MiB, or is no JSON.
    """
    try:
        path = Path(name)
        if not path.is_file():
            raise StorageError(f"{name}: no such file, expected a JSON file of cameras.")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"{name}: {error.strerror or error}. Check the path and its permissions.") from error
    if len(data) > MAX_BYTES:
        raise LimitError(f"{name}: more than {MAX_BYTES >> 20} MiB, expected a JSON file of cameras. Split the file.")
    limits.start(len(data)).debit(16 * len(data), f"{name}: JSON of {len(data):,} bytes")
    try:
        return json.loads(data, parse_constant=_refuse_constant)
    except RecursionError:
        raise CorruptError(f"{name}: JSON nested too deeply, expected a list of cameras.") from None
    except ValueError as error:
        raise CorruptError(f"{name}: not valid JSON ({str(error)[:120]}), expected a list of cameras.") from None


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def number(item: dict[str, Any], key: str, default: float | None = None) -> float:
    """Return a finite number.

    Raises
    ------
    UsageError
        It is none, as for the functions below.
    """
    value = item.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UsageError(f"{key}: {str(value)[:40]!r}, expected a number.")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise UsageError(f"{key}: {str(value)[:40]}, expected a finite number.")
    return found


def angle(item: dict[str, Any], key: str) -> float:
    """Return a field of view, radians."""
    found = number(item, key)
    if not 0 < found < math.pi:
        raise UsageError(f"{key}: {found}, expected a field of view between 0 and pi radians (or fl_x in pixels).")
    return found


def pixels(item: dict[str, Any], key: str) -> int:
    """Return a whole number of pixels."""
    found = number(item, key)
    if found != int(found):
        raise UsageError(f"{key}: {found}, expected a whole number of pixels.")
    return int(found)


def matrix(item: dict[str, Any], key: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return a vector, or a matrix that is written row by row."""
    want = " x ".join(map(str, shape))
    rows = item.get(key)
    flat = rows if len(shape) == 1 else _flatten(rows, shape)
    if not isinstance(flat, list) or len(flat) != math.prod(shape):
        raise UsageError(f"{key}: expected {want} numbers.")
    return np.array([number({key: v}, key) for v in flat], np.float64).reshape(shape)


def _flatten(rows: Any, shape: tuple[int, ...]) -> list[Any] | None:
    if not isinstance(rows, list) or len(rows) != shape[0]:
        return None
    if not all(isinstance(row, list) and len(row) == shape[1] for row in rows):
        return None
    return [v for row in rows for v in row]
