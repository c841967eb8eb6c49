"""Rate-aware training: a trained scene to a ``.spk``, pulled to the photos on the grid of the file's own quantisers.

``compress`` moves a quantised scene towards renders of the scene before; here it moves towards the photos themselves,
and bits have a price in the loss. What the photos do not ask for costs nothing to leave out.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from splatpack.container.reader import ContainerReader
from splatpack.container.source import MemorySource
from splatpack.fit.rounded import Rounded
from splatpack.fit.view import reaches, view_weights
from splatpack.pack.decode import decode
from splatpack.pack.encode import encode
from splatpack.pack.plan import Plan
from splatpack.pack.presets import Settings
from splatpack.parallel import ordered_map, thread_count
from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import Gaussians
from splatpack.train import schedule
from splatpack.train.backend import Backend
from splatpack.train.exposure import Exposures
from splatpack.train.pull import pull
from splatpack.train.settings import TrainSettings
from splatpack.train.views import Views

RATE = 0.02
"""Learning rate at the start, in steps of the quantisers."""
LAST = 0.02
"""Share of the learning rate to which it falls, in a straight line."""
REPRICE = 25
"""Steps after which the prices of bits follow what the symbols have become."""
UNSEEN = 1e-3
"""Share of the median contribution that a Gaussian keeps which no photo shows: it is rounded, not spared."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Photos:
    """What a scene in the coordinates of the data set is pulled to.

    Attributes
    ----------
    views : Views
        With the cameras of the data set.
    background : tuple of 3 float
    near : float
        Near plane, scene units.
    settings : TrainSettings
    exposures : Exposures or None
    backend : Backend
    """

    views: Views
    background: tuple[float, float, float]
    near: float
    settings: TrainSettings
    exposures: Exposures | None
    backend: Backend


@dataclass(frozen=True)
class Compact:
    """A file.

    Attributes
    ----------
    data : bytes
        The ``.spk``.
    scene : Gaussians
        What a decoder makes of it.
    q : float
        The factor on the quantisers' steps.
    trials : list of (float, int)
        q and size of each file that was made on the way.
    """

    data: bytes
    scene: Gaussians
    q: float
    trials: list[tuple[float, int]] = field(default_factory=list)


def contributions(
    scene: Gaussians, cameras: list[Camera], near: float, threads: int | None = None
) -> NDArray[np.float64]:
    """Return the mean over the pixels of the cameras of the squared blending weight of each Gaussian, float64 (N,)."""
    reach = reaches(scene)
    total = np.zeros(len(scene))
    for one in ordered_map(lambda camera: view_weights(scene, camera, near, reach), cameras, thread_count(threads)):
        total += one
    return total / max(1, len(cameras))


def pulled(plan: Plan, photos: Photos, steps: int, price: float, progress: Progress | None = None) -> Gaussians:
    """Return the scene of a plan after so many steps towards the photos, on the grid of its quantisers.

    Parameters
    ----------
    plan : Plan
    photos : Photos
    steps : int
        Photos, one a step.
    price : float
        What a bit of the spherical harmonics adds to the loss.
    progress : callable, optional
    """
    params, settings = plan.profile.params, photos.settings
    if params is None or steps == 0:
        return plan.scene
    rounded = Rounded(plan.scene, params, plan.classes, plan.profile.sh, settings.threads)
    prices = None
    for step in range(steps):
        if price > 0 and plan.profile.sh and step % REPRICE == 0:
            prices = rounded.prices("shN", price)
        (index,) = schedule.photos(settings.changed(batch=1, seed=settings.seed + 1), step, len(photos.views))
        found = pull(
            photos.backend, rounded.scene, photos.views.at(index), photos.background, photos.near, settings,
            photos.exposures, index,
        )  # fmt: skip
        rounded.step(found.gradients, RATE * ((1 - step / steps) + LAST), prices)
        if progress:
            progress(step + 1, steps)
    return rounded.scene


def compact(
    scene: Gaussians, photos: Photos, how: Settings, *, steps: int, price: float, progress: Progress | None = None
) -> Compact:
    """Return a file of a scene (in the coordinates of the data set) under given settings of the codec."""
    cameras = [photos.views.at(k, 2).camera for k in range(len(photos.views))]
    threads = photos.settings.threads
    weights = contributions(scene, cameras, photos.near, threads)
    seen = weights[weights > 0]
    weights = np.maximum(weights, UNSEEN * float(np.median(seen)) if len(seen) else 1.0)
    out = io.BytesIO()
    encode(
        scene, out, how, threads=threads, weights=weights,
        pull=lambda plan: pulled(plan, photos, steps, price, progress),
    )  # fmt: skip
    data = out.getvalue()
    with ContainerReader(MemorySource(data)) as reader:
        return Compact(data, decode(reader, threads=threads), how.q)
