"""Adam against its formulas in float64, and a fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from splatpack.errors import UsageError
from splatpack.fit.adam import Adam
from splatpack.fit.loss import Loss, l2, photometric
from splatpack.render.backward import Gradients, backward, forward
from splatpack.render.views import orbit_cameras
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians
from tests import synth

RATES = {"means": 2e-3, "scales": 1e-2, "quats": 5e-3, "opacities": 3e-2, "sh0": 1e-2, "shN": 1e-3}


def gradients(scene: Gaussians, seed: int, scale: float = 1e-3) -> Gradients:
    rng = np.random.default_rng(seed)
    arrays: list[Any] = [rng.normal(scale=scale, size=getattr(scene, k).shape).astype(np.float32) for k in ATTRIBUTES]
    return Gradients(*arrays)


@pytest.mark.parametrize("scale", [1.0, 1e-9])
def test_formulas(scale: float) -> None:
    scene = synth.scene(70, 2)
    optimiser = Adam(scene, RATES, betas=(0.8, 0.95))
    exact = {name: getattr(scene, name).astype(np.float64) for name in ATTRIBUTES}
    first, second = ({name: np.zeros(exact[name].shape) for name in ATTRIBUTES} for _ in range(2))
    for t in range(1, 6):
        grads = gradients(scene, t, scale)
        assert optimiser.step(grads) is optimiser.scene
        for name in ATTRIBUTES:
            g = getattr(grads, name).astype(np.float64)
            first[name] = 0.8 * first[name] + 0.2 * g
            second[name] = 0.95 * second[name] + 0.05 * g * g
            root = np.sqrt(second[name] / (1 - 0.95**t))
            exact[name] -= RATES[name] * first[name] / (1 - 0.8**t) / (root + 1e-15)
    assert optimiser.steps == 5
    for name in ATTRIBUTES:
        assert np.allclose(getattr(optimiser.scene, name), exact[name], rtol=1e-5, atol=1e-5 * RATES[name])


def test_the_given_scene_and_other_attributes_stay() -> None:
    scene = synth.scene(20, 1)
    before = {name: getattr(scene, name).copy() for name in ATTRIBUTES}
    result = Adam(scene, {"sh0": 0.1}).step(gradients(scene, 0))
    for name in ATTRIBUTES:
        assert (getattr(scene, name) == before[name]).all()
        assert (getattr(result, name) == before[name]).all() == (name != "sh0")


def test_a_rate_can_be_changed() -> None:
    scene = synth.scene(20, 1)
    optimiser = Adam(scene, {"sh0": 0.1, "means": 0.1})
    optimiser.rates["means"] = 0.0
    result = optimiser.step(gradients(scene, 0))
    assert (result.means == scene.means).all()
    assert (result.sh0 != scene.sh0).all()


def test_threads_change_no_byte() -> None:
    scene = synth.scene(9000, 3)
    results = []
    for threads in (1, 2, 3):
        optimiser = Adam(scene, RATES)
        for seed in range(2):
            optimiser.step(gradients(scene, seed), threads=threads)
        results.append(b"".join(getattr(optimiser.scene, name).tobytes() for name in ATTRIBUTES))
    assert results[0] == results[1] == results[2]


def test_broken_gradients_do_no_harm() -> None:
    scene = synth.scene(10, 0)
    grads = gradients(scene, 0)
    grads.means[:4, 0] = (math.nan, math.inf, -math.inf, 1e19)
    result = Adam(scene, RATES).step(grads)
    assert (result.means[:4, 0] == scene.means[:4, 0]).all()
    assert np.isfinite(result.means).all()
    assert (result.means[:, 1] != scene.means[:, 1]).all()


@pytest.mark.parametrize(
    ("rates", "more", "match"),
    [
        ({"colour": 1.0}, {}, "colour"),
        ({"means": -1.0}, {}, "rate"),
        ({"means": math.nan}, {}, "rate"),
        ({"means": 1.0}, {"betas": (0.9, 1.0)}, "betas"),
        ({"means": 1.0}, {"eps": 0.0}, "eps"),
    ],
)
def test_refused_settings(rates: dict[str, float], more: dict[str, Any], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        Adam(synth.scene(3), rates, **more)


def test_gradients_of_another_scene() -> None:
    with pytest.raises(UsageError, match="gradient of means"):
        Adam(synth.scene(3), RATES).step(gradients(synth.scene(4), 0))


@pytest.mark.parametrize("loss", [l2, photometric])
@pytest.mark.parametrize("antialiased", [False, True])
def test_a_fit(loss: Callable[..., Loss], antialiased: bool) -> None:
    """Five rounds over three views bring a disturbed scene nearer to the pictures of the true one."""
    truth = synth.scene(60, 1, seed=2)
    truth = replace(truth, scales=truth.scales + np.float32(1.5), antialiased=antialiased)
    cameras = orbit_cameras(truth, 3, 48, 36)
    targets = [forward(truth, camera)[0].color for camera in cameras]
    off = gradients(truth, 9, 0.08)
    arrays: dict[str, Any] = {name: getattr(truth, name) + getattr(off, name) for name in ATTRIBUTES}
    optimiser = Adam(replace(truth, **arrays), RATES)
    rounds = []
    for _ in range(6):
        total = 0.0
        for camera, target in zip(cameras, targets, strict=True):
            result, tape = forward(optimiser.scene, camera)
            here = loss(result.color, target)
            total += here.value
            optimiser.step(backward(tape, here.grad))
        rounds.append(total)
    assert rounds[-1] < 0.8 * rounds[0]
    assert optimiser.steps == 18


def test_rows_that_are_not_chosen_stay() -> None:
    scene = synth.scene(50, 2)
    some = (np.arange(50) % 3 == 0).astype(np.uint8)
    every, chosen = Adam(scene, RATES), Adam(scene, RATES)
    for seed in range(3):
        every.step(gradients(scene, seed))
        chosen.step(gradients(scene, seed), chosen=some, threads=1 + seed)
    for name in ATTRIBUTES:
        got, full, start = (getattr(s, name) for s in (chosen.scene, every.scene, scene))
        assert np.allclose(got[some == 1], full[some == 1], rtol=1e-6, atol=1e-7)
        assert (got[some == 0] == start[some == 0]).all()
        assert not chosen.averages[name][:, some == 0].any()


def test_another_scene_takes_over_the_averages_of_its_rows() -> None:
    scene = synth.scene(6, 1)
    optimiser = Adam(scene, RATES)
    optimiser.step(gradients(scene, 0))
    before = {name: average.copy() for name, average in optimiser.averages.items()}
    source = np.array([4, -1, 0, 4, 2])
    wide = synth.scene(5, 2, seed=1)
    optimiser.replant(wide, source)
    for name in ATTRIBUTES:
        now = optimiser.averages[name]
        assert now.shape == (2, *getattr(wide, name).shape)
        assert not now[:, 1].any()
        kept = now[:, :, :3] if name == "shN" else now
        assert (kept[:, [0, 2, 3, 4]] == before[name][:, [4, 0, 4, 2]]).all()
    assert not optimiser.averages["shN"][:, :, 3:].any()
    optimiser.step(gradients(wide, 1))
    assert optimiser.steps == 2
    with pytest.raises(UsageError, match="sources"):
        optimiser.replant(wide, np.array([0, 1, 2, 3, 5]))
    with pytest.raises(UsageError, match="sources"):
        optimiser.replant(wide, np.array([0]))
