"""Rate-distortion curves: what a codec takes at another one's quality, and the Bjøntegaard delta rate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]
"""Bytes, and quality in dB."""

Vector = NDArray[np.float64]


def front(points: Iterable[Point]) -> list[Point]:
    """Return the points that no other one beats: from small and bad to large and good, both strictly rising."""
    kept: list[Point] = []
    for size, quality in sorted(points, key=lambda p: (p[0], -p[1])):
        if not kept or quality > kept[-1][1]:
            kept.append((size, quality))
    return kept


class Curve:
    """Log bytes over dB through the front of some points, by monotone cubic interpolation.

    Parameters
    ----------
    points : iterable of (float, float)
        Bytes above 0, dB. At least one.
    """

    def __init__(self, points: Iterable[Point]) -> None:
        kept = front(points)
        if not kept:
            raise ValueError("a curve without points.")
        self.points = kept
        self._x = np.array([q for _, q in kept])
        self._y = np.log([s for s, _ in kept])
        self._slopes = _slopes(self._x, self._y)

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self.points)

    @property
    def low(self) -> float:
        """Lowest quality, dB."""
        return float(self._x[0])

    @property
    def high(self) -> float:
        """Highest quality, dB."""
        return float(self._x[-1])

    def log_bytes(self, quality: Vector) -> Vector:
        """Return ln bytes at qualities inside the range, float64, the shape of ``quality``."""
        if len(self) == 1:
            return np.full_like(quality, self._y[0])
        k = np.clip(np.searchsorted(self._x, quality, "right") - 1, 0, len(self) - 2)
        h = self._x[k + 1] - self._x[k]
        t = (quality - self._x[k]) / h
        a, b = self._y[k], self._y[k + 1]
        p, q = h * self._slopes[k], h * self._slopes[k + 1]
        value: Vector = a + t * (p + t * (3 * (b - a) - 2 * p - q + t * (2 * (a - b) + p + q)))
        return value


def _slopes(x: Vector, y: Vector) -> Vector:
    """Derivatives at the points after Fritsch and Butland (1984), ends after Moler (2004), as in SciPy's PCHIP."""
    if len(x) == 1:
        return np.zeros(1)
    h = np.diff(x)
    d = np.diff(y) / h
    if len(x) == 2:
        return np.array([d[0], d[0]])
    out = np.empty_like(x)
    w1, w2 = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    out[1:-1] = (w1 + w2) / (w1 / d[:-1] + w2 / d[1:])  # y rises strictly, so no d is 0
    out[0], out[-1] = _end(h[0], h[1], d[0], d[1]), _end(h[-1], h[-2], d[-1], d[-2])
    return out


def _end(h0: float, h1: float, d0: float, d1: float) -> float:
    slope = ((2 * h0 + h1) * d0 - h0 * d1) / (h0 + h1)
    return float(min(max(slope, 0.0), 3 * d0))


@dataclass(frozen=True)
class Match:
    """What a curve takes at some quality.

    Attributes
    ----------
    bytes : float or None
        None where the curve does not reach the quality.
    kind : str
        ``within`` the curve; ``below`` it: its smallest point is better, so ``bytes``, which are those of that point,
        are too many; ``above`` it: unknown.
    """

    bytes: float | None
    kind: str


def match(curve: Curve, quality: float) -> Match:
    """Return what a curve takes at ``quality``, dB."""
    if quality > curve.high:
        return Match(None, "above")
    if quality < curve.low:
        return Match(curve.points[0][0], "below")
    return Match(float(np.exp(curve.log_bytes(np.array([quality]))[0])), "within")


@dataclass(frozen=True)
class Delta:
    """A Bjøntegaard delta rate.

    Attributes
    ----------
    rate : float
        Mean change of the rate: -0.6 is 60 % fewer bytes at the same quality.
    low, high : float
        The range of quality that both curves share, dB.
    """

    rate: float
    low: float
    high: float


POINTS = 4
"""What each curve must have."""


def bd_rate(test: Sequence[Point], anchor: Sequence[Point]) -> Delta | None:
    """Return the Bjøntegaard delta rate of one codec against another, or None without two curves that overlap.

    The mean over the shared range of quality of the difference in log rate (Bjøntegaard, VCEG-M33, 2001), between
    monotone cubics (Tourapis et al., JVET-L1101, 2018 prefer these to his polynomials). Each curve needs
    :data:`POINTS` points on its front.
    """
    if not test or not anchor:
        return None
    ours, theirs = Curve(test), Curve(anchor)
    low, high = max(ours.low, theirs.low), min(ours.high, theirs.high)
    if min(len(ours), len(theirs)) < POINTS or high <= low:
        return None
    middles = low + (high - low) * (np.arange(1000) + 0.5) / 1000
    gap = float(np.mean(ours.log_bytes(middles) - theirs.log_bytes(middles)))
    return Delta(math.expm1(gap), low, high)
