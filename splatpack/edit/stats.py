"""Statistics of a scene: range, quantiles and a histogram of every attribute and extra column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.edit.attributes import ATTRIBUTES
from splatpack.scene.gaussians import Gaussians

BINS = 24
"""Bins of a histogram."""

TAIL = 0.5
"""Per cent at either end that the bins leave out, so that a few outliers do not flatten the rest."""

_LOGARITHMIC = ("scale_min", "scale_mid", "scale_max")
_LEFT_OUT = ("index",)


@dataclass(frozen=True)
class Summary:
    """What the values of one attribute are like; ``None`` where no value is finite.

    Attributes
    ----------
    low, high, mean, median : float or None
        Of the finite values.
    edges : list of float
        Borders of the bins, BINS + 1 of them, from the quantile of 0.5 % to that of 99.5 %: evenly spaced, or in
        equal ratios for ``scale_*``. Empty where no value is finite; two equal ones where all are the same.
    counts : list of int
        Finite values in each bin, the last one with its upper border.
    below, above : int
        Finite values outside the bins.
    non_finite : int
        NaN and infinities.
    """

    low: float | None
    high: float | None
    mean: float | None
    median: float | None
    edges: list[float]
    counts: list[int]
    below: int
    above: int
    non_finite: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def statistics(scene: Gaussians) -> Mapping[str, Summary]:
    """Return a :class:`Summary` of every attribute of :mod:`splatpack.edit.attributes`, then of every extra column.

    A column of several components has one for each: ``name[0]``, ``name[1]``...
    """
    return {name: _summary(values, name in _LOGARITHMIC) for name, values in _values(scene)}


def _values(scene: Gaussians) -> Iterator[tuple[str, NDArray[Any]]]:
    for name, of in ATTRIBUTES.items():
        if name not in _LEFT_OUT:
            yield name, of(scene)
    for name, column in scene.extras.items():
        if column.ndim == 1:
            yield name, column.astype(np.float64)
        else:
            yield from ((f"{name}[{j}]", column[:, j].astype(np.float64)) for j in range(column.shape[1]))


def _summary(values: NDArray[np.float64], logarithmic: bool) -> Summary:
    finite = values[np.isfinite(values)]
    lost = len(values) - len(finite)
    if not len(finite):
        return Summary(None, None, None, None, [], [], 0, 0, lost)
    a, median, b = (float(v) for v in np.percentile(finite, (TAIL, 50.0, 100.0 - TAIL)))
    logarithmic = logarithmic and a > 0
    if not b > a:
        edges = np.array([a, b])
    else:
        edges = np.geomspace(a, b, BINS + 1) if logarithmic else np.linspace(a, b, BINS + 1)
    within = finite[(finite >= edges[0]) & (finite <= edges[-1])]
    bins = np.clip(np.searchsorted(edges, within, side="right") - 1, 0, len(edges) - 2)
    counts = np.bincount(bins, minlength=len(edges) - 1)
    below, above = int((finite < edges[0]).sum()), int((finite > edges[-1]).sum())
    return Summary(
        float(finite.min()), float(finite.max()), float(finite.mean()), median,
        [float(v) for v in edges], [int(v) for v in counts], below, above, lost,
    )  # fmt: skip
