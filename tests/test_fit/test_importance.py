"""Importance against the plain renderer, its determinism, its floor, and the same bits without the compiler."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from splatpack.fit.importance import importance, prior, view_weights
from splatpack.render.views import encoder_cameras, stage
from tests import synth
from tests.test_render import reference
from tests.test_render.test_cpu import bold
from tests.test_render.test_views import odd_scenes


@pytest.mark.parametrize("antialiased", [False, True])
def test_weights_match_the_plain_renderer(antialiased: bool) -> None:
    scene = replace(bold(200, 0), antialiased=antialiased)
    for camera in encoder_cameras(scene, 6, 45, 37, 1):
        plain = reference.render(scene, camera).weights
        assert np.allclose(view_weights(scene, camera, 0.05), plain, rtol=1e-5, atol=2e-5)


def test_importance_is_the_mean_over_the_views_with_a_floor() -> None:
    scene = bold(300, 0, seed=3)
    views = encoder_cameras(scene, 5, 40, 30, 11)
    plain = np.mean([reference.render(scene, c, near=stage(scene).near).weights for c in views], axis=0)
    expected = prior(scene)
    sigma = np.exp(np.sort(scene.scales.astype(np.float64), axis=1))
    opacity = 1 / (1 + np.exp(-scene.opacities.astype(np.float64)))
    assert np.allclose(expected, opacity**2 * sigma[:, 1] * sigma[:, 2])
    expected = np.minimum(expected, np.percentile(expected, 99))
    k = np.median((plain / expected)[plain > 0])
    ours = importance(scene, views=5, width=40, height=30, seed=11)
    assert ours.dtype == np.float64
    assert np.allclose(ours, np.maximum(plain, 0.05 * k * expected), rtol=1e-3, atol=1e-5)
    assert (ours > 0).all()


def test_hidden_gaussians_weigh_little() -> None:
    scene = bold(400, 0, seed=1)
    means = scene.means.copy()
    means[7] = (1e4, 0, 0)
    opacities = scene.opacities.copy()
    opacities[8] = -9
    weights = importance(replace(scene, means=means, opacities=opacities), views=6, width=48, height=36)
    assert weights[8] < 1e-4 * np.median(weights)
    assert 0 < weights[7] < np.percentile(weights, 90)


def test_threads_do_not_change_a_bit() -> None:
    scene = synth.scene(20_000, 0)
    results = [importance(scene, views=7, width=96, height=72, threads=threads) for threads in (1, 2, 3)]
    assert results[0].tobytes() == results[1].tobytes() == results[2].tobytes()


PROGRAM = """
import hashlib, dataclasses, sys
from splatpack.fit.importance import importance
from tests.test_render.test_cpu import bold
scene = dataclasses.replace(bold(25, 0, seed=9), antialiased=True)
print(hashlib.sha256(importance(scene, views=3, width=33, height=21, threads=1).tobytes()).hexdigest())
"""


def test_plain_python_gives_the_same_bits() -> None:
    scene = replace(bold(25, 0, seed=9), antialiased=True)
    compiled = importance(scene, views=3, width=33, height=21)
    assert np.unique(compiled).size > 20
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stderr == ""
    assert run.stdout.strip() == hashlib.sha256(compiled.tobytes()).hexdigest()


@pytest.mark.parametrize("name", list(odd_scenes()))
def test_any_scene_has_importance(name: str) -> None:
    scene = odd_scenes()[name]
    weights = importance(scene, views=3, width=20, height=15)
    assert weights.shape == (len(scene),)
    assert np.isfinite(weights).all()
    assert (weights >= 0).all()
    if name not in ("transparent", "none"):
        assert weights.max() > 0


def test_without_views_the_prior_decides() -> None:
    scene = synth.scene(100, 0)
    expected = prior(scene)
    assert np.allclose(importance(scene, views=0), np.minimum(expected, np.percentile(expected, 99)))
