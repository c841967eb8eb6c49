"""Colour: linear maps, which spherical harmonics follow exactly, and the degree of the harmonics.

A colour is ``max(0, 0.5 + C0 sh0 + sum B_k shN_k)``, display-referred: only the constant term has an offset. So the map
``rgb' = A rgb + b`` is exact on coefficients: A acts on all of them, and ``0.5 + C0 sh0' = A (0.5 + C0 sh0) + b``. In
pictures it is exact too, because blending is linear, but for the clamp at 0 where A mixes channels or b is not 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from splatpack.errors import UsageError
from splatpack.scene.gaussians import C0, SH_COEFFICIENTS, FloatArray, Gaussians

LUMA = (0.2126, 0.7152, 0.0722)
"""Weights of red, green and blue in luminance (Rec. ITU-R BT.709-6, item 3.2)."""

_BLOCK = 1 << 15


def map_colours(scene: Gaussians, matrix: ArrayLike, offset: ArrayLike = (0.0, 0.0, 0.0)) -> Gaussians:
    """Return the scene with colours ``matrix @ rgb + offset``, seen from anywhere.

    Parameters
    ----------
    scene : Gaussians
    matrix : array-like (3, 3)
    offset : array-like (3,)
        In units of a display's range, 0 to 1.

    Raises
    ------
    UsageError
        The shapes are others, or a number is not finite.
    """
    a, b = np.asarray(matrix, np.float64), np.asarray(offset, np.float64)
    if a.shape != (3, 3) or b.shape != (3,) or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise UsageError(f"colour map of shapes {a.shape} and {b.shape}, expected (3, 3) and (3,) finite numbers.")
    constant = (a.sum(axis=1) * 0.5 + b - 0.5) / C0
    return replace(scene, sh0=_mapped(scene.sh0, a, constant), shN=_mapped(scene.shN, a, np.zeros(3)))


def _mapped(coefficients: FloatArray, matrix: ArrayLike, move: ArrayLike) -> FloatArray:
    out = np.empty_like(coefficients)
    for i in range(0, len(out), _BLOCK):
        out[i : i + _BLOCK] = coefficients[i : i + _BLOCK].astype(np.float64) @ np.transpose(matrix) + move
    return out


def exposure(scene: Gaussians, stops: float) -> Gaussians:
    """Multiply colours by 2^stops.

    Raises
    ------
    UsageError
        Not a number from -20 to 20.
    """
    if not abs(stops) <= 20:
        raise UsageError(f"exposure {stops:g} stops, expected -20 to 20.")
    return map_colours(scene, np.eye(3) * 2.0**stops)


def saturation(scene: Gaussians, factor: float) -> Gaussians:
    """Move colours away from grey of the same luminance: 0 makes grey, 1 changes nothing.

    Raises
    ------
    UsageError
        Not a number from 0 to 100.
    """
    if not 0 <= factor <= 100:
        raise UsageError(f"saturation {factor:g}, expected 0 to 100.")
    return map_colours(scene, factor * np.eye(3) + (1 - factor) * np.tile(LUMA, (3, 1)))


def white_balance(scene: Gaussians, white: Sequence[float]) -> Gaussians:
    """Scale red, green and blue so that a colour becomes a grey of the same luminance.

    Parameters
    ----------
    scene : Gaussians
    white : sequence of 3 float
        What should be neutral and is not, each above 0 and at most 1.

    Raises
    ------
    UsageError
        ``white`` is no such colour.
    """
    if len(white) != 3 or not all(0 < v <= 1 and math.isfinite(v) for v in white):
        raise UsageError(f"white {tuple(white)}, expected red, green and blue above 0 and at most 1.")
    luminance = sum(w * v for w, v in zip(LUMA, white, strict=True))
    return map_colours(scene, np.diag([luminance / v for v in white]))


def sh_degree(scene: Gaussians, degree: int) -> Gaussians:
    """Return the scene with spherical harmonics of a degree: bands are dropped, or added as zeros.

    Raises
    ------
    UsageError
        The degree is not 0 to 3.
    """
    if degree not in range(len(SH_COEFFICIENTS)):
        raise UsageError(f"SH degree {degree}, expected 0 to {len(SH_COEFFICIENTS) - 1}.")
    if degree <= scene.sh_degree:
        return scene.with_sh_degree(degree)
    more = SH_COEFFICIENTS[degree] - scene.shN.shape[1]
    return replace(scene, shN=np.pad(scene.shN, ((0, 0), (0, more), (0, 0))))
