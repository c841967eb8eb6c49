"""The photos as a step of training needs them: reduced, as floats, with cameras to match."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from splatpack.scene.cameras import Camera
from splatpack.train.data.photo import Photo

Plane = NDArray[np.float32]

LEAST_SIDE = 16
"""No side is reduced below this, pixels."""
ROOM = 256 << 20
"""Bytes of reduced pictures that are kept."""


@dataclass(frozen=True)
class View:
    """A photo at one size.

    Attributes
    ----------
    camera : Camera
        In training coordinates.
    pixels : float32 (H, W, 3)
    weight, alpha : float32 (H, W) or None
    """

    camera: Camera
    pixels: Plane
    weight: Plane | None
    alpha: Plane | None

    @property
    def nbytes(self) -> int:
        """Bytes of the planes."""
        return sum(plane.nbytes for plane in (self.pixels, self.weight, self.alpha) if plane is not None)

    def on(self, background: tuple[float, float, float], now: tuple[float, float, float]) -> View:
        """Return a transparent photo, which is composed on the colour ``now``, composed on another one."""
        if self.alpha is None or background == now:
            return self
        change = np.array(background, np.float32) - np.array(now, np.float32)
        return replace(self, pixels=self.pixels + (1 - self.alpha[..., None]) * change)


class Views:
    """Reduced photos, kept while there is room: the least recently used ones go.

    Parameters
    ----------
    photos : sequence of Photo
    cameras : sequence of Camera
        One per photo, in training coordinates.
    room : int
        Bytes.
    """

    def __init__(self, photos: Sequence[Photo], cameras: Sequence[Camera], room: int = ROOM) -> None:
        self._photos, self._cameras, self._room = photos, cameras, room
        self._kept: OrderedDict[tuple[int, int], View] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._photos)

    def at(self, index: int, reduction: int = 1) -> View:
        """Return a photo with its sides divided by ``reduction``, or by less where it is small."""
        key = (index, reduction)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        photo, camera = self._photos[index], self._cameras[index]
        view = reduced(View(camera, photo.pixels(), photo.weight(), photo.alpha()), reduction)
        self._kept[key] = view
        self._bytes += view.nbytes
        while self._bytes > self._room and len(self._kept) > 1:
            _, old = self._kept.popitem(last=False)
            self._bytes -= old.nbytes
        return view


def reduced(view: View, reduction: float) -> View:
    """Return a view with its sides divided by ``reduction``: pixels are means over areas, by weight."""
    camera = view.camera
    width, height = (max(min(side, LEAST_SIDE), round(side / reduction)) for side in (camera.width, camera.height))
    if (width, height) == (camera.width, camera.height):
        return view
    across, down = _areas(camera.width, width), _areas(camera.height, height)
    small = replace(
        camera, width=width, height=height,
        fx=camera.fx * width / camera.width, cx=camera.cx * width / camera.width,
        fy=camera.fy * height / camera.height, cy=camera.cy * height / camera.height,
    )  # fmt: skip

    def shrink(plane: Plane) -> Plane:
        return np.ascontiguousarray(np.einsum("yh,hw...,xw->yx...", down, plane, across, optimize=True))

    alpha = None if view.alpha is None else shrink(view.alpha)
    if view.weight is None:
        return View(small, shrink(view.pixels), None, alpha)
    weight = shrink(view.weight)
    pixels = shrink(view.pixels * view.weight[..., None])
    pixels /= np.maximum(weight, np.float32(1e-6))[..., None]
    return View(small, pixels, weight, alpha)


def _areas(before: int, after: int) -> Plane:
    """Return the share of each old pixel in each new one along an axis, float32 (after, before); rows sum to 1."""
    edges = np.arange(after + 1) * (before / after)
    low, high = edges[:-1, None], edges[1:, None]
    old = np.arange(before)
    cover = np.clip(np.minimum(high, old + 1) - np.maximum(low, old), 0.0, 1.0)
    return np.asarray(cover / cover.sum(axis=1, keepdims=True), np.float32)
