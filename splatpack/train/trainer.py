"""The training loop: photos pull a scene of Gaussians."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import StorageError, UsageError
from splatpack.limits import Limits
from splatpack.pack.presets import Settings
from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import ATTRIBUTES, SH_COEFFICIENTS, Gaussians
from splatpack.train import schedule
from splatpack.train.backend import Backend, backend
from splatpack.train.checkpoint import identity, load, save
from splatpack.train.compact import COARSE, DROPPED, PRICE, STEPS, Compact, Photos, compact
from splatpack.train.data.dataset import Dataset
from splatpack.train.evaluate import Quality, quality, shown
from splatpack.train.interrupt import postponed
from splatpack.train.normal import NEAR, Normalisation
from splatpack.train.pull import Pull, pull, regularise
from splatpack.train.record import Point, TrainResult
from splatpack.train.seeds import Seeds
from splatpack.train.settings import TrainSettings
from splatpack.train.start import seeds_of
from splatpack.train.state import State
from splatpack.train.views import View, Views

POINTS = 200
"""Points of the curves of a run, about."""


class Trainer:
    """Trains a scene on a data set.

    Parameters
    ----------
    dataset : Dataset
    settings : TrainSettings
    seeds : Seeds or Gaussians, optional
        Points or a scene to begin with, in the coordinates of the data set, instead of what ``settings.init`` says.
    state : State, optional
        Where to go on (:meth:`resumed`); ``seeds`` then have no say.

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

    def __init__(
        self,
        dataset: Dataset,
        settings: TrainSettings,
        *,
        seeds: Seeds | Gaussians | None = None,
        state: State | None = None,
    ) -> None:
        self.dataset, self.settings = dataset, settings
        self.space = Normalisation.of([photo.camera for photo in dataset.train])
        self.backend: Backend = backend(settings.backend, settings.threads)
        self.views = Views(dataset.train, [self.space.camera(photo.camera) for photo in dataset.train])
        self.held_out = Views(dataset.test, [self.space.camera(photo.camera) for photo in dataset.test])
        self.background = dataset.background or (0.0, 0.0, 0.0)
        self.state = state or State.first(self._first_scene(seeds), len(dataset.train), settings)

    @classmethod
    def resumed(cls, dataset: Dataset, path: str | os.PathLike[str], limits: Limits | None = None) -> Trainer:
        """Return a trainer that goes on where a checkpoint was written, with the settings of then.

        Raises
        ------
        UsageError
            The checkpoint is of other photos or cameras.
        StorageError, CorruptError, TruncatedError, ChecksumError, UnsupportedError, LimitError
            As :func:`splatpack.train.checkpoint.load`.
        """
        found = load(path, limits)
        if found.photos != identity(dataset.train):
            raise UsageError(
                f"{path}: a run on other photos or cameras than those of {dataset.name}. Resume with the same data, "
                "split and size of photos, or begin a new run."
            )
        return cls(dataset, found.settings, state=State.restored(found, len(dataset.train)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint.

        Raises
        ------
        StorageError
            The file system refused. An older checkpoint is untouched, and so is the run: it can go on.
        """
        save(path, self.state.checkpoint(self.settings, identity(self.dataset.train)))

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

    def compact(
        self,
        how: Settings | None = None,
        *,
        target_size: int | None = None,
        steps: int = STEPS,
        price: float = PRICE,
        progress: Callable[[int, int], None] | None = None,
    ) -> Compact:
        """Return the scene as a ``.spk`` that was pulled to the photos on its quantisers' grid, bits having a price.

        Parameters
        ----------
        how : Settings, optional
            Quantisers and pruning; the default suits photos.
        target_size, steps, price, progress
            As in :func:`splatpack.train.compact.compact`.
        """
        dataset, state = self.dataset, self.state
        views = Views(dataset.train, [photo.camera for photo in dataset.train])
        near = NEAR * self.space.scale
        photos = Photos(views, self.background, near, self.settings, state.exposures, self.backend)
        how = how or Settings(q=COARSE, prune=DROPPED, name="photos")
        return compact(self.scene, photos, how, target_size=target_size, steps=steps, price=price, progress=progress)

    def run(
        self,
        *,
        progress: Callable[[Point], None] | None = None,
        until: Callable[[int], bool] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        every: int = 500,
        warn: Callable[[StorageError], None] | None = None,
    ) -> TrainResult:
        """Train to the end.

        Parameters
        ----------
        progress : callable, optional
            Gets where the run is after each step.
        until : callable, optional
            Asked before each step, with the count of steps taken; True ends the run. It can be taken up again by
            another call, or from a checkpoint.
        checkpoint : path, optional
            Where the state is written every so many steps, and when the run ends before its time.
        every : int
            Steps between two checkpoints.
        warn : callable, optional
            Gets the error when a checkpoint cannot be written; the run goes on and tries again at the next one. Without
            it the error is raised. The state is whole either way: :meth:`run` can be called again.

        Raises
        ------
        KeyboardInterrupt
            Ctrl-C was pressed: the step was finished and, where there is a path, a checkpoint written.
        StorageError
            A checkpoint cannot be written, and there is no ``warn``; or none could when the run was broken off.
        """
        with postponed() as pressed:
            while self.share < 1.0 and not pressed() and not (until is not None and until(self.state.iteration)):
                point = self._timed_step()
                if progress is not None:
                    progress(point)
                if checkpoint is not None and self.state.iteration % every == 0:
                    self._try_to_save(checkpoint, warn)
            complete = self.share >= 1.0
            if checkpoint is not None and not complete:
                self.save(checkpoint)
            if pressed():
                raise KeyboardInterrupt
        state = self.state
        return TrainResult(self.scene, state.iteration, state.seconds, list(state.history), self.evaluate(), complete)

    def _try_to_save(self, path: str | os.PathLike[str], warn: Callable[[StorageError], None] | None) -> None:
        try:
            self.save(path)
        except StorageError as error:
            if warn is None:
                raise
            warn(error)

    def _timed_step(self) -> Point:
        start, before = time.perf_counter(), self.share
        self._step(before)
        self.state.seconds += time.perf_counter() - start
        return self._remember(before)

    def _step(self, share: float) -> None:
        settings, state = self.settings, self.state
        rates = schedule.rates(settings, share)
        state.adam.rates.update(rates)
        self._widen(schedule.degree(settings, share))
        found = self._pull(share)
        regularise(found.gradients, state.adam.scene, settings)
        state.adam.step(found.gradients, chosen=found.seen, threads=settings.threads)
        state.average(found.loss, found.error)
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
            one = pull(self.backend, state.adam.scene, view, background, NEAR, settings, state.exposures, index)
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
