"""Points to begin with, from a point cloud (PLY), a COLMAP model, or a scene of any format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import UsageError
from splatpack.formats.detect import detect
from splatpack.formats.files import open_regular
from splatpack.formats.plydata import blocks, check_counts
from splatpack.formats.plyheader import read_header
from splatpack.limits import Limits
from splatpack.pack.api import read
from splatpack.scene.gaussians import C0, Gaussians
from splatpack.train.data.colmap import read_points3d

Points = tuple[NDArray[np.float32], NDArray[np.float32] | None]


def read_points(path: Path, limits: Limits) -> Points:
    """Read positions, and colours where there are any. Safe on untrusted input.

    Parameters
    ----------
    path : path
        A PLY with x, y, z (and red, green, blue), a COLMAP ``points3D.bin`` or ``points3D.txt``, or any scene of
        Gaussians, whose means and base colours are taken.

    Returns
    -------
    points : float32 (P, 3)
        Rows that are not finite are left out.
    colors : float32 (P, 3) or None
        From 0 to 1.

    Raises
    ------
    UsageError
        There is no point in it.
    CorruptError, UnsupportedError, LimitError, StorageError
        As the file deserves.
    """
    found = read_start(path, limits)
    if isinstance(found, Gaussians):
        return found.means, np.clip(0.5 + np.float32(C0) * found.sh0[:, 0], 0, 1)
    return found


def read_start(path: Path, limits: Limits) -> Points | Gaussians:
    """Read what :func:`read_points` reads; a scene of Gaussians as it is.

    Raises
    ------
    UsageError, CorruptError, UnsupportedError, LimitError, StorageError
        As :func:`read_points`.
    """
    if path.name in ("points3D.bin", "points3D.txt"):
        return _finite(path, *read_points3d(path, limits))
    cloud = _cloud(path, limits) if detect(path) == "ply" else None
    return read(path, limits=limits) if cloud is None else _finite(path, *cloud)


def _finite(path: Path, points: NDArray[np.float32], colors: NDArray[np.float32] | None) -> Points:
    good = np.isfinite(points).all(axis=1)
    if not good.any():
        raise UsageError(f"{path}: no finite points, expected at least 1.")
    if good.all():
        return points, colors
    return points[good], None if colors is None else colors[good]


def _cloud(path: Path, limits: Limits) -> Points | None:
    """Return the points of a PLY; None where it is a scene of Gaussians."""
    with open_regular(path) as (file, size):
        header = read_header(file)
        vertex = header.element("vertex")
        columns = {} if vertex is None else {p.name: k for k, p in enumerate(vertex.properties) if not p.count_code}
        if vertex is None or not {"x", "y", "z"} <= set(columns) or "opacity" in columns:
            return None
        check_counts(header, size)
        limits.start(size).debit(vertex.count * 24, f"{path}: {vertex.count:,} points")
        coloured = {"red", "green", "blue"} <= set(columns)
        values = np.empty((vertex.count, 6 if coloured else 3), np.float32)
        wanted = [columns[name] for name in ("x", "y", "z", "red", "green", "blue")[: values.shape[1]]]
        for start, block in blocks(file, header, vertex, size):
            with np.errstate(over="ignore"):
                values[start : start + len(block[0])] = np.stack([block[k] for k in wanted], axis=1)
    if not coloured:
        return values, None
    top = 255.0 if vertex.properties[columns["red"]].code == "u1" else 1.0
    return np.ascontiguousarray(values[:, :3]), np.clip(np.nan_to_num(values[:, 3:] / np.float32(top)), 0, 1)
