"""Which seeds a run begins with."""

from __future__ import annotations

import numpy as np

from splatpack.errors import UsageError
from splatpack.train.data.dataset import Dataset
from splatpack.train.normal import Normalisation
from splatpack.train.seeds import Seeds, in_frusta
from splatpack.train.settings import TrainSettings
from splatpack.train.stereo import stereo
from splatpack.train.views import Views

GREY = 0.5
STEREO_PIXELS = 8_000
"""Pixels to which photos are reduced for the plane sweep, about."""
BEGIN = 0.5
"""Share of the budget of Gaussians that a run begins with, at most."""
FILL = 0.1
"""Share of those that is put at random places, where stereo may have been blind."""


def seeds_of(
    dataset: Dataset, space: Normalisation, views: Views, settings: TrainSettings, rng: np.random.Generator
) -> Seeds:
    """Return the seeds that ``settings.init`` asks for, in training coordinates.

    Raises
    ------
    UsageError
        Points were asked for and the data set has none.
    """
    has_points = dataset.points is not None and len(dataset.points) > 0
    init = settings.init if settings.init != "auto" else "points" if has_points else "stereo"
    if init == "points":
        if dataset.points is None or not has_points:
            raise UsageError(f"{dataset.name}: no sparse points to begin with. Use --init stereo or --init random.")
        points = space.points(dataset.points.astype(np.float64))
        grey = np.full(points.shape, GREY, np.float32)
        return Seeds(points, grey if dataset.colors is None else dataset.colors)
    count = max(1, int(BEGIN * settings.max_gaussians))
    camera = dataset.train[0].camera
    reduction = max(1, round((camera.width * camera.height / STEREO_PIXELS) ** 0.5))
    photos = [views.at(index, reduction) for index in range(len(views))]
    if init == "random":
        return in_frusta(photos, count, rng)
    agreed = stereo(photos, settings.threads).thinned(int((1 - FILL) * count), rng)
    filled = in_frusta(photos, max(int(FILL * count), count // 2 - len(agreed)), rng)
    return Seeds(np.concatenate([agreed.points, filled.points]), np.concatenate([agreed.colors, filled.colors]))
