"""Which seeds a run begins with."""

from __future__ import annotations

import numpy as np

from splatpack.errors import UsageError
from splatpack.train.data.dataset import Dataset
from splatpack.train.normal import Normalisation
from splatpack.train.seeds import Seeds, in_frusta
from splatpack.train.settings import TrainSettings
from splatpack.train.views import Views

GREY = 0.5


def seeds_of(
    dataset: Dataset, space: Normalisation, views: Views, settings: TrainSettings, rng: np.random.Generator
) -> Seeds:
    """Return the seeds that ``settings.init`` asks for, in training coordinates.

    Raises
    ------
    UsageError
        Points were asked for and the data set has none.
    """
    count = settings.max_gaussians
    has_points = dataset.points is not None and len(dataset.points) > 0
    init = settings.init if settings.init != "auto" else "points" if has_points else "random"
    if init == "points":
        if dataset.points is None or not has_points:
            raise UsageError(f"{dataset.name}: no sparse points to begin with. Use --init stereo or --init random.")
        points = space.points(dataset.points.astype(np.float64))
        grey = np.full(points.shape, GREY, np.float32)
        return Seeds(points, grey if dataset.colors is None else dataset.colors)
    photos = [views.at(index, 4) for index in range(len(views))]
    return in_frusta([v.camera for v in photos], [v.pixels for v in photos], count // 2, rng)
