"""Levels of detail on the command line: compress, info, render and compare."""

from __future__ import annotations

from pathlib import Path

import pytest

from splatpack.container.reader import ContainerReader
from splatpack.pack.api import read
from tests.test_cli.conftest import COUNT, Runner


@pytest.fixture
def packed(cli: Runner, folder: Path) -> Path:
    target = folder / "levels.spk"
    options = ("--quality", "0.5", "--prune", "off", "--lod", "--lod-refine", "off", "--no-measure")
    assert cli("compress", folder / "scene.ply", "-o", target, *options).status == 0
    return target


def test_info_shows_the_levels(cli: Runner, packed: Path) -> None:
    done = cli("info", packed, "--json")
    assert done.json["n"] == COUNT
    rows = done.json["levels"]
    assert len(rows) > 1
    assert [r["drawn"] for r in rows] == sorted((r["drawn"] for r in rows), reverse=True)
    assert rows[0]["drawn"] == COUNT
    assert rows[0]["end"] == packed.stat().st_size
    assert rows[-1]["stand_ins"] == rows[-1]["n"]
    assert rows[-1]["error"] > 0
    assert "complete at" in cli("info", packed).out


def test_render_and_compare_a_level(cli: Runner, packed: Path, folder: Path) -> None:
    coarse = len(read(packed, level=2))
    assert coarse < COUNT
    done = cli("render", packed, "-o", folder / "a.png", "--size", "40x30", "--level", "2", "--json")
    assert done.json["n"] == coarse
    done = cli("render", packed, "-o", folder / "b.png", "--size", "40x30", "--budget", coarse + 1, "--json")
    assert done.json["n"] <= coarse + 1
    options = ("--size", "40x30", "--json")
    whole = cli("compare", folder / "scene.ply", packed, *options).json
    level = cli("compare", folder / "scene.ply", packed, "--level", "2", *options).json
    assert level["n_test"] == coarse
    assert level["psnr_mean"] < whole["psnr_mean"]


def test_what_the_options_mean(cli: Runner, packed: Path, folder: Path) -> None:
    with ContainerReader.open(packed) as reader:
        assert reader.has_levels
    refined = folder / "refined.spk"
    options = ("--quality", "0.5", "--prune", "off", "--lod", "--lod-refine", "0.5", "--no-measure")
    assert cli("compress", folder / "scene.ply", "-o", refined, *options).status == 0
    assert (read(refined, level=2).sh0 != read(packed, level=2).sh0).any()
    done = cli("compress", folder / "scene.ply", "-o", folder / "c.spk", "--lod", "--target-size", "9kB")
    assert done.status == 2
    assert "target size" in done.err
    done = cli("compress", folder / "scene.ply", "-o", folder / "d.spk", "--lossless", "--keep-order", "--lod")
    assert done.status == 2
