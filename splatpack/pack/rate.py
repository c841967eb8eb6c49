"""Ask for a result: the quantisers, the pruning and the refit that reach a quality or a size, by a reproducible search.

The search walks one number, the logarithm of ``Settings.q``. How much is pruned follows from the quality that is aimed
at: what the dropped Gaussians weigh together says what dropping them costs (:func:`spare_for`). Every trial makes the
whole file, and qualities are rendered, from cameras that are neither those of the importance nor those by which the
result is judged afterwards. A refit is slow, so the search first runs without it, for a quality that is lower by what
it usually wins, and then walks on in few trials with it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
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
from splatpack.render.compare import psnr
from splatpack.render.cpu import render
from splatpack.render.views import evaluation_cameras, stage
from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import Gaussians

SEED = 11
"""Of the cameras that the search looks through: drawn like those that judge the result, but others."""

FINEST, COARSEST = 0.004, 16.0
"""Where q is looked for when a PSNR is asked for."""

WORTHWHILE = 3.0
"""Beyond this q quality collapses faster than bytes; a smaller size is reached by pruning instead."""

REACH = 6.0
"""A preset's q is made finer by no more than this factor for the sake of its goal."""

SIZE_TOLERANCE = 0.02
"""A search for a size ends when it is missed by no more than this share."""

TRIALS, REFITS = 14, 3
"""Trials without and with a refit, at most."""

DB_PER_NAT = 7.0
"""How PSNR falls with ln q, to begin with: about 5 dB per doubling."""

SIZE_PER_NAT = 0.4
"""How ln of the bytes falls with ln q, to begin with."""

REFIT_GAIN = 2.0
"""What a refit wins, dB, to begin with."""

REFIT_GROWTH = 1.03
"""How the file grows by a refit, to begin with."""


def spare_for(db: float) -> float:
    """Return the share of the importance that pruned Gaussians may have when a PSNR of ``db`` is aimed at.

    Dropping a share s of the importance, and nothing else, left 38.4 dB at s = 0.0047 and 9.4 dB less for ten times as
    much, within 1 dB on three scenes of quite different kinds (fox_53k, plant, robot-head). Bytes are spent best where
    that error is some dB below the quantisers' (docs/design/0009-asking-for-a-result.md).
    """
    return min(0.0047 * 10 ** ((38.4 - PRUNE_BELOW - db) / DB_PER_DECADE), 1.0)


STUCK = 0.1
"""Surpluses this close together do not move any more."""

DB_PER_DECADE = 9.4
"""What dropping ten times as much importance costs, dB."""

PRUNINGS = 4
"""How often the share that is dropped is looked for."""

STUCK = 0.1
"""Surpluses this close together do not move any more."""

NOTHING = 12.0
"""At this PSNR :func:`spare_for` drops everything, dB."""

PRUNE_BELOW = 3.0
"""What pruning alone should score above the quality that is aimed at, dB."""

PRUNE_BELOW_REFIT = 1.0
"""The same where a refit makes up for a part."""


