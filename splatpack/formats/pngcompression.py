"""gsplat's PngCompression, a folder of images, a ``meta.json``, and a palette of SH: reading.

Writing is in ``pngcompressionwrite``.

Layout: ``nerfstudio-project/gsplat``, ``compression/png_compression.py`` (Apache-2.0). Every attribute is spread
linearly between a minimum and a maximum per channel; positions, in 16 bits, are ``sign(x) * log(1 + |x|)``.
"""

from __future__ import annotations

import io
import json
import math
import os
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngImageFile

from splatpack.errors import CorruptError, TruncatedError, UnsupportedError
from splatpack.formats.blocks import empty_scene_arrays, row_bytes
from splatpack.formats.detect import FOLDER_FILE
from splatpack.formats.files import open_regular
from splatpack.formats.pngcompressionwrite import write_png_compression
from splatpack.limits import Limits
from splatpack.scene.gaussians import SH_COEFFICIENTS, FloatArray, Gaussians
from splatpack.scene.validate import normalise_quats

__all__ = ["read_png_compression", "write_png_compression"]

MAX_META = 1 << 20
MAX_PALETTE = 1 << 16
_NPY_HEADER = 4096
_CHANNELS = {"means": 3, "scales": 3, "quats": 4, "opacities": 1, "sh0": 3}
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, zipfile.BadZipFile, KeyError)


def read_png_compression(
    path: str | os.PathLike[str], *, limits: Limits | None = None, normalise: bool = True
) -> Gaussians:
    """Read a folder that gsplat's PngCompression wrote. Safe on untrusted input.

    Only files with the fixed names of the format, beside ``meta.json``, are opened. Memory: the columns once, and one
    image.

    Parameters
    ----------
    path : path-like
        The folder, or its ``meta.json``.
    limits : Limits, optional
        What the files may make us allocate. Default: ``Limits()``.
    normalise : bool
        Make the quats unit length. False leaves the 8-bit values.

    Returns
    -------
    Gaussians
        In frame ``rdf``. Parameters that are no attribute of a Gaussian are named in ``notes``.

    Raises
    ------
    CorruptError
        ``meta.json`` lacks a field or contradicts the images, or an image is damaged.
    UnsupportedError
        The scene has colours from a network (``features``).
    LimitError, StorageError
        Too large for ``limits``; a file cannot be read.
    """
    limits = limits or Limits()
    folder = Path(path) if os.path.isdir(path) else Path(path).parent
    meta, stored = _read_meta(folder)
    budget = limits.start(stored)
    n = budget.count(_shape(meta, "means")[0], limits.gaussians, "PngCompression Gaussians")
    side = math.isqrt(n)
    if side * side != n or n == 0:
        raise CorruptError(f"PngCompression: {n:,} Gaussians, expected a square number.")
    degree = _degree(meta, n)
    budget.debit(n * row_bytes(degree), f"PngCompression scene of {n:,} Gaussians")
    arrays = empty_scene_arrays(n, degree)
    budget.debit(n * 20, "PngCompression images")
    low, high = (_image(folder, f"means_{part}.png", side, 3).astype(np.uint16) for part in "lu")
    position = _lerp(low | high << np.uint16(8), 65535, meta, "means")
    with np.errstate(over="ignore"):
        arrays["means"][:] = np.copysign(np.expm1(np.abs(position)), position)
    for name in ("scales", "quats", "opacities", "sh0"):
        values = _lerp(_image(folder, f"{name}.png", side, _CHANNELS[name]), 255, meta, name)
        arrays[name][:] = values.reshape(arrays[name].shape)
    if degree:
        arrays["shN"][:] = _palette(folder, meta, n, 3 * SH_COEFFICIENTS[degree], budget).reshape(arrays["shN"].shape)
    if normalise:
        normalise_quats(arrays["quats"])
    others = sorted(set(meta) - set(_CHANNELS) - {"shN"})
    source: dict[str, Any] = {"format": "png-compression"}
    if others:
        source["notes"] = [f"parameters left out: {', '.join(o[:40] for o in others[:8])}."]
    return Gaussians(**arrays, frame="rdf", metadata={"source": source})


def _read_meta(folder: Path) -> tuple[dict[str, Any], int]:
    """Return the parsed ``meta.json``, and the bytes of the whole folder, against which memory is granted."""
    with open_regular(folder / FOLDER_FILE) as (file, size):
        if size > MAX_META:
            raise CorruptError(f"meta.json: {size:,} bytes, expected at most {MAX_META:,}.")
        data = file.read(MAX_META)
    try:
        meta = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"meta.json: no valid JSON ({str(error)[:80]}).") from None
    if not isinstance(meta, dict) or not all(isinstance(v, dict) for v in meta.values()):
        raise CorruptError("meta.json: expected one object of objects.")
    if "features" in meta or "colors" in meta:
        raise UnsupportedError("PngCompression with features and colours of a network, expected sh0 and shN.")
    missing = [name for name in _CHANNELS if name not in meta]
    if missing:
        raise CorruptError(f"meta.json has no {', '.join(missing)}.")
    names = ["means_l.png", "means_u.png", "shN.npz", *(f"{name}.png" for name in _CHANNELS)]
    return meta, size + sum((folder / n).stat().st_size for n in names if (folder / n).is_file())


