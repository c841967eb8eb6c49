"""Fewer Gaussians that stand for more: neighbours are merged, and nothing leaves a hole."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.edit.reduction import count_of
from splatpack.lod.kernels.merge import MASS
from splatpack.lod.merge import merge
from splatpack.lod.moments import gaussians_of, rows_of
from splatpack.scene.gaussians import ATTRIBUTES, FloatArray, Gaussians


def simplify(scene: Gaussians, amount: int | float) -> Gaussians:
    """Merge neighbours, the most alike first, until an amount is left.

    A merged Gaussian has the mass (opacity times area), the mean and the covariance of its parts together, and their
    mass-weighted spherical harmonics; its extra columns are those of its heaviest part. One that no merge has touched
    stays bit for bit. Against :func:`splatpack.edit.decimate` nothing leaves a hole, but edges blur: for a quarter of a
    scene and less it is mostly better, unless a few Gaussians make most of the pictures.

    Parameters
    ----------
    scene : Gaussians
        Finite numbers.
    amount : int or float
        An int is how many stay (all, when there are fewer); a float the fraction that stays, above 0 and at most 1.

    Raises
    ------
    UsageError
        The amount is out of range.
    """
    count = count_of(len(scene), amount)
    if count >= len(scene):
        return scene
    rows = rows_of(scene)
    mass = rows[:, MASS].copy()
    merged = merge(rows, count)
    member, left = merged.member, len(merged.rows)
    by_group = np.lexsort((-mass, member))
    heaviest = by_group[np.searchsorted(member[by_group], np.arange(left))]
    made = gaussians_of(merged.rows, scene)
    made = replace(made, shN=_blended(scene.shN, mass, member, left))
    out = scene.take(heaviest)
    joint = np.bincount(member, minlength=left) > 1
    arrays: dict[str, Any] = {name: getattr(out, name).copy() for name in ATTRIBUTES}
    for name, array in arrays.items():
        array[joint] = getattr(made, name)[joint]
    return replace(out, **arrays)


def _blended(shn: FloatArray, mass: NDArray[np.float64], member: NDArray[np.int64], left: int) -> FloatArray:
    """Return the mass-weighted mean of the coefficients of each group, float32 (left, K, 3)."""
    total = np.bincount(member, mass, left)
    out = np.empty((left, *shn.shape[1:]), np.float32)
    for k, c in np.ndindex(*shn.shape[1:]):
        out[:, k, c] = np.bincount(member, mass * shn[:, k, c], left) / total
    return out
