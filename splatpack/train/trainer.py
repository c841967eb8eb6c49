"""The training loop: photos pull a scene of Gaussians."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.fit.adam import Adam
from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import ATTRIBUTES, SH_COEFFICIENTS, Gaussians
from splatpack.train import schedule
from splatpack.train.backend import Backend, backend
from splatpack.train.data.dataset import Dataset
from splatpack.train.density import Density
from splatpack.train.evaluate import Quality, quality, shown
from splatpack.train.exposure import Exposures
from splatpack.train.mcmc import Mcmc
from splatpack.train.normal import NEAR, Normalisation
from splatpack.train.pull import Pull, pull, regularise
from splatpack.train.record import Point, TrainResult
from splatpack.train.seeds import Seeds
from splatpack.train.settings import TrainSettings
from splatpack.train.start import seeds_of
from splatpack.train.strategy import Strategy
from splatpack.train.views import View, Views

SMOOTH = 0.98
"""Share of the running means of loss and squared error that a step keeps."""
POINTS = 200
"""Points of the curves of a run, about."""


@dataclass
class State:
    """What a run is made of between two steps; a checkpoint keeps all of it.

    Attributes
    ----------
    adam : Adam
        The scene, in training coordinates, and the averages of its gradients.
    strategy : Strategy
    exposures : Exposures or None
    iteration : int
        Steps taken.
    seconds : float
        Spent on them.
    loss, error : float
        Running means of the loss and of the squared error.
    history : list of Point
    """

    adam: Adam
    strategy: Strategy
    exposures: Exposures | None
    iteration: int = 0
    seconds: float = 0.0
    loss: float = math.nan
    error: float = math.nan
    history: list[Point] = field(default_factory=list)


class Trainer:
    """Trains a scene on a data set.

    Parameters
    ----------
    dataset : Dataset
    settings : TrainSettings
    seeds : Seeds or Gaussians, optional
        Points or a scene to begin with, in the coordinates of the data set, instead of what ``settings.init`` says.

    Attributes
    ----------
    state : State
    space : Normalisation
        From training coordinates to those of the data set.

    Raises
    ------
    UsageError
        There is no photo, or the settings ask for points that the data set does not have.
    UnsupportedError
        The backend is not available.
    """

    def __init__(self, dataset: Dataset, settings: TrainSettings, *, seeds: Seeds | Gaussians | None = None) -> None:
        self.dataset, self.settings = dataset, settings
        self.space = Normalisation.of([photo.camera for photo in dataset.train])
        self.backend: Backend = backend(settings.backend, settings.threads)
        self.views = Views(dataset.train, [self.space.camera(photo.camera) for photo in dataset.train])
        self.held_out = Views(dataset.test, [self.space.camera(photo.camera) for photo in dataset.test])
        self.background = dataset.background or (0.0, 0.0, 0.0)
        scene = self._first_scene(seeds)
        strategy = Mcmc(settings) if settings.strategy == "mcmc" else Density(settings, len(scene))
        exposures = Exposures(len(dataset.train)) if settings.exposure else None
        self.state = State(Adam(scene, schedule.rates(settings, 0.0)), strategy, exposures)

    def _first_scene(self, seeds: Seeds | Gaussians | None) -> Gaussians:
        settings = self.settings
        if isinstance(seeds, Gaussians):
            scene = self.space.inward(seeds).take(slice(0, settings.max_gaussians)).with_sh_degree(0)
            return replace(scene, extras={}, metadata={}, antialiased=settings.antialiased)
        rng = schedule.generator(settings.seed, schedule.START, 0)
        if seeds is None:
            seeds = seeds_of(self.dataset, self.space, self.views, settings, rng)
        else:
            sizes = None if seeds.sizes is None else seeds.sizes / np.float32(self.space.scale)
            seeds = Seeds(self.space.points(seeds.points), seeds.colors, sizes)
        seeds = seeds.thinned(settings.max_gaussians, rng)
        return seeds.grown(antialiased=settings.antialiased, threads=settings.threads)

    @property
    def scene(self) -> Gaussians:
        """The scene as it is now, in the coordinates of the data set: a copy."""
        scene = self.space.outward(self.state.adam.scene)
        copies: dict[str, Any] = {name: getattr(scene, name).copy() for name in ATTRIBUTES}
        about = {"trainer": {"normalisation": self.space.as_dict(), "iterations": self.state.iteration}}
        return replace(scene, **copies, frame=self.dataset.frame, metadata=about)

    @property
    def share(self) -> float:
        """How much of the run is done, 0 to 1."""
        state, settings = self.state, self.settings
        done = state.iteration / settings.iterations if settings.budget is None else state.seconds / settings.budget
        return min(1.0, done)

    def picture(self, camera: Camera) -> NDArray[np.float32]:
        """Return what a camera of the data set sees now, float32 (H, W, 3)."""
        view = View(self.space.camera(camera), np.empty((0, 0, 3), np.float32), None, None)
        return shown(self.state.adam.scene, view, self.background, NEAR, self.settings.threads)

    def evaluate(self) -> Quality | None:
        """Return how well the scene shows the held-out photos at full size; None where there are none."""
        views = [self.held_out.at(k) for k in range(len(self.held_out))]
        if not views:
            return None
        exposure, threads = self.settings.exposure, self.settings.threads
        return quality(self.state.adam.scene, views, self.background, NEAR, exposure=exposure, threads=threads)

    def run(
        self, *, progress: Callable[[Point], None] | None = None, until: Callable[[int], bool] | None = None
    ) -> TrainResult:
        """Train to the end.

        Parameters
        ----------
        progress : callable, optional
            Gets where the run is after each step.
        until : callable, optional
            Asked before each step, with the count of steps taken; True ends the run. It can be taken up again by
            another call, or from a checkpoint.
        """
        state = self.state
        while self.share < 1.0 and not (until is not None and until(state.iteration)):
            start, before = time.perf_counter(), self.share
            self._step(before)
            state.seconds += time.perf_counter() - start
            point = self._remember(before)
            if progress is not None:
                progress(point)
        test = self.evaluate()
        return TrainResult(self.scene, state.iteration, state.seconds, list(state.history), test, self.share >= 1.0)

    def _step(self, share: float) -> None:
        settings, state = self.settings, self.state
        rates = schedule.rates(settings, share)
        state.adam.rates.update(rates)
        self._widen(schedule.degree(settings, share))
        found = self._pull(share)
        regularise(found.gradients, state.adam.scene, settings)
        state.adam.step(found.gradients, chosen=found.seen, threads=settings.threads)
        self._average(found)
        state.iteration += 1
        step, seed = state.iteration, settings.seed
        state.strategy.shake(state.adam.scene, share, rates["means"], schedule.generator(seed, schedule.NOISE, step))
        if step % state.strategy.every == 0:
            rng = schedule.generator(seed, schedule.PLACES, step)
            refined = state.strategy.refine(state.adam.scene, share, rng)
            if refined is not None:
                state.adam.replant(refined.scene, refined.source)

    def _pull(self, share: float) -> Pull:
        """Return what the photos of this step say together."""
        settings, state = self.settings, self.state
        reduction = schedule.reduction(settings, share)
        parts = []
        for index in schedule.photos(settings, state.iteration, len(self.views)):
            background = self.background
            if settings.background == "random":
                drawn = schedule.generator(settings.seed, schedule.BACKDROP, state.iteration).random(3)
                background = (float(drawn[0]), float(drawn[1]), float(drawn[2]))
            view = self.views.at(index, reduction).on(background, self.background)
            one = pull(self.backend, state.adam.scene, view, background, settings, state.exposures, index)
            state.strategy.observe(one.gradients, one.seen, view.camera)
            parts.append(one)
        return reduce(Pull.plus, parts)

    def _widen(self, degree: int) -> None:
        """Raise the SH degree of the scene; new coefficients begin at 0."""
        scene = self.state.adam.scene
        if scene.sh_degree < degree:
            n, old = len(scene), scene.shN
            wide = np.zeros((n, SH_COEFFICIENTS[degree], 3), np.float32)
            wide[:, : old.shape[1]] = old
            self.state.adam.replant(replace(scene, shN=wide), np.arange(n))

    def _average(self, found: Pull) -> None:
        state = self.state
        keep = min(SMOOTH, state.iteration / (state.iteration + 1))
        first = state.iteration == 0
        state.loss = found.loss if first else keep * state.loss + (1 - keep) * found.loss
        state.error = found.error if first else keep * state.error + (1 - keep) * found.error

    def _remember(self, before: float) -> Point:
        """Return where the run is; keep it where a new point of the curves is due."""
        state, settings = self.state, self.settings
        share = self.share

        def passed(count: int) -> bool:
            return math.floor(share * count) > math.floor(before * count)

        error = max(state.error, 1e-10)
        point = Point(
            state.iteration, share, state.seconds, len(state.adam.scene), state.loss, -10 * math.log10(error),
            schedule.reduction(settings, before),
        )  # fmt: skip
        if len(self.held_out) and settings.evaluations and passed(settings.evaluations):
            test = self.evaluate()
            if test is not None:
                point = replace(point, psnr_test=test.psnr_mean, ssim_test=test.ssim_mean)
        if passed(POINTS) or point.psnr_test is not None:
            state.history.append(point)
        return point
