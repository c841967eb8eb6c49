"""How a scene in levels of detail becomes chunks: the stand-ins and their quantisers, the runs, and who replaces whom.

Stand-ins are off by far more than any quantiser, so they have a profile of their own with coarse steps, positions in
proportion to their size, and no SH.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from splatpack.fit.importance import importance
from splatpack.fit.refit import refit
from splatpack.lod.build import Hierarchy, build
from splatpack.pack import layout
from splatpack.pack.passes import Clock, Place, chunk_size
from splatpack.pack.plan import Plan, lossy_attributes, quantisers
from splatpack.pack.presets import Settings
from splatpack.scene.gaussians import Gaussians, concatenate

QUALITY = 1.0
"""q of the steps of stand-ins."""

POSITION = 0.3
"""Position step of stand-ins, of their middle axis."""

CORE_BITS = 8
"""Cells of their lattice along the core of the scene, as a power of two: smaller ones than that follow their size."""

RATE = 0.1
"""Learning rate of their refit, in steps of the quantisers: they move farther than what is refitted elsewhere."""

VIEWS = 24
"""Cameras from which their importance is measured."""

Index = NDArray[np.int64]


@dataclass
class _Runs:
    """The rows of a plan in the order of its chunks."""

    codes: Index
    rows: list[Index] = field(default_factory=list)
    runs: list[tuple[int, int]] = field(default_factory=list)

    def add(self, rows: Index) -> int:
        """Append a chunk of these rows, along the Morton curve; return its number."""
        start = self.runs[-1][1] if self.runs else 0
        self.rows.append(rows[np.argsort(self.codes[rows], kind="stable")])
        self.runs.append((start, start + len(rows)))
        return len(self.runs) - 1

    def pieces(self, rows: Index, size: int) -> list[int]:
        """Append chunks of about ``size`` of these rows."""
        rows = rows[np.argsort(self.codes[rows], kind="stable")]
        return [self.add(rows[a:b]) for a, b in layout.cut(self.codes[rows], size)]

    def of(self, plan: Plan) -> Plan:
        """Return the plan with these chunks."""
        return replace(plan, order=np.concatenate(self.rows), runs=self.runs)


def in_levels(
    plan: Plan, original: Gaussians, weights: NDArray[np.float64], threads: int | None, clock: Clock
) -> tuple[list[Plan], list[Place]]:
    """Lay a scene out in levels.

    Parameters
    ----------
    plan : Plan
        The quantisers of the scene, and the scene as it will be coded.
    original : Gaussians
        What the pictures should look like.
    weights : float64 (n,)
        Importance of each Gaussian of the plan's scene.
    threads : int or None
    clock : Clock

    Returns
    -------
    plans : list of Plan
        That of the scene, and that of the stand-ins if there are any.
    places : list of Place
        Every chunk, from coarse to fine, later layers of the leaves last.
    """
    tree = build(plan.scene, weights, threads=threads)
    clock.done("merge")
    plan = plan.arranged(plan.scene)
    fine = _Runs(plan.codes)
    size = plan.settings.chunk or chunk_size(plan)
    if not tree.proxies:
        places = _leaf_places(tree, fine, size, {-1: -1}, 0, max(len(leaf.layers) for leaf in tree.leaves) - 1)
        return [fine.of(plan)], places
    coarse, starts = _stand_ins(plan, tree, original, threads, clock)
    rough = _Runs(coarse.codes)
    more = max(len(leaf.layers) for leaf in tree.leaves) - 1
    anchors: dict[int, int] = {-1: -1}
    places = _node_places(tree, starts, fine, rough, more, anchors)
    places += _leaf_places(tree, fine, size, anchors, len(places), more)
    replaced = Counter(p.parent for p in places)
    places = [replace(p, successors=replaced[i]) if p.profile else p for i, p in enumerate(places)]
    clock.done("order")
    return [fine.of(plan), rough.of(coarse)], places


def _node_places(
    tree: Hierarchy, starts: dict[int, int], fine: _Runs, rough: _Runs, shift: int, anchors: dict[int, int]
) -> list[Place]:
    """Place what the nodes keep and their stand-ins; note in ``anchors`` which chunk of each node is a parent."""
    places: list[Place] = []
    for number, node in enumerate(tree.nodes):
        parent, level = anchors[node.parent], node.level + shift
        count = node.proxies.stop - node.proxies.start
        gain = node.gain / max(len(node.kept) + count, 1)
        if len(node.kept):
            places.append(Place(0, fine.add(node.kept), level, parent, 0, node.error, gain * len(node.kept)))
        if count:
            rows = starts[node.level] + np.arange(node.proxies.start, node.proxies.stop)
            places.append(Place(1, rough.add(rows), level, parent, 0, node.error, gain * count))
        anchors[number] = len(places) - 1
    return places


def _leaf_places(
    tree: Hierarchy, fine: _Runs, size: int, anchors: dict[int, int], before: int, level: int
) -> list[Place]:
    """Place the first layers of all leaves, at ``level``, then the next ones, each below a chunk of the one before."""
    places: list[Place] = []
    last = {number: anchors[leaf.node] for number, leaf in enumerate(tree.leaves)}
    for layer in range(level + 1):
        for number, leaf in enumerate(tree.leaves):
            if layer >= len(leaf.layers) or not len(leaf.layers[layer]):
                continue
            parent, last[number] = last[number], before + len(places)
            runs = fine.pieces(leaf.layers[layer], size)
            gain = leaf.gains[layer] / len(runs)
            places += [Place(0, run, level - layer, parent, 0, 0.0, gain) for run in runs]
    return places


def _stand_ins(
    plan: Plan, tree: Hierarchy, original: Gaussians, threads: int | None, clock: Clock
) -> tuple[Plan, dict[int, int]]:
    """Return the plan of the stand-ins of all levels, refitted, and where each level begins in it."""
    levels = sorted(tree.proxies, reverse=True)
    starts, total = {}, 0
    for level in levels:
        starts[level], total = total, total + len(tree.proxies[level])
    bare = replace(plan.scene, extras={})
    beside = {level: bare.take(tree.kept(level)) for level in levels}
    weights = np.concatenate([_weights(tree.proxies[level], beside[level], threads) for level in levels])
    scene = concatenate([tree.proxies[level] for level in levels])
    settings = _settings(plan.settings, len(levels))
    coarse = quantisers(scene, settings, lossy_attributes(scene, settings), weights, int(CORE_BITS))
    if settings.refined:
        parts = []
        for level in levels:
            rows = slice(starts[level], starts[level] + len(tree.proxies[level]))
            parts.append(_refitted(tree.proxies[level], beside[level], original, coarse, rows, threads, clock))
            clock.tick("refine levels", len(parts), len(levels))
        scene = concatenate(parts)
    clock.done("refine levels")
    return coarse.arranged(scene), starts


def _refitted(
    proxies: Gaussians, beside: Gaussians, original: Gaussians, coarse: Plan, rows: slice, threads: int | None,
    clock: Clock,
) -> Gaussians:  # fmt: skip
    """Pull the stand-ins of a level, which are ``rows`` of a plan, towards pictures of the original."""
    params, settings = coarse.profile.params, coarse.settings
    if params is None:
        return proxies
    return refit(
        proxies, original, params, coarse.classes[rows], sh=coarse.profile.sh, beside=beside, rate=RATE,
        iterations=settings.refine, seconds=settings.refine_seconds or None, threads=threads,
        progress=lambda at, of: clock.tick("refine levels", at, of),
    ).scene  # fmt: skip


def _settings(settings: Settings, levels: int) -> Settings:
    """Return the settings of stand-ins, of so many levels, in a file of these settings."""
    return Settings(
        q=QUALITY, follow=1.0, steps={"position": POSITION}, importance_views=settings.importance_views,
        refine=settings.lod_refine, refine_seconds=settings.lod_seconds / levels, name=settings.name,
    )  # fmt: skip


def _weights(proxies: Gaussians, kept: Gaussians, threads: int | None) -> NDArray[np.float64]:
    """Return the importance of stand-ins among what is drawn with them."""
    both = concatenate([proxies.with_sh_degree(0), kept.with_sh_degree(0)])
    return importance(both, views=VIEWS, threads=threads)[: len(proxies)]
