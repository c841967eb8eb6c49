from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from splatpack.errors import UsageError
from splatpack.scene.gaussians import Gaussians
from splatpack.scene.transform import change_frame, flip, quat_of, sh_basis, sh_rotation, sh_signs, transform
from tests import synth

Array = NDArray[np.float64]

SIGNS = {  # the table of the reference, row by row: x, y, z, xy, yz, xz, xyz
    (-1, 1, 1): "++- -++-+ +-++-+-",
    (1, -1, 1): "-++ --+++ ---++++",
    (1, 1, -1): "+-+ +-+-+ +-+-+-+",
    (-1, -1, 1): "-+- +-+-+ -+-+-+-",
    (1, -1, -1): "--+ -++-+ -+--+-+",
    (-1, 1, -1): "+-- --+++ +++----",
    (-1, -1, -1): "--- +++++ -------",
}


def matrices(quats: NDArray[Any]) -> Array:
    """Rotation matrices of unit quaternions (N, 4), by the textbook formula."""
    w, x, y, z = quats.astype(np.float64).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.asarray(np.moveaxis(np.array(rows), 2, 0))


def covariances(scene: Gaussians) -> Array:
    r = matrices(scene.quats)
    m = r * np.exp(scene.scales.astype(np.float64))[:, None, :]
    return np.asarray(m @ m.transpose(0, 2, 1))


def colours(scene: Gaussians, directions: Array) -> Array:
    return np.asarray(np.einsum("dk,nkc->ndc", sh_basis(directions, scene.sh_degree), scene.shN.astype(np.float64)))


def random_rotation(seed: int) -> Array:
    q = np.random.default_rng(seed).normal(size=(1, 4))
    return np.asarray(matrices(q / np.linalg.norm(q))[0])


def directions(n: int = 40, seed: int = 5) -> Array:
    d = np.random.default_rng(seed).normal(size=(n, 3))
    return np.asarray(d / np.linalg.norm(d, axis=1, keepdims=True))


def check(before: Gaussians, after: Gaussians, linear: Array, move: Array) -> None:
    """Means, covariances and colours of ``after`` are those of ``before`` seen through x -> linear x + move."""
    assert np.allclose(after.means, before.means @ linear.T + move, atol=1e-4)
    want = linear @ covariances(before) @ linear.T
    assert np.abs(covariances(after) - want).max() < 2e-5 * np.abs(want).max()
    scale = np.cbrt(abs(np.linalg.det(linear)))
    d = directions()
    assert np.allclose(colours(after, d @ linear.T / scale), colours(before, d), atol=2e-5)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.05, 20), degree=st.integers(0, 3))
