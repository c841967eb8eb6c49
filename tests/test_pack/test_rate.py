from __future__ import annotations

import math
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
from splatpack.pack.presets import settings
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
    assert "finest steps" in report.warnings[0]


def test_no_camera_is_used_twice() -> None:
    """Importance, search and evaluation look from different places, by construction of their seeds."""
    groups = [
        encoder_cameras(SCENE, 16, 240, 180, 7), evaluation_cameras(SCENE, seed=rate.SEED), evaluation_cameras(SCENE),
    ]  # fmt: skip
    places = [np.array([c.position for c in group]) for group in groups]
    for i in range(3):
        for j in range(i):
            gaps = np.linalg.norm(places[i][:, None] - places[j][None], axis=2)
            assert gaps.min() > 1e-3


def test_the_walk_meets_a_steep_and_a_flat_function() -> None:
    for fn in (lambda x: 50 - 7 * x, lambda x: 60 * math.exp(-x / 3), lambda x: 45 - 12 * math.tanh(x)):
        x = rate._walk(fn, (-5.0, 3.0), 0.0, 40.0, 0.25, fall=7.0, above=True)
        assert 40.0 <= fn(x) <= 40.4
    x = rate._walk(lambda x: 1e6 * math.exp(-x), (-5.0, 3.0), 0.0, 4e5, 0.02, fall=3e5)
    assert 0.98 * 4e5 <= 1e6 * math.exp(-x) <= 4e5


def test_searches_return_what_they_walked() -> None:
    weights = importance(SCENE, views=4)
    found = rate.search_size(SCENE, weights, settings("high"), 30_000)
    assert all(set(t) == {"q", "prune", "bytes"} for t in found.walked)
    assert any(t["q"] == found.settings.q for t in found.walked)
