"""The hierarchy: every Gaussian once, counts, errors that grow upwards, parents, layers; the same for any threads."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from splatpack.lod import layers
from splatpack.lod.build import FEWEST, FIRST, Hierarchy, build
from splatpack.lod.kernels.merge import MASS
from splatpack.lod.layers import CUTS, LEAST, MOST, split
from splatpack.lod.merge import merge
from splatpack.lod.moments import rows_of
from splatpack.lod.tree import depth_of, leaves
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians
from tests import synth


def made(n: int = 6000, leaf: int = 500, seed: int = 1, threads: int | None = 1) -> tuple[Gaussians, Hierarchy]:
    scene = synth.scene(n, 1, seed=seed)
    weights = np.random.default_rng(seed).lognormal(0, 2, n)
    return scene, build(scene, weights, leaf=leaf, threads=threads)


def test_a_tree_is_balanced_and_splits_where_it_is_longest() -> None:
    assert [depth_of(n, 100) for n in (1, 150, 151, 300, 301, 10_000)] == [0, 0, 1, 1, 2, 7]
    means = synth.scene(1000, 0, seed=2).means
    cell = leaves(means, 3)
    assert np.bincount(cell).tolist() == [125] * 8
    axis = int(np.argmax(np.subtract(*np.percentile(means, (95, 5), axis=0))))
    assert means[cell < 4, axis].max() <= means[cell >= 4, axis].min()
    assert np.array_equal(leaves(means, 0), np.zeros(1000))


def test_every_gaussian_stands_once_and_every_layer_has_stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "LEAST", 50)
    scene, tree = made()
    assert np.array_equal(np.sort(np.concatenate([leaf.rows for leaf in tree.leaves])), np.arange(len(scene)))
    assert {leaf.layer for leaf in tree.leaves} >= {0, 1}
    finest = [i for i, node in enumerate(tree.nodes) if node.level == 1]
    assert [leaf.node for leaf in tree.leaves] == finest
    rows = rows_of(scene)
    mass = rows_of(tree.proxies[1])[:, MASS]
    for leaf in tree.leaves:
        node = tree.nodes[leaf.node]
        assert node.layer == leaf.layer
        assert node.rows.stop > node.rows.start
        assert leaf.gain > 0
        assert mass[node.rows].sum() <= rows[leaf.rows, MASS].sum() * 1.01  # held down where it is not opaque enough


def test_levels_have_the_counts_that_they_should() -> None:
    scene, tree = made(24_000, 1000)
    assert sum(leaf.layer == 0 for leaf in tree.leaves) == 16
    assert sorted(tree.proxies) == [1, 2, 3]
    for level, share in ((1, FIRST), (2, 8 * FIRST), (3, 64 * FIRST)):
        nodes = [node for node in tree.nodes if node.level == level]
        assert len(tree.proxies[level]) == pytest.approx(len(scene) / share, abs=len(nodes) + 1)
        assert [node.rows.start for node in nodes] == [0, *(node.rows.stop for node in nodes[:-1])]
        assert nodes[-1].rows.stop == len(tree.proxies[level])
        assert tree.proxies[level].sh_degree == 0
    assert [sum(n.level == k for n in tree.nodes) for k in (3, 2, 1)] == [1, 2, len(tree.leaves)]


def test_parents_are_one_level_up_and_cover_their_children() -> None:
    scene, tree = made(24_000, 1000)
    for i, node in enumerate(tree.nodes):
        if node.parent < 0:
            assert node.level == 3
            continue
        assert node.parent < i
        above = tree.nodes[node.parent]
        assert above.level == node.level + 1
        assert node.error <= above.error
        assert node.gain > 0
        mine, theirs = tree.proxies[node.level].means[node.rows], tree.proxies[above.level].means[above.rows]
        assert np.linalg.norm(mine.mean(axis=0) - theirs.mean(axis=0)) < np.ptp(scene.means, axis=0).max()
    for leaf in tree.leaves:
        assert tree.nodes[leaf.node].level == 1
        box = scene.means[leaf.rows]
        proxies = tree.proxies[1].means[tree.nodes[leaf.node].rows]
        assert (proxies >= box.min(axis=0)).all()
        assert (proxies <= box.max(axis=0)).all()


def test_what_no_camera_sees_is_merged_first() -> None:
    scene = synth.scene(1000, 0, seed=7)
    weights = np.where(np.arange(1000) < 500, 1.0, 0.0)
    merged = merge(rows_of(scene, weights), 300)
    left = np.bincount(merged.member)
    assert left[merged.member[:500]].mean() < 0.75 * left[merged.member[500:]].mean()


def test_errors_are_the_spread_of_merging() -> None:
    scene, _ = made(400, 10_000)
    tree = build(scene, np.ones(400), leaf=10_000)
    still = build(replace(scene, means=np.zeros_like(scene.means)), np.ones(400), leaf=10_000)
    assert [node.level for node in tree.nodes] == [1]
    assert 0 < tree.nodes[0].error < np.ptp(scene.means, axis=0).max()
    assert still.nodes[0].error < 1e-6


@pytest.mark.parametrize("n", [1, 2, FEWEST * FIRST - 1, FEWEST * FIRST])
def test_small_scenes_have_fewer_levels(n: int) -> None:
    _, tree = made(n, 16_384)
    assert sorted(tree.proxies) == ([1] if n >= FEWEST * FIRST else [])
    assert sum(len(leaf.rows) for leaf in tree.leaves) == n
    assert (tree.leaves[0].node >= 0) == bool(tree.proxies)


def test_the_same_for_any_number_of_threads() -> None:
    (_, one), (_, three) = made(threads=1), made(threads=3)
    assert [(n.parent, n.level, n.error, n.gain) for n in one.nodes] == [
        (n.parent, n.level, n.error, n.gain) for n in three.nodes
    ]
    for level, proxies in one.proxies.items():
        for name in ATTRIBUTES:
            assert getattr(proxies, name).tobytes() == getattr(three.proxies[level], name).tobytes()


def test_layers_split_where_it_pays() -> None:
    rows = np.arange(10, 10 + 6 * LEAST)
    weights = np.ones(10 + 6 * LEAST)
    assert [len(one) for one in split(rows, weights)] == [len(rows)]
    weights[10 + 2 * LEAST :] = 5e-3
    weights[10 + 4 * LEAST :] = 1e-5
    found = split(rows, weights)
    assert len(found) == 3
    assert np.array_equal(np.sort(np.concatenate(found)), rows)
    for first, second in pairwise(found):
        assert weights[first].min() >= weights[second].max()
    total = weights[rows].sum()
    assert weights[found[0]].sum() >= CUTS[0] * total
    assert weights[found[0]].sum() + weights[found[1]].sum() >= CUTS[1] * total
    assert len(found[0]) + len(found[1]) <= MOST * len(rows)
    assert len(split(rows[: LEAST + 1], weights)) == 1
    assert [len(one) for one in split(rows[:0], weights)] == [0]
