"""The kernel that finds which Gaussians a camera may see, before anything costly is computed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import float32, float64, int32, int64
from numpy.typing import NDArray

from splatpack.jit import kernel, ro, rw

SPREAD = 1.83
"""Pixels by which the dilation of the renderer can widen a reach: sqrt(2 ln 255 * 0.3) is 1.8234."""


@kernel(int64(ro(float32, 2), ro(float32), ro(float64), rw(int32), rw(float32)))
def cull(
    means: NDArray[Any], reaches: NDArray[Any], cam: NDArray[Any], rows: NDArray[Any], depths: NDArray[Any]
) -> int:
    """List the Gaussians that may touch the picture, ascending; return how many.

    The bound on the screen is that of the projection itself: its Jacobian is taken at a slope held to 1.3 times the
    half field of view, so a row of it is never longer than (f / z) sqrt(1 + slope^2). Nothing visible is left out.

    Parameters
    ----------
    means : float32 (N, 3)
    reaches : float32 (N,)
        Distance from the centre at which alpha falls below 1/255, at most; scene units, negative for never seen.
    cam : float64 (19,)
        As the projection takes it: world to camera (3 rows of 4), fx, fy, cx, cy, width, height, near.
    rows, depths : int32 (N,), float32 (N,), front written
        Indices, and z in the camera frame as the projection rounds it.
    """
    fx = cam[12]
    fy = cam[13]
    cx = cam[14]
    cy = cam[15]
    width = cam[16]
    height = cam[17]
    near = cam[18]
    side = max(cx, width - cx) / fx + 0.15 * width / fx
    edge = max(cy, height - cy) / fy + 0.15 * height / fy
    grow_x = fx * math.sqrt(1.0 + side * side)
    grow_y = fy * math.sqrt(1.0 + edge * edge)
    count = 0
    for i in range(means.shape[0]):
        x = np.float64(means[i, 0])
        y = np.float64(means[i, 1])
        z = np.float64(means[i, 2])
        tz = cam[8] * x + cam[9] * y + cam[10] * z + cam[11]
        reach = np.float64(reaches[i])
        if not near <= tz < 3.0e38 or reach < 0.0:
            continue
        px = fx * (cam[0] * x + cam[1] * y + cam[2] * z + cam[3]) / tz + cx
        ex = grow_x * reach / tz + SPREAD
        if px + ex < 0.0 or px - ex > width:
            continue
        py = fy * (cam[4] * x + cam[5] * y + cam[6] * z + cam[7]) / tz + cy
        ey = grow_y * reach / tz + SPREAD
        if py + ey < 0.0 or py - ey > height:
            continue
        rows[count] = i
        depths[count] = tz
        count += 1
    return count
