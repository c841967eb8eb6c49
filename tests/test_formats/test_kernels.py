"""Kernels of SOG against plain numpy, compiled, with bounds checks, and as plain Python."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splatpack.formats.kernels import kmeans, levels
from splatpack.formats.soglevels import fit_levels

SEEDS = st.integers(0, 2**32 - 1)


def nearest(points: Any, centres: Any, start: int = 0, stop: int | None = None) -> tuple[Any, Any]:
    n = len(points)
    best, label = np.full(n, -1, np.float32), np.full(n, -1, np.int32)
    scratch = np.empty(kmeans.TILE, np.float32)
    columns = np.ascontiguousarray(points.T)
    assert kmeans.nearest(columns, centres, start, n if stop is None else stop, scratch, best, label) == 0
    return best, label


@given(seed=SEEDS, n=st.sampled_from([1, 2, 127, 128, 129, 300]), k=st.integers(1, 5), d=st.sampled_from([3, 9]))
def test_nearest_is_the_nearest(seed: int, n: int, k: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    points, centres = rng.normal(size=(n, d)).astype(np.float32), rng.normal(size=(k, d)).astype(np.float32)
    best, label = nearest(points, centres)
    want = np.square(points[:, None].astype(np.float64) - centres[None]).sum(axis=2)
    assert best == pytest.approx(want.min(axis=1), rel=1e-5, abs=1e-6)
    assert want[np.arange(n), label] == pytest.approx(want.min(axis=1), rel=1e-5, abs=1e-6)


def test_of_equal_centres_the_first_is_the_nearest_and_other_rows_stay() -> None:
    points, centres = np.zeros((5, 3), np.float32), np.ones((3, 3), np.float32)
    best, label = nearest(points, centres, 1, 4)
    assert label.tolist() == [-1, 0, 0, 0, -1]
    assert best.tolist() == [-1, 3, 3, 3, -1]


def seeded(points: Any, weight: Any, dice: Any) -> tuple[int, Any]:
    n = len(points)
    centres = np.full((len(dice), points.shape[1]), np.nan, np.float32)
    columns = np.ascontiguousarray(points.T)
    scratch, best, label = np.empty(kmeans.TILE, np.float32), np.empty(n, np.float32), np.empty(n, np.int32)
    return kmeans.seed(columns, weight, dice, centres, scratch, best, label), centres


@given(seed=SEEDS, n=st.integers(1, 40), k=st.integers(1, 12))
def test_seeds_are_different_points(seed: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 3, (n, 3)).astype(np.float32)
    chosen, centres = seeded(points, rng.uniform(0.1, 1, n).astype(np.float32), rng.random(k))
    distinct = {tuple(row) for row in points.tolist()}
    found = [tuple(row) for row in centres[:chosen].tolist()]
    assert chosen == min(k, len(distinct))
    assert len(set(found)) == chosen
    assert set(found) <= distinct
    assert np.isnan(centres[chosen:]).all()


def test_a_seed_follows_weight_and_distance() -> None:
    """The first by weight alone; the second by weight times squared distance from it."""
    points = np.array([[0, 0, 0], [1, 0, 0], [3, 0, 0]], np.float32)
    weight = np.array([1, 2, 1], np.float32)
    assert seeded(points, weight, np.array([0.20]))[1][0, 0] == 0
    assert seeded(points, weight, np.array([0.30]))[1][0, 0] == 1
    assert seeded(points, weight, np.array([0.99]))[1][0, 0] == 3
    for dice, want in ((0.17, 1.0), (0.19, 3.0)):  # 2 x 1 against 1 x 9: the border lies at 2 / 11
        assert seeded(points, weight, np.array([0.0, dice]))[1][1, 0] == want


@given(seed=SEEDS, n=st.integers(1, 50), k=st.integers(1, 6), d=st.sampled_from([3, 9]))
def test_centres_move_to_weighted_means(seed: int, n: int, k: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    points, weight = rng.normal(size=(n, d)).astype(np.float32), rng.uniform(0.1, 2, n).astype(np.float32)
    label = rng.integers(0, k, n).astype(np.int32)
    before = rng.normal(size=(k, d)).astype(np.float32)
    centres, mass = before.copy(), np.empty(k)
    empty = kmeans.move(points, weight, label, np.empty((k, d)), mass, centres)
    used = np.bincount(label, minlength=k) > 0
    assert empty == (~used).sum()
    assert (centres[~used] == before[~used]).all()
    for j in np.flatnonzero(used):
        want = np.average(points[label == j], axis=0, weights=weight[label == j])
        assert centres[j] == pytest.approx(want, rel=1e-5, abs=1e-6)
        assert mass[j] == pytest.approx(weight[label == j].sum(), rel=1e-6)


def cost(x: Any, w: Any, cuts: Any) -> float:
    total = 0.0
    for a, b in itertools.pairwise(cuts):
        mean = np.average(x[a:b], weights=w[a:b])
        total += float((w[a:b] * (x[a:b] - mean) ** 2).sum())
    return total


@given(seed=SEEDS, m=st.integers(1, 9), k=st.integers(1, 4))
def test_the_best_cut_of_a_line_is_found(seed: int, m: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    k = min(k, m)
    x, w = np.sort(rng.normal(size=m)), rng.uniform(0.1, 2, m)
    sums = np.zeros((3, m + 1))
    for row, terms in zip(sums, (w, w * x, w * x * x), strict=True):
        row[1:] = np.cumsum(terms)
    cut = np.empty((k, m + 1), np.int32)
    assert levels.split(sums, np.empty(m + 1), np.empty(m + 1), cut, np.empty((64, 4), np.int64)) == 0
    places = [m]
    for row in cut[::-1]:
        places.append(int(row[places[-1]]))
    found = cost(x, w, sorted(set(places)))
    best = min(cost(x, w, (0, *inner, m)) for inner in itertools.combinations(range(1, m), k - 1))
    assert found == pytest.approx(best, abs=1e-9)


def test_levels_of_few_numbers_are_those_numbers() -> None:
    values = np.array([[3, 1, 2], [2, 2, 1]], np.float32)
    assert sorted(set(fit_levels(values).tolist())) == [1, 2, 3]
    assert fit_levels(np.empty((0, 3), np.float32)).tolist() == [0.0] * 256
    assert fit_levels(np.array([1, 9], np.float32), np.array([3, 1], np.float32), 1).tolist() == [3.0]


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="this is the run without a compiler")
def test_kernels_run_as_plain_python() -> None:
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "HYPOTHESIS_PROFILE": "fast"}
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", __file__]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
