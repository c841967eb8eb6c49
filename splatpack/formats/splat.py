"""antimatter15's ``.splat``: rows of 32 bytes and nothing else.

Layout: ``antimatter15/splat``, ``main.js`` and ``convert.py`` (MIT). A row is float32 x, y, z, then
the scales, linear; u8 red, green, blue, alpha; u8 rotation (w, x, y, z) as ``q * 128 + 128``. No magic, no SH.
"""

from __future__ import annotations

import os
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import CorruptError, TruncatedError
from splatpack.formats.blocks import (
    ROWS,
    alpha_u8,
    dc_table,
    empty_scene_arrays,
    logit_table,
    read_rows,
    row_bytes,
    rows_outside,
    to_u8,
    turned,
    unit_quats,
)
from splatpack.formats.files import open_regular
from splatpack.formats.losses import Losses
from splatpack.limits import Limits
from splatpack.scene.gaussians import C0, Gaussians

ROW = np.dtype([("means", "<f4", 3), ("scales", "<f4", 3), ("rgb", "u1", 3), ("alpha", "u1"), ("rot", "u1", 4)])


def read_splat(path: str | os.PathLike[str], *, limits: Limits | None = None, normalise: bool = True) -> Gaussians:
    """Read a ``.splat`` file. Safe on untrusted input.

    Memory: the columns once, and a buffer of a quarter MiB.

    Parameters
    ----------
    path : path-like
        A regular file.
    limits : Limits, optional
        What the file may make us allocate. Default: ``Limits()``.
    normalise : bool
        Make the quats unit length. False leaves the 8-bit values, which are up to 1 % off.

    Returns
    -------
    Gaussians
        In frame ``rdf``, SH degree 0. A scale that is not positive has no logarithm: zero becomes -inf, less becomes
        NaN, for :func:`splatpack.scene.validate.validate` to find.

    Raises
    ------
    TruncatedError
        The size is no multiple of 32 bytes.
    CorruptError
        The file is empty.
    LimitError, StorageError
        Too large for ``limits``; cannot be read.
    """
    limits = limits or Limits()
    with open_regular(path) as (file, size):
        if size % ROW.itemsize:
            raise TruncatedError(
                f".splat: {size:,} bytes, expected a multiple of {ROW.itemsize}. The file is cut off, or is none."
            )
        n = size // ROW.itemsize
        if n == 0:
            raise CorruptError(".splat: 0 bytes, expected rows of 32.")
        budget = limits.start(size)
        budget.count(n, limits.gaussians, ".splat rows")
        budget.debit(n * row_bytes(0), f".splat scene of {n:,} Gaussians")
        arrays = empty_scene_arrays(n, 0)
        buffer = np.empty(min(n, ROWS), ROW)
        logits, dc = logit_table(), dc_table()
        for start in range(0, n, ROWS):
            rows = buffer[: min(ROWS, n - start)]
            part = slice(start, start + len(rows))
            read_rows(file, rows, ".splat")
            arrays["means"][part] = rows["means"]
            with np.errstate(divide="ignore", invalid="ignore"):
                np.log(rows["scales"], out=arrays["scales"][part])
            arrays["opacities"][part] = logits[rows["alpha"]]
            arrays["sh0"][part, 0] = dc[rows["rgb"]]
            quats = (rows["rot"].astype(np.float32) - np.float32(128)) / np.float32(128)
            arrays["quats"][part] = unit_quats(quats) if normalise else quats
    return Gaussians(**arrays, frame="rdf", metadata={"source": {"format": "splat"}})


def write_splat(file: BinaryIO, scene: Gaussians, losses: Losses, *, frame: str) -> None:
    """Write ``scene`` as ``.splat``, the most visible Gaussians first: viewers draw while they load.

    Positions and scales stay float32. Colours beyond 0..1, which ``sh0`` may hold, are clamped and counted.

    Parameters
    ----------
    file : binary file
        Is written from where it stands, and left open.
    scene : Gaussians
        Of SH degree 0 and without extra columns: anything else is not written.
    losses : Losses
    frame : str
        The frame to turn to.

    Raises
    ------
    InvalidSceneError
        The scene holds NaN.
    """
    for _, part in turned(scene, frame, by_visibility(scene)):
        rows = np.empty(len(part), ROW)
        rows["means"] = part.means
        with np.errstate(over="ignore"):
            rows["scales"] = np.exp(part.scales)
        rgb = np.float32(255.0) * (np.float32(0.5) + np.float32(C0) * part.sh0[:, 0])
        losses.count("colour beyond 0..1, clamped", rows_outside(rgb, -0.5, 255.5))
        rows["rgb"] = to_u8(rgb)
        rows["alpha"] = alpha_u8(part.opacities)
        rows["rot"] = to_u8(np.float32(128.0) * (part.quats + np.float32(1.0)))
        file.write(rows.tobytes())


def by_visibility(scene: Gaussians) -> NDArray[np.int64]:
    """Return indices by falling ``exp(s0 + s1 + s2) * alpha``, ties in the order of the scene."""
    with np.errstate(over="ignore", invalid="ignore"):
        x, y, z = scene.scales.T
        weight = x + y + z - np.logaddexp(np.float32(0.0), -scene.opacities)
    return np.argsort(-weight, kind="stable")