def _shape(meta: dict[str, Any], name: str) -> list[int]:
    shape = meta[name].get("shape")
    if not isinstance(shape, list) or not shape or not all(isinstance(v, int) and 0 <= v < 1 << 40 for v in shape):
        raise CorruptError(f"meta.json {name}: shape {str(shape)[:60]}, expected a list of whole numbers.")
    return shape


def _degree(meta: dict[str, Any], n: int) -> int:
    """Return the SH degree that the shape of ``shN`` says; check all shapes against the count."""
    for name in _CHANNELS:
        if math.prod(_shape(meta, name)) != n * _CHANNELS[name]:
            raise CorruptError(f"meta.json {name}: shape {meta[name]['shape']} for {n:,} Gaussians.")
    shape = _shape(meta, "shN") if "shN" in meta else [n, 0, 3]
    if len(shape) != 3 or shape[0] != n or shape[1] not in SH_COEFFICIENTS or shape[2] != 3:
        raise CorruptError(f"meta.json shN: shape {shape}, expected [{n}, 0 | 3 | 8 | 15, 3].")
    return SH_COEFFICIENTS.index(shape[1])


def _range(meta: dict[str, Any], name: str, count: int) -> tuple[FloatArray, FloatArray]:
    """Return minimum and maximum of each channel, float32 (count,)."""
    ends = []
    for key in ("mins", "maxs"):
        value = meta[name].get(key)
        numbers = value if isinstance(value, list) else [value]
        real = all(isinstance(v, (int, float)) and abs(v) < 1e30 for v in numbers)
        if len(numbers) != count or not real:
            raise CorruptError(f"meta.json {name}: {key} {str(value)[:60]}, expected {count} finite numbers.")
        ends.append(np.array(numbers, np.float32))
    return ends[0], ends[1]


def _lerp(levels: NDArray[Any], top: int, meta: dict[str, Any], name: str) -> FloatArray:
    """Spread whole levels (N, channels) between the ends of each channel."""
    low, high = _range(meta, name, levels.shape[1])
    return np.asarray(levels.astype(np.float32) * ((high - low) / np.float32(top)) + low)


def _image(folder: Path, name: str, side: int, channels: int) -> NDArray[np.uint8]:
    """Return the pixels of a PNG as (side * side, channels): of the size that is expected, whatever Pillow's limit."""
    with open_regular(folder / name) as (file, size):
        file.seek(max(size - len(_PNG_END), 0))
        if file.read() != _PNG_END:
            raise TruncatedError(f"{name}: does not end as a PNG does, it is cut off or none.")
        file.seek(0)
        try:
            with PngImageFile(file) as image:
                if image.size != (side, side) or image.mode != _MODES[channels]:
                    raise CorruptError(
                        f"{name}: {image.mode} {image.size[0]} x {image.size[1]}, expected {_MODES[channels]} "
                        f"{side} x {side}."
                    )
                return np.asarray(image, np.uint8).reshape(-1, channels)
        except CorruptError:
            raise
        except _DAMAGE as error:
            raise CorruptError(f"{name}: no readable PNG ({str(error)[:80]}).") from None


def _palette(folder: Path, meta: dict[str, Any], n: int, width: int, budget: Limits) -> FloatArray:
    """Return the SH of each Gaussian, float32 (n, width), from ``shN.npz``: centroids, and a label for each."""
    bits = meta["shN"].get("quantization", 8)
    if not (isinstance(bits, int) and 1 <= bits <= 8):
        raise CorruptError(f"meta.json shN: quantization {str(bits)[:20]}, expected 1 to 8 bits.")
    budget.debit(MAX_PALETTE * width + 2 * n, "PngCompression palette")
    with open_regular(folder / "shN.npz") as (file, _):
        try:
            with zipfile.ZipFile(file) as archive:
                centroids = _member(archive, "centroids.npy", np.dtype("u1"), MAX_PALETTE * width).reshape(-1, width)
                labels = _member(archive, "labels.npy", np.dtype("<u2"), n)
        except CorruptError:
            raise
        except (*_DAMAGE, NotImplementedError, RuntimeError, OverflowError, MemoryError) as error:
            raise CorruptError(f"shN.npz: no readable archive ({str(error)[:80]}).") from None
    if len(labels) != n or int(labels.max(initial=0)) >= len(centroids):
        raise CorruptError(f"shN.npz: {len(labels):,} labels into {len(centroids):,} centroids, expected {n:,}.")
    low, high = _range(meta, "shN", 1)
    table = centroids.astype(np.float32) * ((high - low) / np.float32((1 << bits) - 1)) + low
    return np.asarray(table[labels])


def _member(archive: zipfile.ZipFile, name: str, dtype: np.dtype[Any], most: int) -> NDArray[Any]:
    """Return an array of the archive, flat; no more is inflated than it may have."""
    room = most * dtype.itemsize + _NPY_HEADER
    with archive.open(name) as member:
        data = member.read(room + 1)
    if len(data) > room:
        raise CorruptError(f"shN.npz {name}: more than {room:,} bytes.")
    head = io.BytesIO(data)
    version = np.lib.format.read_magic(head)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, found = read(head)
    body = memoryview(data)[head.tell() :]
    if found != dtype or fortran or math.prod(shape) * dtype.itemsize != len(body):
        raise CorruptError(f"shN.npz {name}: {found} {shape} in {len(body):,} bytes, expected {dtype}.")
    return np.frombuffer(body, dtype)
