"""The kernel that shakes faint Gaussians, so that they go and look for a better place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import float32, float64, int64
from numpy.typing import NDArray

from splatpack.jit import Float, Int, kernel, ro, rw
from splatpack.render.kernels.project_backward import rotation

STEEP, FAINT = 100.0, 0.005
"""The logistic gate on the opacity: one half at 0.005, nothing above 0.15."""


@kernel(
    int64(
        ro(float32, 2), ro(float32, 2), ro(float32), ro(float32, 2), float64, int64, int64, rw(float32, 2)
    )
)  # fmt: skip
def perturb(
    scales: NDArray[Any], quats: NDArray[Any], opacities: NDArray[Any], normals: NDArray[Any], step: Float,
    start: Int, stop: Int, means: NDArray[Any],
) -> Int:  # fmt: skip
    """Add ``step`` gate(opacity) Sigma n to the means of the rows ``start`` to ``stop``; return how many moved.

    Equation 8 of Kheradmand et al. (2024): Sigma is the covariance, n standard normal, float32 (N, 3).
    """
    turn = np.empty((3, 3))
    moved = 0
    for i in range(start, stop):
        opacity = 1.0 / (1.0 + math.exp(-min(max(np.float64(opacities[i]), -30.0), 30.0)))
        if opacity > 0.15:
            continue
        gate = step / (1.0 + math.exp(STEEP * (opacity - FAINT)))
        rotation(quats, i, turn)
        for k in range(3):
            along = turn[0, k] * normals[i, 0] + turn[1, k] * normals[i, 1] + turn[2, k] * normals[i, 2]
            push = gate * math.exp(2.0 * min(np.float64(scales[i, k]), 30.0)) * along
            means[i, 0] += turn[0, k] * push
            means[i, 1] += turn[1, k] * push
            means[i, 2] += turn[2, k] * push
        moved += 1
    return moved
