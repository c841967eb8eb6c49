"""Make a scene float again that was published in a lossy format.

What a quantiser left lies on few levels. A codec whose grid is the same would look lossless on such a scene, and
lossless coders would shrink it as no trained scene. So each number gets noise inside its own quantisation cell: uniform
or, in the cell of zero of an SH column, where most numbers lie and real ones crowd around the middle, Laplacian. The
result is drawn nearly as the published scene is, has the statistics of a trained one, and favours no grid.

Seeded: the same scene gives the same result. Palettes, as SOG has for SH, do not come back: such a scene still favours
codecs with palettes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.scene.gaussians import ATTRIBUTES, Gaussians

Vector = NDArray[np.float64]

LEVELS = 0.5
"""A column with fewer distinct values than this share of the distinct rows was quantised."""

FEWEST = 64
"""Scenes with fewer distinct rows tell nothing."""

WIDEST = 8.0
"""The widest cell of a codebook, in medians: where levels are sparse, their gaps are no cells."""

QUAT_LEVELS = 4096
"""Quats on more levels than this are float."""


@dataclass(frozen=True)
class Grid:
    """What the numbers of a format do not show by themselves.

    Attributes
    ----------
    quat_step : float or None
        Width of a cell of the components of unit quats.
    chunk : int
        Rows that share a grid of means and scales, which spans their range; 0: there are none.
    bits : tuple of int
        Of x, y and z in such a grid.
    """

    quat_step: float | None = None
    chunk: int = 0
    bits: tuple[int, ...] = ()


GRIDS = {"splat": Grid(quat_step=1 / 128), "compressed-ply": Grid(chunk=256, bits=(11, 10, 11))}
"""By source format: ``.splat`` rounds quats before it normalises them, compressed PLY has a grid for every 256 rows."""


def dequantise(scene: Gaussians, seed: int = 0, grid: Grid | None = None) -> tuple[Gaussians, tuple[str, ...]]:
    """Return a scene with noise in its quantisation cells, and the attributes that were changed.

    Rows that are equal stay equal. Attributes that are float already are returned as they are, to the bit.

    Parameters
    ----------
    scene : Gaussians
        Validated: finite, opacities bounded, quats normalised.
    seed : int
    grid : Grid or None
        Of the format that the scene came in, its rows in the order of the file; what it leaves open is found by looking
        at the numbers.
    """
    grid = grid or Grid()
    if len(scene) < FEWEST:
        return scene, ()
    columns = {name: getattr(scene, name).reshape(len(scene), -1) for name in ATTRIBUTES}
    rows, where = _distinct(np.concatenate(list(columns.values()), axis=1))
    if len(rows) < FEWEST:
        return scene, ()
    rng = np.random.default_rng(seed)
    changed: dict[str, Any] = {}
    for name, column in columns.items():
        values = column[rows].astype(np.float64)
        if name == "quats":
            noisy = _quats(values, rng, grid.quat_step)
        elif name == "opacities":
            noisy = _opacities(values[:, 0], rng)[:, None]
        else:
            noisy = (
                np.stack([_cells(v, rng, laplace=name == "shN") for v in values.T], axis=1) if values.size else values
            )
        if not np.array_equal(noisy, values):
            changed[name] = noisy.astype(np.float32)[where].reshape(getattr(scene, name).shape)
    for name in ("means", "scales") if grid.chunk else ():
        changed[name] = _chunks(columns[name].astype(np.float64), rng, grid).astype(np.float32)
    return replace(scene, **changed), tuple(changed)


def _distinct(rows: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the distinct rows in the order of their content, and for every row which of them it is."""
    packed = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.shape[1] * 4))).ravel()
    _, first, where = np.unique(packed, return_index=True, return_inverse=True)
    return first, where.ravel()


def _quantised(values: Vector) -> Vector | None:
    """The levels of a column, or None where it is float or all the same."""
    levels = np.unique(values)
    return None if len(levels) < 2 or len(levels) > LEVELS * len(values) else levels


def _cells(values: Vector, rng: np.random.Generator, *, laplace: bool) -> Vector:
    """Noise between the middles of the gaps to the neighbouring levels."""
    levels = _quantised(values)
    if levels is None:
        return values
    gaps = np.diff(levels)
    typical = float(np.median(gaps))
    gaps = np.minimum(gaps, typical if _uniform(gaps / typical) else WIDEST * typical)
    at = np.searchsorted(levels, values)
    below = np.concatenate([gaps[:1], gaps])[at]
    above = np.concatenate([gaps, gaps[-1:]])[at]
    shift = rng.uniform(-0.5, 0.5, len(values))
    if laplace:
        inside = np.abs(values) < 0.5 * typical
        shift = np.where(inside, _laplace(shift, float(np.mean(np.abs(values))) / typical), shift)
    return values + shift * np.where(shift < 0, below, above)


def _uniform(gaps: Vector) -> bool:
    """Whether gaps, in medians, are those of a uniform grid on which some levels do not occur."""
    return bool(np.mean(np.abs(gaps - np.round(gaps)) < 0.03) > 0.95)


def _laplace(uniform: Vector, mean: float) -> Vector:
    """Turn uniform numbers in (-1/2, 1/2) into Laplacian ones cut to that range, whose scale is ``mean`` cells.

    The mean magnitude of a Laplacian is its scale; a column that is nearly all zero keeps some width.
    """
    scale = max(mean, 0.06)
    tail = 1.0 - np.exp(-0.5 / scale)
    bent: Vector = -np.sign(uniform) * scale * np.log1p(-tail * np.abs(2.0 * uniform))
    return bent


def _chunks(values: Vector, rng: np.random.Generator, grid: Grid) -> Vector:
    """Uniform noise in the cells of a grid that spans the range of each run of rows."""
    out = values.copy()
    for start in range(0, len(values), grid.chunk):
        rows = slice(start, start + grid.chunk)
        cells = np.ptp(values[rows], axis=0) / (2.0 ** np.array(grid.bits) - 1.0)
        out[rows] += cells * rng.uniform(-0.5, 0.5, values[rows].shape)
    return out


def _opacities(values: Vector, rng: np.random.Generator) -> Vector:
    """Logits: formats store the opacity itself, in equal steps, so the noise is added there."""
    if _quantised(values) is None:
        return values
    alpha = np.round(1.0 / (1.0 + np.exp(-values)), 7)
    noisy = np.abs(_cells(alpha, rng, laplace=False))
    noisy = np.clip(1.0 - np.abs(1.0 - noisy), 1e-5, 1.0 - 1e-5)  # what left (0, 1) is reflected
    return np.log(noisy) - np.log1p(-noisy)


def _quats(values: Vector, rng: np.random.Generator, step: float | None) -> Vector:
    """Unit quats: noise of one cell on every component, then unit again."""
    width = _quat_step(values) if step is None else step
    if width is None:
        return values
    noisy = values + width * rng.uniform(-0.5, 0.5, values.shape)
    unit: Vector = noisy / np.linalg.norm(noisy, axis=1, keepdims=True)
    return unit


def _quat_step(values: Vector) -> float | None:
    """The grid of the three components that a format stores: the smallest ones, or x, y and z; the fourth follows."""
    stored = (np.sort(np.abs(values), axis=1)[:, :3], np.abs(values[:, 1:]))
    found = [_quantised(np.round(part.ravel(), 6)) for part in stored]
    levels = min((f for f in found if f is not None and len(f) <= QUAT_LEVELS), key=len, default=None)
    return None if levels is None else float(np.median(np.diff(levels)))
