"""PlayCanvas streamed SOG, a folder of SOG chunks in levels of detail: reading. Writing is in ``streamedsogwrite``."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

from splatpack.errors import CorruptError, UnsupportedError, UsageError
from splatpack.formats.blocks import empty_scene_arrays, row_bytes
from splatpack.formats.detect import LOD_FILE
from splatpack.formats.files import open_regular
from splatpack.formats.lodmeta import MAX_BYTES, LodMeta, Run, parse_lod_meta
from splatpack.formats.sog import read_parts
from splatpack.formats.soglayout import read_meta
from splatpack.formats.sogparts import open_parts
from splatpack.formats.streamedsogwrite import write_streamed_sog
from splatpack.limits import Limits
from splatpack.scene.gaussians import ATTRIBUTES, SH_COEFFICIENTS, Gaussians

__all__ = ["read_streamed_sog", "write_streamed_sog"]


def read_streamed_sog(
    path: str | os.PathLike[str], *, limits: Limits | None = None, normalise: bool = True, level: int | None = None
) -> Gaussians:
    """Read one level of a streamed SOG. Safe on untrusted input: only files inside its folder are opened.

    Memory: the columns once, and one chunk.

    Parameters
    ----------
    path : path-like
        The folder, or its ``lod-meta.json``.
    limits : Limits, optional
        What the files may make us allocate. Default: ``Limits()``.
    normalise : bool
        Make the quats unit length.
    level : int, optional
        0 is the finest, and the default. Where a leaf lacks it, the nearest that it has is taken.

    Returns
    -------
    Gaussians
        In frame ``rdf``, with the surroundings, if the file has any, at the end.

    Raises
    ------
    CorruptError, TruncatedError
        The index breaks a rule, or contradicts a chunk; a chunk is damaged.
    UsageError
        There is no such level.
    UnsupportedError
        A future version.
    LimitError, StorageError
        Too large for ``limits``; a file is missing or cannot be read.
    """
    limits = limits or Limits()
    path = Path(path) / LOD_FILE if os.path.isdir(path) else Path(path)
    with open_regular(path) as (file, size):
        if size > MAX_BYTES:
            raise CorruptError(f"{path.name}: {size:,} bytes, expected at most {MAX_BYTES:,}.")
        meta = parse_lod_meta(file.read(size), path.name)
    if level is not None and not 0 <= level < meta.levels:
        raise UsageError(f"{path}: level {level}, expected 0 to {meta.levels - 1}.")
    runs: dict[Path, list[Run] | None] = {}
    for number, each in _by_file(meta.runs(level or 0)).items():
        runs[path.parent / meta.files[number]] = each
    if meta.environment is not None:
        runs[path.parent / meta.environment] = None
    if not runs:
        raise UnsupportedError(f"{path}: no Gaussians in any leaf, expected a scene.")
    scene = _read_runs(runs, size, limits, normalise)
    source: dict[str, Any] = {"format": "streamed-sog", "level": level or 0, "levels": meta.levels}
    notes = _notes(meta, level or 0)
    return replace(scene, metadata={"source": source | ({"notes": notes} if notes else {})})


def _by_file(runs: list[Run]) -> dict[int, list[Run]]:
    files: dict[int, list[Run]] = defaultdict(list)
    for run in runs:
        if run.count:
            files[run.file].append(run)
    return files


def _read_runs(runs: dict[Path, list[Run] | None], size: int, limits: Limits, normalise: bool) -> Gaussians:
    """Read chunks one after the other into columns that were allocated once; a chunk without runs is read whole."""
    degree, stored, count = 0, size, 0
    for path, wanted in runs.items():
        with open_parts(path) as parts:
            meta = read_meta(parts, path.name)
            stored += parts.stored(file for files in meta.files.values() for file in files)
        if meta.degree < 0:
            raise UnsupportedError(f"{path.parent.name}: a chunk of SOG version 1 with SH, expected version 2.")
        for run in wanted or ():
            if run.offset + run.count > meta.count:
                raise CorruptError(
                    f"{path.parent.name}: a run of {run.offset:,} to {run.offset + run.count:,}, the chunk has "
                    f"{meta.count:,} Gaussians."
                )
        degree = max(degree, meta.degree)
        count += meta.count if wanted is None else sum(run.count for run in wanted)
    budget = limits.start(stored)
    budget.count(count, limits.gaussians, "streamed SOG")
    budget.debit(count * row_bytes(degree), f"streamed SOG of {count:,} Gaussians")
    arrays, at, smooth = empty_scene_arrays(count, degree), 0, False
    arrays["shN"][:] = 0
    for path, wanted in runs.items():
        with open_parts(path) as parts:
            chunk = read_parts(parts, limits, path.name, normalise=normalise)
        smooth = smooth or chunk.antialiased
        for run in [Run(0, 0, len(chunk))] if wanted is None else wanted:
            _copy(chunk, run, arrays, at)
            at += run.count
    return Gaussians(**arrays, frame="rdf", antialiased=smooth)


def _copy(chunk: Gaussians, run: Run, arrays: dict[str, Any], at: int) -> None:
    rows, to = slice(run.offset, run.offset + run.count), slice(at, at + run.count)
    for name in ATTRIBUTES[:-1]:
        arrays[name][to] = getattr(chunk, name)[rows]
    arrays["shN"][to, : SH_COEFFICIENTS[chunk.sh_degree]] = chunk.shN[rows]


def _notes(meta: LodMeta, level: int) -> list[str]:
    lacking = sum(level not in leaf for leaf in meta.leaves)
    said = [f"level {level} of {meta.levels}: the others left out."] if meta.levels > 1 else []
    if lacking:
        said.append(f"{lacking:,} of {len(meta.leaves):,} leaves have no level {level}: the nearest was taken.")
    return said
