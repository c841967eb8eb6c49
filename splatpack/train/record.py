"""What a run tells: the points of its curves, and its result."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from splatpack.scene.gaussians import Gaussians
from splatpack.train.evaluate import Quality


@dataclass(frozen=True)
class Point:
    """One point of the curves of a run.

    Attributes
    ----------
    iteration : int
        Steps taken.
    share : float
        Of the run that is done.
    seconds : float
        Of training; those before a break count too.
    gaussians : int
    loss, psnr_train : float
        Running means over steps; the PSNR (dB) is that of the photos at the size at which they were trained on.
    reduction : int
        By how much the sides of the photos were divided.
    psnr_test, ssim_test : float or None
        Means over the held-out photos at full size, where they were drawn at this point.
    """

    iteration: int
    share: float
    seconds: float
    gaussians: int
    loss: float
    psnr_train: float
    reduction: int
    psnr_test: float | None = None
    ssim_test: float | None = None

    @property
    def seconds_left(self) -> float:
        """An estimate from the pace so far."""
        return self.seconds * (1 / self.share - 1) if self.share > 0 else math.inf


@dataclass(frozen=True)
class TrainResult:
    """What a run gave.

    Attributes
    ----------
    scene : Gaussians
        In the coordinates of the data set.
    iterations : int
    seconds : float
        Of training; evaluation is not in it.
    history : list of Point
    test : Quality or None
        Of the held-out photos, one by one; None where there are none.
    complete : bool
        False when the run was ended before its time.
    """

    scene: Gaussians
    iterations: int
    seconds: float
    history: list[Point]
    test: Quality | None
    complete: bool

    def as_dict(self) -> dict[str, Any]:
        """Return numbers and lists for JSON, without the scene."""
        return {
            "n": len(self.scene),
            "iterations": self.iterations,
            "seconds": self.seconds,
            "complete": self.complete,
            "psnr_test": None if self.test is None else self.test.psnr_mean,
            "ssim_test": None if self.test is None else self.test.ssim_mean,
            "history": [asdict(point) for point in self.history],
        }
