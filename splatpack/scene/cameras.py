"""Pinhole cameras: OpenCV intrinsics, world-to-camera poses."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from splatpack.errors import UsageError


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with OpenCV axes (x right, y down, z forward).

    Attributes
    ----------
    viewmat : float64 (4, 4)
        World to camera, rigid.
    fx, fy, cx, cy : float
        Focal lengths and principal point, pixels. The centre of the top-left pixel is (0.5, 0.5).
    width, height : int
        Image size, pixels.
    name : str
        What to call the view in reports and file names.
    """

    viewmat: NDArray[np.float64]
    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    name: str = ""

    def __post_init__(self) -> None:
        if self.viewmat.shape != (4, 4) or self.viewmat.dtype != np.float64:
            raise UsageError(f"viewmat: {self.viewmat.dtype} {self.viewmat.shape}, expected float64 (4, 4).")
        rotation = self.viewmat[:3, :3]
        if not np.isfinite(self.viewmat).all() or np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-3:
            raise UsageError("viewmat is not a rigid world-to-camera matrix.")
        if not (self.fx > 0 and self.fy > 0 and math.isfinite(self.fx + self.fy + self.cx + self.cy)):
            raise UsageError(f"intrinsics fx {self.fx}, fy {self.fy}: expected positive, finite numbers.")
        if not (1 <= self.width <= 16384 and 1 <= self.height <= 16384):
            raise UsageError(f"image size {self.width}x{self.height}, expected 1 to 16384 pixels a side.")

    @property
    def position(self) -> NDArray[np.float64]:
        """Camera centre in world coordinates, float64 (3,)."""
        return np.asarray(-self.viewmat[:3, :3].T @ self.viewmat[:3, 3])

    @property
    def K(self) -> NDArray[np.float64]:
        """The intrinsic matrix, float64 (3, 3)."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    def resized(self, width: int, height: int) -> Camera:
        """Return the same camera with another image size; the vertical field of view is kept, pixels stay square."""
        s = height / self.height
        cx = width / 2 + (self.cx - self.width / 2) * s
        return replace(self, fx=self.fx * s, fy=self.fy * s, cx=cx, cy=self.cy * s, width=width, height=height)


def look_at(
    position: ArrayLike,
    target: ArrayLike,
    up: ArrayLike,
    fov_y: float,
    width: int,
    height: int,
    name: str = "",
) -> Camera:
    """Return the camera at ``position`` that looks at ``target``.

    Parameters
    ----------
    position, target, up : array-like (3,)
        World coordinates; ``up`` is the direction that appears upwards in the picture.
    fov_y : float
        Vertical field of view, radians.
    width, height : int
        Image size, pixels.

    Raises
    ------
    UsageError
        Position and target coincide, or ``up`` is parallel to the view direction.
    """
    p, t, u = (np.asarray(v, np.float64) for v in (position, target, up))
    forward = t - p
    right = np.cross(forward, u)
    if not (np.linalg.norm(forward) > 0 and np.linalg.norm(right) > 0):
        raise UsageError("look_at: the view direction is zero or parallel to up.")
    forward = forward / np.linalg.norm(forward)
    right = right / np.linalg.norm(right)
    viewmat = np.eye(4)
    viewmat[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    viewmat[:3, 3] = -viewmat[:3, :3] @ p
    f = height / (2 * math.tan(fov_y / 2))
    return Camera(viewmat, f, f, width / 2, height / 2, width, height, name)
