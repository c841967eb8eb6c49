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
    more = max(leaf.layer for leaf in tree.leaves)
    if not tree.proxies:
        places = _leaf_places(tree, fine, size, more)
        return [fine.of(plan)], places
    coarse, starts = _stand_ins(plan, tree, original, threads, clock)
    rough = _Runs(coarse.codes)
    places = list[Place]()
    for node in tree.nodes:
        rows = np.arange(node.rows.start, node.rows.stop) + starts[node.level]
        places.append(Place(1, rough.add(rows), node.level + more, node.parent, 0, node.error, node.gain))
    places += _leaf_places(tree, fine, size, more)
    replaced = Counter(p.parent for p in places)
    places = [replace(p, successors=replaced[i]) if p.profile else p for i, p in enumerate(places)]
    clock.done("order")
    return [fine.of(plan), rough.of(coarse)], places


def _leaf_places(tree: Hierarchy, fine: _Runs, size: int, level: int) -> list[Place]:
    """Place the first layers of all cells, at ``level``, then the next ones; the chunk of a node has its number."""
    places: list[Place] = []
    for leaf in sorted(tree.leaves, key=lambda leaf: leaf.layer):
        runs = fine.pieces(leaf.rows, size)
        places += [Place(0, run, level - leaf.layer, leaf.node, 0, 0.0, leaf.gain / len(runs)) for run in runs]
    return places


def _stand_ins(
    plan: Plan, tree: Hierarchy, original: Gaussians, threads: int | None, clock: Clock
) -> tuple[Plan, dict[int, int]]:
    """Return the plan of the stand-ins of all levels, refitted, and where each level begins in it."""
    levels = sorted(tree.proxies, reverse=True)
    starts, total = {}, 0
    for level in levels:
        starts[level], total = total, total + len(tree.proxies[level])
    weights = np.concatenate([importance(tree.proxies[level], views=VIEWS, threads=threads) for level in levels])
    scene = concatenate([tree.proxies[level] for level in levels])
    settings = _settings(plan.settings, len(levels))
    coarse = quantisers(scene, settings, lossy_attributes(scene, settings), weights, int(CORE_BITS))
    if settings.refined:
        parts = []
        for level in levels:
            rows = slice(starts[level], starts[level] + len(tree.proxies[level]))
            parts.append(_refitted(tree.proxies[level], original, coarse, rows, threads, clock))
            clock.tick("refine levels", len(parts), len(levels))
        scene = concatenate(parts)
    clock.done("refine levels")
    return coarse.arranged(scene), starts


def _refitted(
    proxies: Gaussians, original: Gaussians, coarse: Plan, rows: slice, threads: int | None, clock: Clock
) -> Gaussians:
    """Pull the stand-ins of a level, which are ``rows`` of a plan, towards pictures of the original."""
    params, settings = coarse.profile.params, coarse.settings
    if params is None:
        return proxies
    return refit(
        proxies, original, params, coarse.classes[rows], sh=coarse.profile.sh, rate=RATE, iterations=settings.refine,
        seconds=settings.refine_seconds or None, threads=threads,
        progress=lambda at, of: clock.tick("refine levels", at, of),
    ).scene  # fmt: skip


def _settings(settings: Settings, levels: int) -> Settings:
    """Return the settings of stand-ins, of so many levels, in a file of these settings."""
    return Settings(
        q=QUALITY, follow=1.0, steps={"position": POSITION}, importance_views=settings.importance_views,
        refine=settings.lod_refine, refine_seconds=settings.lod_seconds / levels, name=settings.name,
    )  # fmt: skip
