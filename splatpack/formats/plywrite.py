"""Writing Gaussians as PLY: Inria's canonical order, little-endian, in blocks."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import StorageError, UnsupportedError
from splatpack.formats.losses import Losses
from splatpack.formats.plylayout import NORMALS
from splatpack.scene.gaussians import Gaussians
from splatpack.scene.transform import change_frame

BLOCK_BYTES = 512 << 10
_NAMES = {"i1": "char", "u1": "uchar", "i2": "short", "u2": "ushort", "i4": "int", "u4": "uint", "f4": "float"}
_NAME = re.compile(r"[!-~]{1,200}")


def write_ply(target: str | os.PathLike[str] | BinaryIO, scene: Gaussians) -> int:
    """Write ``scene`` as PLY and return the count of bytes written.

    Parameters
    ----------
    target : path-like or binary file
        A file object is written from where it stands and left open. A path is overwritten in place: callers who need
        the old file to survive a failure give a temporary file and rename it.
    scene : Gaussians
        See :func:`ply_blocks`.

    Raises
    ------
    UnsupportedError
        PLY has no type for an extra column, or no way to spell its name.
    StorageError
        The path cannot be written.
    """
    if not isinstance(target, (str, os.PathLike)):
        return sum(target.write(block) for block in ply_blocks(scene))
    try:
        with Path(target).open("wb") as file:
            return write_ply(file, scene)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"{os.fspath(target)}: {error.strerror or error}. Check the path and the space.") from error


def save_ply(file: BinaryIO, scene: Gaussians, losses: Losses, *, frame: str) -> None:
    """Write ``scene`` as PLY in ``frame``, as the registry asks for it; nothing is lost."""
    del losses
    file.writelines(ply_blocks(scene, frame))


def ply_blocks(scene: Gaussians, frame: str | None = None) -> Iterator[bytes]:
    """Yield the bytes of ``scene`` as a PLY file: the header, then rows in blocks of about half a MiB.

    Canonical order (x y z nx ny nz f_dc f_rest opacity scale rot, then the extra columns by name), all little-endian.
    Normals are zero unless the extra columns ``nx, ny, nz`` (float32) are there. A column (N, k) becomes ``name_0``,
    ``name_1``... PLY is by convention ``rdf`` or, with a comment, ``z_up``: scenes in ``rub`` and ``luf`` are turned to
    ``rdf`` (or whatever ``frame`` says) block by block, scenes of unknown frame are written as they are.

    Raises
    ------
    UnsupportedError
        PLY has no type for an extra column, or no way to spell its name.
    """
    columns = _columns(scene)
    row = np.dtype([(name, "<" + code) for name, code, _, _ in columns])
    goal = frame or ("z_up" if scene.frame == "z_up" else "rdf")
    yield _header(scene, columns, goal)
    step = max(1, BLOCK_BYTES // row.itemsize)
    buffer = np.zeros(min(step, len(scene)), row)
    turn = scene.frame not in (goal, "unknown")
    for start in range(0, len(scene), step):
        part = scene.take(slice(start, start + step)) if turn else scene
        arrays = _arrays(change_frame(part, goal) if turn else scene)
        rows = min(step, len(scene) - start)
        first = 0 if turn else start
        for name, _, source, j in columns:
            if source:
                buffer[name][:rows] = arrays[source][first : first + rows, j]
        yield buffer[:rows].tobytes()


def _arrays(scene: Gaussians) -> dict[str, NDArray[Any]]:
    """Return every attribute and extra column as (N, width)."""
    n = len(scene)
    arrays = {name: getattr(scene, name).reshape(n, -1) for name in ("means", "scales", "quats", "opacities", "sh0")}
    arrays["shN"] = scene.shN.reshape(n, 3 * scene.shN.shape[1])
    arrays |= {f"extra:{name}": column.reshape(n, -1) if n else column for name, column in scene.extras.items()}
    return arrays


def _columns(scene: Gaussians) -> list[tuple[str, str, str, int]]:
    """List (property, type code, source array or nothing, its column) in file order."""
    k = scene.shN.shape[1]
    normals = all(n in scene.extras and scene.extras[n].dtype == np.float32 for n in NORMALS)
    columns = [(axis, "f4", "means", i) for i, axis in enumerate("xyz")]
    columns += [(n, "f4", f"extra:{n}" if normals else "", 0) for n in NORMALS]
    columns += [(f"f_dc_{c}", "f4", "sh0", c) for c in range(3)]
    columns += [(f"f_rest_{c * k + j}", "f4", "shN", j * 3 + c) for c in range(3) for j in range(k)]
    columns += [("opacity", "f4", "opacities", 0)]
    columns += [(f"scale_{i}", "f4", "scales", i) for i in range(3)]
    columns += [(f"rot_{i}", "f4", "quats", i) for i in range(4)]
    for name in sorted(scene.extras):
        if not (normals and name in NORMALS):
            columns += _extra(name, scene.extras[name])
    seen: set[str] = set()
    for name, *_ in columns:
        if name in seen or not _NAME.fullmatch(name):
            raise UnsupportedError(
                f"extra column {name[:60]!r}: PLY needs printable, unspaced, unique names. Rename it."
            )
        seen.add(name)
    return columns


def _extra(name: str, column: NDArray[Any]) -> list[tuple[str, str, str, int]]:
    """Return the entries of an extra column; 64-bit integers that fit are written as 32-bit ones."""
    code = column.dtype.str[1:]
    if code in ("i8", "u8"):
        kind = np.dtype(code[0] + "4")
        info = np.iinfo(kind)
        if len(column) and not (column.min() >= info.min and column.max() <= info.max):
            raise UnsupportedError(f"extra column {name!r}: 64-bit values, PLY holds at most 32. Drop the column.")
        code = kind.str[1:]
    if code not in _NAMES:
        raise UnsupportedError(f"extra column {name!r} of type {column.dtype}: PLY has no such type. Drop the column.")
    if column.ndim == 1:
        return [(name, code, f"extra:{name}", 0)]
    return [(f"{name}_{j}", code, f"extra:{name}", j) for j in range(column.shape[1])]


def _header(scene: Gaussians, columns: list[tuple[str, str, str, int]], frame: str) -> bytes:
    lines = opening_lines(scene, frame)
    lines.append(f"element vertex {len(scene)}")
    lines += [f"property {_NAMES[code]} {name}" for name, code, _, _ in columns]
    return "\n".join([*lines, "end_header", ""]).encode("ascii")


def opening_lines(scene: Gaussians, frame: str) -> list[str]:
    """Return the first lines of a header: the format, and the comments that carry a scene's flags."""
    version = sys.modules["splatpack"].__version__  # loaded already; an import statement would point up the floors
    lines = ["ply", "format binary_little_endian 1.0", f"comment Generated by splatpack {version}"]
    if scene.antialiased or scene.surfels:
        lines.append(f"comment SplatRenderMode: {'2dgs' if scene.surfels else 'mip'}")
    if scene.antialiased and scene.surfels:
        lines.append("comment antialiased 1")
    if frame == "z_up":
        lines.append("comment Vertical Axis: z")
    return lines
