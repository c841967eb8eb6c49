"""Labels: integers per Gaussian, kept in files as extra columns."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.edit.attributes import ATTRIBUTES
from splatpack.edit.expressions import FUNCTIONS, Expression
from splatpack.errors import UsageError
from splatpack.scene.gaussians import Gaussians

_NAME = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)
_TAKEN = {*ATTRIBUTES, *FUNCTIONS, "extra", "and", "or", "not", "in", "is", "where"}


def label(scene: Gaussians, name: str, value: int, *, where: str | NDArray[np.bool_] | None = None) -> Gaussians:
    """Write an integer into an extra column, for all Gaussians or for some.

    Parameters
    ----------
    scene : Gaussians
    name : str
        The column. A new one is int32 and 0 where nothing is written; one that exists keeps its type.
    value : int
    where : str or bool (N,), optional
        An expression (:mod:`splatpack.edit.expressions`) or a mask. Default: all.

    Raises
    ------
    UsageError
        The name cannot be a column's, the value does not fit its type, or the expression is none.
    """
    if not _NAME.fullmatch(name) or name in _TAKEN:
        raise UsageError(f"label {name[:80]!r}, expected letters, digits and _, and no name of an attribute.")
    column = np.zeros(len(scene), np.int32) if name not in scene.extras else scene.extras[name].copy()
    if column.ndim != 1 or not _fits(value, column):
        kind = f"{column.dtype} with {column.shape[1]} components" if column.ndim > 1 else str(column.dtype)
        raise UsageError(f"label {name}={value}: the column is {kind}, expected a value that it can hold.")
    column[_rows(scene, where)] = value
    return replace(scene, extras={**scene.extras, name: column})


def _fits(value: int, column: NDArray[Any]) -> bool:
    if column.dtype.kind not in "iu":
        return abs(value) <= 1 << 24  # what float32 holds exactly
    info = np.iinfo(column.dtype)
    return int(info.min) <= value <= int(info.max)


def _rows(scene: Gaussians, where: str | NDArray[np.bool_] | None) -> Any:
    if where is None:
        return slice(None)
    if isinstance(where, str):
        return Expression(where).mask(scene)
    if where.shape != (len(scene),) or where.dtype != bool:
        raise UsageError(f"where: {where.dtype} {where.shape}, expected bool ({len(scene)},).")
    return where
