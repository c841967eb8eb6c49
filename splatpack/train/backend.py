"""What draws a scene and pulls a gradient back through it: our CPU rasteriser, or another behind the same interface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from splatpack.render.backward import Gradients, backward, forward
from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import Gaussians

Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Drawn:
    """A picture, float32 (H, W, 3), which Gaussians are visible, uint8 (N,), and what the way back needs."""

    color: Plane
    seen: NDArray[np.uint8]
    tape: Any


class Backend(Protocol):
    """A differentiable rasteriser."""

    name: str

    def draw(self, scene: Gaussians, camera: Camera, background: tuple[float, float, float], near: float) -> Drawn:
        """Draw a scene."""

    def pull(self, drawn: Drawn, grad: Plane) -> Gradients:
        """Return the gradients of a loss, given its gradient with respect to the picture."""


class CpuBackend:
    """The rasteriser of :mod:`splatpack.render.backward`: the same bits for any number of threads."""

    name = "cpu"

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads

    def draw(self, scene: Gaussians, camera: Camera, background: tuple[float, float, float], near: float) -> Drawn:
        """Draw a scene."""
        result, tape = forward(scene, camera, background=background, near=near, threads=self._threads)
        boxes = tape.view.boxes
        return Drawn(result.color, (boxes[:, 0] < boxes[:, 1]).astype(np.uint8), tape)

    def pull(self, drawn: Drawn, grad: Plane) -> Gradients:
        """Return the gradients of a loss, given its gradient with respect to the picture."""
        return backward(drawn.tape, grad, threads=self._threads)


def backend(name: str, threads: int | None = None) -> Backend:
    """Return the backend of that name; ``auto`` is the GPU where one can be used, else the CPU.

    Raises
    ------
    UnsupportedError
        ``gsplat`` was asked for and is not installed, or there is no CUDA device.
    """
    if name == "cpu":
        return CpuBackend(threads)
    from splatpack.train.gsplat import GsplatBackend, missing

    if name == "auto" and missing() is not None:
        return CpuBackend(threads)
    return GsplatBackend()
