"""Pairing the rows of two scenes, and the errors of each attribute between pairs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.codecs.splat import canonicalise
from splatpack.scene.gaussians import Gaussians

SAMPLE = 100_000
"""Rows whose errors are looked at, at most."""
SHIFTS = 4
"""Morton curves on which a match is looked for, each from another origin."""
REACH = 4
"""Neighbours on either side along a curve."""
TRUSTED = 0.5
"""Errors are shown when this share of the rows found its partner."""

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Errors:
    """Errors by attribute, over rows that were paired.

    Attributes
    ----------
    values : list of (str, str, float64 (n,))
        Name, unit, and absolute errors: the largest component of each row; degrees for rotations.
    note : str
        How rows were paired, or why they were not.
    """

    values: list[tuple[str, str, Floats]]
    note: str


def attribute_errors(reference: Gaussians, test: Gaussians) -> Errors:
    """Pair the rows of two scenes and return how far their attributes are apart.

    Rows in the same order are paired as they stand. Otherwise each of up to :data:`SAMPLE` rows of the reference looks
    along Morton curves for the row of the test that is nearest in means, scales, opacity and colour, and the two are a
    pair when the search back ends where it began.
    """
    if not len(reference) or not len(test):
        return Errors([], "A scene without Gaussians has no errors by attribute.")
    rows = _spread(len(reference))
    a, b = _features(reference, reference), _features(reference, test)
    there, cost = _nearest(a, b, rows)
    if len(a) == len(b) and np.median(_cost(a[rows], b[rows])) <= 4 * np.median(cost) + 1e-12:
        return Errors(_errors(reference.take(rows), test.take(rows)), f"{len(rows):,} rows, in the same order in both.")
    # Once more, with each feature in units of its own typical error: what a codec kept well tells rows apart best.
    noise = np.median(np.abs(a[rows] - b[there]), axis=0) + 1e-4 * a.std(axis=0) + 1e-9
    noise[:3] = noise[:3].max()
    a, b = (np.asarray(f / noise, np.float32) for f in (a, b))
    there, _ = _nearest(a, b, rows)
    back, _ = _nearest(b, a, there)
    mutual = back == rows
    share = float(mutual.mean())
    if share < TRUSTED * min(1.0, len(b) / len(a)):  # what was pruned has no partner
        return Errors([], f"Only {100 * share:.0f} % of the rows could be paired, too few to show errors by attribute.")
    note = f"{int(mutual.sum()):,} rows, paired by nearness ({100 * share:.1f} % of {len(rows):,} found their partner; "
    note += "the others, such as pruned rows and near copies of a neighbour, are left out, and may be further off)."
    return Errors(_errors(reference.take(rows[mutual]), test.take(there[mutual])), note)


def _spread(n: int) -> Rows:
    return np.unique(np.linspace(0, n - 1, min(n, SAMPLE)).astype(np.int64))


def _unit(scene: Gaussians) -> float:
    """Median standard deviation of a scene's axes, scene units."""
    return math.exp(min(max(float(np.median(scene.scales.astype(np.float64))), -40.0), 40.0))


def _features(reference: Gaussians, scene: Gaussians) -> NDArray[np.float32]:
    """What rows are told apart by, (n, 10): means in median scales, sorted log scales, opacity, colour."""
    opacity = 1 / (1 + np.exp(-np.clip(scene.opacities.astype(np.float64), -30, 30)))
    parts = [scene.means.astype(np.float64) / _unit(reference), np.sort(scene.scales, axis=1), opacity[:, None]]
    return np.concatenate([*parts, scene.sh0[:, 0]], axis=1).astype(np.float32)


def _cost(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    difference = a - b
    return np.asarray(np.einsum("ij,ij->i", difference, difference))


def _nearest(
    queries: NDArray[np.float32], targets: NDArray[np.float32], rows: Rows
) -> tuple[Rows, NDArray[np.float32]]:
    """Return for each of ``rows`` of ``queries`` the row of ``targets`` that is nearest, and its squared distance."""
    wanted = queries[rows]
    best, cost = np.zeros(len(rows), np.int64), np.full(len(rows), np.inf, np.float32)
    both = np.concatenate([wanted[:, :3], targets[:, :3]])
    low, high = np.percentile(both.astype(np.float64), (1, 99), axis=0)
    cell = max(float((high - low).max()), 1e-30) / (1 << 19)
    for shift in range(SHIFTS):
        origin = low - (1 << 19) * cell * (0.5 + 0.237 * shift)
        order = np.argsort(targets_key := _morton(targets[:, :3], origin, cell), kind="stable")
        at = np.searchsorted(targets_key[order], _morton(wanted[:, :3], origin, cell))
        for step in range(-REACH, REACH):
            found = order[np.clip(at + step, 0, len(order) - 1)]
            far = _cost(wanted, targets[found])
            better = far < cost
            best[better], cost[better] = found[better], far[better]
    return best, cost


def _morton(points: NDArray[np.float32], origin: Floats, cell: float) -> NDArray[np.uint64]:
    """Interleave 21 bits of each coordinate; the spread is that of Warren, Hacker's Delight, chapter 7."""
    grid = np.clip((points - origin) / cell, 0, (1 << 21) - 1).astype(np.uint64)
    key = np.zeros(len(points), np.uint64)
    steps = (
        (32, 0x1F00000000FFFF), (16, 0x1F0000FF0000FF), (8, 0x100F00F00F00F00F), (4, 0x10C30C30C30C30C3),
        (2, 0x1249249249249249),
    )  # fmt: skip
    for axis in range(3):
        x = grid[:, axis]
        for by, mask in steps:
            x = (x | (x << np.uint64(by))) & np.uint64(mask)
        key |= x << np.uint64(axis)
    return key


def _errors(a: Gaussians, b: Gaussians) -> list[tuple[str, str, Floats]]:
    """Absolute errors of rows that belong together; axes are sorted first, since their order says nothing."""
    (s, q), (t, r) = canonicalise(a.scales, a.quats), canonicalise(b.scales, b.quats)
    values = [
        ("means", "median scales", _largest(a.means, b.means) / _unit(a)),
        ("scales", "log units", _largest(s, t)),
        ("opacities", "logits", _largest(a.opacities, b.opacities)),
        ("sh0", "coefficient", _largest(a.sh0, b.sh0)),
        ("rotation", "degrees", _angle(q, r)),
    ]
    shared = min(a.shN.shape[1], b.shN.shape[1])
    if shared:
        values.insert(4, ("shN", "coefficient", _largest(a.shN[:, :shared], b.shN[:, :shared])))
    return values


def _largest(a: NDArray[Any], b: NDArray[Any]) -> Floats:
    n = len(a)
    difference = np.abs(a.astype(np.float64).reshape(n, -1) - b.astype(np.float64).reshape(n, -1))
    return np.asarray(difference.max(axis=1))


def _angle(q: Floats, r: Floats) -> Floats:
    """Degrees from one ellipsoid to the other: the least over the four half turns that leave it as it is."""
    w, x, y, z = r.T
    turned = np.array([[w, x, y, z], [-x, w, z, -y], [-y, -z, w, x], [-z, y, -x, w]])
    # 2 atan2 of chords, since arccos of the dot product has no digits near 0.
    chords = [np.minimum(np.linalg.norm(q - t.T, axis=1), np.linalg.norm(q + t.T, axis=1)) for t in turned]
    return np.asarray(np.degrees(4 * np.arcsin(np.clip(np.min(chords, axis=0) / 2, 0, 1))))
