"""The columns of a scene that are coded on their own: exact, within an error, or beside the attributes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.codecs.base import Codec
from splatpack.codecs.columns import DTYPES, BytePlanes, CodedPlanes, Delta, Ordered, Quantised, RawPlanes
from splatpack.codecs.floats import Floats
from splatpack.codecs.pipeline import Pipeline
from splatpack.codecs.zstd import Zstd
from splatpack.errors import UsageError
from splatpack.pack.presets import Settings
from splatpack.pack.profile import Column, row_shape
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians


def choose_columns(scene: Gaussians, settings: Settings, sample: NDArray[np.int64]) -> tuple[Column, ...]:
    """Return the columns, each with the pipeline that is smallest on the rows ``sample``.

    Raises
    ------
    UsageError
        An extra column of a type or shape that cannot be stored.
    """
    out = []
    for name in ATTRIBUTES:
        if (name in settings.exact or name in settings.max_error) and not (name == "shN" and scene.sh_degree == 0):
            array = getattr(scene, name)
            error = None if name in settings.exact else settings.max_error[name]
            out.append(_column(name, True, array, row_shape(name, scene.sh_degree), error, sample))
    for name, array in scene.extras.items():
        out.append(_column(name, False, array, array.shape[1:], settings.max_error.get(name), sample))
    return tuple(out)


def _column(
    name: str, attribute: bool, array: NDArray[Any], shape: tuple[int, ...], error: float | None,
    sample: NDArray[np.int64],
) -> Column:  # fmt: skip
    dtype = array.dtype.newbyteorder("<").str
    size = array.dtype.itemsize
    components = int(np.prod(shape, dtype=np.int64))
    if dtype not in DTYPES or not 1 <= components <= 256:
        raise UsageError(f"column {name!r}: {array.dtype} with {components} components cannot be stored.")
    first: Codec = Ordered(dtype)
    if error is not None and array.dtype == np.float32:
        first = _bounded(array, error) or first
    planes = BytePlanes(4 if isinstance(first, Quantised) else size, components)
    rows = np.ascontiguousarray(array[sample]).reshape(len(sample), components)
    candidates = [
        [first, planes, CodedPlanes()],
        [first, Delta(), planes, CodedPlanes()],
        [first, planes, RawPlanes(), Zstd()],
    ]
    if dtype == "<f4" and not isinstance(first, Quantised):
        candidates.append([Floats()])
    best = min((Pipeline(c) for c in candidates), key=lambda p: len(p.encode(rows)))
    return Column(name, attribute, dtype, shape, best)


def _bounded(array: NDArray[np.float32], error: float) -> Quantised | None:
    """The quantiser that keeps every component within ``error``, or None where only exact storage does."""
    transform = Quantised(float(error) * 1.998)
    for a in range(0, len(array), 1 << 16):
        block = np.ascontiguousarray(array[a : a + (1 << 16)])
        try:
            back = transform.inverse(transform.forward(block))
        except ValueError:
            return None
        if np.abs(back.astype(np.float64) - block).max(initial=0.0) > error:
            return None
    return transform
