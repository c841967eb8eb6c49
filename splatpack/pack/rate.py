"""Ask for a result: the quantisers, the pruning and the refit that reach a quality or a size, by a reproducible search.

The search walks one number, the logarithm of ``Settings.q``. How much is pruned is decided before, by
:mod:`splatpack.pack.pruning`. Every trial makes the whole file, and qualities are rendered, from cameras that are
neither those of the importance nor those by which the result is judged afterwards; what was found is looked at from
further ones, and the walk goes on where those show less. A refit is slow, so the search first runs without it, for a
quality that is lower by what it usually wins, and then walks on in few trials, on the slope that it has found.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.container.reader import ContainerReader
from splatpack.container.source import MemorySource
from splatpack.errors import UsageError
from splatpack.pack.decode import decode
from splatpack.pack.encode import encode
from splatpack.pack.layout import keep_important
from splatpack.pack.passes import EncodeReport, Progress
from splatpack.pack.presets import Goal, Settings
from splatpack.pack.pruning import Pruning
from splatpack.pack.walk import coarsest, finest
from splatpack.render.compare import psnr
from splatpack.render.cpu import render
from splatpack.render.views import EVALUATION_VIEWS, evaluation_cameras, stage
from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import Gaussians

SEED = 11
"""Of the cameras that a search looks through: drawn like those that judge the result, but others."""

CHECKS = 12, 13, 14, 15, 16, 17
"""Of the cameras by which it checks what it found. Of all but the first only those inside the scene are taken: there
one Gaussian before the camera can decide a picture, and the worst of three says little about the next three."""

FINEST, COARSEST = 0.004, 16.0
"""Where q is looked for when a PSNR is asked for."""

WORTHWHILE = 3.0
"""Beyond this q quality collapses faster than bytes; a smaller size is reached by pruning instead."""

REACH = 6.0
"""A preset's q is made finer by no more than this factor for the sake of its goal."""

SIZE_TOLERANCE = 0.02
"""A search for a size ends when it is missed by no more than this share."""

TRIALS, REFITS, FURTHER = 14, 3, 2
"""Trials at most: without a refit, with one, and when further views show less."""

MORE_KEPT = 0.6
"""When further views show less than the goal, so much of the importance that was dropped is dropped."""

USUAL_Q, USUAL_DB = 0.55, 42.4
"""A q, and the PSNR to which it leads in a typical scene, dB."""

DB_PER_NAT = 7.0
"""How PSNR falls with ln q, to begin with: about 5 dB per doubling."""

SIZE_PER_NAT = 0.4
"""How ln of the bytes falls with ln q, to begin with."""

REFIT_GAIN = 2.0
"""What a refit wins, dB, to begin with."""

REFIT_GROWTH = 1.03
"""How the file grows by a refit, to begin with."""

BELOW_ALL = 4.0
"""So far below what no Gaussian at all would leave lies the lowest quality that a search for a size thinks of, dB."""


