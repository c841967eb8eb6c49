"""A photo as a trainer sees it: a pinhole camera, and pixels that are there when they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import UsageError
from splatpack.scene.cameras import Camera

Plane = NDArray[np.float32]
Packed = NDArray[np.uint16]

FULL = 65535
"""What 1.0 is in a packed picture: 8-bit values (x 257) and 16-bit values are exact in it."""


@dataclass(frozen=True)
class Picture:
    """A picture in memory, at half the size of floats.

    Attributes
    ----------
    pixels : uint16 (H, W, 3)
        Colour, 65535 is 1.
    weight, alpha : uint16 (H, W) or None
        How much a pixel counts, and how opaque it is; None where all are 1.
    """

    pixels: Packed
    weight: Packed | None = None
    alpha: Packed | None = None

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return sum(plane.nbytes for plane in (self.pixels, self.weight, self.alpha) if plane is not None)


@dataclass(frozen=True)
class Photo:
    """One posed photo. Its pixels are decoded when they are asked for, and kept while the data set's cache has room.

    Attributes
    ----------
    name : str
        The file's path inside its folder.
    camera : Camera
        Pinhole, of the undistorted picture at the size that is trained on.
    source : callable
        Returns the :class:`Picture`.
    """

    name: str
    camera: Camera
    source: Callable[[], Picture]

    @classmethod
    def of(
        cls, name: str, camera: Camera, pixels: Plane, weight: Plane | None = None, alpha: Plane | None = None
    ) -> Photo:
        """Return a photo that is in memory: values from 0 to 1, shapes as the methods return them.

        Raises
        ------
        UsageError
            A shape is not that of the camera.
        """
        size = (camera.height, camera.width)
        for plane, shape in ((pixels, (*size, 3)), (weight, size), (alpha, size)):
            if plane is not None and plane.shape != shape:
                raise UsageError(f"{name}: an array of shape {plane.shape}, expected {shape}, as the camera says.")
        picture = Picture(pack(pixels), *(None if p is None else pack(p) for p in (weight, alpha)))
        return cls(name, camera, lambda: picture)

    def pixels(self) -> Plane:
        """Return the colours, float32 (H, W, 3) from 0 to 1, composed on the data set's background."""
        return unpack(self.source().pixels)

    def weight(self) -> Plane | None:
        """Return how much each pixel counts, float32 (H, W) from 0 to 1; None when all count."""
        plane = self.source().weight
        return None if plane is None else unpack(plane)

    def alpha(self) -> Plane | None:
        """Return how opaque each pixel is, float32 (H, W) from 0 to 1; None when all are opaque."""
        plane = self.source().alpha
        return None if plane is None else unpack(plane)


def pack(plane: NDArray[np.floating]) -> Packed:
    """Return values from 0 to 1 as uint16; what lies outside is clipped."""
    return np.asarray(np.rint(np.clip(plane, 0.0, 1.0) * FULL), np.uint16)


def unpack(plane: Packed) -> Plane:
    """Return a packed plane as float32 from 0 to 1."""
    return plane * np.float32(1 / FULL)
