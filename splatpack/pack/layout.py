"""How a scene is laid out before it is coded: importance classes, position lattice, order, and chunks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from splatpack.codecs.kernels.lattice import morton_codes
from splatpack.codecs.splat import AXIS_BITS, CLASSES, Q20
from splatpack.pack.presets import GAMMA, PIVOT, Settings
from splatpack.scene.gaussians import Gaussians

CORE_BITS = 11
"""Lattice cells along the longest side of the box that holds the middle 99 % of the scene, as a power of two."""


SAMPLE = 50_000
"""Gaussians, evenly taken, from which percentiles and medians are estimated."""

TYPICAL_ERROR = 0.25
"""Median over real scenes of what :func:`colour_gain` makes equal."""


@dataclass(frozen=True)
class Lattice:
    """The grid on which positions are coded: corner (3,), side of a cell, and ln(cell / step) in Q20 by class."""

    corner: NDArray[np.float64]
    cell: float
    position: NDArray[np.int64]
    slope: NDArray[np.int64]

    @property
    def array(self) -> NDArray[np.float64]:
        """Corner and cell in one float64 (4,)."""
        return np.append(self.corner, self.cell)

    def codes(self, means: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the Morton code of each mean, int64 (n,)."""
        out = np.empty(len(means), np.int64)
        x, y, z = (float(v) for v in self.corner)
        morton_codes(means, x, y, z, self.cell, out)
        return out


def lattice(scene: Gaussians, settings: Settings, core_bits: int = CORE_BITS) -> Lattice:
    """Return the lattice of a scene: cells of 1/2^core_bits of its core, larger where outliers need it."""
    n = len(scene)
    every = max(1, n // SAMPLE)
    sample = scene.means[::every]
    low, high = extent(scene.means)
    core = np.percentile(sample, 99.5, axis=0) - np.percentile(sample, 0.5, axis=0)
    tiny = 1e-6 * max(float(np.abs(low).max()), float(np.abs(high).max()), 1e-12)
    cell = max(float(core.max()) / 2**core_bits, float((high - low).max()) / (2**AXIS_BITS - 2), tiny)
    step = settings.step("position")
    typical = float(np.median(np.median(scene.scales[::every], axis=1)))
    fixed = math.log(cell / step) - (1.0 - settings.follow) * typical
    logs = [fixed - math.log(2.0) * GAMMA["position"] * (c - PIVOT["position"]) for c in range(CLASSES)]
    position = np.array([math.floor(v * Q20 + 0.5) for v in logs], np.int64)
    slope = np.floor(settings.q20("scale") * settings.follow + 0.5).astype(np.int64)
    return Lattice(low, cell, position, slope)


def colour_gain(importance: NDArray[np.float64], of: NDArray[np.uint8]) -> float:
    """Return the factor on the colour steps that makes their predicted rendered error that of a typical scene.

    Rounding with a step s adds s^2 / 12 to a coefficient's mean squared error, and a Gaussian's errors reach the
    picture with its importance W (the mean of its squared blending weights over the pixels). With the steps of classes
    c, the error per pixel is proportional to the sum of W 4^(gamma c). It predicts measured PSNR within 1.5 dB on 15
    real scenes (docs/design/0004-splat-codec.md).

    Parameters
    ----------
    importance : float64 (n,)
        As :func:`splatpack.fit.importance.importance` measures it.
    of : uint8 (n,)
        Classes.
    """
    error = float((importance * 4.0 ** (GAMMA["colour"] * of)).sum())
    return min(max(math.sqrt(TYPICAL_ERROR / max(error, 1e-30)), 0.1), 4.0)


def classes(importance: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the importance class of each Gaussian: one class per factor 4, 0 at the 99.5th percentile and above."""
    top = max(float(np.percentile(importance, 99.5)), 1e-30)
    with np.errstate(divide="ignore"):
        c = np.floor(0.5 - 0.5 * np.log2(np.maximum(importance, 1e-300) / top))
    return np.clip(c, 0, CLASSES - 1).astype(np.uint8)


def keep_important(importance: NDArray[np.float64], share: float, spare: float = 0.0) -> NDArray[np.int64]:
    """Return the indices that stay when the least important Gaussians are dropped, ascending; at least one does.

    Parameters
    ----------
    importance : float64 (n,)
    share : float
        Of the Gaussians, that is dropped.
    spare : float
        Of the importance of all, that the dropped ones may have together; of the two, what drops more counts.
    """
    n = len(importance)
    order = np.argsort(importance, kind="stable")
    drop = int(n * share)
    if spare > 0:
        running = np.cumsum(importance[order])
        drop = max(drop, int(np.searchsorted(running, spare * running[-1], side="right")))
    return np.sort(order[min(drop, n - 1) :])


def cut(codes: NDArray[np.int64], target: int) -> list[tuple[int, int]]:
    """Cut ascending Morton codes into runs of about ``target``, at the coarsest cell border in reach.

    A border between rows i - 1 and i is as coarse as the highest bit in which their codes differ. From each start the
    coarsest border between 3/4 and 5/4 of the target is taken, the one nearest to the target on ties, so that chunks
    are unions of few octree cells and their boxes are tight. The last one has at least 9/16 of the target.
    """
    n = len(codes)
    cuts = [0]
    least = 9 * target // 16
    while n - cuts[-1] > 3 * target // 4 + least + 1:
        start = cuts[-1]
        a, b = start + 3 * target // 4, min(start + target + target // 4, n - least)
        coarse = codes[a:b] ^ codes[a - 1 : b - 1]
        level = np.frexp(coarse.astype(np.float64))[1]
        best = np.nonzero(level == level.max())[0] + a
        cuts.append(int(best[np.argmin(np.abs(best - (start + target)))]))
    cuts.append(n)
    return list(pairwise(cuts))


def extent(points: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the corners of the box of points (n, 3), float64 (3,): by column, which is 20 times faster than by row."""
    columns = [points[:, k] for k in range(3)]
    low, high = [c.min() for c in columns], [c.max() for c in columns]
    return np.array(low, np.float64), np.array(high, np.float64)
