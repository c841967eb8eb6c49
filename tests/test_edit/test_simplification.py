from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from splatpack.edit import decimate, rotate, simplify
from splatpack.errors import UsageError
from splatpack.render.compare import compare
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians
from tests import synth
from tests.test_scene.test_transform import covariances

SCENE = replace(synth.scene(900, 2, seed=4), extras={"row": np.arange(900)})


def pair() -> Gaussians:
    """Two of the same mass and shape, apart along x, and a third one far away."""
    scene = synth.scene(3, 1, seed=1)
    scales = np.log(np.array([[0.2, 0.3, 0.1]] * 3, np.float32))
    means = np.array([[-0.1, 0, 0], [0.1, 0, 0], [50, 0, 0]], np.float32)
    quats = np.array([[1, 0, 0, 0]] * 3, np.float32)
    logits = np.array([-1, -1, 2], np.float32)
    extras = {"row": np.arange(3)}
    return replace(scene, means=means, scales=scales, quats=quats, opacities=logits, extras=extras)


def test_two_become_one_with_their_moments_and_the_mean_of_their_colours() -> None:
    scene = pair()
    done = simplify(scene, 2)
    assert len(done) == 2
    assert np.allclose(done.means[0], 0, atol=1e-6)
    want = np.diag((0.04 + 0.01, 0.09, 0.01))
    assert np.allclose(covariances(done)[0], want, atol=1e-5)
    assert np.allclose(done.sh0[0], scene.sh0[:2].mean(axis=0), atol=1e-5)
    assert np.allclose(done.shN[0], scene.shN[:2].mean(axis=0), atol=1e-5)
    assert done.extras["row"].tolist() == [0, 2]


def test_what_no_merge_touched_is_the_same_bits() -> None:
    done = simplify(SCENE, 800)
    assert len(done) == 800
    rows = done.extras["row"]
    same = (done.means == SCENE.means[rows]).all(axis=1)
    assert 700 <= same.sum() < 800
    for name in ATTRIBUTES:
        assert np.array_equal(getattr(done, name)[same], getattr(SCENE, name)[rows[same]])


def wall(side: int = 40) -> Gaussians:
    """Discs of a smooth texture that together hide what is behind them: each one adds the same to the pictures."""
    i, j = (v.ravel() for v in np.meshgrid(np.arange(side), np.arange(side)))
    scene = synth.scene(side * side, 0, seed=0)
    colour = np.stack([np.sin(i / 7), np.cos(j / 9), np.sin((i + j) / 11)], axis=1)
    return replace(
        scene,
        means=np.stack([0.05 * i, 0.05 * j, 0 * i], axis=1).astype(np.float32),
        scales=np.tile(np.log(np.array([0.05, 0.05, 0.002])), (side * side, 1)).astype(np.float32),
        quats=np.tile([1, 0, 0, 0], (side * side, 1)).astype(np.float32),
        opacities=np.full(side * side, 2, np.float32),
        sh0=colour[:, None].astype(np.float32),
    )


def test_few_proxies_leave_no_holes_in_a_wall() -> None:
    scene = wall()
    assert compare(scene, simplify(scene, 0.1)).psnr_mean > compare(scene, decimate(scene, 0.1)).psnr_mean + 5


def test_it_is_the_same_each_time() -> None:
    a, b = simplify(SCENE, 300), simplify(SCENE, 300)
    assert all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ATTRIBUTES)


def test_it_turns_with_the_scene() -> None:
    turned = simplify(rotate(pair(), (0, 0, 90)), 2)
    assert np.allclose(covariances(turned)[0], np.diag((0.09, 0.05, 0.01)), atol=1e-5)


def test_amounts() -> None:
    assert simplify(SCENE, 1000) is SCENE
    assert len(simplify(SCENE, 1)) == 1
    assert len(simplify(synth.scene(0), 0.5)) == 0
    for bad in (0, 1.5):
        with pytest.raises(UsageError, match="expected"):
            simplify(SCENE, bad)
