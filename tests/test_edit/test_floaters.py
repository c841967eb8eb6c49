from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from splatpack.edit import drop_floaters, drop_huge, drop_isolated, drop_unseen
from splatpack.edit.floaters import spacing
from splatpack.errors import UsageError
from splatpack.fit.importance import importance
from splatpack.render.views import stage
from splatpack.scene.gaussians import Gaussians
from tests import synth


def grid(side: int = 12, step: float = 0.1) -> Gaussians:
    """A cube of small Gaussians on a lattice, far from the origin, with five strays at the end."""
    axis = np.arange(side) * step
    points = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3) + 50
    strays = 50 + np.array([[8, 0, 0], [0, -9, 0], [0, 0, 1e12], [-6, -6, -6], [-6.01, -6, -6]])
    means = np.concatenate([points, strays]).astype(np.float32)
    n = len(means)
    scene = synth.scene(n, 0, seed=0)
    return replace(
        scene, means=means, scales=np.full((n, 3), math.log(0.02), np.float32), opacities=np.full(n, 2, np.float32),
        extras={"row": np.arange(n)},
    )  # fmt: skip


def rows(scene: Gaussians) -> NDArray[np.int64]:
    return np.asarray(scene.extras["row"])


def test_what_stands_alone_goes() -> None:
    scene = grid()
    assert spacing(scene) == pytest.approx(0.1, rel=1e-3)
    assert rows(drop_isolated(scene)).tolist() == list(range(12**3))
    assert len(drop_isolated(scene, 1e5)) == len(scene) - 1  # all but the one a million cells away


def test_a_large_one_that_reaches_its_neighbours_stays() -> None:
    scene = grid()
    scales = scene.scales.copy()
    scales[-5], scales[-4] = math.log(2.5), math.log(0.7)
    assert rows(drop_isolated(replace(scene, scales=scales))).tolist() == [*range(12**3), 12**3]


def test_four_others_are_company() -> None:
    scene = grid()
    means = scene.means.copy()
    means[-5:] = 58 + 0.01 * np.arange(5)[:, None]
    assert len(drop_isolated(replace(scene, means=means))) == len(scene)
    means[-1] = 70
    assert len(drop_isolated(replace(scene, means=means))) == len(scene) - 5


def test_one_place_and_few_gaussians_have_no_floaters() -> None:
    scene = grid()
    same = replace(scene, means=np.ones_like(scene.means))
    assert spacing(same) == 0
    assert len(drop_isolated(same)) == len(scene)
    assert len(drop_isolated(scene.take(slice(0, 1)))) == 1
    assert len(drop_isolated(scene.take(slice(0, 5)))) == 5


def test_copies_in_one_place_do_not_count_as_spacing() -> None:
    scene = grid()
    twice = scene.take(np.repeat(np.arange(len(scene)), 3))
    assert spacing(twice) == pytest.approx(0.1, rel=1e-3)
    assert len(drop_isolated(twice)) == 3 * 12**3 + 6  # two strays, side by side, are six with their copies


def test_floaters_of_nothing() -> None:
    scene = grid()
    assert len(drop_floaters(scene.take(slice(0, 0)))) == 0


def test_huge_ones_go() -> None:
    scene = grid().take(slice(0, 12**3))
    radius = stage(scene).radius
    scales = scene.scales.copy()
    scales[3, 1] = math.log(1.01 * radius)
    scales[4, 2] = math.log(0.99 * radius)
    scene = replace(scene, scales=scales)
    assert 3 not in rows(drop_huge(scene))
    assert len(drop_huge(scene)) == len(scene) - 1
    assert len(drop_huge(scene, 0.9)) == len(scene) - 2


def test_both_at_once() -> None:
    scene = grid()
    scales = scene.scales.copy()
    scales[0] = math.log(100)
    assert rows(drop_floaters(replace(scene, scales=scales))).tolist() == list(range(1, 12**3))


def test_what_no_picture_shows_goes_up_to_its_share() -> None:
    scene = replace(synth.scene(600, 0, seed=2), extras={"row": np.arange(600)})
    weights = importance(scene)
    for share in (0.001, 0.05):
        left = drop_unseen(scene, share, threads=1)
        gone = np.setdiff1d(np.arange(600), rows(left))
        assert weights[gone].sum() <= share * weights.sum()
        assert weights[gone].sum() + weights[rows(left)].min() > share * weights.sum()
        assert weights[gone].max() <= weights[rows(left)].min()
        assert np.array_equal(rows(left), rows(drop_unseen(scene, share, threads=2)))
    assert len(drop_unseen(scene, 0)) == 600
    assert len(drop_unseen(scene, 0.999999999)) >= 1


@pytest.mark.parametrize(
    "call",
    [
        lambda s: drop_isolated(s, 0),
        lambda s: drop_isolated(s, math.inf),
        lambda s: drop_huge(s, -1),
        lambda s: drop_huge(s, math.nan),
        lambda s: drop_unseen(s, 1),
        lambda s: drop_unseen(s, -0.1),
        lambda s: drop_unseen(s, math.nan),
    ],
)
def test_out_of_range(call: Callable[[Gaussians], Gaussians]) -> None:
    with pytest.raises(UsageError, match="expected"):
        call(grid(3))
