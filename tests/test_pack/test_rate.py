from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import splatpack
from splatpack.container.reader import ContainerReader
from splatpack.errors import UsageError
from splatpack.fit.importance import importance
from splatpack.pack import rate
from splatpack.pack.api import QUALITY_BYTES
from splatpack.pack.presets import Goal, settings
from splatpack.pack.verify import verify
from splatpack.render.views import EVALUATION_SEED, encoder_cameras, evaluation_cameras
from tests import synth

SCENE = synth.scene(4000, 1, seed=3)


@pytest.mark.parametrize("size", [120_000, 45_000, 25_000, 12_000, 6_000])
def test_a_target_size_is_met_from_below(tmp_path: Path, size: int) -> None:
    report = splatpack.write(tmp_path / "s.spk", SCENE, target_size=size)
    assert report.bytes_out == (tmp_path / "s.spk").stat().st_size
    assert 0.97 * size - QUALITY_BYTES <= report.bytes_out <= size
    assert report.search
    with ContainerReader.open(tmp_path / "s.spk") as reader:
        assert verify(reader).ok


def test_a_target_size_holds_with_the_measured_quality_in_the_file(tmp_path: Path) -> None:
    report = splatpack.write(tmp_path / "s.spk", SCENE, target_size=40_000, measure=True)
    assert 0.97 * 40_000 <= report.bytes_out <= 40_000
    with ContainerReader.open(tmp_path / "s.spk") as reader:
        quality = reader.meta["quality"]
        assert verify(reader).ok
    assert quality["psnr_mean"] == pytest.approx(report.psnr_mean, abs=0.01)
    assert quality["seed"] == EVALUATION_SEED


@pytest.mark.parametrize("target", [32.0, 40.0, 48.0])
def test_a_target_psnr_is_met_on_unseen_cameras(tmp_path: Path, target: float) -> None:
    report = splatpack.write(tmp_path / "s.spk", SCENE, target_psnr=target, measure=True)
    assert report.psnr_mean is not None
    assert target - 1.0 <= report.psnr_mean <= target + 3.0
    assert max(t["psnr_mean"] for t in report.search) >= target


def test_higher_targets_take_more_bytes(tmp_path: Path) -> None:
    sizes = [splatpack.write(tmp_path / f"{t}.spk", SCENE, target_psnr=t).bytes_out for t in (32.0, 40.0, 48.0)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2]


def test_a_search_is_reproducible(tmp_path: Path) -> None:
    for name, threads in (("a", 1), ("b", 2)):
        splatpack.write(tmp_path / f"{name}.spk", SCENE, target_psnr=38.0, threads=threads, measure=True)
    assert (tmp_path / "a.spk").read_bytes() == (tmp_path / "b.spk").read_bytes()


def test_targets_that_cannot_be(tmp_path: Path) -> None:
    for options in (
        {"target_size": 100}, {"target_psnr": 99.0}, {"target_size": 9999, "target_psnr": 40.0},
        {"target_psnr": 40.0, "steps": {"scale": 0.1}},
    ):  # fmt: skip
        given: dict[str, Any] = options
        with pytest.raises(UsageError):
            splatpack.write(tmp_path / "s.spk", SCENE, **given)
        assert list(tmp_path.iterdir()) == []


def test_a_size_above_the_finest_steps_is_said_not_filled(tmp_path: Path) -> None:
    report = splatpack.write(tmp_path / "s.spk", SCENE, target_size=50_000_000)
    assert report.bytes_out < 2_000_000
    assert "nothing between this and the next larger trial fits" in report.warnings[0]


def test_no_camera_is_used_twice() -> None:
    """Importance, search and evaluation look from different places, by construction of their seeds."""
    groups = [
        encoder_cameras(SCENE, 16, 240, 180, 7), evaluation_cameras(SCENE, seed=rate.SEED), evaluation_cameras(SCENE),
        *(evaluation_cameras(SCENE, seed=seed) for seed in rate.CHECKS),
    ]  # fmt: skip
    places = [np.array([c.position for c in group]) for group in groups]
    for i in range(len(groups)):
        for j in range(i):
            gaps = np.linalg.norm(places[i][:, None] - places[j][None], axis=2)
            assert gaps.min() > 1e-3


def test_presets_reach_their_goal_and_say_so_in_the_file(tmp_path: Path) -> None:
    sizes = []
    for name in ("near-lossless", "high", "medium", "small"):
        goal = settings(name).goal
        assert goal is not None
        report = splatpack.write(tmp_path / f"{name}.spk", SCENE, name, measure=True, refine=0)
        assert report.psnr_mean is not None
        assert report.psnr_min is not None
        kept = report.psnr_mean >= goal.psnr_mean and report.psnr_min >= goal.psnr_min
        assert kept == (not report.warnings)
        assert report.psnr_mean >= goal.psnr_mean - 1.0
        sizes.append(report.bytes_out)
    assert sizes == sorted(sizes, reverse=True)


def test_a_goal_out_of_reach_is_a_warning(tmp_path: Path) -> None:
    report = splatpack.write(tmp_path / "s.spk", SCENE, "high", goal=Goal(90.0, 89.0), measure=True, prune=0.3)
    assert "90 dB in the mean and 89 dB in the worst view were wanted" in report.warnings[-1]


def test_a_refit_is_closer_at_the_same_steps(tmp_path: Path) -> None:
    plain = splatpack.write(tmp_path / "a.spk", SCENE, "medium", goal=None, q=8.0, refine=0, measure=True)
    refit = splatpack.write(tmp_path / "b.spk", SCENE, "medium", goal=None, q=8.0, refine=100, measure=True)
    assert refit.psnr_mean is not None
    assert plain.psnr_mean is not None
    assert refit.psnr_mean > plain.psnr_mean + 0.7
    assert refit.bytes_out < 1.05 * plain.bytes_out
    with ContainerReader.open(tmp_path / "b.spk") as reader:
        assert reader.meta["encoder"]["refine"] == 100


def test_a_search_walks_on_with_the_refit(tmp_path: Path) -> None:
    report = splatpack.write(tmp_path / "s.spk", SCENE, "medium", target_psnr=32.0, refine=10, measure=True)
    steps = [t["refine"] for t in report.search]
    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == (0, 10)


def test_a_target_size_holds_after_a_refit(tmp_path: Path) -> None:
    report = splatpack.write(tmp_path / "s.spk", SCENE, "small", target_size=20_000, refine=10)
    assert 0.95 * 20_000 <= report.bytes_out <= 20_000
    with ContainerReader.open(tmp_path / "s.spk") as reader:
        assert reader.meta["encoder"]["refine"] == 10


def test_searches_return_what_they_walked() -> None:
    weights = importance(SCENE, views=4)
    found = rate.search_size(SCENE, weights, settings("high"), 30_000)
    assert all({"q", "prune", "refine", "bytes"} <= set(t) for t in found.walked)
    assert any(t["q"] == found.found.settings.q and t["bytes"] == len(found.found.data) for t in found.walked)


def test_a_goal_that_pruning_keeps_out_of_reach_does_not_run_away() -> None:
    """The refit begins where the search without it came nearest, not at the finest q there is."""
    how = settings("medium", refine=2, prune=0.7)
    found = rate.search_goal(SCENE, importance(SCENE, views=4), how, Goal(60.0, 0.0), tolerance=0.25)
    plain = [t for t in found.walked if t["refine"] == 0]
    refitted = [t for t in found.walked if t["refine"] > 0]
    assert not found.met
    assert refitted[0]["q"] == max(plain, key=lambda t: t["psnr_mean"])["q"]
