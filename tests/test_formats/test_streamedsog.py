"""Streamed SOG: what we write is read level by level; indices that lie, loop, or point at nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splatpack.errors import (
    CorruptError,
    InvalidSceneError,
    LimitError,
    SplatpackError,
    StorageError,
    UnsupportedError,
    UsageError,
)
from splatpack.formats.detect import detect
from splatpack.formats.lodmeta import parse_lod_meta
from splatpack.formats.registry import read_scene, write_folder
from splatpack.limits import Limits
from splatpack.render.compare import compare
from splatpack.scene.gaussians import Gaussians, concatenate
from splatpack.scene.transform import change_frame
from splatpack.scene.validate import validate
from tests import synth
from tests.test_formats import test_sog
from tests.test_formats.closeness import covariances

Tree = dict[str, Any]


def save(folder: Path, scene: Gaussians, **settings: Any) -> list[str]:
    folder.mkdir()
    return write_folder(folder, scene, "lod-meta", **settings)


def index_of(folder: Path) -> Tree:
    found: Tree = json.loads((folder / "lod-meta.json").read_text())
    return found


def leaves_of(node: Tree) -> list[Tree]:
    return [leaf for child in node["children"] for leaf in leaves_of(child)] if "children" in node else [node]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three levels in several chunks."""
    scene = synth.scene(1200, 1, seed=4)
    folder = tmp_path_factory.mktemp("lod") / "scene"
    coarse = [scene.take(slice(0, None, 4)), scene.take(slice(0, None, 30))]
    assert save(folder, scene, levels=coarse, chunk=300, palette=64) == []
    return folder


def test_levels(written: Path) -> None:
    scene = synth.scene(1200, 1, seed=4)
    assert detect(written) == detect(written / "lod-meta.json") == "lod-meta"
    for level, step in enumerate((1, 4, 30)):
        found = read_scene(written, level=level)
        want = scene.take(slice(0, None, step))
        assert (len(found), found.frame, found.sh_degree) == (len(want), "rdf", 1)
        assert found.metadata["source"]["level"] == level
        near = np.abs(found.means[:, None] - want.means[None]).max(axis=2).argmin(axis=1)
        assert len(set(near.tolist())) == len(want)
        assert np.abs(found.means - want.means[near]).max() < 1e-3
        assert compare(want, found).psnr_mean > 30
    assert (read_scene(written / "lod-meta.json").means == read_scene(written).means).all()


def test_leaves_cover_their_gaussians_and_tile_the_chunks(written: Path) -> None:
    meta = index_of(written)
    assert meta["counts"] == [1200, 300, 40]
    assert (meta["version"], meta["lodLevels"], meta["count"]) == (1, 3, 1540)
    chunks = {name: read_scene((written / name).parent) for name in meta["filenames"]}
    runs: dict[int, list[tuple[int, int]]] = {}
    for leaf in leaves_of(meta["tree"]):
        low, high = (np.array(leaf["bound"][key]) for key in ("min", "max"))
        for level, run in leaf["lods"].items():
            assert meta["filenames"][run["file"]].startswith(f"{level}_")
            rows = slice(run["offset"], run["offset"] + run["count"])
            means = chunks[meta["filenames"][run["file"]]].means[rows]
            assert (means > low - 2e-3).all()
            assert (means < high + 2e-3).all()
            runs.setdefault(run["file"], []).append((run["offset"], run["count"]))
    for file, name in enumerate(meta["filenames"]):
        ends = np.cumsum([0, *(count for _, count in sorted(runs[file]))])
        assert [offset for offset, _ in sorted(runs[file])] == ends[:-1].tolist()
        assert ends[-1] == len(chunks[name])
    root = meta["tree"]["bound"]
    sigma = np.sqrt(np.einsum("nii->ni", covariances(synth.scene(1200, 1, seed=4))))
    assert (np.array(root["max"]) >= (synth.scene(1200, 1, seed=4).means + sigma).max(axis=0) - 1e-4).all()


def test_frames_flags_and_losses(tmp_path: Path) -> None:
    scene = replace(synth.scene(300, 1), antialiased=True)
    tagged = replace(scene, extras={"label": np.zeros(300, np.int32)})
    said = save(tmp_path / "a", tagged, palette=16, levels=[tagged.take(slice(0, 9))])
    assert said == ["extra columns left out, PlayCanvas streamed SOG has none: label."]
    save(tmp_path / "b", change_frame(scene, "rub"), palette=16)
    a, b = read_scene(tmp_path / "a"), read_scene(tmp_path / "b")
    assert a.antialiased
    assert sorted(a.means[:, 1]) == pytest.approx(sorted(b.means[:, 1]), abs=1e-3)
    assert b.metadata["source"] == {"format": "streamed-sog", "level": 0, "levels": 1}


