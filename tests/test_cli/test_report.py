from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.test_bench.test_page import check_self_contained
from tests.test_cli.conftest import Runner


def test_compress(cli: Runner, folder: Path) -> None:
    source, target, report = folder / "scene.ply", folder / "new.spk", folder / "out.html"
    args = ["compress", source, "-o", target, "--report", report, "--step", "sh=0.2", "--prune", "0.25", "--json"]
    plain = folder / "plain.spk"
    assert cli("compress", source, "-o", plain, "--step", "sh=0.2", "--prune", "0.25", "--quiet").status == 0
    done = cli(*args)
    assert done.status == 0, done.err
    assert done.json["report"] == str(report)
    assert target.read_bytes() == plain.read_bytes()
    found = check_self_contained(report.read_text("utf-8"))
    assert len(found.values("img", "src")) == 36
    text = "".join(found.words)
    for part in (f"{done.json['psnr_mean']:.2f} dB", f"{done.json['ssim_mean']:.4f}", "Bytes", "Errors by attribute"):
        assert part in text
    assert "preset high, q 0.55, prune 0.25, refine 0, steps {'sh': 0.2}" in text
    line = next(w for w in found.words if w.startswith("splatpack compress "))
    words = shlex.split(line)
    assert words[:3] == ["splatpack", "compress", str(source)]
    assert words[words.index("--step") + 1] == "sh=0.2"
    assert words[words.index("--prune") + 1] == "0.25"
    again = cli(*words[1:], "-f")
    assert again.status == 0
    assert target.read_bytes() == plain.read_bytes()


@pytest.mark.parametrize("options", [["--quality", 0.5, "--no-measure"], ["--lossless"], ["--target-psnr", 30]])
def test_compress_in_other_ways(options: list[object], cli: Runner, folder: Path) -> None:
    report = folder / "out.html"
    done = cli("compress", folder / "scene.ply", "-f", "--report", report, "--quiet", *options)
    assert (done.status, done.out, done.err) == (0, "", "")
    words = check_self_contained(report.read_text("utf-8")).words
    assert ("Search" in words) == ("--target-psnr" in options)
    assert ("identical" in words) == ("--lossless" in options)


@pytest.mark.parametrize("pair", [("scene.ply", "scene.spk"), ("scene.spk", "scene.ply")])
def test_compare(pair: tuple[str, str], cli: Runner, folder: Path) -> None:
    report = folder / "out.html"
    args = ["compare", folder / pair[0], folder / pair[1], "--size", "64x48", "--background", "white", "--json"]
    plain = cli(*args).json
    values = cli(*args, "--report", report).json
    assert values == plain | {"report": str(report)}
    found = check_self_contained(report.read_text("utf-8"))
    assert len(found.values("img", "src")) == 36
    assert ("Bytes" in found.words) == pair[1].endswith(".spk")
    line = next(w for w in found.words if w.startswith("splatpack compare "))
    words = shlex.split(line)
    assert words[words.index("--size") + 1] == "64x48"
    assert cli(*words[1:], "-f").json == values


def test_hostile_file_name(cli: Runner, folder: Path) -> None:
    name = "<img src=x onerror=alert(1)>&'.ply"
    (folder / "scene.ply").rename(folder / name)
    report = folder / "out.html"
    assert cli("compare", folder / name, folder / "scene.spk", "--size", "32x24", "--report", report).status == 0
    found = check_self_contained(report.read_text("utf-8"))
    assert f"{name} and scene.spk" in found.words


def test_refuses_before_any_work(cli: Runner, folder: Path) -> None:
    report = folder / "out.html"
    report.write_text("mine")
    target = folder / "new.spk"
    done = cli("compress", folder / "scene.ply", "-o", target, "--report", report)
    assert done.status == 6
    assert not target.exists()
    compare = ("compare", folder / "scene.ply", folder / "scene.spk", "--size", "32x24", "--report")
    assert cli(*compare, report).status == 6
    assert report.read_text() == "mine"
    assert cli(*compare, report, "-f").status == 0
    assert cli(*compare, folder / "out.pdf").status == 2
    spk = folder / "scene.spk"
    before = spk.read_bytes()
    assert cli("compress", spk, "-o", spk, "-f", "--report", report).status == 2
    assert spk.read_bytes() == before
    (folder / "scene.spk").rename(folder / "scene.html")
    done = cli("compare", folder / "scene.ply", folder / "scene.html", "--report", folder / "scene.html", "-f")
    assert done.status == 2
