"""PlayCanvas streamed SOG: writing a scene and coarser versions of it as chunks under one tree."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import UnsupportedError, UsageError
from splatpack.formats.blocks import ROWS
from splatpack.formats.detect import FOLDER_FILE, LOD_FILE
from splatpack.formats.lodmeta import MAX_LEVELS, node_fields
from splatpack.formats.losses import Losses
from splatpack.formats.morton import morton_order
from splatpack.formats.sogpalette import Progress
from splatpack.formats.sogwrite import sog_parts
from splatpack.scene.gaussians import FloatArray, Gaussians
from splatpack.scene.transform import change_frame

CHUNK = 512 << 10
"""Gaussians at which a chunk is full, of the reference."""
EXTENT = 16.0
"""Side of a leaf at most, scene units, of the reference."""
SMALLEST = 8 << 10
"""Gaussians of a leaf that is not cut any further, however large it is."""

Index = NDArray[np.int64]


def write_streamed_sog(
    folder: Path, scene: Gaussians, losses: Losses, *, frame: str, levels: Sequence[Gaussians] = (),
    palette: int | None = None, chunk: int = CHUNK, progress: Progress | None = None,
) -> None:  # fmt: skip
    """Write ``scene`` as level 0 and ``levels`` as 1, 2, ... to an empty folder.

    A k-d tree over all centres cuts them into leaves; the Gaussians of a leaf are a run of a chunk of each level.
    Memory: the columns of one chunk, as :func:`splatpack.formats.sogwrite.write_sog` needs it; the whole scene once
    more where it is turned.

    Parameters
    ----------
    folder : Path
        Is there, and is empty.
    scene : Gaussians
    losses : Losses
    frame : str
        The frame to turn to.
    levels : sequence of Gaussians
        From fine to coarse, in the frame and of the SH degree of ``scene``.
    palette : int, optional
        Entries of the SH palette of a chunk. Default: as many as the reference takes.
    chunk : int
        Gaussians at which a chunk is full.
    progress : callable, optional
        Called as ``(stage, done, total)``.

    Raises
    ------
    UnsupportedError
        The scene or a level is empty.
    UsageError
        The levels do not fit the scene, or a setting is out of range.
    InvalidSceneError
        The scene holds NaN.
    """
    parts = [replace(part, extras={}) for part in (scene, *levels)]
    if chunk < 1 or len(parts) > MAX_LEVELS:
        raise UsageError(f"chunks of {chunk:,} and {len(parts):,} levels, expected 1 or more and 1 to {MAX_LEVELS}.")
    if not all(len(part) for part in parts):
        raise UnsupportedError("0 Gaussians in a level: streamed SOG cannot hold it, expected at least 1.")
    if any((part.sh_degree, part.frame) != (scene.sh_degree, scene.frame) for part in parts):
        raise UsageError("levels of another SH degree or frame than the scene, expected the same.")
    if scene.frame not in (frame, "unknown"):
        parts = [change_frame(part, frame) for part in parts]
    plan = _Plan(parts, chunk)
    total = sum(len(each) for each in plan.chunks)
    done = 0
    for level, chunks in enumerate(plan.chunks):
        counted = losses if level == 0 else Losses(len(parts[level]))
        for i, rows in enumerate(chunks):
            inner = folder / f"{level}_{i}"
            inner.mkdir()
            part = parts[level].take(np.concatenate(rows))
            order = np.arange(len(part))
            for name, data in sog_parts(part, counted, frame, palette, None, order):
                (inner / name).write_bytes(data)
            done += 1
            if progress:
                progress("chunks", done, total)
    text = json.dumps(plan.fields(), separators=(",", ":"), allow_nan=False)
    (folder / LOD_FILE).write_text(text)


class _Plan:
    """The tree, and the rows of each chunk of each level: ``chunks[level][i]`` is a list of runs."""

    def __init__(self, parts: list[Gaussians], chunk: int) -> None:
        self.parts, self.chunk = parts, chunk
        self.starts = np.cumsum([0, *(len(part) for part in parts)])
        self.centres = np.concatenate([part.means for part in parts])
        self.reach = np.concatenate([_reach(part) for part in parts])
        self.chunks: list[list[list[Index]]] = [[] for _ in parts]
        self.room = [0] * len(parts)
        self.files: list[str] = []
        self.tree = self._node(np.arange(len(self.centres)))

    def fields(self) -> dict[str, Any]:
        """Return the index for JSON."""
        counts = [len(part) for part in self.parts]
        return {
            "version": 1, "asset": {"generator": "splatpack"}, "count": sum(counts), "counts": counts,
            "lodLevels": len(counts), "lodErrors": False,
            "filenames": [f"{name}/{FOLDER_FILE}" for name in self.files], "tree": self.tree,
        }  # fmt: skip

    def _node(self, rows: Index) -> dict[str, Any]:
        """Cut rows in half along their longest side until they are a leaf."""
        centres = self.centres[rows]
        side = np.ptp(centres, axis=0)
        small = len(rows) <= min(SMALLEST, self.chunk)
        if small or (len(rows) <= self.chunk and side.max() <= EXTENT) or not side.max() > 0:
            return self._leaf(rows)
        order = np.argpartition(centres[:, side.argmax()], len(rows) // 2)
        children = [self._node(rows[half]) for half in np.array_split(order, [len(rows) // 2])]
        bounds = [child["bound"] for child in children]
        ends = tuple(f([b[key] for b in bounds], axis=0) for f, key in ((np.min, "min"), (np.max, "max")))
        return node_fields((ends[0], ends[1]), children=children)

    def _leaf(self, rows: Index) -> dict[str, Any]:
        """Give each level's rows of a leaf a run in the chunk of that level that is being filled."""
        lods: dict[str, Any] = {}
        for level, start in enumerate(self.starts[:-1]):
            mine = rows[(rows >= start) & (rows < self.starts[level + 1])] - start
            if len(mine):
                mine = mine[morton_order(self.parts[level].means[mine])]
                lods[str(level)] = self._place(level, mine)
        low, high = self.centres[rows] - self.reach[rows], self.centres[rows] + self.reach[rows]
        return node_fields((low.min(axis=0), high.max(axis=0)), lods=lods)

    def _place(self, level: int, rows: Index) -> dict[str, int]:
        if self.room[level] <= 0:
            self.files.append(f"{level}_{len(self.chunks[level])}")
            self.chunks[level].append([])
            self.room[level] = self.chunk
        name = f"{level}_{len(self.chunks[level]) - 1}"
        run = {"file": self.files.index(name), "offset": self.chunk - self.room[level], "count": len(rows)}
        self.chunks[level][-1].append(rows)
        self.room[level] -= len(rows)
        return run


def _reach(scene: Gaussians) -> FloatArray:
    """Return half the sides of the box around the box of one standard deviation of each Gaussian, float32 (N, 3)."""
    out = np.empty((len(scene), 3), np.float32)
    for i in range(0, len(scene), ROWS):
        w, x, y, z = scene.quats[i : i + ROWS].astype(np.float64).T
        norm = np.maximum(w * w + x * x + y * y + z * z, 1e-30)
        turn = np.abs(
            [
                [norm - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), norm - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), norm - 2 * (x * x + y * y)],
            ]
        )
        sides = np.exp(np.clip(scene.scales[i : i + ROWS].astype(np.float64), -30, 30))
        out[i : i + ROWS] = np.einsum("abn,nb->na", turn / norm, sides)
    return out
