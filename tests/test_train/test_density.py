"""Adaptive density control: clone, split, prune, reset, each where it should be."""

from __future__ import annotations

import math

import numpy as np
import pytest

from splatpack.render.backward import Gradients
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians
from splatpack.train.density import DIMMED, SHRINK, Density
from splatpack.train.settings import TrainSettings
from tests import synth
from tests.test_train import photos

VIEW = photos.camera(0)
SETTINGS = TrainSettings(strategy="adc", iterations=1000, max_gaussians=1000)


def scene() -> Gaussians:
    out = synth.scene(6, 1)
    out.scales[:] = math.log(0.005)
    out.opacities[:] = 1.0
    return out


def pulled(strategy: Density, scene: Gaussians, lengths: list[float]) -> None:
    """Let the strategy see centres that are pulled so many half pictures."""
    centres = np.zeros((len(scene), 2), np.float32)
    centres[:, 0] = np.array(lengths) / (0.5 * VIEW.width)
    arrays = {name: np.zeros_like(getattr(scene, name)) for name in ATTRIBUTES}
    strategy.observe(Gradients(**arrays, centres=centres), np.ones(len(scene), np.uint8), VIEW)


def test_small_ones_are_cloned_and_large_ones_split() -> None:
    before = scene()
    before.scales[1] = math.log(0.05)
    strategy = Density(SETTINGS, 6)
    pulled(strategy, before, [1e-3, 1e-3, 1e-5, 0, 0, 0])
    refined = strategy.refine(before, 0.05, np.random.default_rng(0))
    assert refined is not None
    after = refined.scene
    assert len(after) == 8
    assert (after.means[6] == before.means[0]).all()
    assert (after.scales[6] == before.scales[0]).all()
    for half in (1, 7):
        assert np.allclose(after.scales[half], before.scales[1] - math.log(SHRINK))
        assert 0 < np.linalg.norm(after.means[half] - before.means[1]) < 0.25
    assert list(refined.source) == [0, -1, 2, 3, 4, 5, -1, -1]
    assert not any(array.any() for array in strategy.arrays().values())


def test_transparent_and_huge_ones_go() -> None:
    before = scene()
    before.opacities[2] = -8.0
    before.scales[3] = math.log(0.5)
    strategy = Density(SETTINGS, 6)
    first = strategy.refine(before, 0.05, np.random.default_rng(0))
    assert first is not None
    assert list(first.source) == [0, 1, 3, 4, 5]
    second = strategy.refine(first.scene, 0.12, np.random.default_rng(0))
    assert second is not None  # opacities are reset; from now on what is huge goes
    assert (1 / (1 + np.exp(-second.scene.opacities)) <= DIMMED + 1e-6).all()
    third = strategy.refine(second.scene, 0.13, np.random.default_rng(0))
    assert third is not None
    assert list(third.source) == [0, 1, 3, 4]
    assert (third.scene.opacities == second.scene.opacities[[0, 1, 3, 4]]).all()


def test_one_is_left() -> None:
    before = scene()
    before.opacities[:] = np.linspace(-9, -8, 6)
    refined = Density(SETTINGS, 6).refine(before, 0.05, np.random.default_rng(0))
    assert refined is not None
    assert list(refined.source) == [5]


def test_the_budget_goes_to_the_longest_gradients() -> None:
    before = scene()
    strategy = Density(SETTINGS.changed(max_gaussians=8), 6)
    pulled(strategy, before, [1e-3, 5e-3, 2e-3, 4e-3, 3e-3, 6e-3])
    refined = strategy.refine(before, 0.05, np.random.default_rng(0))
    assert refined is not None
    assert len(refined.scene) == 8
    assert (refined.scene.means[6:] == before.means[[1, 5]]).all()


@pytest.mark.parametrize("share", [0.0, 0.6, 1.0])
def test_outside_its_time_nothing_changes(share: float) -> None:
    assert Density(SETTINGS, 6).refine(scene(), share, np.random.default_rng(0)) is None
