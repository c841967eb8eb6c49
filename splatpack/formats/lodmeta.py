"""The index of streamed SOG, ``lod-meta.json``: chunks, and a tree whose leaves have runs in them, checked.

Layout: ``playcanvas/developer-site``, ``streamed-sog.md``, and ``playcanvas/splat-transform``, ``write-lod.ts`` (MIT).
Files from before version 1 have no counts.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any

from splatpack.errors import CorruptError, UnsupportedError
from splatpack.formats.fields import Fields, integer, objects, parse_object, whole

MAX_BYTES = 64 << 20
MAX_LEVELS, MAX_DEPTH, MAX_NODES, MAX_FILES = 64, 256, 1_000_000, 100_000

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True)
class Run:
    """Gaussians ``offset`` to ``offset + count`` of a chunk, which is number ``file`` of the names."""

    file: int
    offset: int
    count: int


@dataclass(frozen=True)
class LodMeta:
    """What the index says.

    Attributes
    ----------
    levels : int
        Level 0 is the finest.
    counts : list of int or None
        Gaussians of each level.
    environment : PurePosixPath or None
        A scene around the levels, which is always drawn.
    files : list of PurePosixPath
        The ``meta.json`` of each chunk, inside the folder.
    leaves : list of dict of int to Run
        The runs of each leaf by level: at least one.
    """

    levels: int
    counts: list[int] | None
    environment: PurePosixPath | None
    files: list[PurePosixPath]
    leaves: list[dict[int, Run]]

    def runs(self, level: int) -> list[Run]:
        """Return what is shown at ``level``: of each leaf the nearest level that it has, of two the finer."""
        return [leaf[min(leaf, key=lambda has: (abs(has - level), has))] for leaf in self.leaves]


def parse_lod_meta(data: bytes, name: str) -> LodMeta:
    """Read and check an index. Safe on untrusted input: the caller has bounded its size.

    Raises
    ------
    CorruptError
        It is no JSON; a field is missing or has another type or range; runs overlap or do not add up to the counts.
    UnsupportedError
        A future version.
    """
    meta = parse_object(data, name)
    version = meta.get("version", 1)
    if version != 1:
        raise UnsupportedError(f"{name}: streamed SOG version {str(version)[:20]}, this version reads 1.")
    levels = integer(meta, "lodLevels", name)
    if not 1 <= levels <= MAX_LEVELS:
        raise CorruptError(f"{name}: {levels:,} levels, expected 1 to {MAX_LEVELS}.")
    names = meta.get("filenames")
    if not isinstance(names, list) or not 0 < len(names) <= MAX_FILES:
        raise CorruptError(f"{name}: filenames {str(names)[:40]}, expected a list of 1 to {MAX_FILES:,}.")
    files = [_inner_path(each, name) for each in names]
    if len(set(files)) < len(files):
        raise CorruptError(f"{name}: one file for two chunks.")
    environment = None if meta.get("environment") is None else _inner_path(meta["environment"], name)
    if environment in files:
        raise CorruptError(f"{name}: {environment} is both a chunk and the surroundings.")
    leaves = _leaves(meta.get("tree"), levels, len(files), name)
    _check_disjoint(leaves, name)
    return LodMeta(levels, _counts(meta.get("counts"), leaves, levels, name), environment, files, leaves)


def _inner_path(value: object, name: str) -> PurePosixPath:
    parts = value.split("/") if isinstance(value, str) else []
    if not 1 <= len(parts) <= 8 or not all(_PART.fullmatch(part) for part in parts):
        raise CorruptError(f"{name}: file {str(value)[:60]!r}, expected a plain path inside the folder.")
    return PurePosixPath(*parts)


def _leaves(tree: object, levels: int, files: int, name: str) -> list[dict[int, Run]]:
    """Return the leaves in the order of the tree."""
    if not isinstance(tree, dict):
        raise CorruptError(f"{name}: tree {str(tree)[:40]}, expected an object.")
    leaves, seen, stack = [], 0, [(tree, 0)]
    while stack:
        node, depth = stack.pop()
        seen += 1
        if seen > MAX_NODES or depth > MAX_DEPTH:
            raise CorruptError(f"{name}: a tree of over {MAX_NODES:,} nodes or deeper than {MAX_DEPTH}.")
        if "children" in node:
            children = objects(node, "children", f"{name} tree")
            stack += [(child, depth + 1) for child in reversed(children)]
        else:
            leaves.append(_leaf(node.get("lods"), levels, files, name))
    return [leaf for leaf in leaves if leaf]


def _leaf(lods: object, levels: int, files: int, name: str) -> dict[int, Run]:
    if not isinstance(lods, dict):
        raise CorruptError(f"{name}: a leaf with lods {str(lods)[:40]}, expected an object.")
    return dict(_run(key, value, levels, files, name) for key, value in lods.items())


def _run(key: str, value: Any, levels: int, files: int, name: str) -> tuple[int, Run]:
    level = int(key) if key.isascii() and key.isdecimal() and len(key) <= 2 else levels
    if level >= levels or not isinstance(value, dict):
        raise CorruptError(f"{name}: level {key[:20]!r} of {levels} with {str(value)[:40]}.")
    run = Run(*(integer(value, field, f"{name} level {level}") for field in ("file", "offset", "count")))
    if run.file >= files:
        raise CorruptError(f"{name}: file {run.file}, expected one of {files}.")
    return level, run


def _check_disjoint(leaves: list[dict[int, Run]], name: str) -> None:
    """No Gaussian is in two runs, and a chunk holds one level."""
    by_file: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for leaf in leaves:
        for level, run in leaf.items():
            by_file[run.file].append((run.offset, run.count, level))
    for file, runs in by_file.items():
        runs.sort()
        if any(a[0] + a[1] > b[0] or a[2] != b[2] for a, b in pairwise(runs)):
            raise CorruptError(f"{name}: runs of file {file} overlap, or are of several levels.")


def _counts(value: object, leaves: list[dict[int, Run]], levels: int, name: str) -> list[int] | None:
    """Return the counts of levels, if the file has them and they are those of the runs."""
    if value is None:
        return None
    found = [sum(leaf[level].count for leaf in leaves if level in leaf) for level in range(levels)]
    if not isinstance(value, list) or not all(whole(v) for v in value) or value != found:
        raise CorruptError(f"{name}: counts {str(value)[:60]}, the runs have {str(found)[:60]}.")
    return found


def node_fields(bound: tuple[Any, Any], **rest: Any) -> Fields:
    """Return a node of the tree for JSON: numbers of 7 digits, as float32 has."""
    low, high = ([float(f"{v:.7g}") for v in end] for end in bound)
    return {"bound": {"min": low, "max": high}, **rest}
