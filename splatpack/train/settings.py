"""What a training run is asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from splatpack.errors import UsageError
from splatpack.scene.gaussians import ATTRIBUTES

STRATEGIES = ("mcmc", "adc")
INITIALISERS = ("auto", "points", "stereo", "random")
BACKENDS = ("auto", "cpu", "gsplat")

RATES: Mapping[str, float] = {
    "means": 2.5e-4, "scales": 5e-3, "quats": 1e-3, "opacities": 5e-2, "sh0": 2.5e-3, "shN": 2.5e-4,
}  # fmt: skip
"""Learning rates of Kerbl et al. (2023), those of means (in units of the extent) and SH higher by 1.6 and 2."""


@dataclass(frozen=True)
class TrainSettings:
    """How to train.

    Attributes
    ----------
    iterations : int
        Steps, ``batch`` photos each.
    budget : float or None
        Train for so many seconds instead; all schedules then follow the clock, and the result depends on the machine.
    max_gaussians : int
        The scene gets no more than this.
    sh_degree : int
        Degree in the end, 0 to 3; training begins with 0.
    strategy : str
        ``mcmc`` (a fixed budget, relocation and noise) or ``adc`` (clone, split, prune, reset of opacities).
    init : str
        Where the first Gaussians come from: ``points`` of the data set, ``stereo`` (depth that the photos agree on),
        ``random`` in the cameras' frusta; ``auto`` takes points where there are some, else stereo.
    seed : int
        The same seed, data and iterations give the same scene, for any number of threads.
    batch : int
        Photos per step.
    ssim : float
        Share of 1 - SSIM in the loss; the rest is L1.
    opacity_weight, scale_weight : float
        Weights of the mean opacity and of the mean standard deviation (in units of the extent) in the loss.
    rates : mapping of str to float
        Learning rates by attribute that replace those of :data:`RATES`.
    speed : float
        Multiplies all learning rates.
    coarse : float
        Share of the run, at its beginning, in which the photos are reduced to half their side.
    antialiased : bool
        Train for renderers with opacity compensation.
    exposure : bool
        Learn an affine map of the colours per photo, so that exposure and white balance do not end in the scene.
    background : str
        ``fixed`` (that of the data set, else black) or ``random`` per step, which keeps transparent photos empty.
    evaluations : int
        How often the held-out photos are drawn while training, evenly; the last time at the end.
    backend : str
        ``auto``, ``cpu`` or ``gsplat``.
    threads : int or None
        All cores by default; the result does not depend on it.
    """

    iterations: int = 3000
    budget: float | None = None
    max_gaussians: int = 50_000
    sh_degree: int = 3
    strategy: str = "mcmc"
    init: str = "auto"
    seed: int = 0
    batch: int = 1
    ssim: float = 0.2
    opacity_weight: float = 0.01
    scale_weight: float = 0.01
    rates: Mapping[str, float] = field(default_factory=dict)
    speed: float = 1.0
    coarse: float = 0.2
    antialiased: bool = False
    exposure: bool = False
    background: str = "fixed"
    evaluations: int = 10
    backend: str = "auto"
    threads: int | None = None

    def __post_init__(self) -> None:
        self._choice("strategy", STRATEGIES)
        self._choice("init", INITIALISERS)
        self._choice("backend", BACKENDS)
        self._choice("background", ("fixed", "random"))
        self._whole("iterations", 1, 10_000_000)
        self._whole("max_gaussians", 1, 100_000_000)
        self._whole("sh_degree", 0, 3)
        self._whole("seed", 0, 2**63 - 1)
        self._whole("batch", 1, 256)
        self._whole("evaluations", 0, 1000)
        self._number("ssim", 0.0, 1.0)
        self._number("opacity_weight", 0.0, 100.0)
        self._number("scale_weight", 0.0, 100.0)
        self._number("speed", 1e-6, 1e6)
        self._number("coarse", 0.0, 0.9)
        if self.budget is not None:
            self._number("budget", 1e-3, 1e9)
        unknown = set(self.rates) - set(ATTRIBUTES)
        if unknown or not all(_within(v, 0.0, 1e6) for v in self.rates.values()):
            raise UsageError(f"rates {dict(self.rates)}: expected numbers from 0 for some of {', '.join(ATTRIBUTES)}.")

    def rate(self, name: str) -> float:
        """Return the learning rate of an attribute at the start."""
        return self.speed * self.rates.get(name, RATES[name])

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for a checkpoint or for JSON."""
        return {**asdict(self), "rates": dict(self.rates)}

    def changed(self, **changes: Any) -> TrainSettings:
        """Return the settings with some of them changed.

        Raises
        ------
        UsageError
            A value is out of range.
        """
        return replace(self, **changes)

    def _choice(self, name: str, allowed: tuple[str, ...]) -> None:
        value = getattr(self, name)
        if value not in allowed:
            raise UsageError(f"{name}: {value!r}, expected one of {', '.join(allowed)}.")

    def _whole(self, name: str, low: int, high: int) -> None:
        value = getattr(self, name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise UsageError(f"{name}: {value!r}, expected a whole number from {low:,} to {high:,}.")

    def _number(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        if not _within(value, low, high):
            raise UsageError(f"{name}: {value!r}, expected a number from {low:g} to {high:g}.")


def _within(value: float, low: float, high: float) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value) and low <= value <= high
