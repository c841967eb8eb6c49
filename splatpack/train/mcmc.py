"""Density control by sampling (Kheradmand et al. 2024, "3D Gaussian Splatting as Markov Chain Monte Carlo").

The count grows to a fixed budget. Gaussians that have become transparent are moved onto others, drawn by opacity, in a
way that leaves the picture nearly as it is; noise on the means lets faint ones look for a better place.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.parallel import ordered_map
from splatpack.render.backward import Gradients
from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import Gaussians
from splatpack.train.kernels.perturb import perturb
from splatpack.train.schedule import REFINE_UNTIL
from splatpack.train.settings import TrainSettings
from splatpack.train.strategy import Refined, rows_of

DEAD = 0.005
"""Opacity at which a Gaussian is moved."""
MOST = 51
"""Copies that one place is shared by at most."""
FULL, FIRST = 0.5, 0.5
"""The budget is full after this share of the run; at the beginning this share of it is aimed at."""
GROWTH = 0.5
"""Share of the Gaussians that is added at a time, at most."""
NOISE = 5e5
"""Noise in units of the learning rate of the means, as in the paper."""
_BLOCK = 1 << 14


def _terms() -> NDArray[np.float64]:
    """Coefficients c[n - 1, k] = C(n, k + 1) (-1)^k / sqrt(k + 1) of the sum in equation 9."""
    out = np.zeros((MOST, MOST))
    for n in range(1, MOST + 1):
        for k in range(n):
            out[n - 1, k] = math.comb(n, k + 1) * (-1) ** k / math.sqrt(k + 1)
    return out


_TERMS = _terms()


def shared(opacity: NDArray[np.float64], copies: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return opacity and factor on the standard deviations of each of ``copies`` Gaussians that stand in for one.

    Equation 9 of the paper; its double sum of binomials is a single one by the identity
    C(0, k) + ... + C(n - 1, k) = C(n, k + 1).

    Parameters
    ----------
    opacity : float64 (n,)
        In (0, 1).
    copies : int64 (n,)
        1 to 51.
    """
    new = 1.0 - (1.0 - opacity) ** (1.0 / copies)
    powers = new[:, None] ** np.arange(1, MOST + 1)
    return new, opacity / (_TERMS[copies - 1] * powers).sum(axis=1)


class Mcmc:
    """The strategy. It has no memory: everything follows from the scene and the random numbers of the step."""

    every = 50

    def __init__(self, settings: TrainSettings) -> None:
        self._most, self._threads = settings.max_gaussians, settings.threads

    def observe(self, gradients: Gradients, seen: NDArray[np.uint8], camera: Camera) -> None:
        """Do nothing: places are drawn by opacity."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return nothing."""
        return {}

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Do nothing."""

    def refine(self, scene: Gaussians, share: float, rng: np.random.Generator) -> Refined | None:
        """Move the dead ones, and add as many as the budget has room for by now."""
        if share > REFINE_UNTIL:
            return None
        n = len(scene)
        opacity = 1.0 / (1.0 + np.exp(-scene.opacities.astype(np.float64)))
        dead = np.flatnonzero(~(opacity > DEAD))
        alive = np.flatnonzero(opacity > DEAD)
        aim = math.ceil(self._most * FIRST ** max(0.0, 1 - share / FULL))
        more = max(0, min(math.ceil(GROWTH * n), aim - n))
        if len(alive) == 0 or len(dead) + more == 0:
            return None
        chance = opacity[alive] / opacity[alive].sum()
        picks = rng.choice(alive, len(dead) + more, p=chance)
        rows = np.concatenate([np.arange(n), np.zeros(more, np.int64)])
        rows[dead] = picks[: len(dead)]
        rows[n:] = picks[len(dead) :]
        out = rows_of(scene, rows)
        where, times = np.unique(picks, return_counts=True)
        new, factor = shared(np.minimum(opacity[where], 1 - 1e-6), np.minimum(times + 1, MOST))
        new = np.clip(new, DEAD, 1 - 1e-6)
        logits, logs = np.zeros(n), np.zeros(n)
        logits[where], logs[where] = np.log(new / (1 - new)), np.log(factor)
        touched = np.isin(rows, where)
        out.opacities[touched] = logits[rows[touched]]
        out.scales[touched] += logs[rows[touched], None].astype(np.float32)
        source = rows.copy()
        source[touched] = -1
        return Refined(out, source)

    def shake(self, scene: Gaussians, share: float, rate: float, rng: np.random.Generator) -> None:
        """Add the noise of equation 8 to the means of faint Gaussians."""
        if share > REFINE_UNTIL:
            return
        n = len(scene)
        normals = rng.standard_normal((n, 3), np.float32)

        def work(start: int) -> None:
            stop = min(start + _BLOCK, n)
            perturb(scene.scales, scene.quats, scene.opacities, normals, NOISE * rate, start, stop, scene.means)

        for _ in ordered_map(work, range(0, n, _BLOCK), self._threads):
            pass
