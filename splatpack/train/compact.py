"""Rate-aware training: a trained scene to a ``.spk``, pulled to the photos on the grid of the file's own quantisers.

``compress`` moves a quantised scene towards renders of the scene before; here it moves towards the photos themselves,
and bits have a price in the loss. What the photos do not ask for costs nothing to leave out.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from splatpack.container.reader import ContainerReader
from splatpack.container.source import MemorySource
from splatpack.errors import UsageError
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

RATE = 0.03
"""Learning rate at the start, in steps of the quantisers."""
LAST = 0.02
"""Share of the learning rate to which it falls, in a straight line."""
REPRICE = 25
"""Steps after which the prices of bits follow what the symbols have become."""
UNSEEN = 1e-3
"""Share of the median contribution that a Gaussian keeps which no photo shows: it is rounded, not spared."""

STEPS = 800
COARSE, DROPPED = 2.0, 0.6
"""Factor on the quantisers' steps and share of the Gaussians dropped, where nothing else is asked for: at equal bytes
fewer Gaussians of finer steps were better than more of coarser ones."""
PRICE = 3e-8
"""Of a bit, in units of the loss: on fox a sixth of the bytes for 0.1 dB."""
SLACK = 0.03
"""Share of a target size that may be left empty."""
DRAFTS, TRIALS = 6, 3
"""Files that are made at most on the way to a target size: quickly, without photos, then with them."""
SIZE_PER_NAT = 0.35
"""Bytes shrink by about this power of the quantisers' steps."""
FINEST = 0.3
"""Factor on the steps below which nothing is won on photos."""

Progress = Callable[[int, int], None]
"""Called with steps that are done, and of how many."""


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
    settings : Settings
        Of the codec.
    steps : int
        By which it was pulled to the photos.
    """

    data: bytes
    scene: Gaussians
    settings: Settings
    steps: int


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
    scene: Gaussians,
    photos: Photos,
    how: Settings,
    *,
    target_size: int | None = None,
    steps: int = STEPS,
    price: float = PRICE,
    progress: Progress | None = None,
) -> Compact:
    """Return a file of a scene, pulled to the photos.

    Parameters
    ----------
    scene : Gaussians
        In the coordinates of the data set.
    photos : Photos
    how : Settings
        Quantisers, and the share of the Gaussians that is dropped: those that contribute least to the photos. Their
        ``refine`` and ``goal`` have no say.
    target_size : int, optional
        Bytes that the file may have, nearly all of which are used; ``how.prune`` and, where all Gaussians fit,
        ``how.q`` are then looked for.
    steps : int
        Photos that the scene is pulled to, on the grid.
    price : float
        What a bit of the spherical harmonics adds to the loss: the lambda of rate and distortion.
    progress : callable, optional

    Raises
    ------
    UsageError
        The target is below what a single Gaussian takes.
    """
    cameras = [photos.views.at(k, 2).camera for k in range(len(photos.views))]
    weights = contributions(scene, cameras, photos.near, photos.settings.threads)
    seen = weights[weights > 0]
    weights = np.maximum(weights, UNSEEN * float(np.median(seen)) if len(seen) else 1.0)

    def made(now: Settings, count: int) -> Compact:
        return _made(scene, photos, now, weights, count, price, progress)

    if target_size is None:
        return made(how, steps)
    drafts = _tried(lambda now: made(now, 0), how, target_size, len(scene), DRAFTS)
    found = _tried(lambda now: made(now, steps), drafts[-1].settings, target_size, len(scene), TRIALS)
    for files in (found, drafts):
        fitting = [one for one in files if len(one.data) <= target_size]
        if fitting:
            return max(fitting, key=lambda one: len(one.data))
    least = min(len(one.data) for one in [*drafts, *found])
    raise UsageError(f"target size {target_size:,} bytes: the smallest file that was made has {least:,}.")


def _tried(make: Callable[[Settings], Compact], how: Settings, target: int, count: int, most: int) -> list[Compact]:
    """Make files until one fits and fills the target within :data:`SLACK`; return all of them.

    Bytes go nearly in proportion to the Gaussians that are kept, so that is what is turned; only when all are kept,
    the steps of the quantisers.
    """
    made: list[Compact] = []
    for _ in range(most):
        one = make(how)
        made.append(one)
        if (1 - SLACK) * target <= len(one.data) <= target:
            break
        keep = (1 - (how.prune or 0.0)) * (1 - SLACK / 2) * target / len(one.data)
        q = how.q if keep <= 1 else max(FINEST, how.q * keep ** -(1 / SIZE_PER_NAT))
        how = replace(how, q=q, prune=max(0.0, 1 - max(keep, 1.5 / count)))
    return made


def _made(
    scene: Gaussians, photos: Photos, how: Settings, weights: NDArray[np.float64], steps: int, price: float,
    progress: Progress | None,
) -> Compact:  # fmt: skip
    out = io.BytesIO()
    threads = photos.settings.threads
    encode(
        scene, out, how, threads=threads, weights=weights,
        pull=lambda plan: pulled(plan, photos, steps, price, progress),
    )  # fmt: skip
    data = out.getvalue()
    with ContainerReader(MemorySource(data)) as reader:
        return Compact(data, decode(reader, threads=threads), how, steps)
