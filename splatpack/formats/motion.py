"""Spacetime Gaussians at one moment: what STG's PLY and ``.splatv`` share.

With ``d = t - centre``: the mean moves by ``m0 d + m1 d^2 + m2 d^3``, the rotation by ``omega d``, and alpha is
multiplied by ``exp(-(d / width)^2)`` (``oppo-us-research/SpacetimeGaussians``, ``scene/oursfull.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import UsageError
from splatpack.formats.blocks import ALPHA_MIN
from splatpack.scene.gaussians import FloatArray

HIDDEN = 0.02
"""The viewer draws nothing of a Gaussian whose weight in time is below this."""


@dataclass(frozen=True)
class Moment:
    """Some Gaussians at a time.

    Attributes
    ----------
    seen : bool (N,)
        Those whose weight is at least :data:`HIDDEN`.
    offset : float32 (N, 1)
        ``d``, for those that are seen.
    weight : float32 (N,)
        What their alpha is multiplied by.
    """

    seen: NDArray[np.bool_]
    offset: FloatArray
    weight: FloatArray

    @classmethod
    def of(cls, centre: FloatArray, width: FloatArray, time: float) -> Moment:
        """Weigh Gaussians at a time; one whose numbers are NaN counts as seen, for ``validate`` to find.

        Raises
        ------
        UsageError
            The time is no finite number.
        """
        if not np.isfinite(time):
            raise UsageError(f"time {time}, expected a finite number.")
        with np.errstate(all="ignore"):
            d = np.float32(time) - centre
            weight = np.exp(-np.square(d / width))
        seen = ~(weight < HIDDEN)
        return cls(seen, d[seen, None], weight[seen])

    def means(self, start: FloatArray, motion: FloatArray) -> FloatArray:
        """Return positions; ``motion`` (N, 9) holds the three vectors one after the other."""
        d, m = self.offset, motion
        with np.errstate(all="ignore"):
            return np.asarray(start + d * (m[:, 0:3] + d * (m[:, 3:6] + d * m[:, 6:9])))

    def quats(self, start: FloatArray, omega: FloatArray) -> FloatArray:
        """Return rotations, not of unit length."""
        with np.errstate(all="ignore"):
            return np.asarray(start + self.offset * omega)

    def logits(self, alpha: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return opacities after the weight."""
        with np.errstate(all="ignore"):
            faded = np.clip(alpha * self.weight, ALPHA_MIN, 1 - ALPHA_MIN)
            return np.asarray(np.log(faded) - np.log1p(-faded))