@dataclass(frozen=True)
class Trial:
    """One file that a search made.

    Attributes
    ----------
    settings : Settings
    data : bytes
    report : EncodeReport
    psnr : tuple of float
        On the search's cameras, dB; empty when it was not rendered. The mean is that of the first ones, which are like
        those that judge; the worst that of all.
    """

    settings: Settings
    data: bytes
    report: EncodeReport
    psnr: tuple[float, ...] = ()

    @property
    def psnr_mean(self) -> float | None:
        """Mean over the views, dB."""
        return float(np.mean(self.psnr[:EVALUATION_VIEWS])) if self.psnr else None

    @property
    def psnr_min(self) -> float | None:
        """Of the worst view, dB."""
        return min(self.psnr) if self.psnr else None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for reports."""
        out = {
            "q": self.settings.q,
            "prune": 1 - self.report.n_out / self.report.n_in,
            "refine": self.report.refine_iterations,
            "bytes": len(self.data),
        }
        return {**out, "psnr_mean": self.psnr_mean, "psnr_min": self.psnr_min} if self.psnr else out

    def surplus(self, goal: Goal) -> float:
        """By how much the goal is exceeded, dB; below 0 where it is missed."""
        if self.psnr_mean is None or self.psnr_min is None:
            return -math.inf
        return min(self.psnr_mean - goal.psnr_mean, self.psnr_min - goal.psnr_min)


@dataclass
class Search:
    """What a search found, and all that it tried."""

    found: Trial
    walked: list[dict[str, Any]] = field(default_factory=list)
    met: bool = True


class _Trials:
    """Encodes a scene under changing settings; its importance is measured before."""

    def __init__(
        self, scene: Gaussians, weights: NDArray[np.float64], threads: int | None, progress: Progress | None
    ) -> None:
        self._scene, self._weights, self._threads, self._progress = scene, weights, threads, progress
        self._near = stage(scene).near
        self._views: list[tuple[Camera, NDArray[np.float32]]] = []
        self.made: list[Trial] = []
        self.look(evaluation_cameras(scene, seed=SEED, threads=threads))

    @property
    def walked(self) -> list[dict[str, Any]]:
        """All trials, for reports."""
        return [t.as_dict() for t in self.made]

    def look(self, cameras: Iterable[Camera]) -> None:
        """Draw the scene from further cameras; what is measured from now on is measured there too."""
        self._views += [(c, self._draw(self._scene, c)) for c in cameras]

    def look_further(self) -> None:
        """Look from the cameras of the checks too."""
        for seed in CHECKS:
            cameras = evaluation_cameras(self._scene, seed=seed, threads=self._threads)
            self.look(c for c in cameras if seed == CHECKS[0] or c.name.startswith("inside"))

    def run(self, how: Settings, *, draw: bool) -> Trial:
        """Make the file of ``how``; with ``draw`` measure it too."""

        def forward(stage: str, at: int, of: int) -> None:
            if self._progress and stage == "refine":
                self._progress(stage, at, of)

        if self._progress:
            self._progress("search", len(self.made), TRIALS + REFITS)
        out = io.BytesIO()
        report = encode(self._scene, out, how, weights=self._weights, threads=self._threads, progress=forward)
        trial = Trial(how, out.getvalue(), report)
        if draw:
            trial = self.measured(trial)
        self.made.append(trial)
        return trial

    def measured(self, trial: Trial) -> Trial:
        """Decode a trial and draw it from the views that it was not drawn from yet."""
        with ContainerReader(MemorySource(trial.data)) as reader:
            test = decode(reader, threads=self._threads)
        return replace(trial, psnr=trial.psnr + self._measure(test, len(trial.psnr)))

    def without(self, spare: float) -> tuple[float, float]:
        """Mean and worst PSNR of the scene when it is pruned and nothing else."""
        values = self._measure(self._scene.take(keep_important(self._weights, 0.0, spare)), 0)
        return float(np.mean(values)), min(values)

    def _measure(self, test: Gaussians, first: int) -> tuple[float, ...]:
        return tuple(psnr(picture, self._draw(test, camera)) for camera, picture in self._views[first:])

    def _draw(self, scene: Gaussians, camera: Camera) -> NDArray[np.float32]:
        return render(scene, camera, near=self._near, threads=self._threads).color


def search_goal(
    scene: Gaussians, weights: NDArray[np.float64], how: Settings, goal: Goal, *, tolerance: float,
    least: float = FINEST, threads: int | None = None, progress: Progress | None = None,
) -> Search:  # fmt: skip
    """Return the coarsest file that reaches a goal on the search's cameras, or the nearest to it (``met`` is then off).

    Parameters
    ----------
    scene : Gaussians
    weights : float64 (n,)
        Importance.
    how : Settings
        q changes, and what is pruned unless ``prune`` is given.
    goal : Goal
    tolerance : float
        Excess at which the search ends, dB.
    least : float
        The least q.
    threads : int or None
    progress : callable or None
    """
    trials = _Trials(scene, weights, threads, progress)
    aim = goal.lowered(REFIT_GAIN) if how.refined else goal
    if how.prune is None:
        how = replace(how, spare=Pruning(weights).affordable(aim, trials.without))
    ends = (math.log(least), math.log(max(COARSEST, how.q)))

    def walk(base: Settings, aim: Goal, q: float, fall: float, count: int) -> Trial:
        """Walk from ``q`` towards ``aim``; return the trial that came nearest, the smallest of those that met it."""
        first = len(trials.made)

        def surplus(x: float) -> float:
            return trials.run(replace(base, q=math.exp(x)), draw=True).surplus(aim)

        coarsest(surplus, ends, math.log(q), tolerance, fall, count)
        return min(trials.made[first:], key=lambda t: (max(-t.surplus(aim), 0.0), len(t.data)))

    q = USUAL_Q * math.exp((USUAL_DB - aim.psnr_mean) / DB_PER_NAT)
    best = walk(_plain(how), aim, q, DB_PER_NAT, TRIALS)
    if how.refined:
        best = walk(_shared(how), goal, best.settings.q, _slope(trials.made, aim), REFITS)
    trials.look_further()
    best = trials.measured(best)
    short = -best.surplus(goal)
    if short > 0 and best.settings.q > 1.01 * least:
        more = replace(_shared(how), spare=MORE_KEPT * how.spare)
        q = best.settings.q * math.exp(-(short + tolerance) / DB_PER_NAT)
        further = walk(more, goal, q, DB_PER_NAT, FURTHER)
        best = min(best, further, key=lambda t: (max(-t.surplus(goal), 0.0), len(t.data)))
    return Search(best, trials.walked, best.surplus(goal) >= 0)


def _slope(made: list[Trial], aim: Goal) -> float:
    """How fast the surplus falls with ln q between the two trials that came nearest to a goal, dB."""
    near = sorted(made, key=lambda t: abs(t.surplus(aim)))[:2]
    apart = math.log(near[-1].settings.q / near[0].settings.q)
    slope = (near[0].surplus(aim) - near[-1].surplus(aim)) / apart if apart else DB_PER_NAT
    return min(max(slope, 0.5 * DB_PER_NAT), 1.5 * DB_PER_NAT)


def _plain(how: Settings) -> Settings:
    """Without a refit."""
    return replace(how, refine=0, refine_seconds=0.0)


def _shared(how: Settings) -> Settings:
    """With a time for the refit that leaves room for every trial."""
    return replace(how, refine_seconds=how.refine_seconds / (REFITS + FURTHER))


def search_size(
    scene: Gaussians, weights: NDArray[np.float64], how: Settings, target: int, *, threads: int | None = None,
    progress: Progress | None = None,
) -> Search:  # fmt: skip
    """Return the best file of at most ``target`` bytes, and at least 98 % of them where that is possible.

    Steps grow and Gaussians go together, in the ratio that suits the quality which the first trial lets expect. A
    target above the size of the finest steps is not filled up.

    Raises
    ------
    UsageError
        The target is below what a single Gaussian takes.
    """
    trials = _Trials(scene, weights, threads, progress)
    pruning = Pruning(weights)
    start = math.log(how.q)
    plain, how = _plain(how), _shared(how)
    if how.prune is None:
        spare = pruning.best(USUAL_DB)
        pruning.observe(spare, trials.without(spare)[0])
    first = trials.run(plain if how.prune is not None else replace(plain, spare=pruning.best(USUAL_DB)), draw=True)
    level = first.psnr_mean or 0.0

    def at(x: float, base: Settings) -> Settings:
        now = replace(base, q=min(math.exp(x), WORTHWHILE))
        return now if how.prune is not None else replace(now, spare=pruning.best(level - DB_PER_NAT * (x - start)))

    def spared(x: float, base: Settings, aim: float) -> float:
        """Nats below the size that is aimed at."""
        return -math.log(len(trials.run(at(x, base), draw=False).data) / aim)

    ends = (math.log(FINEST), start + (level - pruning.cost(1.0) + BELOW_ALL) / DB_PER_NAT)
    x = start
    for base, aim, count in _stages(plain, how, target):
        before = len(trials.made)
        x = finest(partial(spared, base=base, aim=aim), ends, x, -math.log(1 - SIZE_TOLERANCE), SIZE_PER_NAT, count)
        best = min(trials.made[before:], key=lambda t: (len(t.data) > target, abs(target - len(t.data))))
        if base is how and len(best.data) <= target:
            break
    if len(best.data) > target:
        raise UsageError(f"target size {target:,} bytes: a single Gaussian takes {len(best.data):,}.")
    return Search(best, trials.walked)


def _stages(plain: Settings, how: Settings, target: int) -> list[tuple[Settings, float, int]]:
    """Settings, bytes to aim at, and trials: without a refit, then with it, then with it once more and lower."""
    if not how.refined:
        return [(how, float(target), TRIALS)]
    return [(plain, target / REFIT_GROWTH, TRIALS), (how, float(target), REFITS), (how, 0.96 * target, REFITS)]
