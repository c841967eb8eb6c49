"""The walk of a search: secant steps inside a bracket, along one number, to the last place where a surplus is left."""

from __future__ import annotations

from collections.abc import Callable

STUCK = 0.1
"""Surpluses this close together do not move any more."""

FARTHEST = 1.0
"""A step goes no farther than this from what was seen."""


def coarsest(
    surplus: Callable[[float], float], ends: tuple[float, float], start: float, tolerance: float, fall: float,
    count: int,
) -> float:  # fmt: skip
    """Return the greatest x with a surplus of at least 0 that was seen; the lower end when there was none.

    Parameters
    ----------
    surplus : callable
        Of x; it falls as x grows.
    ends : (float, float)
        Where x is looked for.
    start : float
        The first x.
    tolerance : float
        A surplus of at most this ends the walk.
    fall : float
        The slope, downwards, that is supposed before two values are known.
    count : int
        Evaluations, at most.
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


def finest(
    surplus: Callable[[float], float], ends: tuple[float, float], start: float, tolerance: float, rise: float,
    count: int,
) -> float:  # fmt: skip
    """:func:`coarsest` for a surplus that rises with x: the least x whose surplus is at least 0."""
    low, high = ends
    return -coarsest(lambda x: surplus(-x), (-high, -low), -start, tolerance, rise, count)


def _stuck(seen: list[tuple[float, float]]) -> bool:
    """Whether the last three evaluations lie below 0 and close together: no x will do."""
    last = [y for _, y in seen[-3:]]
    return len(last) == 3 and max(last) < 0 and max(last) - min(last) < STUCK


def _next(seen: list[tuple[float, float]], low: float, high: float, aim: float, fall: float) -> float:
    """Where a line through the two values nearest to the aim meets it, inside the bracket; its middle otherwise."""
    nearest = sorted(seen, key=lambda p: abs(p[1] - aim))[:2]
    x0, y0 = nearest[0]
    slope = -fall
    if len(nearest) == 2 and nearest[1][0] != x0:
        slope = min((nearest[1][1] - y0) / (nearest[1][0] - x0), -0.5 * fall)  # two near values may look too flat
    x = x0 + (aim - y0) / slope
    x = min(max(x, x0 - FARTHEST), x0 + FARTHEST)
    if not low < x < high:
        return 0.5 * (low + high)
    inset = min(0.02, 0.25 * (high - low))  # so that the bracket shrinks from both sides
    return min(max(x, low + inset), high - inset)
