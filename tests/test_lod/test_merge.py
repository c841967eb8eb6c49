"""Merging: moments against a plain reference, costs by their formula, rotations, and who goes with whom."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from splatpack.lod.kernels.axes import principal_axes
from splatpack.lod.kernels.merge import AREA, COLOUR, COV, EMPTIED, MASS, MEAN, ROW, cost, unite
from splatpack.lod.merge import merge
from splatpack.lod.moments import OPAQUE, gaussians_of, rotations, rows_of, trace
from tests import synth

UPPER = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


def full(row: NDArray[np.float64]) -> NDArray[np.float64]:
    """The covariance of a row as a matrix."""
    out = np.empty((3, 3))
    for k, (i, j) in enumerate(UPPER):
        out[i, j] = out[j, i] = row[COV + k]
    return out


def area(covariance: NDArray[np.float64]) -> float:
    a, b, c = np.linalg.eigvalsh(covariance)
    return float(np.sqrt(a * b + a * c + b * c))


def test_rows_are_the_moments_of_gaussians() -> None:
    scene = synth.scene(50, 0, seed=1)
    rows = rows_of(scene)
    for i in range(50):
        axes = rotations(scene.quats[i : i + 1])[0]
        covariance = axes @ np.diag(np.exp(2.0 * scene.scales[i].astype(float))) @ axes.T
        np.testing.assert_allclose(full(rows[i]), covariance, rtol=1e-9, atol=1e-12)
        assert rows[i, AREA] == pytest.approx(area(covariance), rel=1e-6)
        opacity = 1 / (1 + np.exp(-float(scene.opacities[i])))
        assert rows[i, MASS] == pytest.approx(opacity * rows[i, AREA], rel=1e-9)
    assert np.array_equal(rows[:, MEAN : MEAN + 3], scene.means)


def test_moments_become_the_same_gaussians_again() -> None:
    scene = synth.scene(200, 0, seed=2)
    rows = rows_of(scene)
    back = gaussians_of(rows, scene)
    again = rows_of(back)
    below = rows[:, MASS] / rows[:, AREA] < OPAQUE
    spread = trace(rows)[:, None]
    assert np.abs(again[:, COV : COV + 6] - rows[:, COV : COV + 6]).max() < 1e-5 * spread.max()
    assert (np.abs(again[:, COV : COV + 6] - rows[:, COV : COV + 6]) < 1e-5 * spread).all()
    np.testing.assert_allclose(again[below, MASS], rows[below, MASS], rtol=1e-4)
    np.testing.assert_allclose(back.sh0, scene.sh0, rtol=1e-5, atol=1e-6)
    assert (again[:, MASS] <= again[:, AREA]).all()


def test_a_pair_is_united_by_mass() -> None:
    rows = rows_of(synth.scene(40, 0, seed=3))
    out = np.empty((1, ROW))
    for i, j in ((0, 1), (5, 30), (39, 2)):
        unite(rows, i, j, out, 0)
        a, b = rows[i], rows[j]
        mass = a[MASS] + b[MASS]
        v = a[MASS] / mass, b[MASS] / mass
        mean = v[0] * a[MEAN : MEAN + 3] + v[1] * b[MEAN : MEAN + 3]
        want: Any = sum(
            w * (full(r) + np.outer(r[MEAN : MEAN + 3] - mean, r[MEAN : MEAN + 3] - mean))
            for w, r in zip(v, (a, b), strict=True)
        )
        np.testing.assert_allclose(out[0, MASS], mass)
        np.testing.assert_allclose(out[0, MEAN : MEAN + 3], mean, atol=1e-12)
        np.testing.assert_allclose(full(out[0]), want, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(out[0, AREA], area(want), rtol=1e-6)
        apart = a[COLOUR : COLOUR + 3] - b[COLOUR : COLOUR + 3]
        bill = 4 * v[0] * v[1] * float(apart @ apart)
        bill += EMPTIED * (max(0, area(want) / (a[AREA] + b[AREA]) - 1) + max(0, mass / area(want) - 1))
        assert cost(rows, i, j, np.empty((1, ROW))) == pytest.approx(mass * bill, rel=1e-5)


def test_only_gaussians_of_one_kind_are_merged() -> None:
    kinds = np.arange(200) % 3
    made = merge(rows_of(synth.scene(200, 0, seed=9)), 20, kinds)
    assert len(made.rows) == 20
    assert all(len(set(kinds[made.member == k])) == 1 for k in range(20))


@pytest.mark.parametrize(("n", "target"), [(1, 1), (2, 1), (300, 37), (300, 300), (300, 1), (7, 0)])
def test_merging_keeps_mass_mean_and_covariance(n: int, target: int) -> None:
    rows = rows_of(synth.scene(n, 0, seed=4))
    before = rows.copy()
    made = merge(rows, target)
    assert np.array_equal(rows, before)
    assert len(made.rows) == max(min(n, target), 1)
    mass = rows[:, MASS]
    for k in range(len(made.rows)):
        mine = made.member == k
        assert mine.any()
        mean = mass[mine] @ rows[mine, MEAN : MEAN + 3] / mass[mine].sum()
        want: Any = sum(
            mass[i] * (full(rows[i]) + np.outer(rows[i, MEAN : MEAN + 3] - mean, rows[i, MEAN : MEAN + 3] - mean))
            for i in np.nonzero(mine)[0]
        )
        want = want / mass[mine].sum()
        np.testing.assert_allclose(made.rows[k, MASS], mass[mine].sum(), rtol=1e-9)
        np.testing.assert_allclose(made.rows[k, MEAN : MEAN + 3], mean, atol=1e-9)
        np.testing.assert_allclose(full(made.rows[k]), want, atol=1e-9 * np.trace(want))
        assert (made.spent[k] == 0) == (mine.sum() == 1)


def test_near_and_alike_ones_merge_first() -> None:
    scene = synth.scene(4, 0, seed=5)
    scene.means[:] = np.array([(0, 0, 0), (0.01, 0, 0), (5, 0, 0), (5.01, 0, 0)], np.float32)
    scene.scales[:] = -3
    scene.opacities[:] = 0
    scene.sh0[:] = np.array([0.0, 0.0, 1.0, 1.0], np.float32)[:, None, None]
    made = merge(rows_of(scene), 2)
    assert made.member.tolist() == [0, 0, 1, 1]


def test_axes_of_any_covariance() -> None:
    rng = np.random.default_rng(6)
    roots = rng.normal(size=(200, 3, 3)) * 10 ** rng.uniform(-4, 2, (200, 1, 1))
    matrices = np.concatenate([roots @ roots.transpose(0, 2, 1), np.eye(3)[None], np.diag([4.0, 1.0, 0.0])[None]])
    flat = np.ascontiguousarray(np.stack([matrices[:, i, j] for i, j in UPPER], axis=1))
    scales, quats = np.empty((len(flat), 3), np.float32), np.empty((len(flat), 4), np.float32)
    principal_axes(flat, np.empty((3, 3)), np.empty((3, 3)), scales, quats)
    axes = rotations(quats)
    np.testing.assert_allclose(np.linalg.norm(quats, axis=1), 1, atol=1e-6)
    squares = np.exp(2.0 * scales.astype(float))
    back = np.einsum("nij,nj,nkj->nik", axes, squares, axes)
    size = np.trace(matrices, axis1=1, axis2=2)[:, None, None]
    assert (np.abs(back - matrices) < 2e-6 * size).all()
