"""Importance against its definition, its views, its determinism, and the same bits without the compiler."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from splatpack.fit.importance import FEWEST, VIEWS, importance, in_the_open, survey, view_count
from splatpack.fit.view import view_weights
from splatpack.render.views import encoder_cameras, orbit_cameras, stage
from splatpack.scene.cameras import look_at
from tests import synth
from tests.test_render import reference
from tests.test_render.test_cpu import bold
from tests.test_render.test_views import odd_scenes


def test_importance_is_the_mean_over_the_views_with_a_floor() -> None:
    scene = bold(300, 0, seed=3)
    views = encoder_cameras(scene, 5, 40, 30, 11)
    plain = np.mean([reference.render(scene, c, near=stage(scene).near).weights for c in views], axis=0) / (40 * 30)
    ours = importance(scene, views=5, width=40, height=30, seed=11)
    assert ours.dtype == np.float64
    assert np.allclose(ours, np.maximum(plain, 0.001 * in_the_open(scene, stage(scene).distance)), rtol=1e-4, atol=1e-8)
    assert (ours > 0).all()


def test_in_the_open_is_what_one_gaussian_weighs_face_on() -> None:
    one = replace(
        bold(1, 0),
        means=np.zeros((1, 3), np.float32),
        scales=np.log(np.array([[0.05, 0.07, 0.001]], np.float32)),
        quats=np.array([[1, 0, 0, 0]], np.float32),
        opacities=np.array([0.5], np.float32),
    )
    place = stage(one)
    camera = look_at(
        -place.distance * np.array([0, 0, 1.0]), (0, 0, 0), (0, -1, 0), 2 * np.arctan(0.75 / 3**0.5), 320, 240
    )
    seen = view_weights(one, camera, place.near)
    assert camera.fx == pytest.approx(160 * 3**0.5)
    assert seen[0] == pytest.approx(in_the_open(one, place.distance)[0], rel=0.05)


def test_hidden_gaussians_weigh_little() -> None:
    scene = bold(400, 0, seed=1)
    means = scene.means.copy()
    means[7] = (1e4, 0, 0)
    opacities = scene.opacities.copy()
    opacities[8] = -9
    scene = replace(scene, means=means, opacities=opacities)
    weights = importance(scene, views=6, width=48, height=36)
    assert 0 < weights[8] < 1e-4 * np.median(weights)
    assert weights[7] == 0.001 * in_the_open(scene, stage(scene).distance)[7]


def test_large_scenes_get_fewer_views() -> None:
    assert view_count(1000) == view_count(100_000) == VIEWS
    assert [view_count(n) for n in (150_000, 400_000, 1_000_000, 10_000_000)] == [52, 32, 20, FEWEST]
    assert view_count(10_000_000, 5) == view_count(0, 5) == 5


def test_own_cameras_are_a_half_of_the_views_taken_evenly() -> None:
    scene = bold(200, 0, seed=5)
    own = [replace(c, name=f"own-{i}") for i, c in enumerate(orbit_cameras(scene, 9, 80, 30))]
    automatic = encoder_cameras(scene, 3, 40, 30, 7)
    taken = [own[i].resized(57, 21) for i in (1, 4, 7)]
    expected = np.mean([view_weights(scene, c, stage(scene).near) for c in automatic + taken], axis=0)
    ours = importance(scene, views=6, width=40, height=30, cameras=own)
    assert np.allclose(ours, np.maximum(expected, 0.001 * in_the_open(scene, stage(scene).distance)), rtol=1e-12)
    few = importance(scene, views=6, width=40, height=30, cameras=own[:1])
    expected = [
        view_weights(scene, c, stage(scene).near)
        for c in [*encoder_cameras(scene, 5, 40, 30, 7), own[0].resized(57, 21)]
    ]
    assert np.allclose(
        few, np.maximum(np.mean(expected, axis=0), 0.001 * in_the_open(scene, stage(scene).distance)), rtol=1e-12
    )


def test_a_time_limit_ends_the_work_and_says_so() -> None:
    scene = bold(100, 0)
    whole = survey(scene, views=6, width=40, height=30)
    assert (whole.views, whole.planned) == (6, 6)
    assert whole.seconds > 0
    cut = survey(scene, views=6, width=40, height=30, seconds=0.0, threads=1)
    assert (cut.views, cut.planned) == (1, 6)
    first = view_weights(scene, encoder_cameras(scene, 6, 40, 30, 7)[0], stage(scene).near)
    assert np.array_equal(cut.weights, np.maximum(first, 0.001 * in_the_open(scene, stage(scene).distance)))


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


def test_without_views_the_scene_alone_decides() -> None:
    scene = synth.scene(100, 0)
    sigma = np.exp(np.sort(scene.scales.astype(np.float64), axis=1))
    opacity = 1 / (1 + np.exp(-scene.opacities.astype(np.float64)))
    open_ = np.minimum(np.pi * opacity**2 * sigma[:, 1] * sigma[:, 2] / stage(scene).distance ** 2, 1)
    assert np.allclose(in_the_open(scene, stage(scene).distance), open_)
    assert np.allclose(importance(scene, views=0), 0.001 * open_)
