"""Density control by sampling: what stands in for a Gaussian looks like it, and the budget is kept."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from splatpack.render.backward import Gradients
from splatpack.render.cpu import render
from splatpack.scene.gaussians import Gaussians
from splatpack.train.kernels.perturb import perturb
from splatpack.train.mcmc import MOST, Mcmc, shared
from splatpack.train.settings import TrainSettings
from tests import synth
from tests.test_render.reference import rotations
from tests.test_train import photos


def one(logit: float) -> Gaussians:
    """A round Gaussian before the wall of the photos."""
    scene = synth.scene(1, 0)
    scene.means[:], scene.scales[:], scene.opacities[:], scene.sh0[:] = (0, 0, 0.2), -1.6, logit, 1.0
    return scene


@pytest.mark.parametrize("opacity", [0.02, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("copies", [1, 2, 3, 10, MOST])
def test_shared_is_the_double_sum_of_the_paper(opacity: float, copies: int) -> None:
    new, factor = shared(np.array([opacity]), np.array([copies]))
    o = 1 - (1 - opacity) ** (1 / copies)
    total = sum(
        math.comb(i - 1, k) * (-1) ** k / math.sqrt(k + 1) * o ** (k + 1)
        for i in range(1, copies + 1)
        for k in range(i)
    )
    assert new[0] == pytest.approx(o)
    assert factor[0] == pytest.approx(opacity / total, rel=1e-6)


def settings(most: int) -> TrainSettings:
    return TrainSettings(iterations=100, max_gaussians=most)


def test_two_in_one_place_look_like_one() -> None:
    before = one(1.0)
    refined = Mcmc(settings(2)).refine(before, 0.6, np.random.default_rng(0))
    assert refined is not None
    assert len(refined.scene) == 2
    assert (refined.source == -1).all()
    a, b = (render(scene, photos.camera(4), near=0.01).color for scene in (before, refined.scene))
    assert np.abs(a - b).max() < 0.04
    assert a.max() > 0.3


def test_the_dead_move_and_the_others_stay() -> None:
    scene = synth.scene(200, 1)
    scene.opacities[:] = 1.0
    scene.opacities[:30] = -9.0
    refined = Mcmc(settings(200)).refine(scene, 0.6, np.random.default_rng(0))
    assert refined is not None
    assert len(refined.scene) == 200
    assert (1 / (1 + np.exp(-refined.scene.opacities)) > 0.005).all()
    same = np.flatnonzero(refined.source >= 0)
    assert len(same) >= 140
    assert (same == refined.source[same]).all()
    assert (refined.scene.means[same] == scene.means[same]).all()
    assert (refined.scene.opacities[same] == scene.opacities[same]).all()
    assert np.isin(refined.scene.means[:30, 0], scene.means[30:, 0]).all()


def test_the_count_grows_to_the_budget_and_no_further() -> None:
    scene, strategy = synth.scene(50, 0), Mcmc(settings(300))
    scene.opacities[:] = 2.0
    counts = []
    for share in np.linspace(0, 0.85, 18):
        refined = strategy.refine(scene, float(share), np.random.default_rng(0))
        scene = scene if refined is None else refined.scene
        counts.append(len(scene))
    assert counts == sorted(counts)
    assert counts[-1] == 300
    assert all(after <= 1.5 * before + 1 for before, after in pairwise(counts))
    assert strategy.refine(scene, 0.9, np.random.default_rng(0)) is None


def test_nothing_alive_and_nothing_to_do() -> None:
    scene = synth.scene(5, 0)
    scene.opacities[:] = -9.0
    assert Mcmc(settings(5)).refine(scene, 0.2, np.random.default_rng(0)) is None
    strategy = Mcmc(settings(5))
    strategy.observe(Gradients(*(np.zeros(0, np.float32) for _ in range(6))), np.zeros(0, np.uint8), photos.camera(0))
    assert strategy.arrays() == {}


def test_noise_follows_the_covariance_of_faint_gaussians() -> None:
    scene = synth.scene(9, 0)
    logits = np.array([-7.0, -5.0, -5.3, -4.0, -3.0, -2.0, 0.0, 2.0, 5.0], np.float32)
    normals = np.random.default_rng(1).standard_normal((9, 3)).astype(np.float32)
    means = scene.means.copy()
    moved = perturb(scene.scales, scene.quats, logits, normals, 3.0, 0, 9, means)
    opacity = 1 / (1 + np.exp(-logits.astype(np.float64)))
    gate = 3.0 / (1 + np.exp(100 * (opacity - 0.005))) * (opacity <= 0.15)
    turn = rotations(scene.quats.astype(np.float64))
    spread = np.einsum("nik,nk,njk->nij", turn, np.exp(2.0 * scene.scales.astype(np.float64)), turn)
    want = gate[:, None] * np.einsum("nij,nj->ni", spread, normals)
    assert np.allclose(means - scene.means, want, rtol=1e-3, atol=1e-6)
    assert moved == 6