def test_the_surroundings_are_drawn_with_every_level(written: Path, tmp_path: Path) -> None:
    folder = tmp_path / "scene"
    shutil.copytree(written, folder)
    around = synth.scene(20, 0, seed=9)
    (folder / "env").mkdir()
    write_folder(folder / "env", around, "sog-folder")
    meta = index_of(folder) | {"environment": "env/meta.json"}
    (folder / "lod-meta.json").write_text(json.dumps(meta))
    for level, count in ((0, 1220), (2, 60)):
        found = read_scene(folder, level=level)
        assert len(found) == count
        assert (found.shN[-20:] == 0).all()
        assert (found.means[-20:] == read_scene(folder / "env").means).all()


def test_a_leaf_without_a_level_shows_the_nearest(written: Path, tmp_path: Path) -> None:
    folder = tmp_path / "scene"
    shutil.copytree(written, folder)
    meta = index_of(folder)
    del meta["version"], meta["counts"], meta["count"]  # as before version 1
    leaf = leaves_of(meta["tree"])[0]
    run = leaf["lods"].pop("2")
    (folder / "lod-meta.json").write_text(json.dumps(meta))
    found = read_scene(folder, level=2)
    assert len(found) == 40 - run["count"] + leaf["lods"]["1"]["count"]
    assert "1 of " in found.metadata["source"]["notes"][1]


def test_what_cannot_be_written(tmp_path: Path) -> None:
    scene = synth.scene(20, 1)
    with pytest.raises(UnsupportedError, match="0 Gaussians"):
        save(tmp_path / "a", scene, levels=[synth.scene(0, 1)])
    with pytest.raises(UsageError, match="another SH degree or frame"):
        save(tmp_path / "b", scene, levels=[synth.scene(9, 2)])
    with pytest.raises(UsageError, match="another SH degree or frame"):
        save(tmp_path / "c", scene, levels=[change_frame(scene, "rub")])
    with pytest.raises(UsageError, match="chunks of 0"):
        save(tmp_path / "d", scene, chunk=0)
    scene.means[0] = np.nan
    with pytest.raises(InvalidSceneError):
        save(tmp_path / "e", scene)


def test_all_in_one_place_is_one_leaf(tmp_path: Path) -> None:
    scene = replace(synth.scene(40, 0), means=np.ones((40, 3), np.float32))
    save(tmp_path / "a", scene, chunk=10)
    assert leaves_of(index_of(tmp_path / "a")["tree"])[0]["lods"]["0"]["count"] == 40
    assert len(read_scene(tmp_path / "a")) == 40


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    save(tmp_path / "a", synth.scene(100, 0), chunk=30, progress=lambda *words: told.append(words))
    assert told
    assert told[-1] == ("chunks", len(told), len(told))


def built(folder: Path, edit: Callable[[Tree], object] = lambda m: None) -> Path:
    """Two chunks of four Gaussians of SH degree 1, spelled by hand, at levels 0 and 1."""
    meta: Tree = {
        "version": 1, "lodLevels": 2, "counts": [4, 4], "filenames": ["0_0/meta.json", "1_0/meta.json"],
        "tree": {
            "bound": {"min": [0, 0, 0], "max": [1, 1, 1]},
            "children": [
                {"lods": {"0": {"file": 0, "offset": 0, "count": 3}, "1": {"file": 1, "offset": 0, "count": 2}}},
                {"lods": {"0": {"file": 0, "offset": 3, "count": 1}, "1": {"file": 1, "offset": 2, "count": 2}}},
            ],
        },
    }  # fmt: skip
    for name in ("0_0", "1_0"):
        (folder / name).mkdir()
        test_sog.save(folder / name, test_sog.GOOD)
    edit(meta)
    (folder / "lod-meta.json").write_text(json.dumps(meta))
    return folder


def leaf(meta: Tree, i: int = 0) -> Tree:
    found: Tree = meta["tree"]["children"][i]["lods"]
    return found


def deep(levels: int) -> Tree:
    node: Tree = {"lods": {}}
    for _ in range(levels):
        node = {"children": [node]}
    return node


def test_spelled_by_hand(tmp_path: Path) -> None:
    scene, chunk = read_scene(built(tmp_path)), read_scene(tmp_path / "0_0")
    assert (scene.means == chunk.means).all()
    assert (scene.shN == chunk.shN).all()
    assert (concatenate([scene]).opacities == chunk.opacities).all()
    assert scene.antialiased


