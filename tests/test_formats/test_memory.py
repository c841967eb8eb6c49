"""Reading takes the columns, the file at most, and little more; writing never copies the scene whole."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from splatpack.formats.registry import read_scene, write_scene
from tests import synth
from tests.test_formats.test_ksplat import build, small

COUNT = 60_000
SLACK = 8 << 20
"""Blocks, tables, and modules that are imported on the way."""

KINDS: dict[str, dict[str, Any]] = {
    ".ply": {}, ".splat": {}, ".compressed.ply": {}, "2.spz": {"version": 2}, "3.spz": {"version": 3},
    "4.spz": {"version": 4}, ".glb": {},
}  # fmt: skip


def peak(call: Callable[[], object]) -> int:
    tracemalloc.start()
    call()
    top = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return top


@pytest.mark.parametrize("kind", KINDS)
def test_reading_and_writing(tmp_path: Path, kind: str) -> None:
    scene, path = synth.scene(COUNT), tmp_path / f"scene{kind}"

    def write() -> None:
        with path.open("wb") as file:
            write_scene(file, scene, kind, **KINDS[kind])

    top = peak(write)
    size = path.stat().st_size
    packed = 240 if kind == ".glb" else 2 * 65
    assert top < packed * COUNT + SLACK  # packed streams, twice at most; of floats once
    columns = read_scene(path).nbytes
    assert peak(lambda: read_scene(path)) < 2 * columns + size + SLACK


def test_ksplat(tmp_path: Path) -> None:
    path, scene = tmp_path / "scene.ksplat", small(2, 20_000)
    path.write_bytes(build(scene, 2, 2))
    assert peak(lambda: read_scene(path)) < 2 * scene.nbytes + path.stat().st_size


def test_sog(tmp_path: Path) -> None:
    """SH are held once more, in the order of the file; rows, textures and samples for codebooks come on top."""
    scene, path = synth.scene(COUNT), tmp_path / "scene.sog"

    def write() -> None:
        with path.open("wb") as file:
            write_scene(file, scene, ".sog", palette=256)

    assert peak(write) < 2 * scene.nbytes + 2 * SLACK
    columns = read_scene(path).nbytes
    assert peak(lambda: read_scene(path)) < 2 * columns + path.stat().st_size + SLACK
