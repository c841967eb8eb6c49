"""What a Gaussian is in numbers with a name: the vocabulary of expressions and of statistics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import UsageError
from splatpack.scene.gaussians import C0, Gaussians

Floats = NDArray[np.float64]


def _column(name: str, j: int) -> Callable[[Gaussians], Floats]:
    return lambda scene: getattr(scene, name)[:, j].astype(np.float64)


def _deviation(rank: int) -> Callable[[Gaussians], Floats]:
    """Standard deviation along the shortest (0) to the longest (2) axis, scene units."""
    return lambda scene: np.exp(np.sort(scene.scales, axis=1)[:, rank].astype(np.float64))


def _channel(c: int) -> Callable[[Gaussians], Floats]:
    """Colour without its view-dependent part; 0 to 1 is what a screen can show."""
    return lambda scene: 0.5 + C0 * scene.sh0[:, 0, c].astype(np.float64)


def opacity(scene: Gaussians) -> Floats:
    """Return opacities from 0 to 1, float64 (N,)."""
    with np.errstate(over="ignore"):
        return np.asarray(1.0 / (1.0 + np.exp(-scene.opacities.astype(np.float64))))


def _sh_norm(scene: Gaussians) -> Floats:
    """Root of the sum of the squares of the coefficients above the constant one: how much colour follows the view."""
    wide = scene.shN.reshape(len(scene), 3 * scene.shN.shape[1]).astype(np.float64)
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", wide, wide)))


ATTRIBUTES: Mapping[str, Callable[[Gaussians], Floats]] = {
    **{axis: _column("means", j) for j, axis in enumerate("xyz")},
    **{f"scale_{name}": _deviation(rank) for rank, name in enumerate(("min", "mid", "max"))},
    **{f"q{part}": _column("quats", j) for j, part in enumerate("wxyz")},
    "opacity": opacity,
    **{name: _channel(c) for c, name in enumerate(("red", "green", "blue"))},
    "sh_norm": _sh_norm,
    "index": lambda scene: np.arange(len(scene), dtype=np.float64),
}
"""The values of each Gaussian by name, float64 (N,): positions and scales in scene units, ``index`` its row."""


def extra(scene: Gaussians, name: str) -> NDArray[Any]:
    """Return an extra column.

    Raises
    ------
    UsageError
        There is none of this name; the message lists those that there are.
    """
    if name not in scene.extras:
        have = ", ".join(scene.extras) or "none"
        raise UsageError(
            f"no attribute or extra column {name!r}, expected one of {', '.join(ATTRIBUTES)}; "
            f"extra columns of this scene: {have}."
        )
    return scene.extras[name]
