"""Accessors of glTF: typed, strided, normalised, sparse or empty rows of a buffer, as float32.

Layout: Khronos glTF 2.0, section 3.6.2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import CorruptError
from splatpack.formats.blocks import ROWS
from splatpack.formats.fields import Fields, integer
from splatpack.formats.gltffile import Document
from splatpack.scene.gaussians import FloatArray

FLOAT = 5126
_COMPONENTS: dict[object, np.dtype[Any]] = {
    5120: np.dtype("i1"), 5121: np.dtype("u1"), 5122: np.dtype("<i2"), 5123: np.dtype("<u2"), 5125: np.dtype("<u4"),
    FLOAT: np.dtype("<f4"),
}  # fmt: skip
_WIDTHS: dict[object, int] = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


def accessor_count(document: Document, index: object, what: str) -> int:
    """Return how many rows an accessor declares: a number that nothing may be allocated from yet."""
    return integer(document.item("accessors", index, what), "count", f"glTF {what}")


def read_accessor(document: Document, index: object, out: FloatArray, what: str) -> None:
    """Fill ``out`` with the rows of an accessor. Safe on untrusted input.

    Parameters
    ----------
    out : float32 (N, C)
        May be a strided view. The caller has debited a budget for it.
    what : str
        The attribute, for messages.

    Raises
    ------
    CorruptError
        Count or type are not those of ``out``, or a row lies outside its buffer view.
    """
    fields = document.item("accessors", index, what)
    dtype, width = _COMPONENTS.get(_hashable(fields, "componentType")), _WIDTHS.get(_hashable(fields, "type"))
    count = integer(fields, "count", f"glTF {what}")
    if dtype is None or width is None or (count, width) != out.shape:
        raise CorruptError(
            f"glTF {what}: {count:,} x {str(fields.get('type'))[:20]} of component type "
            f"{str(fields.get('componentType'))[:20]}, expected {out.shape[0]:,} x {out.shape[1]}."
        )
    scale = float(np.iinfo(dtype).max) if fields.get("normalized") is True and dtype.kind != "f" else 1.0
    if "bufferView" in fields:
        _convert(_rows(document, fields, dtype, width, count, what), scale, out)
    else:
        out[:] = 0
    if "sparse" in fields:
        _overlay(document, fields["sparse"], dtype, scale, out, what)


def _hashable(fields: Fields, key: str) -> Any:
    value = fields.get(key)
    return value if isinstance(value, (int, str)) else None


def _rows(document: Document, source: Fields, dtype: np.dtype[Any], width: int, count: int, what: str) -> NDArray[Any]:
    """Return rows where they lie, (count, width), after every byte of them was found inside the view."""
    data, stride = document.view(source.get("bufferView"), what)
    offset, size = integer(source, "byteOffset", f"glTF {what}", 0), dtype.itemsize * width
    stride = stride or size
    end = offset + stride * (count - 1) + size if count else 0
    if stride < size or end > len(data):
        raise CorruptError(
            f"glTF {what}: {count:,} rows of {size} bytes every {stride} end at byte {end:,} of a view of "
            f"{len(data):,}."
        )
    return np.ndarray((count, width), dtype, data, offset, (stride, dtype.itemsize))


def _convert(rows: NDArray[Any], scale: float, out: FloatArray) -> None:
    """Write integers as fractions of their largest, -1 at least, or as they are; block by block."""
    for start in range(0, len(out), ROWS):
        part = out[start : start + ROWS]
        part[:] = rows[start : start + ROWS]
        if scale != 1.0:
            np.maximum(part / np.float32(scale), np.float32(-1), out=part)


def _overlay(
    document: Document, sparse: object, dtype: np.dtype[Any], scale: float, out: FloatArray, what: str
) -> None:
    """Put the rows of a sparse accessor in their places."""
    if not isinstance(sparse, dict) or not all(isinstance(sparse.get(k), dict) for k in ("indices", "values")):
        raise CorruptError(f"glTF {what}: sparse {str(sparse)[:40]}, expected indices and values.")
    count = integer(sparse, "count", f"glTF {what} sparse")
    kind = _COMPONENTS.get(_hashable(sparse["indices"], "componentType"))
    if kind is None or kind.kind != "u" or count > len(out):
        raise CorruptError(f"glTF {what}: {count:,} sparse rows with indices of {kind}, {len(out):,} rows in all.")
    places = _rows(document, sparse["indices"], kind, 1, count, what)[:, 0].astype(np.int64)
    if count and (places[-1] >= len(out) or (np.diff(places) <= 0).any()):
        raise CorruptError(f"glTF {what}: sparse indices that do not rise, or reach beyond {len(out):,}.")
    values = np.empty((count, out.shape[1]), np.float32)
    _convert(_rows(document, sparse["values"], dtype, out.shape[1], count, what), scale, values)
    out[places] = values
