"""antimatter15's ``.splatv``: a moving scene as a texture; one frame of it is read, a still scene is written.

Layout: ``antimatter15/splaTV``, ``hybrid.js`` (MIT). u32 0x674b, u32 length of a JSON list, the list, the texture: 64
bytes a Gaussian, 1024 of them a row, the last row filled up with zeros. Motion is that of Spacetime Gaussians (see
``motion``), with a width in time that is no logarithm; colour is plain rgb.
"""

from __future__ import annotations

import json
import os
import struct
from typing import Any, BinaryIO

import numpy as np

from splatpack.errors import CorruptError, TruncatedError, UnsupportedError
from splatpack.formats.blocks import (
    ROWS,
    alpha_u8,
    dc_table,
    empty_scene_arrays,
    read_rows,
    row_bytes,
    rows_outside,
    to_u8,
    turned,
)
from splatpack.formats.files import open_regular
from splatpack.formats.losses import Losses
from splatpack.formats.motion import Moment
from splatpack.limits import Limits
from splatpack.scene.gaussians import C0, Gaussians
from splatpack.scene.validate import normalise_quats

MAGIC = 0x674B
MAX_JSON = 1 << 20
WIDTH, ROW_SPLATS = 4096, 1024
SCALE_LOW, SCALE_HIGH = float(np.log(2.0**-24)), float(np.log(65504.0))
ALWAYS = 65504.0
"""Width in time of what does not move: the largest float16."""

ROW = np.dtype(
    [
        ("means", "<f4", 3), ("quats", "<f2", 4), ("scales", "<f2", 4), ("rgb", "u1", 3), ("alpha", "u1"),
        ("motion", "<f2", 10), ("omega", "<f2", 4), ("centre", "<f2"), ("width", "<f2"),
    ]
)  # fmt: skip


def read_splatv(
    path: str | os.PathLike[str], *, limits: Limits | None = None, normalise: bool = True, time: float = 0.0
) -> Gaussians:
    """Read one frame of a ``.splatv`` file. Safe on untrusted input.

    Memory: the columns once, and a buffer of half a MiB.

    Parameters
    ----------
    path : path-like
        A regular file.
    limits : Limits, optional
        What the file may make us allocate. Default: ``Limits()``.
    normalise : bool
        Make the quats unit length, as the viewer does.
    time : float
        When, in the file's own unit: 0 to 1 from the first frame to the last by convention.

    Returns
    -------
    Gaussians
        In frame ``rdf``, SH degree 0: those that can be seen at that time. ``notes`` say that it is one frame.

    Raises
    ------
    CorruptError, TruncatedError
        The JSON or the sizes are not those of the format.
    UnsupportedError
        More than one texture.
    UsageError
        The time is no finite number.
    LimitError, StorageError
        Too large for ``limits``; cannot be read.
    """
    limits = limits or Limits()
    with open_regular(path) as (file, size):
        budget = limits.start(size)
        n = _count(file, size)
        budget.count(n, limits.gaussians, ".splatv texels / 4")
        budget.debit(n * row_bytes(0), f".splatv scene of {n:,} Gaussians")
        arrays = empty_scene_arrays(n, 0)
        buffer = np.empty(min(n, ROWS), ROW)
        total, kept, moving = 0, 0, False
        for start in range(0, n, ROWS):
            rows = buffer[: min(ROWS, n - start)]
            read_rows(file, rows, ".splatv texture")
            rows = rows[rows["scales"][:, :3].any(axis=1)]
            total += len(rows)
            moving = moving or bool(rows["motion"].any() or rows["omega"].any())
            kept = _frame(rows, time, arrays, kept)
    part = {name: array[:kept].copy() if kept < n else array for name, array in arrays.items()}
    if normalise:
        normalise_quats(part["quats"])
    source: dict[str, Any] = {"format": "splatv", "time": float(time)}
    if kept < total or moving:
        source["notes"] = [f"a moving scene: the {kept:,} of {total:,} Gaussians that are seen at time {time:g}."]
    return Gaussians(**part, frame="rdf", metadata={"source": source})


