"""Gaussians as moments, which merge by adding up, and moments as Gaussians.

Mass and area as in :mod:`splatpack.lod.kernels.merge`. A merged Gaussian has the mass, the mean and the covariance of
its parts together, and the mass-weighted mean of their colours; its opacity is mass over area, held below 1 so that
every renderer shows it as meant.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from splatpack.lod.kernels.axes import principal_axes
from splatpack.lod.kernels.merge import AREA, COLOUR, COV, MASS, MEAN, ROW, SEEN
from splatpack.scene.gaussians import C0, Gaussians

Rows = NDArray[np.float64]

OPAQUE = 0.99
"""Opacity that a merged Gaussian may have: what the rasteriser draws at most."""

HIDDEN = 0.02
"""Share of its mass as which a Gaussian counts that no camera has seen: another one may."""

_FAINT = 1e-6
_BLOCK = 1 << 15


def rows_of(scene: Gaussians, weights: NDArray[np.float64] | None = None) -> Rows:
    """Return the moments of each Gaussian, float64 (n, ROW); a mass is positive, however faint the Gaussian is.

    Parameters
    ----------
    scene : Gaussians
    weights : float64 (n,) or None
        How much of the pictures each Gaussian makes, which is what merging it costs; None: as much as it has mass.
    """
    out = np.empty((len(scene), ROW))
    for start in range(0, len(scene), _BLOCK):
        part = slice(start, start + _BLOCK)
        _fill(out[part], scene, part)
    mass = out[:, MASS]
    out[:, SEEN] = mass
    if weights is not None and weights.sum() > 0:
        out[:, SEEN] = np.maximum(weights * (mass.sum() / weights.sum()), HIDDEN * mass)
    return out


def _fill(out: Rows, scene: Gaussians, part: slice) -> None:
    squares = np.exp(2.0 * np.clip(scene.scales[part].astype(np.float64), -40.0, 40.0))
    axes = rotations(scene.quats[part])
    covariance = np.einsum("nij,nj,nkj->nik", axes, squares, axes)
    a, b, c = squares.T
    out[:, AREA] = np.sqrt(a * b + a * c + b * c)
    opacity = 1.0 / (1.0 + np.exp(-np.clip(scene.opacities[part].astype(np.float64), -40.0, 40.0)))
    out[:, MASS] = np.maximum(opacity, _FAINT) * out[:, AREA]
    out[:, MEAN : MEAN + 3] = scene.means[part]
    for k, (i, j) in enumerate(((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))):
        out[:, COV + k] = covariance[:, i, j]
    out[:, COLOUR : COLOUR + 3] = C0 * scene.sh0[part, 0].astype(np.float64)


def rotations(quats: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the rotation matrices of quats (n, 4) of any length but zero, float64 (n, 3, 3); zero counts as none."""
    q = quats.astype(np.float64)
    norm = np.sqrt((q * q).sum(axis=1))
    q = np.where(norm[:, None] > 0, q, (1.0, 0.0, 0.0, 0.0)) / np.where(norm > 0, norm, 1.0)[:, None]
    w, x, y, z = q.T
    out = np.empty((len(q), 3, 3))
    out[:, 0] = np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], axis=1)
    out[:, 1] = np.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], axis=1)
    out[:, 2] = np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], axis=1)
    return out


def trace(rows: Rows) -> NDArray[np.float64]:
    """Return the trace of each covariance, float64 (n,): how far a Gaussian spreads, squared."""
    return np.asarray(rows[:, COV] + rows[:, COV + 3] + rows[:, COV + 5])


def gaussians_of(rows: Rows, like: Gaussians) -> Gaussians:
    """Return Gaussians with these moments, of SH degree 0.

    Parameters
    ----------
    rows : float64 (n, ROW)
    like : Gaussians
        Gives frame, flags and metadata; extra columns are not carried over.
    """
    n = len(rows)
    scales, quats = np.empty((n, 3), np.float32), np.empty((n, 4), np.float32)
    covariances = np.ascontiguousarray(rows[:, COV : COV + 6])
    principal_axes(covariances, np.empty((3, 3)), np.empty((3, 3)), scales, quats)
    opacity = np.clip(rows[:, MASS] / rows[:, AREA], _FAINT, OPAQUE)
    return replace(
        like,
        means=rows[:, MEAN : MEAN + 3].astype(np.float32),
        scales=scales,
        quats=quats,
        opacities=np.log(opacity / (1.0 - opacity)).astype(np.float32),
        sh0=(rows[:, COLOUR : COLOUR + 3] / C0).astype(np.float32)[:, None],
        shN=np.zeros((n, 0, 3), np.float32),
        extras={},
    )
