"""Adaptive density control (Kerbl et al. 2023): clone, split, prune, and reset opacities.

Its schedule of 30,000 steps is stretched or squeezed to the run.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.render.backward import Gradients
from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import Gaussians
from splatpack.train.settings import TrainSettings
from splatpack.train.strategy import Refined, rows_of

FROM, UNTIL, RESET = 500 / 30_000, 0.5, 0.1
"""Shares of the run: Gaussians are made and removed in between; opacities are reset at each multiple of RESET."""
GROW = 2e-4
"""Mean length of the gradient of a centre, in units of half a picture, from which on a Gaussian is made two."""
SMALL = 0.01
"""Standard deviation, in units of the extent, up to which it is cloned and above which it is split."""
HUGE = 0.1
"""Above this it is removed, once opacities have been reset."""
DEAD, DIMMED = 0.005, 0.01
"""Opacity below which a Gaussian is removed, and that to which a reset lowers it."""
SHRINK = 1.6
"""By which the halves of a split are smaller."""


class Density:
    """The strategy. It remembers the gradients of the centres since the last change, and the resets that were done."""

    every = 100

    def __init__(self, settings: TrainSettings, count: int) -> None:
        self._most = settings.max_gaussians
        self._pull, self._seen = np.zeros(count), np.zeros(count, np.int64)
        self._resets = np.zeros(1, np.int64)
        self.every = min(max(1, settings.iterations // 100), 100) if settings.budget is None else 50

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the sums of gradients, how often each Gaussian was seen, and the count of resets."""
        return {"pull": self._pull, "seen": self._seen, "resets": self._resets}

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take up what :meth:`arrays` returned."""
        self._pull, self._seen, self._resets = arrays["pull"], arrays["seen"], arrays["resets"]

    def observe(self, gradients: Gradients, seen: NDArray[np.uint8], camera: Camera) -> None:
        """Add up the lengths of the gradients of the centres."""
        if gradients.centres is not None:
            half = gradients.centres * np.array([0.5 * camera.width, 0.5 * camera.height], np.float32)
            self._pull += np.hypot(half[:, 0], half[:, 1]) * seen
            self._seen += seen

    def shake(self, scene: Gaussians, share: float, rate: float, rng: np.random.Generator) -> None:
        """Do nothing."""

    def refine(self, scene: Gaussians, share: float, rng: np.random.Generator) -> Refined | None:
        """Clone and split where gradients are long, remove what is transparent or huge, reset when it is time."""
        if not FROM <= share <= UNTIL:
            return None
        refined = self._divide(scene, rng)
        if math.floor(share / RESET) > self._resets[0]:
            self._resets[0] += 1
            dimmed = np.minimum(refined.scene.opacities, np.float32(math.log(DIMMED / (1 - DIMMED))))
            refined = Refined(replace(refined.scene, opacities=dimmed), refined.source)
        self._pull, self._seen = np.zeros(len(refined.scene)), np.zeros(len(refined.scene), np.int64)
        return refined

    def _divide(self, scene: Gaussians, rng: np.random.Generator) -> Refined:
        n = len(scene)
        mean = self._pull / np.maximum(self._seen, 1)
        size = np.exp(scene.scales.max(axis=1).astype(np.float64))
        opacity = 1.0 / (1.0 + np.exp(-scene.opacities.astype(np.float64)))
        drop = (opacity < DEAD) | ((size > HUGE) & (self._resets[0] > 0))
        if drop.all():
            drop[np.argmax(opacity)] = False
        room = max(0, self._most - (n - int(drop.sum())))
        grow = np.flatnonzero((mean > GROW) & ~drop)
        grow = np.sort(grow[np.argsort(-mean[grow], kind="stable")][:room])
        clone, split = grow[size[grow] <= SMALL], grow[size[grow] > SMALL]
        rows = np.concatenate([np.flatnonzero(~drop), clone, split])
        out = rows_of(scene, rows)
        source = rows.copy()
        source[len(rows) - len(grow) :] = -1
        halves = np.concatenate([np.flatnonzero(np.isin(rows[: len(rows) - len(grow)], split)),
                                 np.arange(len(rows) - len(split), len(rows))])  # fmt: skip
        if len(halves):
            out.means[halves] += _inside(out, halves, rng)
            out.scales[halves] -= np.float32(math.log(SHRINK))
            source[halves] = -1
        return Refined(out, source)


def _inside(scene: Gaussians, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return offsets drawn from the Gaussians themselves, float32 (n, 3)."""
    q = scene.quats[rows].astype(np.float64)
    q /= np.maximum(np.linalg.norm(q, axis=1, keepdims=True), 1e-30)
    local = rng.standard_normal((len(rows), 3)) * np.exp(scene.scales[rows].astype(np.float64))
    turn = np.cross(q[:, 1:], local)
    return np.asarray(local + 2 * q[:, :1] * turn + 2 * np.cross(q[:, 1:], turn), np.float32)
