"""A hierarchy of a scene: merged stand-ins by level, Gaussians that are kept from a coarse level on, and layers.

Level 1 of a hierarchy has about a sixteenth of the Gaussians, each coarser one an eighth of the level below it. Its
nodes are the cells of a k-d tree. A node has *proxies*, merged Gaussians that are dropped when everything below the
node is there, and it may *keep* Gaussians that no merge has touched: they are stored there and nowhere else, and are
never replaced. What is not kept above lies in the leaves, in up to three layers, by how much of the picture the
Gaussians make.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splatpack.lod.kernels.merge import MASS
from splatpack.lod.layers import split
from splatpack.lod.merge import merge
from splatpack.lod.moments import Rows, gaussians_of, rows_of, trace
from splatpack.lod.tree import LEAF, SPLITS, depth_of, leaves
from splatpack.parallel import ordered_map
from splatpack.scene.gaussians import Gaussians

FACTOR = 2**SPLITS
"""Gaussians of a level for one of the next coarser level."""

FIRST = 16
"""Gaussians of the scene for one of the finest proxies."""

LEVELS = 3
"""Levels of proxies of a scene whose tree is no deeper than they are."""

FEWEST = 16
"""Gaussians of the coarsest level, at least."""

KEPT = 256
"""Fewer untouched Gaussians are not worth a chunk of their own: the node has them as proxies."""

CONTRAST = 0.25
"""Squared difference of colours that is supposed where a Gaussian is missing."""

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Node:
    """A cell of the tree at one level.

    Attributes
    ----------
    parent : int
        Its place in the list of nodes, -1 for none.
    level : int
        1 for the finest proxies.
    kept : int64 (k,)
        Rows of the scene.
    proxies : slice
        Rows of the level's proxies.
    error : float
        How far the proxies blur what they stand for: root of the mean squared distance that merging has spread it by,
        scene units; never less than that of a node below.
    gain : float
        Error of the picture, at unit distance, that the node's Gaussians take away from the next coarser level.
    """

    parent: int
    level: int
    kept: Index
    proxies: slice
    error: float
    gain: float


@dataclass(frozen=True)
class Leaf:
    """The Gaussians of the finest cell: layers of rows of the scene, one to three, and the gain of each.

    ``node`` is the place of its node in the list of nodes.
    """

    node: int
    layers: tuple[Index, ...]
    gains: tuple[float, ...]


@dataclass(frozen=True)
class Hierarchy:
    """A scene in levels.

    Attributes
    ----------
    nodes : list of Node
        From coarse to fine.
    leaves : list of Leaf
    proxies : dict of int to Gaussians
        By level; of SH degree 0, without extra columns.
    """

    nodes: list[Node]
    leaves: list[Leaf]
    proxies: dict[int, Gaussians]

    def kept(self, level: int) -> Index:
        """Return the rows of the scene that are there at ``level``: those kept at it or at a coarser one, ascending."""
        rows = [node.kept for node in self.nodes if node.level >= level]
        return np.sort(np.concatenate([np.empty(0, np.int64), *rows]))


@dataclass(frozen=True)
class _Level:
    """Elements of a level, node by node: their moments, the node of each, the row of the scene that each still is (-1
    for none), what their merges cost, and the element of each Gaussian of the scene."""

    rows: Rows
    node: Index
    alone: Index
    spent: NDArray[np.float64]
    owner: Index


def build(scene: Gaussians, weights: NDArray[np.float64], *, leaf: int = LEAF, threads: int | None = None) -> Hierarchy:
    """Build the hierarchy of a scene.

    Parameters
    ----------
    scene : Gaussians
        At least one. Some 250 bytes are needed per Gaussian besides the scene.
    weights : float64 (n,)
        Importance of each, from :mod:`splatpack.fit.importance`.
    leaf : int
        Gaussians in a leaf, about.
    threads : int or None
        Nodes are spread over threads; the result does not depend on it.
    """
    depth = depth_of(len(scene), leaf)
    cell = leaves(scene.means, depth)
    rows = rows_of(scene)
    levels = _levels(rows, cell, depth, threads)
    nodes = _nodes(rows, levels)
    proxies = {level: _proxies(scene, made) for level, made in enumerate(levels, 1)}
    rest = np.arange(len(scene))
    if levels:
        rest = np.setdiff1d(rest, levels[0].alone)
    bottom = [i for i, node in enumerate(nodes) if node.level == 1] or [-1]
    found = []
    for number, node in enumerate(bottom):
        mine = rest[cell[rest] == number]
        layers, shares = split(mine, weights)
        mass = float(rows[mine, MASS].sum())
        first = float(levels[0].spent[levels[0].node == number].sum()) if levels else mass
        found.append(Leaf(node, layers, (first, *(CONTRAST * mass * share**2 for share in shares[1:]))))
    return Hierarchy(nodes, found, proxies)


def _levels(rows: Rows, cell: Index, depth: int, threads: int | None) -> list[_Level]:
    """Merge level by level, each from the elements of the one below."""
    n = len(rows)
    out: list[_Level] = []
    below, at = _Level(rows, cell, np.arange(n), np.zeros(n), np.arange(n)), depth
    while n >= FEWEST * FIRST * FACTOR ** len(out) and (len(out) < LEVELS or at > 0):
        up = min(SPLITS, at) if out else 0
        at -= up
        targets = np.bincount(cell >> (depth - at)) // (FIRST * FACTOR ** len(out))
        below = _coarser(below, below.node >> up, targets, threads)
        out.append(below)
    return out


def _coarser(below: _Level, node: Index, targets: Index, threads: int | None) -> _Level:
    """Merge the elements of each node until its target is reached."""
    members = [np.nonzero(node == k)[0] for k in range(len(targets))]

    def work(k: int) -> tuple[Rows, Index, Index, NDArray[np.float64]]:
        made = merge(below.rows[members[k]], max(int(targets[k]), 1))
        single = np.bincount(made.member, minlength=len(made.rows)) == 1
        alone = np.full(len(made.rows), -1, np.int64)
        alone[made.member] = below.alone[members[k]]
        alone[~single] = -1
        if (alone >= 0).sum() < KEPT:
            alone[:] = -1
        return made.rows, made.member, alone, made.spent

    parts = list(ordered_map(work, range(len(targets)), threads))
    starts = np.cumsum([0, *(len(p[0]) for p in parts)])
    into = np.empty(len(node), np.int64)
    for k, part in enumerate(parts):
        into[members[k]] = starts[k] + part[1]
    return _Level(
        np.concatenate([p[0] for p in parts]), np.repeat(np.arange(len(parts)), np.diff(starts)),
        np.concatenate([p[2] for p in parts]), np.concatenate([p[3] for p in parts]), into[below.owner],
    )  # fmt: skip


def _nodes(rows: Rows, levels: list[_Level]) -> list[Node]:
    """List the nodes from coarse to fine, each with what it keeps, its proxies, its error and its gain."""
    errors = _errors(rows, levels)
    nodes: list[Node] = []
    first = 0
    for number in range(len(levels) - 1, -1, -1):
        made, start = levels[number], len(nodes)
        above = levels[number + 1] if number + 1 < len(levels) else None
        alone = made.alone >= 0
        kept = alone & ~np.isin(made.alone, above.alone) if above is not None else alone
        count = int(made.node.max()) + 1
        stops = np.cumsum(np.bincount(made.node[~alone], minlength=count))
        # a node's elements lie in one node above, whose merges it undoes
        up = _parents(made, above) if above is not None else np.full(count, -1)
        shares = np.bincount(made.node, minlength=count).astype(np.float64)
        for k in range(count):
            here = made.node == k
            if above is None:
                gain = float(made.rows[here, MASS].sum())
            else:
                siblings = float(shares[up == up[k]].sum())
                gain = float(above.spent[above.node == up[k]].sum()) * shares[k] / siblings
            begin = int(stops[k - 1]) if k else 0
            parent = first + int(up[k]) if above is not None else -1
            nodes.append(
                Node(parent, number + 1, made.alone[here & kept], slice(begin, int(stops[k])), errors[number][k], gain)
            )
        first = start
    return nodes


def _parents(made: _Level, above: _Level) -> Index:
    """Return the node above each node, int64 (nodes,)."""
    out = np.zeros(int(made.node.max()) + 1, np.int64)
    out[made.node[made.owner]] = above.node[above.owner]
    return out


def _errors(rows: Rows, levels: list[_Level]) -> list[list[float]]:
    """Return the error of each node of each level, from the finest level on; they do not fall on the way up."""
    out: list[list[float]] = []
    mass, spread = rows[:, MASS], rows[:, MASS] * trace(rows)
    for number, made in enumerate(levels):
        count = int(made.node.max()) + 1
        grown = trace(made.rows) * made.rows[:, MASS] - np.bincount(made.owner, spread, len(made.rows))
        grown[made.alone >= 0] = 0.0
        total = np.bincount(made.node, np.maximum(grown, 0.0), count)
        own = np.sqrt(total / np.bincount(made.node[made.owner], mass, count))
        if number:
            np.maximum.at(own, _parents(levels[number - 1], made), np.array(out[-1]))
        out.append(own.tolist())
    return out


def _proxies(scene: Gaussians, made: _Level) -> Gaussians:
    """Return the merged Gaussians of a level, without SH: what they blur is more than what a view changes."""
    return gaussians_of(made.rows[made.alone < 0], scene)
