"""A palette of SH: k-means for tens of thousands of centres, in cells that know their neighbours.

Comparing every point with every centre takes minutes. Here a coarse k-means cuts the points into cells, each gets
centres by how much error it holds, and is solved by itself. Then centres and points are matched once more across the
borders of cells. Everything is seeded and the cells are independent, so that the result is the same for any number of
threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from splatpack.formats.kernels import kmeans
from splatpack.parallel import ordered_map
from splatpack.scene.gaussians import FloatArray

Labels = NDArray[np.int32]
Progress = Callable[[str, int, int], None]

MAX_CENTRES = 1 << 16
NEIGHBOURS = 4
"""Cells whose centres the points of a cell are compared with in the end, its own included."""

_SEED = 0x50_0C
_COARSE_ROUNDS, _CELL_ROUNDS, _BORDER_ROUNDS = 6, 6, 1
_SAMPLE_PER_CELL = 32
_BLOCK = 1 << 14


@dataclass
class Palette:
    """Centres, and one of them for each point.

    Attributes
    ----------
    centres : float32 (k, d)
    labels : int32 (n,)
    cells : list of int32 arrays
        The points of each cell.
    owned : list of int64 arrays
        The centres of each cell.
    beside : list of int64 arrays
        The cells nearest to each cell, itself first.
    """

    centres: FloatArray
    labels: Labels
    cells: list[NDArray[np.int64]]
    owned: list[NDArray[np.int64]]
    beside: list[NDArray[np.int64]]


def fit_palette(
    points: FloatArray, weights: FloatArray, count: int, *, progress: Progress | None = None, threads: int | None = None
) -> Palette:
    """Fit at most ``count`` centres to weighted points.

    Parameters
    ----------
    points : float32 (n, d)
        n at least 1, d a multiple of three. Finite.
    weights : float32 (n,)
        Positive.
    count : int
        1 to n. Fewer come back where fewer points are distinct.
    progress : callable, optional
        Called as ``(stage, done, total)``.
    threads : int, optional
        Changes nothing but the time.
    """
    tell = progress or (lambda stage, done, total: None)
    rng = np.random.default_rng(_SEED)
    middles, cells = _cut(points, weights, max(1, round((count / 1.5) ** 0.5) if count > 256 else 1), rng, threads)
    shares = _shares(points, weights, middles, cells, count)
    work = [(cell, int(k), rng.random(int(k))) for cell, k in zip(cells, shares, strict=True)]
    found: list[FloatArray] = []
    for part in ordered_map(lambda w: _solve(points[w[0]], weights[w[0]], w[2]), work, threads):
        found.append(part)
        tell("SH palette", len(found), len(work) + _BORDER_ROUNDS)
    ends = np.cumsum([0, *(len(c) for c in found)])
    owned = [np.arange(a, b) for a, b in pairwise(ends)]
    palette = Palette(np.concatenate(found), np.empty(len(points), np.int32), cells, owned, _beside(middles))
    for i in range(_BORDER_ROUNDS):
        error = match(palette, points, threads)
        _move(palette, points, weights, error)
        tell("SH palette", len(work) + i + 1, len(work) + _BORDER_ROUNDS)
    match(palette, points, threads)
    return palette


def match(palette: Palette, points: FloatArray, threads: int | None = None) -> FloatArray:
    """Give each point the nearest of the centres of its cell and of those beside it; return squared distances."""
    error = np.empty(len(points), np.float32)

    def one(i: int) -> tuple[NDArray[np.int64], Labels, FloatArray]:
        near = np.concatenate([palette.owned[j] for j in palette.beside[i]])
        label, best = _nearest(points[palette.cells[i]], palette.centres[near])
        return palette.cells[i], near[label].astype(np.int32), best

    for cell, label, best in ordered_map(one, range(len(palette.cells)), threads):
        palette.labels[cell], error[cell] = label, best
    return error


def _nearest(points: FloatArray, centres: FloatArray) -> tuple[Labels, FloatArray]:
    """Return the nearest centre of each point, and the squared distance."""
    n = len(points)
    best, label = np.empty(n, np.float32), np.empty(n, np.int32)
    kmeans.nearest(np.ascontiguousarray(points.T), centres, 0, n, np.empty(kmeans.TILE, np.float32), best, label)
    return label, best


def _cut(
    points: FloatArray, weights: FloatArray, count: int, rng: np.random.Generator, threads: int | None
) -> tuple[FloatArray, list[NDArray[np.int64]]]:
    """Cut the points into cells; return their middles, and the points of each that has any."""
    if count == 1:
        return points[:1].copy(), [np.arange(len(points))]
    sample = rng.permutation(len(points))[: _SAMPLE_PER_CELL * count]
    middles = _solve(points[sample], weights[sample], rng.random(count), _COARSE_ROUNDS)
    blocks = (points[i : i + _BLOCK] for i in range(0, len(points), _BLOCK))
    label = np.concatenate([found[0] for found in ordered_map(lambda b: _nearest(b, middles), blocks, threads)])
    order = np.argsort(label, kind="stable")
    ends = np.searchsorted(label[order], np.arange(len(middles) + 1))
    cells = [order[a:b] for a, b in pairwise(ends)]
    full = [i for i, cell in enumerate(cells) if len(cell)]
    return middles[full], [cells[i] for i in full]


def _solve(
    points: FloatArray, weights: FloatArray, dice: NDArray[np.float64], rounds: int = _CELL_ROUNDS
) -> FloatArray:
    """k-means of a few points: k-means++, then Lloyd; return the centres that have points."""
    columns, n = np.ascontiguousarray(points.T), len(points)
    centres = np.empty((len(dice), points.shape[1]), np.float32)
    scratch, best, label = np.empty(kmeans.TILE, np.float32), np.empty(n, np.float32), np.empty(n, np.int32)
    centres = centres[: kmeans.seed(columns, weights, dice, centres, scratch, best, label)]
    sums, mass = np.empty((len(centres), points.shape[1])), np.empty(len(centres))
    for _ in range(rounds):
        kmeans.move(points, weights, label, sums, mass, centres)
        kmeans.nearest(columns, centres, 0, n, scratch, best, label)
    return centres


def _shares(
    points: FloatArray, weights: FloatArray, middles: FloatArray, cells: list[NDArray[np.int64]], count: int
) -> NDArray[np.int64]:
    """Return how many centres each cell gets: at least one, at most its points, more where more error is left.

    With k centres in d dimensions an error E falls to about ``E k^(-2/d)``; the sum is least for k in proportion to
    ``E^(d/(d+2))``. SH of trained scenes behave like some ten dimensions.
    """
    size = np.array([len(c) for c in cells])
    error = np.array([
        float((weights[c].astype(np.float64) * np.square(points[c] - m).sum(axis=1)).sum())
        for c, m in zip(cells, middles, strict=True)
    ])  # fmt: skip
    wish = np.maximum(error, 1e-30) ** (10 / 12)
    low, high = 0.0, count / wish.min()
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if np.clip(middle * wish, 1, size).sum() < count else (low, middle)
    return np.asarray(np.clip(np.floor(high * wish), 1, size), np.int64)


def _beside(middles: FloatArray) -> list[NDArray[np.int64]]:
    """Return the cells nearest to each cell, itself first."""
    wide = middles.astype(np.float64)
    norm = np.einsum("ij,ij->i", wide, wide)
    out = []
    for i in range(len(wide)):
        distance = norm - 2 * np.einsum("ij,j->i", wide, wide[i])
        distance[i] = -np.inf
        out.append(np.argsort(distance, kind="stable")[:NEIGHBOURS])
    return out


def _move(palette: Palette, points: FloatArray, weights: FloatArray, error: FloatArray) -> None:
    """Move the centres to the means of their points; those without any go to the points that are worst off."""
    k, d = palette.centres.shape
    mass = np.empty(k)
    empty = kmeans.move(points, weights, palette.labels, np.empty((k, d)), mass, palette.centres)
    if empty:
        worst = np.argsort(-(weights * error), kind="stable")[:empty]
        palette.centres[np.flatnonzero(mass == 0.0)[: len(worst)]] = points[worst]