def _count(file: BinaryIO, size: int) -> int:
    """Check everything before the texture; return how many Gaussians it has room for."""
    head = file.read(8)
    if len(head) < 8:
        raise TruncatedError(f".splatv: {len(head)} bytes, expected a header of 8.")
    magic, length = struct.unpack("<II", head)
    if magic != MAGIC or length > min(MAX_JSON, size - 8):
        raise CorruptError(
            f".splatv: magic {magic:#x} and {length:,} bytes of JSON, expected {MAGIC:#x} and that room."
        )
    try:
        chunks = json.loads(file.read(length))
    except (ValueError, RecursionError) as error:
        raise CorruptError(f".splatv: no valid JSON ({str(error)[:80]}).") from None
    if not isinstance(chunks, list) or not all(isinstance(c, dict) for c in chunks) or not chunks:
        raise CorruptError(".splatv: the JSON is no list of objects.")
    if len(chunks) != 1 or chunks[0].get("type") != "splat":
        raise UnsupportedError(f".splatv: {len(chunks)} chunks, this version reads one of type 'splat'.")
    stored = [chunks[0].get(key) for key in ("size", "texwidth", "texheight")]
    texture = size - 8 - length
    if (
        not all(isinstance(v, int) and v >= 0 for v in stored)
        or stored[0] != texture
        or stored[1] * stored[2] * 16 != texture
    ):
        raise TruncatedError(f".splatv: a texture of {str(stored)[:80]}, the file has {texture:,} bytes of it.")
    if texture == 0 or texture % ROW.itemsize:
        raise CorruptError(f".splatv: a texture of {texture:,} bytes, expected rows of {ROW.itemsize}.")
    return int(texture // ROW.itemsize)


def _frame(rows: np.ndarray[Any, np.dtype[np.void]], time: float, arrays: dict[str, Any], at: int) -> int:
    """Write what is seen at ``time`` to the columns from row ``at`` on; return where it ends."""
    moment = Moment.of(rows["centre"].astype(np.float32), rows["width"].astype(np.float32), time)
    rows = rows[moment.seen]
    part = slice(at, at + len(rows))
    with np.errstate(all="ignore"):  # float16 holds infinities and NaN, which validate() finds
        arrays["means"][part] = moment.means(rows["means"], rows["motion"].astype(np.float32))
        arrays["quats"][part] = moment.quats(rows["quats"].astype(np.float32), rows["omega"].astype(np.float32))
        arrays["scales"][part] = np.log(rows["scales"][:, :3].astype(np.float32))
        arrays["opacities"][part] = moment.logits(rows["alpha"] / np.float64(255))
        arrays["sh0"][part, 0] = dc_table()[rows["rgb"]]
    return at + len(rows)


def write_splatv(file: BinaryIO, scene: Gaussians, losses: Losses, *, frame: str) -> None:
    """Write a still scene as ``.splatv``: seen at all times, moving at none.

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
    UnsupportedError
        The scene is empty.
    InvalidSceneError
        The scene holds NaN.
    """
    if not len(scene):
        raise UnsupportedError("0 Gaussians: .splatv cannot hold an empty scene, expected at least 1.")
    height = -(-len(scene) // ROW_SPLATS)
    size = height * WIDTH * 16
    text = json.dumps([{"type": "splat", "size": size, "texwidth": WIDTH, "texheight": height, "cameras": []}])
    file.write(struct.pack("<II", MAGIC, len(text)) + text.encode())
    for _, part in turned(scene, frame):
        rows = np.zeros(len(part), ROW)
        rows["means"], rows["quats"] = part.means, part.quats
        losses.count("log-scale beyond float16, clamped", rows_outside(part.scales, SCALE_LOW, SCALE_HIGH))
        rows["scales"][:, :3] = np.exp(np.clip(part.scales, SCALE_LOW, SCALE_HIGH))
        rgb = np.float32(255.0) * (np.float32(0.5) + np.float32(C0) * part.sh0[:, 0])
        losses.count("colour beyond 0..1, clamped", rows_outside(rgb, -0.5, 255.5))
        rows["rgb"], rows["alpha"] = to_u8(rgb), alpha_u8(part.opacities)
        rows["centre"], rows["width"] = 0.5, ALWAYS
        file.write(rows.tobytes())
    file.write(bytes(size - len(scene) * ROW.itemsize))
