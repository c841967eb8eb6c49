"""The space in which a scene is trained: the cameras about the origin, at a distance of about 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import UsageError
from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import Gaussians

NEAR = 0.01
"""Near plane in units of the extent."""


@dataclass(frozen=True)
class Normalisation:
    """Data set coordinates = ``scale`` * training coordinates + ``centre``; axes stay as they are.

    In units of the extent one set of learning rates and limits fits scenes of any size, and coordinates far from the
    origin (a city in metres) do not use up the digits of float32.

    Attributes
    ----------
    centre : float64 (3,)
        Mean position of the cameras.
    scale : float
        1.1 times the largest distance of a camera from it (the extent of Kerbl et al. 2023); 1 for a single place.
    """

    centre: NDArray[np.float64]
    scale: float

    @classmethod
    def of(cls, cameras: Sequence[Camera]) -> Normalisation:
        """Return the normalisation of a set of cameras.

        Raises
        ------
        UsageError
            There is no camera, or positions are too far apart to be numbers.
        """
        if not cameras:
            raise UsageError("no photo to train on, expected at least one with a camera.")
        positions = np.stack([camera.position for camera in cameras])
        centre = positions.mean(axis=0)
        reach = 1.1 * float(np.linalg.norm(positions - centre, axis=1).max())
        if not (math.isfinite(reach) and np.abs(positions).max() < 1e12):
            raise UsageError(f"camera positions up to {np.abs(positions).max():g}, expected finite ones below 1e12.")
        return cls(centre, reach if reach > 1e-9 * (1 + float(np.abs(centre).max())) else 1.0)

    def camera(self, camera: Camera) -> Camera:
        """Return a data set's camera in training coordinates."""
        matrix = camera.viewmat.copy()
        matrix[:3, 3] = (camera.viewmat[:3, :3] @ self.centre + camera.viewmat[:3, 3]) / self.scale
        return replace(camera, viewmat=matrix)

    def points(self, points: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return points (n, 3) of the data set in training coordinates."""
        return np.asarray((points - self.centre) / self.scale, np.float32)

    def inward(self, scene: Gaussians) -> Gaussians:
        """Return a scene of the data set in training coordinates."""
        scales = scene.scales - np.float32(math.log(self.scale))
        return replace(scene, means=self.points(scene.means.astype(np.float64)), scales=scales)

    def outward(self, scene: Gaussians) -> Gaussians:
        """Return a trained scene in the coordinates of the data set."""
        means = (scene.means.astype(np.float64) * self.scale + self.centre).astype(np.float32)
        return replace(scene, means=means, scales=scene.scales + np.float32(math.log(self.scale)))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for the scene's metadata."""
        return {"centre": [float(v) for v in self.centre], "scale": float(self.scale)}
