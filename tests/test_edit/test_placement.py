from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splatpack.edit import change_frame, mirror, rotate, scale, sort, translate
from splatpack.edit.placement import rotation_of
from splatpack.errors import UsageError
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians
from tests import synth
from tests.test_scene.test_transform import check

SCENE = synth.scene(150, 3, seed=9)
ANGLE = st.floats(-720, 720)


def close(a: Gaussians, b: Gaussians, atol: float = 2e-5) -> bool:
    """Whether two scenes are the same; q and -q are one rotation."""
    sign = np.sign(np.einsum("ij,ij->i", a.quats, b.quats))[:, None].astype(np.float32)
    a = replace(a, quats=a.quats * sign)
    return all(np.allclose(getattr(a, name), getattr(b, name), atol=atol) for name in ATTRIBUTES)


@given(ANGLE, ANGLE, ANGLE)
def test_angles_turn_about_x_then_y_then_z(x: float, y: float, z: float) -> None:
    matrix = rotation_of((x, y, z))
    assert np.allclose(matrix @ matrix.T, np.eye(3))
    assert np.linalg.det(matrix) == pytest.approx(1)
    one_by_one = rotate(rotate(rotate(SCENE, (x, 0, 0)), (0, y, 0)), (0, 0, z))
    assert close(one_by_one, rotate(SCENE, (x, y, z)), atol=5e-5)
    check(SCENE, rotate(SCENE, (x, y, z)), matrix, np.zeros(3))


def test_right_angles_are_exact_and_right_handed() -> None:
    assert np.array_equal(rotation_of((90, 0, 0)) @ (0, 1, 0), (0, 0, 1))
    assert np.array_equal(rotation_of((0, 90, 0)) @ (0, 0, 1), (1, 0, 0))
    assert np.array_equal(rotation_of((0, 0, 90)) @ (1, 0, 0), (0, 1, 0))
    assert np.array_equal(rotation_of((0, 0, -630)), rotation_of((0, 0, 90)))
    assert rotation_of((30, 0, 0))[1, 1] == pytest.approx(math.cos(math.radians(30)))


def test_a_quaternion_of_any_length_is_the_same_rotation() -> None:
    half = math.radians(40) / 2
    assert np.allclose(rotation_of((3 * math.cos(half), 0, 3 * math.sin(half), 0)), rotation_of((0, 40, 0)))


def test_an_edit_and_its_inverse_give_the_scene_back() -> None:
    assert close(translate(translate(SCENE, (1, -2, 3)), (-1, 2, -3)), SCENE)
    assert close(scale(scale(SCENE, 8), 1 / 8), SCENE)
    assert close(rotate(rotate(SCENE, (20, 0, 0)), (-20, 0, 0)), SCENE)
    assert close(change_frame(change_frame(SCENE, "z_up"), "rdf"), SCENE)
    twice = mirror(mirror(SCENE, "xz"), "zx")
    assert all(np.array_equal(getattr(twice, name), getattr(SCENE, name)) for name in ATTRIBUTES)


def test_order_matters() -> None:
    a, b = translate(scale(SCENE, 2), (1, 0, 0)), scale(translate(SCENE, (1, 0, 0)), 2)
    assert np.allclose(b.means - a.means, (1, 0, 0), atol=1e-5)


def test_a_mirror_is_a_mirror() -> None:
    check(SCENE, mirror(SCENE, "y"), np.diag((1.0, -1.0, 1.0)), np.zeros(3))


def test_sort_brings_neighbours_together_and_is_stable() -> None:
    rows = np.random.default_rng(0).permutation(len(SCENE))
    mixed = replace(SCENE.take(rows), extras={"row": rows})
    done = sort(mixed)
    assert sorted(done.extras["row"]) == list(range(len(SCENE)))
    assert np.array_equal(done.means, SCENE.means[done.extras["row"]])

    def path(scene: Gaussians) -> float:
        return float(np.linalg.norm(np.diff(scene.means, axis=0), axis=1).sum())

    assert path(done) < 0.6 * path(mixed)
    assert np.array_equal(sort(done).means, done.means)


@pytest.mark.parametrize("by", [(), (1, 2), (0, 0, 0, 0), (math.inf, 0, 0), (math.nan, 0, 0, 1), (1, 2, 3, 4, 5)])
def test_rotations_that_are_none(by: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="expected 3 angles in degrees or a quaternion"):
        rotate(SCENE, by)


def test_other_arguments_out_of_range() -> None:
    for bad in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(UsageError, match="positive"):
            scale(SCENE, bad)
    for axes in ("", "w", "x,y"):
        with pytest.raises(UsageError, match="expected some of x, y, z"):
            mirror(SCENE, axes)
    with pytest.raises(UsageError, match="3 finite numbers"):
        translate(SCENE, (1, 2))
