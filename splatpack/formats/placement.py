"""Where the nodes of a scene graph put a cloud, as what can be done to splats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import UnsupportedError
from splatpack.formats.fields import LARGEST
from splatpack.scene.gaussians import Gaussians
from splatpack.scene.transform import transform

Matrix = NDArray[np.float64]

TOLERANCE = 1e-4
"""How far a rotation may be from orthonormal: node matrices are float32 in most writers."""


@dataclass(frozen=True)
class Placement:
    """``x' = scale * rotation @ x + translation``; float64 (3, 3), float, float64 (3,)."""

    rotation: Matrix
    scale: float
    translation: Matrix

    @property
    def identity(self) -> bool:
        """Whether nothing moves."""
        same = np.array_equal(self.rotation, np.eye(3)) and not self.translation.any()
        return same and self.scale == 1.0

    def of(self, scene: Gaussians) -> Gaussians:
        """Return a scene put there: copied, unless nothing moves."""
        if self.identity:
            return scene
        return transform(scene, rotation=self.rotation, scale=self.scale, translation=self.translation)


def placement(world: Matrix, what: str) -> Placement:
    """Return a world matrix as rotation, uniform scale and translation.

    Raises
    ------
    UnsupportedError
        It mirrors, shears or scales axes differently: splats with SH have no exact answer to that.
    """
    linear = world[:3, :3]
    with np.errstate(over="ignore", invalid="ignore"):
        volume = float(np.linalg.det(linear))
    scale = np.cbrt(volume)
    if not (0 < scale < LARGEST and np.isfinite(world).all()):
        raise UnsupportedError(f"{what}: a transform of determinant {volume:g}, expected a positive one.")
    if np.abs(linear @ linear.T / scale**2 - np.eye(3)).max() > TOLERANCE:
        raise UnsupportedError(
            f"{what}: a transform that shears or scales axes differently. Bake it into the splats first."
        )
    return Placement(linear / scale, 1.0 if abs(scale - 1) < 1e-6 else float(scale), world[:3, 3])
