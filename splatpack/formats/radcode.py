"""The columns of Spark's RAD: encodings of floats, colours, scales, rotations and SH.

Numbers are planar (all of the first dimension, then all of the second), but for ``oct88r8``.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import CorruptError, UnsupportedError
from splatpack.formats.fields import Fields, integer, numbers
from splatpack.formats.linear import log_of
from splatpack.scene.gaussians import FloatArray

BANDS = (1, 2, 3)
_FLOATS = {"f32": "<f4", "f16": "<f2"}
_ENCODINGS = {
    "center": ("f32", "f16", "f32_lebytes", "f16_lebytes"),
    "alpha": ("f32", "f16", "r8"),
    "rgb": ("f32", "f16", "r8", "r8_delta"),
    "scales": ("f32", "ln_f16", "ln_0r8"),
    "orientation": ("f32", "f16", "oct88r8"),
    "child_count": ("u16",),
    **dict.fromkeys(("sh1", "sh2", "sh3"), ("f32", "f16", "r8", "r8_delta", "s8", "s8_delta")),
}
_DIMS = {
    "center": 3,
    "alpha": 1,
    "rgb": 3,
    "scales": 3,
    "orientation": 3,
    "child_count": 1,
    "sh1": 9,
    "sh2": 15,
    "sh3": 21,
}


def decode_property(name: str, fields: Fields, payload: bytes, count: int) -> FloatArray:
    """Return a column, float32 (count, dimensions): log-scales, quats w, x, y, z, all else as it is stored.

    Raises
    ------
    CorruptError
        It lies outside the payload, or does not inflate to its exact size.
    UnsupportedError
        An encoding or a compression that is not known.
    """
    encoding = fields.get("encoding")
    if encoding not in _ENCODINGS[name]:
        raise UnsupportedError(f".rad {name}: encoding {str(encoding)[:20]!r}, expected {', '.join(_ENCODINGS[name])}.")
    dims = _DIMS[name]
    width = 4 if "f32" in encoding else 2 if "16" in encoding else 1
    data = _bytes_of(name, fields, payload, dims * count * width)
    if encoding in _FLOATS:
        values = _planar(np.frombuffer(data, _FLOATS[encoding]), dims)
    elif encoding.endswith("_lebytes"):
        planes = np.frombuffer(data, np.uint8).reshape(width, -1)
        values = _planar(np.ascontiguousarray(planes.T).view(_FLOATS[encoding[:3]])[:, 0], dims)
    elif encoding == "u16":
        values = _planar(np.frombuffer(data, "<u2"), dims)
    elif encoding == "ln_f16":
        return _planar(np.frombuffer(data, "<f2"), dims)
    elif encoding == "oct88r8":
        return _quats_of(np.frombuffer(data, np.uint8).reshape(-1, 3))
    else:
        return _levels(name, encoding, fields, np.frombuffer(data, np.uint8).reshape(dims, count))
    if name == "scales":
        return log_of(values)
    return _with_real_part(values) if name == "orientation" else values


def _bytes_of(name: str, fields: Fields, payload: bytes, size: int) -> bytes:
    """Return the ``size`` bytes of a column; no more is inflated."""
    offset, length = (integer(fields, key, f".rad {name}") for key in ("offset", "bytes"))
    if offset + length > len(payload):
        raise CorruptError(f".rad {name}: bytes {offset:,} to {offset + length:,} of a payload of {len(payload):,}.")
    data = payload[offset : offset + length]
    compression = fields.get("compression")
    if compression == "gz":
        inflate = zlib.decompressobj(-15)
        try:
            data = inflate.decompress(data, size + 1)
        except zlib.error as error:
            raise CorruptError(f".rad {name}: {error}.") from None
        if not inflate.eof:
            raise CorruptError(f".rad {name}: DEFLATE that does not end with its {size:,} bytes.")
    elif compression is not None:
        raise UnsupportedError(f".rad {name}: compression {str(compression)[:20]!r}, expected 'gz' or none.")
    if len(data) != size:
        raise CorruptError(f".rad {name}: {len(data):,} bytes, expected {size:,}.")
    return data


def _planar(flat: NDArray[Any], dims: int) -> FloatArray:
    with np.errstate(invalid="ignore"):
        return np.ascontiguousarray(flat.reshape(dims, -1).T, np.float32)


def _levels(name: str, encoding: str, fields: Fields, bytes_: NDArray[np.uint8]) -> FloatArray:
    """Return what bytes (dimensions, N) stand for, (N, dimensions)."""
    if encoding.endswith("_delta"):
        bytes_ = np.cumsum(bytes_, axis=1, dtype=np.uint8)
    top = float(numbers(fields.get("max"), 1, f".rad {name} max")[0])
    if encoding.startswith("s8"):
        return np.ascontiguousarray(bytes_.T.view(np.int8), np.float32) * np.float32(top / 127)
    low = float(numbers(fields.get("min"), 1, f".rad {name} min")[0])
    if encoding == "ln_0r8":
        table = low + (np.arange(256) - 1) * ((top - low) / 254)
        table[0] = -np.inf
    else:
        table = low + np.arange(256) * ((top - low) / 255)
    return np.ascontiguousarray(table.astype(np.float32)[bytes_].T)


def _with_real_part(xyz: FloatArray) -> FloatArray:
    out = np.empty((len(xyz), 4), np.float32)
    out[:, 1:] = xyz
    with np.errstate(invalid="ignore", over="ignore"):
        out[:, 0] = np.sqrt(np.maximum(np.float32(1) - np.einsum("ij,ij->i", xyz, xyz), np.float32(0)))
    return out


def _quats_of(bytes_: NDArray[np.uint8]) -> FloatArray:
    """Return quats from an axis in octahedral coordinates and an angle of 0 to pi, a byte each."""
    u, v = (bytes_[:, i].astype(np.float32) / np.float32(127.5) - 1 for i in (0, 1))
    z = 1 - np.abs(u) - np.abs(v)
    below = z < 0
    x = np.where(below, (1 - np.abs(v)) * np.where(u < 0, -1, 1), u)
    y = np.where(below, (1 - np.abs(u)) * np.where(v < 0, -1, 1), v)
    half = bytes_[:, 2].astype(np.float32) * np.float32(np.pi / 510)
    axis = np.stack([x, y, z], axis=1)
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    return np.concatenate([np.cos(half)[:, None], axis * np.sin(half)[:, None]], axis=1).astype(np.float32)
