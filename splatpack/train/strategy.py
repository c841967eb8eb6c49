"""What every strategy of density control is to the trainer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from splatpack.render.backward import Gradients
from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians


@dataclass(frozen=True)
class Refined:
    """A scene after Gaussians were made, moved or removed.

    Attributes
    ----------
    scene : Gaussians
    source : int64 (M,)
        The row before of each Gaussian, or -1 for one that has nothing in common with any: its averages begin at 0.
    """

    scene: Gaussians
    source: NDArray[np.int64]


class Strategy(Protocol):
    """Density control: what becomes of Gaussians besides gradient steps."""

    every: int
    """Steps between two calls of :meth:`refine`."""

    def observe(self, gradients: Gradients, seen: NDArray[np.uint8], camera: Camera) -> None:
        """Take note of the gradients of one view."""

    def refine(self, scene: Gaussians, share: float, rng: np.random.Generator) -> Refined | None:
        """Return the scene with Gaussians made, moved or removed, or None when nothing changes."""

    def shake(self, scene: Gaussians, share: float, rate: float, rng: np.random.Generator) -> None:
        """Move means in place after a step. ``rate`` is the learning rate of the means."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what a checkpoint must keep."""

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take up what :meth:`arrays` returned."""


def rows_of(scene: Gaussians, rows: NDArray[np.int64]) -> Gaussians:
    """Return copies of rows; a row may be taken several times."""
    arrays: dict[str, Any] = {name: np.take(getattr(scene, name), rows, axis=0) for name in ATTRIBUTES}
    return replace(scene, **arrays)
