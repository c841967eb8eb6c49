"""PLY files of Gaussians, in every variant that trainers and tools write: streaming, bounded, exact.

Layout: ``graphdeco-inria/gaussian-splatting``, ``scene/gaussian_model.py``. Domains are ours already: scales are logs,
opacities logits, rotations (w, x, y, z) of any length. ``f_rest`` is channel-major.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.formats.files import open_regular
from splatpack.formats.plydata import Columns, blocks, check_counts
from splatpack.formats.plyheader import Header, read_header
from splatpack.formats.plylayout import Layout, plan
from splatpack.formats.plywrite import ply_blocks, save_ply, write_ply
from splatpack.limits import Limits
from splatpack.scene.gaussians import C0, Gaussians
from splatpack.scene.validate import normalise_quats

__all__ = ["ply_blocks", "read_ply", "save_ply", "write_ply"]

FLAT = float(np.log(1e-6))
"""What is added to a surfel's larger log-scale to make its third one: flat, yet finite."""

_WIDTH = {"means": 3, "scales": 3, "quats": 4, "opacities": 1, "sh0": 3}


def read_ply(
    path: str | os.PathLike[str], *, limits: Limits | None = None, normalise: bool = True, moving: bool = False
) -> Gaussians:
    """Read a PLY file of Gaussians. Safe on untrusted input.

    Memory: the columns once, and a buffer of half a MiB.

    Parameters
    ----------
    path : path-like
        A regular file; ASCII, little-endian or big-endian.
    limits : Limits, optional
        What the file may make us allocate. Default: ``Limits()``.
    normalise : bool
        Make the quats unit length (those within 1e-6 of it stay as they are, zero ones are left to ``validate``) and
        drop ``nx, ny, nz``, which no renderer uses. False keeps quats bit for bit and the normals as extra columns.
    moving : bool
        Take the columns of Spacetime Gaussians as extra ones; else such a file is refused.

    Returns
    -------
    Gaussians
        In frame ``rdf``, or ``z_up`` where a comment says ``Vertical Axis: z`` (nerfstudio). Integer colours become
        ``sh0``; a scene of two scales (2DGS) gets a flat third one and the flag ``surfels``; unknown properties stay as
        extra columns. Values are not checked: see :func:`splatpack.scene.validate.validate`.

    Raises
    ------
    CorruptError, TruncatedError
        The file breaks a rule of the format, or its counts do not fit its size.
    UnsupportedError
        The file holds something else than Gaussians, or a variant that this version does not read.
    LimitError
        The file asks for more memory or Gaussians than ``limits`` has.
    StorageError
        The file cannot be read.
    """
    limits = limits or Limits()
    with open_regular(path) as (file, size):
        budget = limits.start(size)
        header = read_header(file)
        vertex, layout = plan(header, keep_normals=not normalise, moving=moving)
        check_counts(header, size)
        budget.count(vertex.count, limits.gaussians, "PLY element 'vertex'")
        budget.debit(vertex.count * layout.row_bytes, f"PLY scene of {vertex.count:,} Gaussians")
        arrays = _allocate(layout, vertex.count)
        for start, columns in blocks(file, header, vertex, size):
            stop = start + len(columns[0])
            part = {name: array[start:stop] for name, array in arrays.items()}
            _scatter(part, columns, layout)
            _finish(part, layout, normalise)
    return _assemble(arrays, header, layout)


def _allocate(layout: Layout, n: int) -> dict[str, NDArray[Any]]:
    """Allocate the columns, each as (N, width)."""
    arrays: dict[str, NDArray[Any]] = {name: np.empty((n, width), np.float32) for name, width in _WIDTH.items()}
    arrays["shN"] = np.empty((n, 3 * layout.coefficients), np.float32)
    for name, dtype in layout.extras.items():
        arrays[f"extra:{name}"] = np.empty((n, 1), dtype)
    return arrays


def _scatter(part: dict[str, NDArray[Any]], columns: Columns, layout: Layout) -> None:
    """Copy a block of properties to their columns; a double beyond float32 becomes infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        for slot in layout.slots:
            part[slot.target][:, slot.column] = columns[slot.property]


def _finish(part: dict[str, NDArray[Any]], layout: Layout, normalise: bool) -> None:
    """Derive what the variant does not store: a third scale, SH constants; make the quats unit length."""
    with np.errstate(invalid="ignore", over="ignore"):
        if layout.two_scales:
            np.add(np.maximum(part["scales"][:, 0], part["scales"][:, 1]), np.float32(FLAT), out=part["scales"][:, 2])
        if layout.colour_scale is not None:
            part["sh0"][:] = (part["sh0"] / np.float32(layout.colour_scale) - np.float32(0.5)) / np.float32(C0)
    if normalise:
        normalise_quats(part["quats"])


def _assemble(arrays: dict[str, NDArray[Any]], header: Header, layout: Layout) -> Gaussians:
    n = len(arrays["means"])
    return Gaussians(
        means=arrays["means"],
        scales=arrays["scales"],
        quats=arrays["quats"],
        opacities=arrays["opacities"].reshape(n),
        sh0=arrays["sh0"].reshape(n, 1, 3),
        shN=arrays["shN"].reshape(n, layout.coefficients, 3),
        extras={name: arrays[f"extra:{name}"].reshape(n) for name in layout.extras},
        frame="z_up" if layout.z_up else "rdf",
        antialiased=layout.antialiased,
        surfels=layout.surfels,
        metadata={"source": {"format": "ply", "comments": [c[:200] for c in header.comments[:16]]}},
    )