@pytest.mark.parametrize(
    ("edit", "error", "message"),
    [
        (lambda m: m.update(version=2), UnsupportedError, "version 2"),
        (lambda m: m.update(lodLevels="2"), CorruptError, "lodLevels 2"),
        (lambda m: m.update(lodLevels=0), CorruptError, "0 levels"),
        (lambda m: m.update(lodLevels=1 << 30), CorruptError, "1,073,741,824 levels"),
        (lambda m: m.update(filenames={}), CorruptError, r"filenames \{\}"),
        (lambda m: m.update(filenames=[]), CorruptError, r"filenames \[\]"),
        (lambda m: m.update(filenames=["../a/meta.json", "b"]), CorruptError, "plain path"),
        (lambda m: m.update(filenames=["/etc/passwd", "b"]), CorruptError, "plain path"),
        (lambda m: m.update(filenames=["a/../../b", "b"]), CorruptError, "plain path"),
        (lambda m: m.update(filenames=["a\\b", "b"]), CorruptError, "plain path"),
        (lambda m: m.update(filenames=[7, "b"]), CorruptError, "plain path"),
        (lambda m: m.update(filenames=["0_0/meta.json"] * 2), CorruptError, "one file for two"),
        (lambda m: m.update(filenames=["none/meta.json", "1_0/meta.json"]), StorageError, "none"),
        (lambda m: m.update(environment="0_0/meta.json"), CorruptError, "both a chunk"),
        (lambda m: m.update(environment="../x"), CorruptError, "plain path"),
        (lambda m: m.update(environment="none/meta.json"), StorageError, "none"),
        (lambda m: m.update(tree=[]), CorruptError, r"tree \[\]"),
        (lambda m: m.update(tree=None), CorruptError, "tree None"),
        (lambda m: m.update(tree={}), CorruptError, "lods None"),
        (lambda m: m.update(tree={"children": [3]}), CorruptError, "list of objects"),
        (lambda m: m.update(tree=deep(300)), CorruptError, "deeper than 256"),
        (lambda m: m.update(tree=deep(3), counts=[0, 0]), UnsupportedError, "no Gaussians"),
        (lambda m: leaf(m).update({"2": {}}), CorruptError, "level '2'"),
        (lambda m: leaf(m).update({"-1": {}}), CorruptError, "level '-1'"),
        (lambda m: leaf(m).update({"9" * 99: {}}), CorruptError, "level '9"),
        (lambda m: leaf(m).update({"0": 5}), CorruptError, "level '0' of 2 with 5"),
        (lambda m: leaf(m)["0"].update(file=2), CorruptError, "file 2"),
        (lambda m: leaf(m)["0"].update(file=-1), CorruptError, "file -1"),
        (lambda m: leaf(m)["0"].update(offset=1.5), CorruptError, "offset 1.5"),
        (lambda m: leaf(m)["0"].update(count=True), CorruptError, "count True"),
        (lambda m: leaf(m)["0"].update(offset=1), CorruptError, "overlap"),
        (lambda m: leaf(m)["1"].update(file=0, offset=4), CorruptError, "several levels"),
        (lambda m: m.update(counts=[4, 5]), CorruptError, "the runs have"),
        (lambda m: m.update(counts=4), CorruptError, "counts 4"),
        (lambda m: (leaf(m, 1)["0"].update(count=2), m.update(counts=[5, 4])), CorruptError, "a run of 3 to 5"),
        (
            lambda m: (leaf(m, 1)["0"].update(count=1 << 39), m.update(counts=[(1 << 39) + 3, 4])), CorruptError,
            "a run of 3 to",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(
    tmp_path: Path, edit: Callable[[Tree], object], error: type[SplatpackError], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_scene(built(tmp_path, edit))


def test_chunks_are_checked_too(tmp_path: Path) -> None:
    folder = built(tmp_path)
    test_sog.save(folder / "0_0", test_sog.hand_built(1))
    with pytest.raises(UnsupportedError, match="version 1 with SH"):
        read_scene(folder)
    (folder / "0_0" / "meta.json").unlink()
    with pytest.raises(StorageError):
        read_scene(folder)
    assert len(read_scene(folder, level=1)) == 4


def test_levels_that_do_not_exist(tmp_path: Path) -> None:
    folder = built(tmp_path)
    for level in (-1, 2):
        with pytest.raises(UsageError, match=f"level {level}, expected 0 to 1"):
            read_scene(folder, level=level)
    with pytest.raises(UsageError, match="no levels of detail"):
        read_scene(folder / "0_0", level=0)


def test_limits(tmp_path: Path) -> None:
    folder = built(tmp_path)
    with pytest.raises(LimitError, match="4 declared"):
        read_scene(folder, limits=Limits(gaussians=3))
    with pytest.raises(LimitError, match="streamed SOG of 4"):
        read_scene(folder, limits=Limits(memory=4 * 92 - 1))


def test_an_index_is_bounded(tmp_path: Path) -> None:
    folder = built(tmp_path)
    with (folder / "lod-meta.json").open("ab") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(CorruptError, match="at most 67,108,864"):
        read_scene(folder)
    with pytest.raises(CorruptError, match="no valid JSON"):
        parse_lod_meta(b'{"tree":' + b"[" * 100_000, "x")


def test_every_part_of_the_index_matters(tmp_path: Path) -> None:
    """Any prefix is refused; a flipped byte gives a scene or one of our errors."""
    folder = built(tmp_path)
    path = folder / "lod-meta.json"
    data = path.read_bytes()
    for at in range(0, len(data), 3):
        path.write_bytes(data[:at])
        with pytest.raises(SplatpackError):
            read_scene(path)
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x15]) + data[at + 1 :])
        try:
            read_scene(folder)
        except SplatpackError:
            continue


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "level", "count"),
    [("playcanvas/playbot_lod", 4, 8406), ("courtyard_lod/lod-meta.original.json", 3, 746_991)],
)
def test_real_files(data_dir: Path, name: str, level: int, count: int) -> None:
    scene = read_scene(data_dir / "splats" / name, level=level)
    assert len(scene) == count
    assert validate(scene)[1].removed == 0
