"""PlayCanvas compressed PLY: reading. Writing is in ``compressedplywrite``.

Layout: ``playcanvas/splat-transform``, ``decompress-ply.ts`` (MIT). Element ``chunk`` holds bounds for each 256
Gaussians, ``vertex`` four packed words a Gaussian, ``sh`` one byte a coefficient; it may be absent or empty.
"""

from __future__ import annotations

import os
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import CorruptError, TruncatedError, UnsupportedError
from splatpack.formats.blocks import empty_scene_arrays, logit_table, read_rows, row_bytes
from splatpack.formats.compressedplywrite import CHUNK, write_compressed_ply
from splatpack.formats.files import open_regular
from splatpack.formats.plyheader import Element, Header, read_header
from splatpack.formats.plylayout import comment_flags
from splatpack.formats.quats import restore_largest
from splatpack.limits import Limits
from splatpack.scene.gaussians import C0, SH_COEFFICIENTS, FloatArray, Gaussians
from splatpack.scene.validate import normalise_quats

__all__ = ["read_compressed_ply", "write_compressed_ply"]

_ROWS = 32 * CHUNK
_SHIFTS = tuple(np.uint32(s) for s in (20, 10, 0))
_WORDS = ("packed_position", "packed_rotation", "packed_scale", "packed_color")
_XYZ, _SCALE, _RGB = ("x", "y", "z"), ("scale_x", "scale_y", "scale_z"), ("r", "g", "b")
_GROUPS = (_XYZ, _SCALE, _RGB)
Bounds = dict[str, tuple[FloatArray, FloatArray]]


def read_compressed_ply(
    path: str | os.PathLike[str], *, limits: Limits | None = None, normalise: bool = True
) -> Gaussians:
    """Read a PlayCanvas compressed PLY. Safe on untrusted input.

    Memory: the columns once, the bounds of the chunks, and a buffer of 8192 rows.

    Parameters
    ----------
    path : path-like
        A regular file.
    limits : Limits, optional
        What the file may make us allocate. Default: ``Limits()``.
    normalise : bool
        Make the quats unit length. False leaves them as decoded, which is unit length up to rounding.

    Returns
    -------
    Gaussians
        In frame ``rdf``, or ``z_up`` where a comment says so. Old files without colour bounds have colours in 0..1.

    Raises
    ------
    CorruptError, TruncatedError
        The elements contradict each other or do not tile the file, or bounds are not finite or upside down.
    UnsupportedError
        The elements are of other types than this layout has.
    LimitError, StorageError
        Too large for ``limits``; cannot be read.
    """
    limits = limits or Limits()
    with open_regular(path) as (file, size):
        budget = limits.start(size)
        header = read_header(file)
        places = _places(header, size)
        chunk, vertex, sh = _checked_elements(header)
        n, coefficients = vertex.count, len(sh.properties) // 3
        budget.count(n, limits.gaussians, "compressed PLY element 'vertex'")
        degree = SH_COEFFICIENTS.index(coefficients)
        budget.debit(n * row_bytes(degree) + 144 * chunk.count, f"compressed PLY scene of {n:,} Gaussians")
        arrays = empty_scene_arrays(n, degree)
        file.seek(places["chunk"])
        bounds = _bounds(file, chunk)
        file.seek(places["vertex"])
        _read_vertices(file, vertex, bounds, arrays)
        if coefficients:
            file.seek(places["sh"])
            _read_sh(file, sh, arrays["shN"])
    if normalise:
        normalise_quats(arrays["quats"])
    antialiased, surfels, z_up = comment_flags(header.comments)
    source = {"format": "compressed-ply", "comments": [c[:200] for c in header.comments[:16]]}
    return Gaussians(
        **arrays, frame="z_up" if z_up else "rdf", antialiased=antialiased, surfels=surfels,
        metadata={"source": source},
    )  # fmt: skip


def _places(header: Header, size: int) -> dict[str, int]:
    """Return where each element starts; the elements tile the file."""
    if header.encoding != "binary_little_endian":
        raise UnsupportedError(f"compressed PLY in {header.encoding}, expected binary_little_endian.")
    places, offset = {}, header.size
    for e in header.elements:
        if e.has_lists:
            raise UnsupportedError(f"compressed PLY element {e.name[:40]!r} has lists, expected scalars.")
        places[e.name] = offset
        offset += e.count * e.row_size
    if offset > size:
        raise TruncatedError(f"compressed PLY: the elements end at byte {offset:,}, the file has {size:,}.")
    if offset < size:
        raise CorruptError(f"compressed PLY: {size - offset:,} bytes after the last row, expected the end of the file.")
    return places


