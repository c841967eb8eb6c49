"""PlayCanvas SOG, versions 1 and 2, a zip or a folder: reading. Writing is in ``sogwrite``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import CorruptError
from splatpack.formats.blocks import ROWS, Bytes, empty_scene_arrays, logit_table, row_bytes
from splatpack.formats.detect import FOLDER_FILE
from splatpack.formats.quats import restore_largest
from splatpack.formats.sogimage import decode_texture, texture_size
from splatpack.formats.soglayout import PER_ROW, Meta, read_meta
from splatpack.formats.sogparts import Parts, open_parts
from splatpack.formats.sogwrite import write_sog, write_sog_folder
from splatpack.limits import Limits
from splatpack.parallel import ordered_map
from splatpack.scene.gaussians import SH_COEFFICIENTS, FloatArray, Gaussians
from splatpack.scene.validate import normalise_quats

__all__ = ["read_sog", "write_sog", "write_sog_folder"]

SPARE = 1 << 16
"""Pixels that textures may have beyond four times the Gaussians."""
PIXEL_BYTES = 28
"""Memory of a pixel of the common size: textures that are decoded ahead, and their decoders."""
MAX_ROWS = 2048

Arrays = dict[str, Any]


def read_sog(path: str | os.PathLike[str], *, limits: Limits | None = None, normalise: bool = True) -> Gaussians:
    """Read SOG. Safe on untrusted input: only files that ``meta.json`` names are opened, beside it or in the zip.

    Memory: the columns once, a few textures, and the palette.

    Parameters
    ----------
    path : path-like
        A ``.sog``, a folder, or the ``meta.json`` in it.
    limits : Limits, optional
        What the files may make us allocate. Default: ``Limits()``.
    normalise : bool
        Make the quats unit length. False leaves them as decoded, which is unit length up to rounding.

    Returns
    -------
    Gaussians
        In frame ``rdf``: the specification says otherwise, but no tool turns anything.

    Raises
    ------
    CorruptError, TruncatedError
        ``meta.json`` lacks a field or contradicts the textures; an image or the zip is damaged.
    UnsupportedError
        A future version, lossy images, or a zip of another kind.
    LimitError, StorageError
        Too large for ``limits``; a file cannot be read.
    """
    with open_parts(path) as parts:
        return read_parts(parts, limits or Limits(), normalise=normalise)


def read_parts(parts: Parts, limits: Limits, name: str = FOLDER_FILE, *, normalise: bool = True) -> Gaussians:
    """Read a scene from its parts, as :func:`read_sog` does."""
    meta = read_meta(parts, name)
    names = [file for files in meta.files.values() for file in files]
    budget = limits.start(parts.stored(names))
    budget.count(meta.count, limits.gaussians, "SOG count")
    budget.debit(sum(parts.size(file) for file in names), "SOG files")
    data = {file: parts.read(file) for file in names}
    sizes = {file: texture_size(data[file], file) for file in names}
    degree, entries = _checked(meta, sizes)
    budget.debit(meta.count * row_bytes(degree), f"SOG scene of {meta.count:,} Gaussians")
    arrays = empty_scene_arrays(meta.count, degree)
    textures = _textures(meta, data, sizes, budget)
    _geometry(meta, textures, arrays)
    _colours(meta, textures, arrays)
    if degree:
        _sh(meta, textures, entries, budget, arrays["shN"])
    if normalise:
        normalise_quats(arrays["quats"])
    source = {"format": "sog", "version": meta.version}
    return Gaussians(**arrays, frame="rdf", antialiased=meta.antialiased, metadata={"source": source})


def _checked(meta: Meta, sizes: dict[str, tuple[int, int]]) -> tuple[int, int]:
    """Hold the sizes of all textures to the count and to each other; return SH degree and entries of the palette."""
    width, height = sizes[meta.files["means"][0]]
    centroids = meta.files["shN"][0] if meta.degree else None
    for name, size in sizes.items():
        if size != (width, height) and name != centroids:
            raise CorruptError(f"{name}: {size[0]} x {size[1]}, expected {width} x {height} as means.")
    if not meta.count <= width * height <= 4 * meta.count + SPARE:
        raise CorruptError(f"SOG textures of {width} x {height} for {meta.count:,} Gaussians.")
    if centroids is None:
        return 0, 0
    wide, high = sizes[centroids]
    fit = {PER_ROW * SH_COEFFICIENTS[d]: d for d in (1, 2, 3)}.get(wide)
    entries = PER_ROW * high if meta.palette is None else meta.palette
    if fit is None or meta.degree not in (-1, fit) or high > MAX_ROWS or entries > PER_ROW * high:
        raise CorruptError(f"{centroids}: {wide} x {high} for {entries:,} entries of SH degree {meta.degree}.")
    return fit, entries


def _textures(meta: Meta, data: dict[str, bytes], sizes: dict[str, tuple[int, int]], budget: Limits) -> Iterator[Bytes]:
    """Yield the pixels (W * H, 4) of means (low, high), quats, scales, sh0, centroids, labels, decoded side by side."""
    names = [file for key in ("means", "quats", "scales", "sh0", "shN") for file in meta.files.get(key, ())]
    for name in {names[0], *meta.files.get("shN", ())[:1]}:
        budget.debit(sizes[name][0] * sizes[name][1] * PIXEL_BYTES, "SOG textures")
    return ordered_map(lambda name: decode_texture(data[name], name, sizes[name]), names)


def _blocks(count: int) -> Iterator[slice]:
    return (slice(i, min(i + ROWS, count)) for i in range(0, count, ROWS))


def _geometry(meta: Meta, textures: Iterator[Bytes], arrays: Arrays) -> None:
    """Positions, rotations and scales."""
    low, high = next(textures), next(textures)
    ends = meta.tables["means"].astype(np.float64)
    for axis in range(3):
        spread = ends[0, axis] + (ends[1, axis] - ends[0, axis]) * (np.arange(65536) / 65535)
        with np.errstate(over="ignore"):
            table = (np.sign(spread) * np.expm1(np.abs(spread))).astype(np.float32)
        for rows in _blocks(meta.count):
            arrays["means"][rows, axis] = table[low[rows, axis] | high[rows, axis].astype(np.uint16) << np.uint16(8)]
    pixels = next(textures)
    component = ((np.arange(256) / 255 - 0.5) * np.sqrt(2)).astype(np.float32)
    for rows in _blocks(meta.count):
        three = component[pixels[rows, :3]]
        which = pixels[rows, 3].astype(np.int64) - 252
        quats = restore_largest(np.maximum(which, 0).astype(np.uint32), (three[:, 0], three[:, 1], three[:, 2]))
        quats[which < 0] = (1, 0, 0, 0)
        arrays["quats"][rows] = quats
    _spread(next(textures), meta, "scales", arrays["scales"])


def _spread(pixels: Bytes, meta: Meta, key: str, out: FloatArray) -> None:
    """Write the numbers that the first channels of pixels stand for to ``out`` (N, channels)."""
    for channel in range(out.shape[1]):
        table = _levels(meta, key, channel)
        for rows in _blocks(len(out)):
            out[rows, channel] = table[pixels[rows, channel]]


def _levels(meta: Meta, key: str, channel: int) -> FloatArray:
    """Return what each byte of a channel stands for, float32 (256,)."""
    table = meta.tables[key]
    if meta.version == 2:
        return table
    low, high = (np.float64(end) for end in table[:, min(channel, table.shape[1] - 1)])
    return np.asarray(low + (high - low) * (np.arange(256) / 255), np.float32)


def _colours(meta: Meta, textures: Iterator[Bytes], arrays: Arrays) -> None:
    """Colour and opacity: alpha in version 2, its logit in version 1."""
    pixels = next(textures)
    _spread(pixels, meta, "sh0", arrays["sh0"][:, 0])
    logits = logit_table() if meta.version == 2 else _levels(meta, "sh0", 3)
    arrays["opacities"][:] = logits[pixels[: meta.count, 3]]


def _sh(meta: Meta, textures: Iterator[Bytes], entries: int, budget: Limits, out: FloatArray) -> None:
    """The palette, and the entry of each Gaussian."""
    centroids, labels = next(textures), next(textures)
    k = out.shape[1]
    budget.debit(entries * k * 12, f"SOG palette of {entries:,}")
    levels = np.ascontiguousarray(_levels(meta, "shN", 0))
    palette = levels[centroids.reshape(-1, k, 4)[:entries, :, :3]]
    for rows in _blocks(meta.count):
        label: NDArray[np.int64] = labels[rows, 0].astype(np.int64) | labels[rows, 1].astype(np.int64) << 8
        if int(label.max()) >= entries:
            raise CorruptError(f"SOG labels up to {int(label.max()):,}, the palette has {entries:,} entries.")
        out[rows] = palette[label]
