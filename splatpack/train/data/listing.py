"""What a reader of a data set found: its photos by name and pose, before any picture was looked at."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import CorruptError
from splatpack.train.data.lens import Lens

LOOSE = 1e-2
"""How far a rotation may be from one before it is refused; what is closer is brought to the nearest one."""


@dataclass(frozen=True)
class Angle:
    """A lens of which only fields of view are known (Blender): pixels follow from the size of the picture, radians."""

    x: float
    y: float | None = None

    def lens(self, width: int, height: int) -> Lens:
        """Return the lens for a picture of this size."""
        fx = width / 2 / float(np.tan(self.x / 2))
        fy = fx if self.y is None else height / 2 / float(np.tan(self.y / 2))
        return Lens(fx, fy, width / 2, height / 2, width, height)


@dataclass(frozen=True)
class Frame:
    """One photo of a data set.

    Attributes
    ----------
    name : str
        A relative path, checked.
    viewmat : float64 (4, 4)
        World to camera, OpenCV axes, rigid.
    lens : Lens or Angle
    mask : str or None
        A relative path, checked.
    split : str or None
        What the data set says; None where it says nothing.
    """

    name: str
    viewmat: NDArray[np.float64]
    lens: Lens | Angle
    mask: str | None = None
    split: Literal["train", "test"] | None = None


@dataclass
class Listing:
    """The photos of a data set, where their files may be, and a sparse reconstruction.

    Attributes
    ----------
    source : Path
        The file or folder that lists them, for messages.
    frames : list of Frame
    photos, masks : tuple of Path
        Folders in which names are looked for; ``masks`` is for masks that are found by the photo's name.
    frame : str
        Axes of the world.
    points, colors : float32 (P, 3) or None
    warnings : list of str
    """

    source: Path
    frames: list[Frame]
    photos: tuple[Path, ...]
    masks: tuple[Path, ...] = ()
    frame: str = "unknown"
    points: NDArray[np.float32] | None = None
    colors: NDArray[np.float32] | None = None
    warnings: list[str] = field(default_factory=list)


def rigid(viewmat: NDArray[np.float64], where: str) -> NDArray[np.float64]:
    """Return a pose whose rotation is exactly one.

    Raises
    ------
    CorruptError
        It is not finite, or further from a rotation than rounding explains: singular, scaled, or a mirror.
    """
    rotation = viewmat[:3, :3]
    if not np.isfinite(viewmat).all() or np.abs(viewmat).max() > 1e9:
        raise CorruptError(f"{where}: the pose holds NaN or numbers beyond 1e9, expected a rigid pose.")
    off = float(np.abs(rotation @ rotation.T - np.eye(3)).max())
    if off > LOOSE or np.linalg.det(rotation) < 0:
        what = "is a mirror" if off <= LOOSE else f"is off a rotation by {off:.3g}"
        raise CorruptError(f"{where}: the pose {what}, expected a rigid one (no scale, no shear, no reflection).")
    u, _, vt = np.linalg.svd(rotation)
    out = viewmat.copy()
    out[:3, :3] = u @ vt
    return out
