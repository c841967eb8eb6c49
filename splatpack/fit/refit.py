"""Refit: pull a pruned and quantised scene back towards renders of the original, without photos.

What is drawn is always what a decoder would give, every number on the grid of its quantiser; the gradient is taken
there and moves the number behind it (the straight-through estimator of Bengio et al. 2013). So nothing that was won is
lost when the scene is coded. A step is measured in steps of the quantisers, which follow the importance of each
Gaussian: one learning rate fits all attributes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.codecs.splat import SplatParams
from splatpack.errors import UsageError
from splatpack.fit.loss import l2
from splatpack.fit.rounded import Rounded
from splatpack.render.backward import Gradients, backward, forward
from splatpack.render.cpu import render
from splatpack.render.views import encoder_cameras, stage
from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians

ITERATIONS = 300
RATE = 0.01
"""Learning rate at the start, in steps of the quantisers."""
LAST = 0.02
"""Share of the learning rate to which it falls, in a straight line."""
SIZE = 160, 120
"""Pixels of a view. At equal time many small views do better than few large ones."""
SEED = 99
BATCH = 48
"""Views whose cameras are drawn at once."""
LEAST_ERROR = 1e-7
"""A view counts by one over its mean squared error, as PSNR does, down to this one (70 dB)."""

Progress = Callable[[int, int], None]
"""Called with how many hundredths are done, of how many."""


@dataclass(frozen=True)
class Refitted:
    """What a refit gave.

    Attributes
    ----------
    scene : Gaussians
        On the grid of the quantisers: coding it with the same parameters and classes changes nothing but the rare
        rotation whose canonical form became another.
    iterations : int
    seconds : float
    """

    scene: Gaussians
    iterations: int
    seconds: float


def refit(
    scene: Gaussians,
    original: Gaussians,
    params: SplatParams,
    classes: NDArray[np.uint8],
    *,
    sh: bool = True,
    beside: Gaussians | None = None,
    rate: float = RATE,
    iterations: int = ITERATIONS,
    seconds: float | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Refitted:
    """Move all numbers of ``scene`` that the codec will round so that its pictures come closer to the original's.

    Parameters
    ----------
    scene : Gaussians
        What is left of the original after pruning, in any order.
    original : Gaussians
        What the pictures should look like.
    params : SplatParams
        The quantisers.
    classes : uint8 (n,)
        Importance class of each Gaussian of ``scene``.
    sh : bool
        ``shN`` goes through the quantisers too.
    beside : Gaussians or None
        What is drawn together with ``scene`` and stays as it is, of the same SH degree or a higher one.
    rate : float
        Learning rate at the start, in steps of the quantisers.
    iterations : int
        Steps, one view each. The result depends on nothing else, in particular not on the number of threads.
    seconds : float or None
        Steps until this time is over, instead of ``iterations``: not reproducible.
    threads : int or None
    progress : callable or None

    Raises
    ------
    UsageError
        ``iterations`` or ``seconds`` is negative, or there is not one class per Gaussian.
    """
    if iterations < 0 or (seconds is not None and not seconds >= 0) or classes.shape != (len(scene),):
        raise UsageError(f"refit: {iterations} iterations, {seconds} s, classes {classes.shape} for {len(scene)} rows.")
    start = time.perf_counter()
    rounded = Rounded(scene, params, classes, sh, threads)
    shown = _Shown(rounded.scene, beside)
    near = stage(original).near
    done = 0
    for camera in _cameras(original):
        share = _share(done, iterations) if seconds is None else _share(time.perf_counter() - start, seconds)
        if share >= 1:
            break
        if progress:
            progress(int(100 * share), 100)
        target = render(original, camera, near=near, threads=threads).color
        picture, tape = forward(shown.scene, camera, near=near, threads=threads)
        loss = l2(picture.color, target)
        slope = loss.grad * np.float32(1 / max(loss.value, LEAST_ERROR))
        rounded.step(shown.own(backward(tape, slope, threads=threads)), rate * ((1 - share) + LAST))
        shown.update()
        done += 1
    return Refitted(rounded.scene, done, time.perf_counter() - start)


def _share(done: float, of: float) -> float:
    return done / of if of > 0 else 1.0


def _cameras(scene: Gaussians) -> Iterator[Camera]:
    """Views without end: those of the importance, but others, and none twice."""
    seed = SEED
    while True:
        yield from encoder_cameras(scene, BATCH, *SIZE, seed)
        seed += 1


class _Shown:
    """What is drawn: a scene whose arrays change in place, and behind it one that stays.

    Attributes
    ----------
    scene : Gaussians
        As of the last :meth:`update`.
    """

    def __init__(self, moving: Gaussians, beside: Gaussians | None) -> None:
        self._moving, self.scene = moving, moving
        if beside is not None and len(beside):
            wide = np.zeros((len(moving), *beside.shN.shape[1:]), np.float32)
            arrays: dict[str, Any] = {
                name: np.concatenate([wide if name == "shN" else getattr(moving, name), getattr(beside, name)])
                for name in ATTRIBUTES
            }
            self.scene = replace(moving, **arrays, extras={})
            self.update()

    def update(self) -> None:
        """Take over how the moving scene is now."""
        if self.scene is not self._moving:
            for name in ATTRIBUTES:
                now = getattr(self._moving, name)
                getattr(self.scene, name)[tuple(slice(length) for length in now.shape)] = now

    def own(self, gradients: Gradients) -> Gradients:
        """Return the gradients of the moving scene alone."""
        if self.scene is self._moving:
            return gradients
        shapes = {name: getattr(self._moving, name).shape for name in ATTRIBUTES}
        return Gradients(**{
            name: np.ascontiguousarray(getattr(gradients, name)[tuple(slice(length) for length in shape)])
            for name, shape in shapes.items()
        })  # fmt: skip
