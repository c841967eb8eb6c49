"""edit: the order of its operations, every one of them against the library, and what it refuses."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splatpack import edit
from splatpack.cli._operations import OPERATIONS
from splatpack.cli._statstable import bars
from splatpack.formats.ply import write_ply
from splatpack.formats.registry import read_scene, write_scene
from splatpack.pack.api import read
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians
from splatpack.scene.transform import change_frame
from tests import synth
from tests.test_cli.conftest import COUNT, Runner


def same(a: Gaussians, b: Gaussians) -> bool:
    columns = all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ATTRIBUTES)
    return columns and all(np.array_equal(a.extras[name], b.extras[name]) for name in {*a.extras, *b.extras})


CALLS: list[tuple[list[str], Any]] = [
    (["--crop-box", "-3,-2,-inf,3,2,1"], lambda s: edit.crop_box(s, (-3, -2, -np.inf), (3, 2, 1))),
    (["--crop-sphere", "0,0,1,3"], lambda s: edit.crop_sphere(s, (0, 0, 1), 3)),
    (["--crop-plane", "0,1,1,0.2"], lambda s: edit.crop_plane(s, (0, 1, 1), 0.2)),
    (["--cut-box", "-3,-2,-inf,3,2,1"], lambda s: edit.crop_box(s, (-3, -2, -np.inf), (3, 2, 1), inside=False)),
    (["--cut-sphere", "0,0,1,3"], lambda s: edit.crop_sphere(s, (0, 0, 1), 3, inside=False)),
    (["--cut-plane", "0,1,1,0.2"], lambda s: edit.crop_plane(s, (0, 1, 1), 0.2, inside=False)),
    (["--translate", "-1,2,0.5"], lambda s: edit.translate(s, (-1, 2, 0.5))),
    (["--rotate", "10,20,-30"], lambda s: edit.rotate(s, (10, 20, -30))),
    (["--rotate", "1,0,2,0"], lambda s: edit.rotate(s, (1, 0, 2, 0))),
    (["--scale", "2.5"], lambda s: edit.scale(s, 2.5)),
    (["--mirror", "xz"], lambda s: edit.mirror(s, "xz")),
    (["--select", "x > 0 and opacity > .5"], lambda s: edit.select(s, "x > 0 and opacity > .5")),
    (["--drop", "x > 0"], lambda s: edit.select(s, "x <= 0")),
    (["--min-opacity", "0.2"], lambda s: edit.filter_opacity(s, 0.2, 1)),
    (["--max-opacity", "0.8"], lambda s: edit.filter_opacity(s, 0, 0.8)),
    (["--min-scale", "0.01"], lambda s: edit.filter_scale(s, 0.01)),
    (["--max-scale", "0.05"], lambda s: edit.filter_scale(s, 0, 0.05)),
    (["--drop-nan"], edit.drop_nan),
    (["--drop-floaters"], edit.drop_floaters),
    (["--drop-isolated", "5"], lambda s: edit.drop_isolated(s, 5)),
    (["--drop-huge", "0.01"], lambda s: edit.drop_huge(s, 0.01)),
    (["--drop-unseen", "2%"], lambda s: edit.drop_unseen(s, 0.02)),
    (["--decimate", "100"], lambda s: edit.decimate(s, 100)),
    (["--decimate", ".25"], lambda s: edit.decimate(s, 0.25)),
    (["--simplify", "20%"], lambda s: edit.simplify(s, 0.2)),
    (["--largest", "12.5%"], lambda s: edit.largest(s, 0.125)),
    (["--sh-degree", "1"], lambda s: edit.sh_degree(s, 1)),
    (["--sh-degree", "3"], lambda s: edit.sh_degree(s, 3)),
    (["--exposure", "-0.5"], lambda s: edit.exposure(s, -0.5)),
    (["--saturation", "0.3"], lambda s: edit.saturation(s, 0.3)),
    (["--white-balance", "1,.9,.7"], lambda s: edit.white_balance(s, (1, 0.9, 0.7))),
    (["--label", "part=-3"], lambda s: edit.label(s, "part", -3)),
    (["--label", "part=3 where y > 0"], lambda s: edit.label(s, "part", 3, where="y > 0")),
    (["--merge", "scene.ply"], lambda s: edit.merge([s, s])),
    (["--sort"], edit.sort),
]


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(("words", "call"), CALLS, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_each_operation_is_the_function_of_the_library(cli: Runner, here: Path, words: list[str], call: Any) -> None:
    done = cli("edit", "scene.ply", *words, "out.ply", "--json", "--quiet")
    assert done.status == 0, done.err
    want = call(read("scene.ply"))
    assert same(read("out.ply"), want)
    values = done.json
    assert (values["n_in"], values["n_out"]) == (COUNT, len(want))
    assert [s["n_out"] for s in values["steps"]] == [len(want)]
    assert values["bytes_out"] == Path("out.ply").stat().st_size
    assert values["sh_degree"] == want.sh_degree


def test_every_operation_is_tried_above() -> None:
    assert {words[0][2:] for words, _ in CALLS} | {"to-frame"} == {operation.name for operation in OPERATIONS}


def test_operations_apply_in_the_order_written_however_often(cli: Runner, here: Path) -> None:
    words = ["--translate", "1,0,0", "--scale", "2", "--translate=-3,0,0", "--sort"]
    words += ["--crop-sphere", "0,0,0,9", "--scale", "0.5", "--sort"]
    assert cli("edit", *words[:5], "scene.ply", *words[5:], "--quiet", "out.ply").status == 0
    s = edit.translate(edit.scale(edit.translate(read("scene.ply"), (1, 0, 0)), 2), (-3, 0, 0))
    want = edit.sort(edit.scale(edit.crop_sphere(edit.sort(s), (0, 0, 0), 9), 0.5))
    assert same(read("out.ply"), want)
    names = [s["operation"] for s in cli("edit", "scene.ply", *words, "x.ply", "--json", "--quiet").json["steps"]]
    assert names == [
        "--translate 1,0,0", "--scale 2", "--translate -3,0,0", "--sort", "--crop-sphere 0,0,0,9", "--scale 0.5",
        "--sort",
    ]  # fmt: skip


def test_an_edit_and_its_inverse_give_the_scene_back(cli: Runner, here: Path) -> None:
    turn, back = "0.5,0.5,-0.5,0.5", "0.5,-0.5,0.5,-0.5"
    words = ["--translate", "1,2,4", "--scale", 4, "--rotate", turn, "--rotate", back, "--scale", 0.25]
    assert cli("edit", "scene.ply", *words, "--translate", "-1,-2,-4", "out.ply", "--quiet").status == 0
    a, b = read("scene.ply"), read("out.ply")
    for name in ("means", "scales", "opacities", "sh0", "shN"):
        assert np.allclose(getattr(a, name), getattr(b, name), atol=1e-5), name
    assert np.allclose(np.abs(np.einsum("ij,ij->i", a.quats, b.quats)), 1, atol=1e-6)


def test_several_inputs_and_merge_in_the_middle(cli: Runner, here: Path) -> None:
    other = replace(synth.scene(40, 0, seed=5), frame="rub", extras={"part": np.full(40, 2, np.int32)})
    with Path("b.spz").open("wb") as file:
        write_scene(file, other, ".spz")
    done = cli("edit", "scene.ply", "b.spz", "--label", "whole=1", "both.ply", "--json", "--quiet")
    assert done.json["n_in"] == done.json["n_out"] == COUNT + 40
    spz = change_frame(read("b.spz"), "rdf")
    assert np.array_equal(read("both.ply").means[COUNT:], spz.means)
    words = ["--label", "part=7", "--merge", "b.spz", "--translate", "5,0,0"]
    assert cli("edit", "scene.ply", *words, "part.ply", "--quiet").status == 0
    part = read("part.ply")
    assert part.extras["part"].tolist() == [7] * COUNT + [0] * 40
    assert np.allclose(part.means[COUNT:], edit.translate(spz, (5, 0, 0)).means, atol=1e-5)
    assert cli("edit", "part.ply", "--select", "part == 7", "back.ply", "--json", "--quiet").json["n_out"] == COUNT


def test_scenes_with_and_without_antialiasing(cli: Runner, here: Path) -> None:
    write_ply("aa.ply", replace(synth.scene(20, 0), antialiased=True))
    done = cli("edit", "scene.ply", "aa.ply", "out.ply")
    assert "antialiased and other scenes are merged: the result counts as not antialiased" in done.err
    assert "antialiased and other" not in cli("edit", "aa.ply", "aa.ply", "out2.ply").err


def test_to_frame_is_where_the_output_stays(cli: Runner, here: Path) -> None:
    a = read("scene.ply")
    done = cli("edit", "scene.ply", "--to-frame", "rub", "out.ply")
    assert done.status == 0
    assert "written in frame rub, which PLY does not say. Read it with --frame rub" in done.err
    assert same(replace(read_scene("out.ply"), frame="rub"), change_frame(a, "rub"))
    done = cli("edit", "out.ply", "--frame", "rub", "--to-frame", "rdf", "back.ply")
    assert "warning" not in done.err
    assert same(read("back.ply"), a)
    assert cli("edit", "scene.ply", "--to-frame", "z_up", "z.spk", "--quiet").status == 0
    assert read("z.spk").frame == "z_up"


def test_spk_in_and_out_and_nothing_is_pruned(cli: Runner, here: Path) -> None:
    done = cli("edit", "scene.spk", "--crop-box", "-9,-9,-9,9,9,9", "--scale", 2, "out.spk", "--json", "--quiet")
    assert done.status == 0, done.err
    assert len(read("out.spk")) == done.json["n_out"] == done.json["steps"][0]["n_out"] > COUNT / 2
    assert cli("edit", "scene.spk", "--exposure", 1, "--preset", "near-lossless", "fine.spk", "--quiet").status == 0
    assert cli("verify", "fine.spk", "--quiet").status == 0


def test_a_dry_run_counts_and_writes_nothing(cli: Runner, here: Path) -> None:
    words = ["scene.ply", "--select", "x > 0", "--min-opacity", "0.5", "out.ply"]
    dry = cli("edit", "--dry-run", *words, "--json").json
    assert not Path("out.ply").exists()
    assert (dry["dry_run"], dry["output"], dry["bytes_out"]) == (True, None, None)
    real = cli("edit", *words, "--json").json
    assert dry["steps"] == real["steps"]
    assert dry["n_out"] == real["n_out"] == len(read("out.ply"))
    before = Path("out.ply").read_bytes()
    text = cli("edit", "--dry-run", *words)
    assert text.status == 0
    assert text.out == ""
    assert f"{dry['steps'][0]['n_out']:,}" in text.err.splitlines()[0]
    assert "--select 'x > 0'" in text.err
    assert "dry run, nothing written" in text.err
    assert Path("out.ply").read_bytes() == before


def test_the_same_command_gives_the_same_bytes(cli: Runner, here: Path) -> None:
    words = ["--drop-unseen", "1%", "--decimate", "50%", "--sort"]
    for name, threads in (("a.ply", 1), ("b.ply", 2)):
        assert cli("edit", "scene.ply", *words, name, "--threads", threads, "--quiet").status == 0
    assert Path("a.ply").read_bytes() == Path("b.ply").read_bytes()


REFUSED = [
    (["--select", "x > 1e6"], 2, "--select 'x > 1e6': nothing is left of 1,500 Gaussians"),
    (["--select", "label == 3"], 2, "no attribute or extra column 'label', expected one of x, y, z"),
    (["--select", "x >"], 2, "no expression, expected something like"),
    (["--drop", "open('f')"], 2, "is not allowed, expected numbers, names"),
    (["--crop-box", "0,0,0,1,1"], 2, "expected 6 numbers with commas between"),
    (["--crop-box", "1,0,0,0,1,1"], 2, "expected low <= high"),
    (["--crop-box", "nan,0,0,1,1,1"], 2, "expected 6 numbers"),
    (["--crop-sphere", "0,0,0,inf"], 2, "expected 4 numbers"),
    (["--rotate", "1,2"], 2, "expected 3 or 4 numbers"),
    (["--rotate", "0,0,0,0"], 2, "a quaternion w, x, y, z that is not zero"),
    (["--scale", "0"], 2, "expected a positive, finite number"),
    (["--scale", "many"], 2, "not a valid float"),
    (["--mirror", "q"], 2, "expected some of x, y, z"),
    (["--min-opacity", "2"], 2, "expected 0 <= low <= high <= 1"),
    (["--decimate", "0"], 2, "0 Gaussians to keep, expected at least 1"),
    (["--decimate", "150%"], 2, "expected above 0 and at most 1"),
    (["--decimate", "-5"], 2, "expected a count (50000), a percentage (25%) or a fraction (0.25)"),
    (["--drop-unseen", "3"], 2, "expected 0 to below 1"),
    (["--sh-degree", "4"], 2, "not in the range 0<=x<=3"),
    (["--exposure", "99"], 2, "expected -20 to 20"),
    (["--white-balance", "1,1,0"], 2, "above 0 and at most 1"),
    (["--label", "part"], 2, "expected NAME=INTEGER"),
    (["--label", "x=3"], 2, "no name of an attribute"),
    (["--label", "part=99999999999"], 2, "a value that it can hold"),
    (["--label", "part=1 where"], 2, "expected NAME=INTEGER"),
    (["--merge", "none.ply"], 6, "none.ply"),
    (["--preset", "high", "--sort"], 2, "is no .spk, for which presets are"),
    ([], 2, "no operation, expected at least one"),
]


@pytest.mark.parametrize(
    ("words", "status", "message"), REFUSED, ids=lambda v: " ".join(v) if isinstance(v, list) else ""
)
def test_refused(cli: Runner, here: Path, words: list[str], status: int, message: str) -> None:
    done = cli("edit", "scene.ply", *words, "out.ply")
    assert done.status == status
    assert message in done.err
    assert done.err.count("\n") == 1
    assert not Path("out.ply").exists()


def test_outputs_that_cannot_be(cli: Runner, here: Path) -> None:
    before = Path("scene.ply").read_bytes()
    assert "[exists]" in cli("edit", "scene.ply", "--sort", "scene.ply").err
    assert Path("scene.ply").read_bytes() == before
    assert cli("edit", "scene.ply", "--sort", "scene.ply", "-f", "--quiet").status == 0
    for words in ([], ["--dry-run"]):
        done = cli("edit", "scene.ply", "--sort", "out.xyz", *words)
        assert done.status == 4
        assert "cannot write 'out.xyz'" in done.err


def test_the_commands_of_the_page(cli: Runner, here: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "editing.md").read_text()
    (block,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    for name in ("house.ply", "garden.spz", "car.ply"):
        assert cli("edit", "scene.ply", "--largest", 100, name, "--quiet").status == 0
    for line in block.splitlines():
        words = shlex.split(line, comments=True)
        assert words[0] == "splatpack"
        done = cli(*words[1:], *(["-f"] if words[-1] == "scene.spk" else []))
        assert done.status == 0, done.err
    assert len(read("all.ply")) > 200
    assert not Path("out.ply").exists()


def test_statistics_of_every_format(cli: Runner, here: Path) -> None:
    assert "stats" not in cli("info", "scene.ply", "--json").json
    for name in ("scene.ply", "scene.spk"):
        done = cli("info", name, "--stats", "--json")
        assert done.status == 0
        for key, s in done.json["stats"].items():
            assert sum(s["counts"]) + s["below"] + s["above"] == done.json["n"], key
            assert s["low"] <= s["median"] <= s["high"]
        text = cli("info", name, "--stats").out
        (row,) = (line for line in text.splitlines() if line.startswith("opacity "))
        assert set("▁█") <= set(row)


def test_statistics_look_at_the_file_as_it_is(cli: Runner, here: Path) -> None:
    scene = read("scene.ply")
    means = scene.means.copy()
    means[:7, 1] = np.nan
    extras = {"part[1]": np.full((COUNT, 2), 3, np.uint8)}
    write_ply("bad.ply", replace(scene, means=means, extras=extras))
    done = cli("info", "bad.ply", "--stats")
    assert done.status == 0
    assert "7 not finite" in next(line for line in done.out.splitlines() if line.startswith("y "))
    assert any(line.startswith("part[1]_0 ") for line in done.out.splitlines())


def test_bars_show_every_filled_bin() -> None:
    assert bars([0, 1, 400, 800]) == " ▁▄█"
    assert bars([]) == ""
    assert bars([0, 0]) == "  "


def test_an_expression_is_checked_before_anything_is_read(cli: Runner, here: Path) -> None:
    for words in (["--select", "x >"], ["--drop", "x >"], ["--label", "part=1 where x >"]):
        assert "no expression" in cli("edit", "missing.ply", *words, "out.ply").err
    assert cli("edit", "missing.ply", "--select", "x > 1", "out.ply").status == 6
