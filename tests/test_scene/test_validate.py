from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from splatpack.errors import InvalidSceneError
from splatpack.scene.gaussians import Gaussians
from splatpack.scene.validate import LOGIT_LIMIT, SCALE_LIMIT, normalise_quats, validate
from tests import synth


def _copy(scene: Gaussians) -> Gaussians:
    return scene.take(np.arange(len(scene)))


def test_a_clean_scene_is_returned_itself() -> None:
    scene = synth.scene(300)
    same, report = validate(scene)
    assert same is scene
    assert report.clean
    assert report.total == 300
    assert report.summary() == "300 Gaussians: all valid"


@pytest.mark.parametrize("name", ["means", "scales", "quats", "opacities", "sh0", "shN"])
def test_nan_rows_are_removed(name: str) -> None:
    scene = _copy(synth.scene(50))
    getattr(scene, name).reshape(50, -1)[7, -1] = np.nan
    fixed, report = validate(scene)
    assert len(fixed) == 49
    assert (report.non_finite, report.removed, report.clean) == (1, 1, False)
    assert np.array_equal(fixed.means, np.delete(scene.means, 7, axis=0))
    with pytest.raises(InvalidSceneError, match="1 with NaN"):
        validate(scene, repair=False)


@pytest.mark.parametrize("name", ["means", "quats", "sh0", "shN"])
def test_infinite_rows_are_removed(name: str) -> None:
    scene = _copy(synth.scene(50))
    getattr(scene, name).reshape(50, -1)[3, 0] = -np.inf
    assert len(validate(scene)[0]) == 49


def test_infinite_opacities_are_clamped() -> None:
    scene = _copy(synth.scene(5))
    scene.opacities[:3] = (np.inf, -np.inf, 90.0)
    fixed, report = validate(scene)
    assert report.opacities_clamped == 2
    assert np.allclose(fixed.opacities[:3], (LOGIT_LIMIT, -LOGIT_LIMIT, 90.0))
    assert fixed.opacities.dtype == np.float32
    assert fixed.means is scene.means
    assert np.isinf(scene.opacities[0])


def test_scales_are_clamped_and_plus_infinity_removed() -> None:
    scene = _copy(synth.scene(6))
    scene.scales[0, 2] = -np.inf
    scene.scales[1, 0] = 31
    scene.scales[2, 1] = np.inf
    fixed, report = validate(scene)
    assert (report.scales_clamped, report.non_finite, len(fixed)) == (2, 1, 5)
    assert fixed.scales[0, 2] == -SCALE_LIMIT
    assert fixed.scales[1, 0] == SCALE_LIMIT


def test_zero_quats_become_the_identity_and_others_unit() -> None:
    scene = _copy(synth.scene(6))
    scene.quats[0] = 0
    scene.quats[1] *= 1e-25
    scene.quats[2] *= 3e30
    fixed, report = validate(scene)
    assert (report.zero_quats, report.normalised) == (1, 2)
    assert fixed.quats[0].tolist() == [1, 0, 0, 0]
    assert np.allclose(np.linalg.norm(fixed.quats, axis=1), 1, atol=1e-6)
    assert np.array_equal(fixed.quats[3:], scene.quats[3:])


def test_far_rows_are_removed() -> None:
    scene = _copy(synth.scene(6))
    scene.means[0, 0] = 2e15
    fixed, report = validate(scene)
    assert (report.far, len(fixed)) == (1, 5)


def test_unnormalised_quats_are_no_defect() -> None:
    scene = synth.scene(6)
    scene = replace(scene, quats=scene.quats * np.float32(2))
    same, report = validate(scene, repair=False)
    assert same is scene
    assert report.clean
    assert report.normalised == 6


def test_a_repaired_scene_is_clean() -> None:
    rng = np.random.default_rng(3)
    scene = _copy(synth.scene(400))
    for name in ("means", "scales", "quats", "opacities", "sh0", "shN"):
        flat = getattr(scene, name).reshape(-1)
        flat[rng.integers(0, len(flat), 8)] = rng.choice([np.nan, np.inf, -np.inf, 1e20, 0], 8)
    fixed, report = validate(scene)
    again, second = validate(fixed)
    assert again is fixed
    assert second.clean
    assert second.normalised == 0
    assert len(fixed) == 400 - report.removed


def test_nothing_left() -> None:
    with pytest.raises(InvalidSceneError, match="nothing to"):
        validate(synth.scene(0))
    scene = _copy(synth.scene(3))
    scene.means[:] = np.nan
    with pytest.raises(InvalidSceneError, match="nothing to"):
        validate(scene)


def test_extras_follow_the_rows() -> None:
    scene = _copy(synth.scene(4))
    scene = replace(scene, extras={"id": np.arange(4, dtype=np.int64)})
    scene.means[1] = np.nan
    assert validate(scene)[0].extras["id"].tolist() == [0, 2, 3]


def test_normalise_quats_counts() -> None:
    quats = np.array([[1, 0, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0], [np.nan, 0, 0, 0]], np.float32)
    assert normalise_quats(quats) == 1
    assert quats[1].tolist() == [1, 0, 0, 0]
    assert not quats[2].any()


def test_signalling_nans_are_removed_without_a_warning() -> None:
    scene = synth.scene(4, 0, seed=1)
    bits = scene.quats.view(np.uint32)
    bits[2, 1] = 0x7F800001  # found by fuzz/fuzz_ply.py: the cast to float64 warned
    repaired, report = validate(scene)
    assert report.non_finite == 1
    assert len(repaired) == 3
