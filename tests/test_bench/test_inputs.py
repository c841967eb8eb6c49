from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import splatpack
from splatpack.bench.inputs import inputs
from splatpack.bench.scenes import NAME
from splatpack.errors import StorageError, UsageError
from splatpack.formats.ply import write_ply
from tests import synth


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    scene = synth.scene(500, degree=0, seed=1)
    coarse = replace(scene, sh0=np.round(scene.sh0 * 50).astype(np.float32) / np.float32(50))
    write_ply(tmp_path / "large.ply", scene)
    write_ply(tmp_path / "coarse.ply", coarse.take(slice(0, 400)))
    splatpack.write(tmp_path / "packed.spk", scene, preset="small", refine=0)
    (tmp_path / "notes.txt").write_text("no scene")
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_a_folder_gives_what_can_be_read_small_files_first(folder: Path) -> None:
    found = inputs([str(folder)])
    assert [one.name for one in found] == ["packed", "coarse", "large"]


def test_quantised_scenes_become_float_and_say_so(folder: Path) -> None:
    (coarse,) = inputs([str(folder / "coarse.ply")])
    assert len(np.unique(coarse.load().sh0)) > 1000
    assert coarse.facts == {"read_as": "ply", "dequantised": ["sh0"]}
    (same,) = inputs([str(folder / "coarse.ply")], as_is=True)
    assert len(np.unique(same.load().sh0)) < 600
    assert same.facts["dequantised"] == []
    (large,) = inputs([str(folder / "large.ply")])
    assert np.array_equal(large.load().sh0, splatpack.read(folder / "large.ply").sh0)


def test_a_scene_in_parts_is_one(folder: Path) -> None:
    """Each part leaves the grid of its own file, and a pattern finds them in the order of their names."""
    (one,) = inputs([f"whole={folder}/*.ply"])
    whole = one.load()
    assert one.name == "whole"
    assert len(whole) == 900
    assert one.facts == {"read_as": "ply", "dequantised": ["sh0"]}
    assert np.array_equal(whole.means[400:], splatpack.read(folder / "large.ply").means)
    for bad in (f"none={folder}/*.none", f"={folder}/*.ply"):
        with pytest.raises(StorageError, match="no file matches"):
            inputs([bad])


def test_without_a_path(folder: Path) -> None:
    (one,) = inputs([])
    assert one.name == NAME
    assert len(one.load()) == 20_000


def test_errors(folder: Path) -> None:
    with pytest.raises(StorageError, match=r"none\.ply"):
        inputs([str(folder / "none.ply")])
    with pytest.raises(UsageError, match="no scene in this folder"):
        inputs([str(folder / "empty")])
    with pytest.raises(UsageError, match="two scenes are called 'coarse'"):
        inputs([str(folder / "coarse.ply"), str(folder)])
