"""``splatpack train`` on photos of a ball before a wall: the file, the page, breaks, and what is refused."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import splatpack
from splatpack.cli._training import Duration, clock
from splatpack.train.trainer import Trainer
from tests.test_bench.test_page import check_self_contained
from tests.test_cli.conftest import Runner
from tests.test_train.photos import camera, cast
from tests.test_train.test_data.samples import save, transforms

COUNT = 5
KEYS = {"output", "n", "iterations", "seconds", "psnr_test", "ssim_test"}
QUICK = ("--iterations", 8, "--max-gaussians", 200, "--refine", 4, "--init", "random", "--quiet")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos") / "ball"
    cameras = [camera(k, COUNT, (32, 24)) for k in range(COUNT)]
    for one in cameras:
        save(folder / f"images/{one.name}.png", np.rint(cast(one)[0] * 255).astype(np.uint8))
    (folder / "transforms.json").write_text(json.dumps(transforms(cameras)))
    return folder


def test_writes_a_scene_a_page_and_previews(cli: Runner, photos: Path, tmp_path: Path) -> None:
    out, page, previews = tmp_path / "a.spk", tmp_path / "a.html", tmp_path / "previews"
    done = cli("train", photos, "-o", out, *QUICK, "--json", "--report", page, "--preview", previews, "--split", 3)
    assert done.status == 0, done.err
    found = done.json
    assert set(found) >= KEYS
    assert found["bytes"] == out.stat().st_size
    assert found["n"] == len(splatpack.read(out))
    assert (found["iterations"], found["photos_train"], found["photos_test"]) == (8, 3, 2)
    assert 5 < found["psnr_test"] < 60
    assert found["report"] == str(page)
    read = check_self_contained(page.read_text("utf-8"))
    assert len(read.values("img", "src")) == 3 * 2
    assert f"{found['psnr_test']:.2f} dB" in "".join(read.words)
    assert sorted(p.name for p in previews.iterdir())[-1] == "step_000008.png"
    assert not out.with_suffix(".checkpoint").exists()
    assert splatpack.read(out).frame == "z_up"


def test_a_target_size_is_kept(cli: Runner, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.spk"
    done = cli("train", photos, "-o", out, *QUICK, "--target-size", "3kB", "--json")
    assert done.status == 0, done.err
    assert 1000 < out.stat().st_size <= 3000


def test_no_photo_held_out_has_no_figures(cli: Runner, photos: Path, tmp_path: Path) -> None:
    page = tmp_path / "a.html"
    args = (*QUICK, "--split", "none", "--json", "--report", page)
    done = cli("train", photos, "-o", tmp_path / "a.spk", *args)
    assert done.status == 0, done.err
    assert done.json["psnr_test"] is None
    assert "<img" not in page.read_text("utf-8")


def test_begins_with_a_file_of_points_or_with_a_scene(cli: Runner, photos: Path, tmp_path: Path) -> None:
    points = tmp_path / "points.ply"
    rows = "".join(f"{x} {y} 1\n" for x in np.linspace(-1, 1, 5) for y in np.linspace(-1, 1, 5))
    head = (
        "ply\nformat ascii 1.0\nelement vertex 25\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
    )
    points.write_text(head + rows)
    args = ["--iterations", 2, "--refine", 0, "--prune", 0, "--json", "--quiet"]
    first, second = tmp_path / "a.spk", tmp_path / "b.spk"
    one = cli("train", photos, "-o", first, "--init", points, *args)
    assert one.json["n"] == 25, one.err
    two = cli("train", photos, "-o", second, "--init", first, *args)
    assert two.json["n"] == 25, two.err


def test_goes_on_after_ctrl_c_as_if_nothing_had_been(
    cli: Runner, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = tmp_path / "whole.spk", tmp_path / "broken.spk"
    assert cli("train", photos, "-o", whole, *QUICK).status == 0
    step = Trainer._step

    def pressed(self: Trainer, share: float) -> None:
        if self.state.iteration == 4:
            signal.raise_signal(signal.SIGINT)
        step(self, share)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", pressed)
        done = cli("train", photos, "-o", broken, *[word for word in QUICK if word != "--quiet"])
    assert done.status == 130
    assert "broken.checkpoint holds the run at step 5" in done.err
    assert not broken.exists()
    again = cli("train", photos, "-o", broken, *QUICK)
    assert (again.status, "--resume" in again.err) == (6, True)
    done = cli("train", photos, "-o", broken, "--resume", "--refine", 4, "--quiet")
    assert done.status == 0, done.err
    assert broken.read_bytes() == whole.read_bytes()
    assert not broken.with_suffix(".checkpoint").exists()


BAD: list[tuple[list[Any], int, str]] = [
    (["-o", "a.ply"], 2, "ending in .spk"),
    (["-o", "a.spk", "--iterations", "5", "--budget", "1m"], 2, "Choose one"),
    (["-o", "a.spk", "--resume"], 6, "no such file"),
    (["-o", "a.spk", "--split", "1"], 2, "split"),
    (["-o", "a.spk", "--budget", "soon"], 2, "duration"),
    (["-o", "a.spk", "--downscale", "9"], 2, "expected 16 a side"),
    (["-o", "a.spk", "--init", "none.ply"], 6, "none.ply"),
    (["-o", "a.spk", "--init", "points"], 2, "no sparse points"),
    (["-o", "a.spk", "--report", "a.txt"], 2, ".html"),
    (["-o", "a.spk", "--background", "octarine"], 2, "no colour"),
    (["-o", "a.spk", "--max-memory", "1kB"], 5, "limit"),
]


@pytest.mark.parametrize(("args", "status", "text"), BAD, ids=[" ".join(b[0][2:] or b[0]) for b in BAD])
def test_what_is_refused(
    args: list[Any], status: int, text: str, cli: Runner, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = cli("train", photos, *args)
    assert (done.status, text in done.err) == (status, True), done.err
    assert not list(tmp_path.iterdir())


def test_resume_takes_no_settings(cli: Runner, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "a.checkpoint").write_bytes(b"x")
    done = cli("train", photos, "-o", tmp_path / "a.spk", "--resume", "--seed", 3, "--sh-degree", 1)
    assert (done.status, "leave out --sh-degree, --seed" in done.err) == (2, True), done.err
    done = cli("train", photos, "-o", tmp_path / "a.spk", "--resume")
    assert done.status == 3, done.err


def test_an_output_that_exists_is_kept(cli: Runner, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "a.spk").write_bytes(b"x")
    assert cli("train", photos, "-o", tmp_path / "a.spk", *QUICK).status == 6
    assert (tmp_path / "a.spk").read_bytes() == b"x"


def test_missing_photos_are_warned_of(cli: Runner, photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "part"
    folder.mkdir()
    (folder / "transforms.json").write_text((photos / "transforms.json").read_text())
    (folder / "images").mkdir()
    for path in sorted((photos / "images").iterdir())[1:]:
        (folder / "images" / path.name).symlink_to(path)
    done = cli("train", folder, "-o", tmp_path / "a.spk", *[word for word in QUICK if word != "--quiet"], "--json")
    assert done.status == 0, done.err
    assert "1 of 5 photos are missing and left out: images/photo-0.png" in done.err
    assert done.json["warnings"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("10min", 600), ("1h30m", 5400), ("1.5 h", 5400)]
)
def test_durations(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


def test_clock() -> None:
    assert [clock(s) for s in (0, 42.4, 725, 3723)] == ["0:00", "0:42", "12:05", "1:02:03"]
