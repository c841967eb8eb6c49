"""A hierarchy of a scene: merged stand-ins by level, and the Gaussians themselves in layers.

The scene is cut into the cells of a k-d tree, and each cell into up to three layers by how much of the picture its
Gaussians make. The finest stand-ins, about a twentieth as many as there are Gaussians, stand for one layer of one cell
each, so that a layer can come while those of the others stay. Each coarser level has an eighth of the Gaussians of the
level below it, and its nodes stand for larger cells with all their layers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splatpack.lod.kernels.merge import MASS, SEEN
from splatpack.lod.layers import split
from splatpack.lod.merge import merge
from splatpack.lod.moments import Rows, gaussians_of, rows_of, trace
from splatpack.lod.tree import LEAF, SPLITS, depth_of, leaves
from splatpack.parallel import ordered_map
from splatpack.scene.gaussians import Gaussians

FACTOR = 2**SPLITS
"""Gaussians of a level for one of the next coarser level."""

FIRST = 20
"""Gaussians of the scene for one of the finest stand-ins."""

LEVELS = 3
"""Levels of stand-ins of a scene whose tree is no deeper than they are."""

FEWEST = 16
"""Gaussians of the coarsest level, at least."""

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Node:
    """Stand-ins that come and go together: for a cell of the tree or, at level 1, for one layer of a finest cell.

    Attributes
    ----------
    parent : int
        The node that it makes finer, as its place in the list of nodes; -1 for none.
    level : int
        1 for the finest.
    layer : int
        Which layer of its cell it stands for, at level 1; 0 above.
    rows : slice
        Of the level's stand-ins.
    error : float
        How far the stand-ins blur what they stand for: root of the mean squared distance that merging has spread it by,
        scene units; never less than that of a node below.
    gain : float
        Error of the picture, at unit distance, that the node's Gaussians take away from its parent's.
    """

    parent: int
    level: int
    layer: int
    rows: slice
    error: float
    gain: float


@dataclass(frozen=True)
class Leaf:
    """One layer of one cell: rows of the scene, ascending.

    Attributes
    ----------
    node : int
        The stand-ins that it replaces, as their place in the list of nodes; -1 for none.
    layer : int
        0 for what makes the most of the picture.
    rows : int64 (k,)
    gain : float
        As that of a node.
    """

    node: int
    layer: int
    rows: Index
    gain: float


@dataclass(frozen=True)
class Hierarchy:
    """A scene in levels.

    Attributes
    ----------
    nodes : list of Node
        From coarse to fine.
    leaves : list of Leaf
        Cell by cell.
    proxies : dict of int to Gaussians
        The stand-ins by level; of SH degree 0, without extra columns.
    """

    nodes: list[Node]
    leaves: list[Leaf]
    proxies: dict[int, Gaussians]


@dataclass(frozen=True)
class _Level:
    """Elements of a level, node by node: their moments, the node and the cell of each, what their merges cost, and the
    element of each Gaussian of the scene."""

    rows: Rows
    node: Index
    cell: Index
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
        Gaussians in a cell, about.
    threads : int or None
        Cells are spread over threads; the result does not depend on it.
    """
    depth = depth_of(len(scene), leaf)
    cell = leaves(scene.means, depth)
    layers = [split(np.nonzero(cell == k)[0], weights) for k in range(1 << depth)]
    parts = [(number, rows) for found in layers for number, rows in enumerate(found)]
    part = np.empty(len(scene), np.int64)
    for i, (_, rows) in enumerate(parts):
        part[rows] = i
    moments = rows_of(scene, weights)
    levels = _levels(_Level(moments, part, cell, np.zeros(len(scene)), np.arange(len(scene))), depth, threads)
    nodes = _nodes(moments, levels, [layer for layer, _ in parts])
    gains = np.bincount(levels[0].node, levels[0].spent) if levels else np.bincount(part, moments[:, SEEN])
    first = len(nodes) - len(parts) if nodes else -1
    return Hierarchy(
        nodes,
        [Leaf(first + i if nodes else -1, *parts[i], float(gains[i])) for i in range(len(parts))],
        {level: gaussians_of(made.rows, scene) for level, made in enumerate(levels, 1)},
    )


def _levels(scene: _Level, depth: int, threads: int | None) -> list[_Level]:
    """Merge level by level, each from the elements of the one below."""
    n = len(scene.rows)
    out: list[_Level] = []
    below, at = scene, depth
    while n >= FEWEST * FIRST * FACTOR ** len(out) and (len(out) < LEVELS or at > 0):
        up = min(SPLITS, at) if out else 0
        at -= up
        below = _coarser(below, below.cell >> up, n / 2**at / (FIRST * FACTOR ** len(out)), not out, threads)
        out.append(below)
    return out


def _coarser(below: _Level, cell: Index, target: float, apart: bool, threads: int | None) -> _Level:
    """Merge the elements of each cell until about ``target`` are left, those of its nodes ``apart`` or not."""
    members = [np.nonzero(cell == k)[0] for k in range(int(cell.max()) + 1)]

    def work(k: int) -> tuple[Rows, Index, Index, NDArray[np.float64]]:
        mine = members[k]
        node = below.node[mine] if apart else np.full(len(mine), k)
        made = merge(below.rows[mine], max(int(target), len(np.unique(node))), node)
        into = np.empty(len(made.rows), np.int64)
        into[made.member] = node
        order = np.argsort(into, kind="stable")
        return made.rows[order], np.argsort(order)[made.member], into[order], made.spent[order]

    parts = list(ordered_map(work, range(len(members)), threads))
    starts = np.cumsum([0, *(len(p[0]) for p in parts)])
    place = np.empty(len(cell), np.int64)
    for k, part in enumerate(parts):
        place[members[k]] = starts[k] + part[1]
    return _Level(
        np.concatenate([p[0] for p in parts]), np.concatenate([p[2] for p in parts]),
        np.repeat(np.arange(len(parts)), np.diff(starts)), np.concatenate([p[3] for p in parts]), place[below.owner],
    )  # fmt: skip


def _nodes(rows: Rows, levels: list[_Level], layers: list[int]) -> list[Node]:
    """List the nodes from coarse to fine, each with its stand-ins, its error and its gain."""
    errors = _errors(rows, levels)
    nodes: list[Node] = []
    first = 0
    for number in range(len(levels) - 1, -1, -1):
        made, start = levels[number], len(nodes)
        above = levels[number + 1] if number + 1 < len(levels) else None
        shares = np.bincount(made.node).astype(np.float64)
        stops = np.cumsum(shares).astype(np.int64)
        up = np.full(len(shares), -1)
        gains = np.bincount(made.node, made.rows[:, SEEN]).astype(np.float64)
        if above is not None:
            # what is finer undoes the merges of the node above it, by its share in what replaces that
            up = _parents(made, above)
            gains = np.bincount(above.node, above.spent)[up] * shares / np.bincount(up, shares)[up]
        for k, stop in enumerate(stops.tolist()):
            parent = first + int(up[k]) if above is not None else -1
            layer = layers[k] if number == 0 else 0
            rows_of_node = slice(stop - int(shares[k]), stop)
            nodes.append(Node(parent, number + 1, layer, rows_of_node, errors[number][k], float(gains[k])))
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
        total = np.bincount(made.node, np.maximum(grown, 0.0), count)
        own = np.sqrt(total / np.bincount(made.node[made.owner], mass, count))
        if number:
            np.maximum.at(own, _parents(levels[number - 1], made), np.array(out[-1]))
        out.append(own.tolist())
    return out
