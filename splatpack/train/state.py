"""What a run is made of between two steps, and its way into a checkpoint and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import CorruptError, SplatpackError
from splatpack.fit.adam import Adam
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians
from splatpack.train import schedule
from splatpack.train.checkpoint import Arrays, Checkpoint
from splatpack.train.density import Density
from splatpack.train.exposure import Exposures
from splatpack.train.mcmc import Mcmc
from splatpack.train.record import Point
from splatpack.train.settings import TrainSettings
from splatpack.train.strategy import Strategy

SMOOTH = 0.98
"""Share of the running means of loss and squared error that a step keeps."""


@dataclass
class State:
    """What a run is made of between two steps.

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

    @classmethod
    def first(cls, scene: Gaussians, photos: int, settings: TrainSettings) -> State:
        """Return the state of a run that begins with ``scene``."""
        strategy: Strategy = Mcmc(settings) if settings.strategy == "mcmc" else Density(settings, len(scene))
        exposures = Exposures(photos) if settings.exposure else None
        return cls(Adam(scene, schedule.rates(settings, 0.0)), strategy, exposures)

    def average(self, loss: float, error: float) -> None:
        """Take a step's loss and squared error into the running means; call before the step is counted."""
        keep = min(SMOOTH, self.iteration / (self.iteration + 1))
        self.loss = loss if self.iteration == 0 else keep * self.loss + (1 - keep) * loss
        self.error = error if self.iteration == 0 else keep * self.error + (1 - keep) * error

    def checkpoint(self, settings: TrainSettings, photos: str) -> Checkpoint:
        """Return all of it for a file; arrays are not copied."""
        arrays: Arrays = {name: getattr(self.adam.scene, name) for name in ATTRIBUTES}
        arrays.update({f"adam/{name}": average for name, average in self.adam.averages.items()})
        arrays.update({f"strategy/{name}": array for name, array in self.strategy.arrays().items()})
        if self.exposures is not None:
            arrays.update({f"exposures/{name}": getattr(self.exposures, name) for name in _EXPOSURES})
        numbers: dict[str, float | int | None] = {
            "iteration": self.iteration, "seconds": self.seconds, "steps": self.adam.steps,
            "loss": self.loss if self.iteration else None, "error": self.error if self.iteration else None,
        }  # fmt: skip
        return Checkpoint(settings, numbers, list(self.history), photos, arrays)

    @classmethod
    def restored(cls, checkpoint: Checkpoint, photos: int) -> State:
        """Return the state that a checkpoint holds.

        Raises
        ------
        CorruptError
            Its arrays are not those of a run on so many photos, or not finite.
        """
        settings, arrays = checkpoint.settings, checkpoint.arrays
        try:
            attributes: dict[str, Any] = {name: arrays[name] for name in ATTRIBUTES}
            scene = Gaussians(**attributes, antialiased=settings.antialiased)
            state = cls.first(scene, photos, settings)
            for name, average in state.adam.averages.items():
                average[:] = _same(arrays[f"adam/{name}"], average, f"adam/{name}")
            kept = {k: _same(arrays[f"strategy/{k}"], a, f"strategy/{k}") for k, a in state.strategy.arrays().items()}
            state.strategy.restore(kept)
            if state.exposures is not None:
                for name in _EXPOSURES:
                    before = getattr(state.exposures, name)
                    setattr(state.exposures, name, _same(arrays[f"exposures/{name}"], before, f"exposures/{name}"))
            state.iteration, state.adam.steps = (_count(checkpoint.numbers, name) for name in ("iteration", "steps"))
            state.seconds = _number(checkpoint.numbers, "seconds")
            if state.iteration:
                state.loss, state.error = (_number(checkpoint.numbers, name) for name in ("loss", "error"))
        except KeyError as error:
            raise CorruptError(f"checkpoint: {error} is missing.") from error
        except SplatpackError as error:
            raise CorruptError(f"checkpoint: {error}") from error
        for name in ATTRIBUTES:
            if not np.isfinite(arrays[name]).all():
                raise CorruptError(f"checkpoint: {name} holds numbers that are not finite.")
        state.history = list(checkpoint.history)
        return state


_EXPOSURES = ("maps", "averages", "steps")


def _same(array: NDArray[Any], like: NDArray[Any], name: str) -> NDArray[Any]:
    if array.shape != like.shape or array.dtype != like.dtype:
        raise CorruptError(f"{name}: {array.dtype} {array.shape}, expected {like.dtype} {like.shape}.")
    return array


def _number(numbers: Mapping[str, Any], name: str) -> float:
    value = numbers[name]
    if value is None or not 0 <= value < 1e15:
        raise CorruptError(f"{name}: {value}, expected a number that is not negative.")
    return float(value)


def _count(numbers: Mapping[str, Any], name: str) -> int:
    value = _number(numbers, name)
    if value != int(value):
        raise CorruptError(f"{name}: {value}, expected a whole number.")
    return int(value)
