"""Formats that hold scales and alphas without their logarithms, and several clouds: what they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from splatpack.formats.blocks import ROWS, row_bytes
from splatpack.limits import Limits
from splatpack.scene.gaussians import SH_COEFFICIENTS, FloatArray, Gaussians, concatenate

ALPHA_RANGE = (1e-12, 1 - 2.0**-24)
"""Alphas that have a logit; the upper end is the float32 below 1."""


def in_place(column: FloatArray, fn: Callable[[FloatArray], FloatArray]) -> None:
    """Replace the rows of a column, block by block."""
    for start in range(0, len(column), ROWS):
        column[start : start + ROWS] = fn(column[start : start + ROWS])


def log_of(scales: FloatArray) -> FloatArray:
    """Return logarithms of scales: zero becomes -inf, less becomes NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(scales)


def logit_of(alphas: FloatArray) -> FloatArray:
    """Return logits of alphas; 0 and 1, which have none, count as the nearest that a float32 tells from them."""
    with np.errstate(invalid="ignore"):
        a = np.clip(alphas.astype(np.float64), *ALPHA_RANGE)
    return (np.log(a) - np.log1p(-a)).astype(np.float32)


def joined(parts: list[Gaussians], budget: Limits, what: str) -> Gaussians:
    """Join clouds; SH bands that one lacks are zero."""
    degree = max(part.sh_degree for part in parts)
    if len(parts) > 1:
        budget.debit(sum(len(p) for p in parts) * row_bytes(degree), f"{what}, {len(parts)} clouds joined")
    return concatenate([_with_bands(part, degree) for part in parts])


def _with_bands(scene: Gaussians, degree: int) -> Gaussians:
    if scene.sh_degree == degree:
        return scene
    shn = np.zeros((len(scene), SH_COEFFICIENTS[degree], 3), np.float32)
    shn[:, : scene.shN.shape[1]] = scene.shN
    return replace(scene, shN=shn)