def _checked_elements(header: Header) -> tuple[Element, Element, Element]:
    """Return ``chunk``, ``vertex`` and ``sh``; the last has no properties where the scene has no SH."""
    chunk, vertex, sh = (header.element(name) for name in ("chunk", "vertex", "sh"))
    if chunk is None or vertex is None:
        raise CorruptError("compressed PLY without elements 'chunk' and 'vertex'.")
    _require(vertex, _WORDS, "u4")
    _require(chunk, [name for group in _GROUPS for name in _names(group)], "f4", optional=_names(_RGB))
    if chunk.count != -(-vertex.count // CHUNK):
        raise CorruptError(
            f"compressed PLY: {chunk.count:,} chunks for {vertex.count:,} vertices, expected "
            f"{-(-vertex.count // CHUNK):,} ({CHUNK} vertices each)."
        )
    if sh is None or not sh.properties:
        return chunk, vertex, Element("sh", vertex.count)
    count = len(sh.properties)
    if count % 3 or count // 3 not in SH_COEFFICIENTS:
        raise CorruptError(f"compressed PLY element 'sh' has {count} properties, expected 9, 24 or 45.")
    _require(sh, [f"f_rest_{i}" for i in range(count)], "u1")
    if sh.count != vertex.count:
        raise CorruptError(f"compressed PLY: {sh.count:,} rows of 'sh' for {vertex.count:,} vertices.")
    return chunk, vertex, sh


def _names(group: tuple[str, ...]) -> list[str]:
    return [f"{end}_{name}" for end in ("min", "max") for name in group]


def _require(element: Element, names: Any, code: str, optional: Any = ()) -> None:
    """Refuse an element that lacks a property or has it in another type."""
    found = {p.name: p.code for p in element.properties}
    for name in names:
        if name not in found and name not in optional:
            raise CorruptError(f"compressed PLY element {element.name!r} has no {name}.")
        if found.get(name, code) != code:
            raise UnsupportedError(f"compressed PLY {name}: type {found[name]}, expected {code}.")


def _dtype(element: Element) -> np.dtype[np.void]:
    return np.dtype([(p.name, "<" + p.code) for p in element.properties])


def _bounds(file: BinaryIO, element: Element) -> Bounds:
    """Return the lower and upper bounds (chunks, 3) of positions, scales and colours."""
    rows = np.empty(element.count, _dtype(element))
    read_rows(file, rows, "compressed PLY chunks")
    out: Bounds = {}
    for key, group in zip(("means", "scales", "rgb"), _GROUPS, strict=True):
        names = _names(group)
        if not set(names) <= set(rows.dtype.names or ()):
            out[key] = (np.zeros((len(rows), 3), np.float32), np.ones((len(rows), 3), np.float32))
            continue
        low, high = (np.stack([rows[n] for n in names[i : i + 3]], axis=1) for i in (0, 3))
        with np.errstate(invalid="ignore"):
            bad = ~(np.isfinite(low) & np.isfinite(high) & (low <= high)).all(axis=1)
        if bad.any():
            raise CorruptError(
                f"compressed PLY chunk {int(bad.argmax()):,}: bounds of {key} are not finite or upside down."
            )
        out[key] = (low, high)
    return out


def _read_vertices(file: BinaryIO, element: Element, bounds: Bounds, arrays: dict[str, Any]) -> None:
    """Unpack the words, block by block."""
    buffer = np.empty(min(_ROWS, element.count), _dtype(element))
    logits = logit_table()
    for start in range(0, element.count, _ROWS):
        rows = buffer[: min(_ROWS, element.count - start)]
        read_rows(file, rows, "compressed PLY vertices")
        part = slice(start, start + len(rows))
        chunk = (start + np.arange(len(rows))) // CHUNK
        position, rotation, scale, colour = (np.ascontiguousarray(rows[name]) for name in _WORDS)
        _lerp(_unpack_11_10_11(position), bounds["means"], chunk, arrays["means"][part])
        _lerp(_unpack_11_10_11(scale), bounds["scales"], chunk, arrays["scales"][part])
        rgb = np.stack([(colour >> s & 255).astype(np.float32) / np.float32(255) for s in (24, 16, 8)], axis=1)
        sh0 = arrays["sh0"][part, 0]
        _lerp(rgb, bounds["rgb"], chunk, sh0)
        sh0 -= np.float32(0.5)
        sh0 /= np.float32(C0)
        arrays["opacities"][part] = logits[colour & 255]
        a, b, c = ((_fraction(rotation >> s, 10) - np.float32(0.5)) * np.float32(2**0.5) for s in _SHIFTS)
        arrays["quats"][part] = restore_largest(rotation >> np.uint32(30), (a, b, c))


def _fraction(words: NDArray[np.uint32], bits: int) -> FloatArray:
    mask = (1 << bits) - 1
    return np.asarray((words & np.uint32(mask)).astype(np.float32) / np.float32(mask))


def _unpack_11_10_11(words: NDArray[np.uint32]) -> FloatArray:
    return np.stack(
        [_fraction(words >> np.uint32(21), 11), _fraction(words >> np.uint32(11), 10), _fraction(words, 11)], axis=1
    )


def _lerp(t: FloatArray, bounds: tuple[FloatArray, FloatArray], chunk: NDArray[np.int64], out: FloatArray) -> None:
    low, high = (b[chunk] for b in bounds)
    with np.errstate(over="ignore"):
        np.add(low * (np.float32(1) - t), high * t, out=out)


def _read_sh(file: BinaryIO, element: Element, out: FloatArray) -> None:
    """Bytes to coefficients: 0 and 255 are the ends of +-4, all others the middle of a step. Channel-major."""
    table = ((np.clip(np.arange(256) + 0.5, 0.5, 255.5) / 256 - 0.5) * 8).astype(np.float32)
    table[0], table[255] = -4.0, 4.0
    k = out.shape[1]
    order = {p.name: i for i, p in enumerate(element.properties)}
    columns = [order[f"f_rest_{i}"] for i in range(3 * k)]
    plain = columns == list(range(3 * k))
    buffer = np.empty((min(_ROWS, element.count), 3 * k), np.uint8)
    for start in range(0, element.count, _ROWS):
        rows = buffer[: min(_ROWS, element.count - start)]
        read_rows(file, rows, "compressed PLY SH")
        values = table[rows if plain else rows[:, columns]]
        out[start : start + len(rows)] = values.reshape(-1, 3, k).transpose(0, 2, 1)