@dataclass(frozen=True)
class Trial:
    """One file that a search made.

    Attributes
    ----------
    settings : Settings
    data : bytes
    report : EncodeReport
    psnr_mean, psnr_min : float or None
        On the search's cameras, dB; None when it was not rendered.
    """

    settings: Settings
    data: bytes
    report: EncodeReport
    psnr_mean: float | None = None
    psnr_min: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for reports."""
        out = {
            "q": self.settings.q,
            "prune": 1 - self.report.n_out / self.report.n_in,
            "refine": self.report.refine_iterations,
            "bytes": len(self.data),
        }
        return out if self.psnr_mean is None else {**out, "psnr_mean": self.psnr_mean, "psnr_min": self.psnr_min}

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

    @property
    def walked(self) -> list[dict[str, Any]]:
        return [t.as_dict() for t in self.made]

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
            with ContainerReader(MemorySource(trial.data)) as reader:
                mean, least = self._measure(decode(reader, threads=self._threads))
            trial = replace(trial, psnr_mean=mean, psnr_min=least)
        self.made.append(trial)
        return trial

    def without(self, spare: float) -> tuple[float, float]:
        """Mean and worst PSNR of the scene when it is pruned and nothing else."""
        return self._measure(self._scene.take(keep_important(self._weights, 0.0, spare)))

    def _measure(self, test: Gaussians) -> tuple[float, float]:
        if not self._views:
            cameras = evaluation_cameras(self._scene, seed=SEED, threads=self._threads)
            self._views = [(c, self._draw(self._scene, c)) for c in cameras]
        values = [psnr(picture, self._draw(test, camera)) for camera, picture in self._views]
        return float(np.mean(values)), float(min(values))

    def _draw(self, scene: Gaussians, camera: Camera) -> NDArray[np.float32]:
        return render(scene, camera, near=self._near, threads=self._threads).color


def search_goal(
    scene: Gaussians, weights: NDArray[np.float64], how: Settings, goal: Goal, *, tolerance: float,
    finest: float = FINEST, threads: int | None = None, progress: Progress | None = None,
) -> Search:  # fmt: skip
    """Return the coarsest file that reaches a goal on the search's cameras, or the nearest to it (``met`` is then off).

    Parameters
    ----------
    scene : Gaussians
    weights : float64 (n,)
        Importance.
    how : Settings
        Where to start; q and what is pruned change, unless ``prune`` is given.
    goal : Goal
    tolerance : float
        Excess at which the search ends, dB.
    finest : float
        The least q.
    threads : int or None
    progress : callable or None
    """
    trials = _Trials(scene, weights, threads, progress)
    if how.prune is None:
        how = replace(how, spare=_affordable(trials, goal, PRUNE_BELOW_REFIT if how.refined else PRUNE_BELOW))
    ends = (math.log(finest), math.log(max(COARSEST, how.q)))
    x = math.log(how.q)
    stages = [(how, goal, TRIALS)]
    if how.refined:
        stages = [(_plain(how), goal.lowered(REFIT_GAIN), TRIALS), (_shared(how), goal, REFITS)]
    for base, aim, count in stages:
        before, trials.made = trials.made, []

        def surplus(x: float, base: Settings = base, aim: Goal = aim) -> float:
            return trials.run(replace(base, q=math.exp(x)), draw=True).surplus(aim)

        x = _coarsest(surplus, ends, x, tolerance, DB_PER_NAT, count)
        made, trials.made = trials.made, before + trials.made
        best = min(made, key=lambda t: (max(-t.surplus(aim), 0.0), len(t.data)))
    return Search(best, trials.walked, best.surplus(goal) >= 0)


def _plain(how: Settings) -> Settings:
    """Without a refit."""
    return replace(how, refine=0, refine_seconds=0.0)


def _shared(how: Settings) -> Settings:
    """With a time for the refit that leaves room for every trial."""
    return replace(how, refine_seconds=how.refine_seconds / REFITS)


def _affordable(trials: _Trials, goal: Goal, below: float) -> float:
    """Return the share of the importance that can be dropped and leave ``below`` dB, found by drawing what is left."""
    spare = spare_for(goal.psnr_mean)
    for _ in range(PRUNINGS):
        mean, least = trials.without(spare)
        short = below - min(mean - goal.psnr_mean, least - goal.psnr_min)
        if short <= 0:
            return spare
        spare *= 10 ** (-short / DB_PER_DECADE - 0.1)
    return 0.0


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
    start = math.log(how.q)
    plain, how = _plain(how), _shared(how)
    gain = REFIT_GAIN if how.refined else 0.0
    first = trials.run(plain if how.prune is not None else replace(plain, spare=spare_for(40.0)), draw=True)
    level = gain + (first.psnr_mean or 0.0)

    def at(x: float, base: Settings) -> Settings:
        now = replace(base, q=min(math.exp(x), WORTHWHILE))
        return now if how.prune is not None else replace(now, spare=spare_for(level - DB_PER_NAT * (x - start)))

    def spared(x: float, base: Settings, aim: float) -> float:
        """Nats below the size that is aimed at."""
        return -math.log(len(trials.run(at(x, base), draw=False).data) / aim)

    ends = (math.log(FINEST), start + (level - NOTHING) / DB_PER_NAT)
    x = start
    for base, aim, count in _stages(plain, how, target):
        stage, trials.made = trials.made, []
        x = _finest(partial(spared, base=base, aim=aim), ends, x, -math.log(1 - SIZE_TOLERANCE), SIZE_PER_NAT, count)
        made, trials.made = trials.made, stage + trials.made
        best = min(made, key=lambda t: (len(t.data) > target, abs(target - len(t.data))))
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


def _coarsest(
    surplus: Callable[[float], float], ends: tuple[float, float], start: float, tolerance: float, fall: float,
    count: int,
) -> float:  # fmt: skip
    """Return the greatest x with a surplus of at least 0 that was seen; the lower end when there was none.

    Secant steps inside a bracket. It ends at a surplus of at most ``tolerance``, or after ``count`` evaluations;
    ``fall`` is the slope, downwards, that is supposed before two values are known.
    """
    low, high = ends
    seen: list[tuple[float, float]] = []
    x = min(max(start, low), high)
    for _ in range(count):
        y = surplus(x)
        seen.append((x, y))
        if 0 <= y <= tolerance:
            return x
        low, high = (x, high) if y > 0 else (low, x)
        if high - low < 1e-4 or _stuck(seen):
            break
        x = _next(seen, low, high, 0.4 * tolerance, fall)
    return max((x for x, y in seen if y >= 0), default=ends[0])


def _stuck(seen: list[tuple[float, float]]) -> bool:
    """Whether the last three evaluations lie below 0 and close together: no x will do."""
    last = [y for _, y in seen[-3:]]
    return len(last) == 3 and max(last) < 0 and max(last) - min(last) < STUCK


def _finest(
    surplus: Callable[[float], float], ends: tuple[float, float], start: float, tolerance: float, rise: float,
    count: int,
) -> float:  # fmt: skip
    """:func:`_coarsest` for a surplus that rises with x: the least x whose surplus is at least 0."""
    low, high = ends
    return -_coarsest(lambda x: surplus(-x), (-high, -low), -start, tolerance, rise, count)


def _next(seen: list[tuple[float, float]], low: float, high: float, aim: float, fall: float) -> float:
    """Where a line through the two values nearest to the aim meets it, inside the bracket; its middle otherwise."""
    nearest = sorted(seen, key=lambda p: abs(p[1] - aim))[:2]
    x0, y0 = nearest[0]
    slope = -fall
    if len(nearest) == 2 and nearest[1][0] != x0:
        slope = min((nearest[1][1] - y0) / (nearest[1][0] - x0), -0.5 * fall)  # two near values may look too flat
    x = x0 + (aim - y0) / slope
    if not low < x < high:
        return 0.5 * (low + high)
    inset = min(0.02, 0.25 * (high - low))  # so that the bracket shrinks from both sides
    return min(max(x, low + inset), high - inset)
