"""Scenes to measure: files of any readable format, all those of a folder, or a procedural one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from splatpack.bench.dequantise import GRIDS, dequantise
from splatpack.bench.jury import Input
from splatpack.bench.scenes import NAME, procedural
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
        Files and folders; none stands for the procedural scene.
    as_is : bool
        Leave quantised scenes as they are (see :mod:`splatpack.bench.dequantise`).
    limits : Limits or None
        Of each read.

    Raises
    ------
    StorageError
        There is no such file.
    UsageError
        A folder holds nothing that can be read, or two scenes have the same name.
    """
    if not paths:
        return [Input(NAME, procedural)]
    files = [f for p in paths for f in _files(Path(p))]
    names = [f.stem if f.suffix else f.name for f in files]
    double = {n for n in names if names.count(n) > 1}
    if double:
        raise UsageError(f"two scenes are called {sorted(double)[0]!r}, expected different names. Rename one.")
    return [_input(n, f, as_is, limits) for n, f in zip(names, files, strict=True)]


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


def _input(name: str, path: Path, as_is: bool, limits: Limits | None) -> Input:
    one = Input(name, lambda: _load(one, path, as_is, limits))
    return one


def _load(one: Input, path: Path, as_is: bool, limits: Limits | None) -> Gaussians:
    source = detect(path)
    scene = read(path, limits=limits)
    changed: tuple[str, ...] = ()
    if not as_is:
        scene, changed = dequantise(scene, grid=GRIDS.get(source))
    one.facts.update(read_as=source, dequantised=list(changed))
    return scene
