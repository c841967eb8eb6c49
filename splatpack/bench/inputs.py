"""Scenes to measure: files of any readable format, all those of a folder, scenes in parts, or a procedural one."""

from __future__ import annotations

from collections.abc import Sequence
from glob import glob
from pathlib import Path

from splatpack.bench.dequantise import GRIDS, dequantise
from splatpack.bench.jury import Input
from splatpack.bench.scenes import NAME, procedural
from splatpack.edit.merging import merge
from splatpack.errors import StorageError, UsageError
from splatpack.formats.detect import detect
from splatpack.formats.registry import FORMATS
from splatpack.limits import Limits
from splatpack.pack.api import read
from splatpack.scene.gaussians import Gaussians


def inputs(paths: Sequence[str], *, as_is: bool = False, limits: Limits | None = None) -> list[Input]:
    """Return the scenes, small files first within a folder; they are read when their turn comes.

    Parameters
    ----------
    paths : sequence of str
        Files and folders; ``NAME=PATTERN`` is one scene, called NAME, in as many files as the shell pattern finds. None
        stands for the procedural scene.
    as_is : bool
        Leave quantised scenes as they are (see :mod:`splatpack.bench.dequantise`).
    limits : Limits or None
        Of each read.

    Raises
    ------
    StorageError
        There is no such file, or none that a pattern finds.
    UsageError
        A folder holds nothing that can be read, or two scenes have the same name.
    """
    if not paths:
        return [Input(NAME, procedural)]
    scenes = [one for path in paths for one in _scenes(path)]
    names = [name for name, _ in scenes]
    double = {n for n in names if names.count(n) > 1}
    if double:
        raise UsageError(f"two scenes are called {sorted(double)[0]!r}, expected different names. Rename one.")
    return [_input(name, parts, as_is, limits) for name, parts in scenes]


def _scenes(path: str) -> list[tuple[str, list[Path]]]:
    """Name and files of each scene that an argument stands for."""
    name, parts, pattern = path.partition("=")
    if not parts or Path(path).exists():
        return [(f.stem if f.suffix else f.name, [f]) for f in _files(Path(path))]
    found = sorted(Path(p) for p in glob(pattern))
    if not name or not found:
        raise StorageError(f"{path}: no file matches {pattern!r}. Check the pattern; NAME=PATTERN needs both.")
    return [(name, found)]


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        if not path.exists():
            raise StorageError(f"{path}: No such file or directory. Check the path.")
        return [path]
    found = [p for p in path.iterdir() if p.is_file() and _readable(p)]
    if not found:
        raise UsageError(f"{path}: no scene in this folder, expected files that splatpack reads.")
    return sorted(found, key=lambda p: (p.stat().st_size, p.name))


def _readable(path: Path) -> bool:
    found = detect(path)
    entry = FORMATS.get(found)
    return found == "spk" or (entry is not None and entry.reader is not None)


def _input(name: str, parts: Sequence[Path], as_is: bool, limits: Limits | None) -> Input:
    one = Input(name, lambda: _load(one, parts, as_is, limits))
    return one


def _load(one: Input, parts: Sequence[Path], as_is: bool, limits: Limits | None) -> Gaussians:
    """Read all parts, each taken off the grid of its own file, as one scene."""
    scenes: list[Gaussians] = []
    changed: set[str] = set()
    for path in parts:
        scene = read(path, limits=limits)
        if not as_is:
            scene, columns = dequantise(scene, grid=GRIDS.get(detect(path)))
            changed.update(columns)
        scenes.append(scene)
    one.facts.update(read_as=detect(parts[0]), dequantised=sorted(changed))
    return merge(scenes)
