"""The CPU rasteriser of Gaussian scenes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splatpack.parallel import ordered_map
from splatpack.render.kernels.shade import PIXELS, shade_band
from splatpack.render.project import NEAR, project
from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import Gaussians


@dataclass(frozen=True)
class RenderResult:
    """A rendered view.

    Attributes
    ----------
    color : float32 (H, W, 3)
        In [0, 1], display-referred (sRGB by the convention of trained scenes), background included.
    depth : float32 (H, W)
        Expected z in the camera frame, scene units: sum of w z over sum of w; 0 where nothing is.
    alpha : float32 (H, W)
        Sum of the blending weights w, in [0, 1].
    """

    color: NDArray[np.float32]
    depth: NDArray[np.float32]
    alpha: NDArray[np.float32]


def render(
    scene: Gaussians,
    camera: Camera,
    *,
    background: tuple[float, float, float] = (0.0, 0.0, 0.0),
    near: float = NEAR,
    threads: int | None = None,
) -> RenderResult:
    """Draw ``scene`` as the Inria rasteriser does: EWA splatting, blended front to back.

    Two things are better than there: the reach of a Gaussian is where its alpha falls below 1/255 rather than three
    standard deviations, and the Gaussian that makes a pixel opaque is still blended.

    Parameters
    ----------
    scene : Gaussians
        Any finite numbers; no Gaussian at all gives the background.
    camera : Camera
    background : tuple of 3 float
        Colour behind everything, in [0, 1].
    near : float
        Near plane, scene units.
    threads : int, optional
        All cores by default. The picture is the same, to the byte, for any number.

    Returns
    -------
    RenderResult
    """
    view = project(scene, camera, near=near, threads=threads)
    size = (camera.height, camera.width)
    result = RenderResult(np.empty((*size, 3), np.float32), np.empty(size, np.float32), np.empty(size, np.float32))
    behind = np.array(background, np.float32)
    no_trace = np.empty((0, PIXELS), np.float32), np.empty((0, PIXELS), np.int32)

    def work(band: int) -> None:
        lists = view.band_lists(band)
        buffer = np.empty(5 * PIXELS, np.float32)
        shade_band(
            view.ellipses, view.depths, view.rgb, view.boxes, *lists, behind, band, buffer,
            result.color, result.depth, result.alpha, *no_trace,
        )  # fmt: skip

    for _ in ordered_map(work, range(view.bands), threads):
        pass
    return result
