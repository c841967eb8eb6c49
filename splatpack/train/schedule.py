"""What changes as a run goes on, as functions of the share of it that is done, from 0 to 1."""

from __future__ import annotations

import math

import numpy as np

from splatpack.scene.gaussians import ATTRIBUTES
from splatpack.train.settings import TrainSettings

MEANS_LAST = 0.01
"""Share of the learning rate of the means that is left in the end, after an exponential decay."""
OTHERS_LAST = 0.1
"""The same for the other attributes: a decay over the last :data:`SETTLE` of the run; else colours stay noisy."""
SETTLE = 0.35
DEGREES = 0.12
"""The SH degree grows by one each time this share of the run is over."""
REFINE_UNTIL = 0.85
"""No Gaussian is made or moved to another place after this share of the run."""

ORDER, NOISE, PLACES, BACKDROP, START = range(5)
"""What random numbers are drawn for: each has its own stream per step, so that nothing has to be remembered of them."""


def generator(seed: int, purpose: int, step: int) -> np.random.Generator:
    """Return the random numbers of one step for one purpose; the same wherever a run was taken up again."""
    return np.random.default_rng([seed, purpose, step])


def rates(settings: TrainSettings, share: float) -> dict[str, float]:
    """Return the learning rate of each attribute."""
    settle = OTHERS_LAST ** max(0.0, (share - 1 + SETTLE) / SETTLE)
    decay = {"means": MEANS_LAST**share}
    return {name: settings.rate(name) * decay.get(name, settle) for name in ATTRIBUTES}


def degree(settings: TrainSettings, share: float) -> int:
    """Return the SH degree that is trained."""
    return min(settings.sh_degree, math.floor(share / DEGREES))


def reduction(settings: TrainSettings, share: float) -> int:
    """Return by how much the sides of the photos are divided: 2, then 1."""
    return 1 if share >= settings.coarse else 2


def photos(settings: TrainSettings, step: int, count: int) -> list[int]:
    """Return the photos of a step: all ``count`` of them in a new order, again and again."""
    out = []
    for k in range(step * settings.batch, (step + 1) * settings.batch):
        order = generator(settings.seed, ORDER, k // count).permutation(count)
        out.append(int(order[k % count]))
    return out
