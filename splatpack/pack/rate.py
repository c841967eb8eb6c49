"""Ask for a result: the steps that reach a size or a PSNR, found by a reproducible search.

The search walks one scalar, the logarithm of ``Settings.q``. Sizes are real (the whole file is made), qualities are
rendered, from cameras that are neither those of the importance nor those by which the result is judged afterwards.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.container.reader import ContainerReader
from splatpack.container.source import MemorySource
from splatpack.errors import UsageError
from splatpack.pack.decode import decode
from splatpack.pack.encode import encode
from splatpack.pack.presets import Settings
from splatpack.render.compare import psnr
from splatpack.render.cpu import render
from splatpack.render.views import evaluation_cameras, stage
from splatpack.scene.gaussians import Gaussians

SEED = 11
"""Of the cameras that the search looks through: drawn like those that judge the result, but others."""

FINEST, COARSEST = 0.004, 16.0
"""Where q is looked for."""

WORTHWHILE = 2.5
"""Beyond this q quality collapses faster than bytes; a smaller size is reached by pruning instead."""

SIZE_TOLERANCE = 0.02
PSNR_TOLERANCE = 0.25
"""A search for a PSNR ends when it is met by no more than this, dB."""

MARGIN = 0.25
"""What the search adds to a PSNR that is asked for, dB: the unseen cameras differ from its own by about as much."""

TRIALS = 10

DB_PER_NAT = 7.0
"""How PSNR falls with ln q, to begin with: about 5 dB per doubling."""

SIZE_PER_NAT = 0.35
"""How bytes fall with ln q, as a share of the bytes at the coarse end."""


@dataclass
class Search:
    """What a search tried.

    Attributes
    ----------
    settings : Settings
        The result.
    walked : list of dict
        One entry per trial: q, prune, bytes, and where it was rendered psnr_mean, psnr_min.
    """

    settings: Settings
    walked: list[dict[str, Any]] = field(default_factory=list)


class _Trials:
    """Encodes a scene under changing settings; importance is measured once."""

    def __init__(self, scene: Gaussians, weights: NDArray[np.float64], threads: int | None) -> None:
        self._scene, self._weights, self._threads = scene, weights, threads
        self._views: list[tuple[Any, NDArray[np.float32]]] = []
        self._near = stage(scene).near
        self.walked: list[dict[str, Any]] = []

    def size(self, how: Settings) -> int:
        """Bytes of the file under ``how``."""
        return len(self._encode(how))

    def quality(self, how: Settings) -> float:
        """Mean PSNR of the file under ``how``, dB."""
        data = self._encode(how)
        test = decode(ContainerReader(MemorySource(data)), threads=self._threads)
        if not self._views:
            cameras = evaluation_cameras(self._scene, seed=SEED)
            self._views = [(c, self._draw(self._scene, c)) for c in cameras]
        values = [psnr(picture, self._draw(test, camera)) for camera, picture in self._views]
        self.walked[-1].update(psnr_mean=float(np.mean(values)), psnr_min=float(min(values)))
        return float(np.mean(values))

    def _draw(self, scene: Gaussians, camera: Any) -> NDArray[np.float32]:
        return render(scene, camera, near=self._near, threads=self._threads).color

    def _encode(self, how: Settings) -> bytes:
        out = io.BytesIO()
        encode(self._scene, out, how, weights=self._weights, threads=self._threads)
        self.walked.append({"q": how.q, "prune": how.prune, "bytes": len(out.getvalue())})
        return out.getvalue()


def search_size(
    scene: Gaussians, weights: NDArray[np.float64], how: Settings, target: int, threads: int | None = None
) -> Search:
    """Return settings whose file has at most ``target`` bytes, and at least 98 % of them where that is possible.

    Steps are made coarser up to :data:`WORTHWHILE`; below that size the least important Gaussians are dropped. A target
    above the size of the finest steps is not filled up.

    Raises
    ------
    UsageError
        The target is below what a single Gaussian takes.
    """
    trials = _Trials(scene, weights, threads)

    def bytes_at(x: float) -> float:
        return float(trials.size(replace(how, q=math.exp(x))))

    ends = (math.log(FINEST), math.log(WORTHWHILE))
    largest = bytes_at(ends[1])
    if largest <= target:
        fall = largest * SIZE_PER_NAT
        x = _walk(bytes_at, ends, math.log(how.q), float(target), SIZE_TOLERANCE, fall=fall)
        return Search(replace(how, q=math.exp(x)), trials.walked)
    coarse = replace(how, q=WORTHWHILE)
    most = 1.0 - 1.0 / len(scene)

    def bytes_pruned(share: float) -> float:
        return float(trials.size(replace(coarse, prune=min(share, most))))

    if bytes_pruned(most) > target:
        raise UsageError(f"target size {target:,} bytes: a single Gaussian takes {trials.walked[-1]['bytes']:,}.")
    share = _walk(bytes_pruned, (0.0, most), 1.0 - target / largest, float(target), SIZE_TOLERANCE, fall=largest)
    return Search(replace(coarse, prune=min(share, most)), trials.walked)


def search_psnr(
    scene: Gaussians, weights: NDArray[np.float64], how: Settings, target: float, threads: int | None = None
) -> Search:
    """Return the coarsest settings that reach a mean PSNR of ``target`` dB on the search's cameras.

    A margin of :data:`MARGIN` is added, so that the unseen cameras by which the result is judged reach it too, most
    likely; what they show is in the report and in the file.

    Raises
    ------
    UsageError
        Even the finest steps do not reach it.
    """
    trials = _Trials(scene, weights, threads)
    goal = target + MARGIN

    def psnr_at(x: float) -> float:
        return trials.quality(replace(how, q=math.exp(x)))

    ends = (math.log(FINEST), math.log(COARSEST))
    x = _walk(psnr_at, ends, math.log(how.q), goal, PSNR_TOLERANCE, fall=DB_PER_NAT, above=True)
    best = max(t["psnr_mean"] for t in trials.walked)
    if best < target:
        raise UsageError(f"target PSNR {target:g} dB: the finest steps reach {best:.1f} dB. Use --lossless.")
    return Search(replace(how, q=math.exp(x)), trials.walked)


def _walk(
    value: Callable[[float], float], ends: tuple[float, float], start: float, goal: float, tolerance: float, *,
    fall: float, above: bool = False,
) -> float:  # fmt: skip
    """Find where a falling function meets ``goal``: the least x with value <= goal, or the greatest with value >= it.

    The second is meant by ``above``. Secant steps inside a bracket, at most :data:`TRIALS` evaluations; ``fall`` is the
    slope that is supposed before two values are known. ``tolerance`` is a share of the goal, or with ``above`` in its
    units. The best x seen on the right side of the goal is returned; an end of the bracket when there was none.
    """
    low, high = ends
    seen: list[tuple[float, float]] = []
    x = min(max(start, low), high)
    for _ in range(TRIALS):
        y = value(x)
        seen.append((x, y))
        fine = 0 <= y - goal <= tolerance if above else 0 <= goal - y <= tolerance * goal
        if fine:
            return x
        low, high = (x, high) if y > goal else (low, x)
        if high - low < 1e-4:
            break
        x = _next(seen, low, high, goal + (0.4 if above else -0.4) * tolerance * (1.0 if above else goal), fall)
    good = [x for x, y in seen if (y >= goal if above else y <= goal)]
    if good:
        return max(good) if above else min(good)
    return ends[0] if above else ends[1]


def _next(seen: list[tuple[float, float]], low: float, high: float, aim: float, fall: float) -> float:
    """Where a line through the two values nearest to the aim meets it, inside the bracket; its middle otherwise."""
    nearest = sorted(seen, key=lambda p: abs(p[1] - aim))[:2]
    x0, y0 = nearest[0]
    slope = -fall
    if len(nearest) == 2 and nearest[1][0] != x0:
        slope = (nearest[1][1] - y0) / (nearest[1][0] - x0)
    if slope < 0:
        x = x0 + (aim - y0) / slope
        inset = 0.02 * (high - low)
        if low + inset < x < high - inset:
            return x
    return 0.5 * (low + high)