def test_a_similarity_moves_shape_and_colour_together(seed: int, scale: float, degree: int) -> None:
    scene = synth.scene(60, degree, seed)
    turn = random_rotation(seed)
    move = np.random.default_rng(seed).normal(size=3)
    after = transform(scene, rotation=turn, scale=scale, translation=move)
    check(scene, after, scale * turn, move)
    back = transform(after, rotation=turn.T, scale=1 / scale, translation=-turn.T @ move / scale)
    assert np.allclose(back.means, scene.means, atol=1e-4)
    assert np.allclose(back.shN, scene.shN, atol=1e-5)
    assert np.allclose(covariances(back), covariances(scene), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(("signs", "table"), SIGNS.items())
def test_flip_signs_are_those_of_the_reference(signs: tuple[int, int, int], table: str) -> None:
    want = [1 if c == "+" else -1 for c in table.replace(" ", "")]
    assert sh_signs(signs).tolist() == want


@pytest.mark.parametrize("signs", list(SIGNS))
def test_a_flip_moves_shape_and_colour_together(signs: tuple[int, int, int]) -> None:
    scene = synth.scene(80)
    after = flip(scene, signs)
    check(scene, after, np.diag(np.array(signs, np.float64)), np.zeros(3))
    back = flip(after, signs)
    assert all(np.array_equal(getattr(back, a), getattr(scene, a)) for a in ("means", "quats", "shN"))


@pytest.mark.parametrize("signs", [(-1, -1, 1), (1, -1, -1), (-1, 1, -1)])
def test_a_half_turn_is_the_same_both_ways(signs: tuple[int, int, int]) -> None:
    scene = synth.scene(80)
    one, two = flip(scene, signs), transform(scene, rotation=np.diag(signs))
    assert np.array_equal(one.means, two.means)
    assert np.allclose(covariances(one), covariances(two), rtol=1e-5, atol=1e-9)
    assert np.allclose(one.shN, two.shN, atol=1e-6)


def test_quarter_turn_in_closed_form() -> None:
    """The reference's closed form of R_x(+90 degrees) for bands 1 and 2."""
    turn = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    one, two, _ = sh_rotation(turn, 3)
    c = np.random.default_rng(0).normal(size=5)
    assert np.allclose(one @ c[:3], (c[1], -c[0], c[2]))
    h = np.sqrt(3) / 2
    assert np.allclose(two @ c, (c[3], -c[1], -c[2] / 2 - h * c[4], -c[0], -h * c[2] + c[4] / 2))
    w, x, y, z = quat_of(turn)
    assert np.allclose((w, x, y, z), (np.sqrt(0.5), np.sqrt(0.5), 0, 0))


def test_sh_matrices_are_orthogonal() -> None:
    for matrix in sh_rotation(random_rotation(1), 3):
        assert np.allclose(matrix @ matrix.T, np.eye(len(matrix)), atol=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_quat_of_any_rotation(seed: int) -> None:
    turn = random_rotation(seed)
    if seed < 6:
        turn = np.diag([(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)][seed % 4]).astype(np.float64)
    q = quat_of(turn)
    assert np.allclose(matrices(q[None])[0], turn)


@pytest.mark.parametrize("frame", ["rdf", "rub", "luf", "z_up"])
@pytest.mark.parametrize("to", ["rdf", "rub", "luf", "z_up"])
def test_frames_round_trip(frame: str, to: str) -> None:
    scene = replace(synth.scene(50), frame=frame)
    there = change_frame(scene, to)
    assert there.frame == to
    back = change_frame(there, frame)
    assert np.array_equal(back.means, scene.means)
    assert np.allclose(back.shN, scene.shN, atol=1e-6)
    assert np.allclose(covariances(back), covariances(scene), rtol=1e-4, atol=1e-9)


def test_up_is_up_in_every_frame() -> None:
    scene = replace(synth.scene(1, 0), means=np.array([[1, -2, 3]], np.float32))  # right 1, up 2, front 3
    want = {"rdf": (1, -2, 3), "rub": (1, 2, -3), "luf": (-1, 2, 3), "z_up": (1, 3, 2)}
    for frame, mean in want.items():
        assert change_frame(scene, frame).means[0].tolist() == list(mean)
    assert change_frame(scene, "rdf") is scene


def test_sizes_and_directions_in_extra_columns_follow() -> None:
    extras = {n: np.full(3, v, np.float32) for n, v in (("nx", 0), ("ny", 0), ("nz", 1), ("filter_3D", 0.5), ("id", 7))}
    scene = replace(synth.scene(3), extras=extras)
    after = transform(scene, rotation=[[1, 0, 0], [0, 0, -1], [0, 1, 0]], scale=2)
    assert after.extras["filter_3D"].tolist() == [1, 1, 1]
    assert [after.extras[n][0] for n in ("nx", "ny", "nz", "id")] == [0, -1, 0, 7]
    assert flip(scene, (1, 1, -1)).extras["nz"][0] == -1


def test_what_does_not_change_is_shared() -> None:
    scene = synth.scene(3)
    moved = transform(scene, translation=(1, 0, 0))
    assert moved.shN is scene.shN
    assert moved.scales is scene.scales


@pytest.mark.parametrize(
    "bad",
    [
        {"rotation": np.diag([1, 1, -1])},
        {"rotation": np.eye(3) * 2},
        {"rotation": np.full((3, 3), np.nan)},
        {"rotation": np.eye(4)},
        {"scale": 0.0},
        {"scale": -1.0},
        {"scale": np.inf},
        {"translation": (1, 2)},
        {"translation": (1, 2, np.nan)},
    ],
)
def test_what_is_no_similarity_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        transform(synth.scene(2), **bad)  # type: ignore[arg-type]


def test_unknown_frames_are_refused() -> None:
    with pytest.raises(UsageError, match="ruf"):
        change_frame(synth.scene(2), "ruf")
    with pytest.raises(UsageError, match="unknown"):
        change_frame(replace(synth.scene(2), frame="unknown"), "rdf")
    with pytest.raises(UsageError, match="signs"):
        flip(synth.scene(2), (2, 1, 1))
