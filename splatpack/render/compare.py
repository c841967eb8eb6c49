"""How close two pictures, or the renders of two scenes, are: PSNR and SSIM."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import UsageError
from splatpack.parallel import ordered_map
from splatpack.render.cpu import render
from splatpack.render.kernels.ssim import ssim_sum
from splatpack.render.views import evaluation_cameras, stage
from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import Gaussians

Image = NDArray[np.float32]

CAP_DB = 100.0
"""PSNR of equal pictures, and the most that is ever reported, dB."""

_RADIUS = 5
_OFFSETS = np.arange(-_RADIUS, _RADIUS + 1)
_WINDOW = np.exp(-0.5 * (_OFFSETS / 1.5) ** 2) / np.exp(-0.5 * (_OFFSETS / 1.5) ** 2).sum()


@dataclass(frozen=True)
class CompareReport:
    """How the renders of a scene differ from those of its reference, view by view.

    Attributes
    ----------
    names : list of str
        The views.
    psnr, ssim : list of float
        Per view; dB (at most 100), and up to 1.
    """

    names: list[str]
    psnr: list[float]
    ssim: list[float]

    @property
    def views(self) -> int:
        """Count of views."""
        return len(self.names)

    @property
    def psnr_mean(self) -> float:
        """Mean over the views of the PSNR, dB."""
        return float(np.mean(self.psnr))

    @property
    def psnr_min(self) -> float:
        """PSNR of the worst view, dB."""
        return float(np.min(self.psnr))

    @property
    def ssim_mean(self) -> float:
        """Mean over the views of the SSIM."""
        return float(np.mean(self.ssim))

    def as_dict(self) -> dict[str, Any]:
        """Return everything as numbers, strings and lists, for JSON."""
        return {
            "views": self.views,
            "psnr_mean": self.psnr_mean,
            "psnr_min": self.psnr_min,
            "ssim_mean": self.ssim_mean,
            "names": list(self.names),
            "psnr": list(self.psnr),
            "ssim": list(self.ssim),
        }


def psnr(a: Image, b: Image) -> float:
    """Return the peak signal-to-noise ratio of two pictures in [0, 1], dB, at most 100.

    Raises
    ------
    UsageError
        The shapes differ.
    """
    _same_shape(a, b)
    error = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return CAP_DB if error <= 10 ** (-CAP_DB / 10) else -10 * math.log10(error)


def ssim(a: Image, b: Image) -> float:
    """Return the structural similarity of two pictures in [0, 1]: the mean over pixels and channels.

    An 11 x 11 Gaussian window with sigma 1.5, population covariance, K1 = 0.01, K2 = 0.03 (Wang et al. 2004). Only
    windows inside the picture count, as in scikit-image: 5 pixels at each border are left out. A picture with a side
    below 11 pixels is first extended by mirroring.

    Parameters
    ----------
    a, b : float (H, W) or (H, W, C)

    Raises
    ------
    UsageError
        The shapes differ, or are not those of pictures.
    """
    _same_shape(a, b)
    if a.ndim not in (2, 3) or a.size == 0:
        raise UsageError(f"ssim: pictures of shape {a.shape}, expected (H, W) or (H, W, C), not empty.")
    channels = a.shape[2] if a.ndim == 3 else 1
    taps = len(_WINDOW)
    pads = [(_RADIUS, _RADIUS) if side < taps else (0, 0) for side in a.shape[:2]] + [(0, 0)] * (a.ndim - 2)
    rows = [np.pad(np.asarray(image, np.float32), pads, mode="symmetric") for image in (a, b)]
    flat = [np.ascontiguousarray(image.reshape(image.shape[0], -1)) for image in rows]
    total = ssim_sum(flat[0], flat[1], _WINDOW, channels, np.empty((5, flat[0].shape[1])))
    windows = (flat[0].shape[0] - taps + 1) * (flat[0].shape[1] - (taps - 1) * channels)
    return float(total / windows)


def _same_shape(a: Image, b: Image) -> None:
    if a.shape != b.shape:
        raise UsageError(f"pictures of shapes {a.shape} and {b.shape} cannot be compared, expected the same.")


def compare(
    reference: Gaussians,
    test: Gaussians,
    cameras: Sequence[Camera] | None = None,
    *,
    threads: int | None = None,
    background: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> CompareReport:
    """Render both scenes and compare the pictures, as float32, not rounded to bytes.

    The near plane is the renderer's, or closer where the whole reference is tiny, and the same for both.

    Parameters
    ----------
    reference, test : Gaussians
        In the same frame.
    cameras : sequence of Camera, optional
        :func:`splatpack.render.views.evaluation_cameras` of the reference by default.
    threads : int, optional
        Views are spread over threads; the figures do not depend on it.
    background : tuple of 3 float
        Colour behind both scenes.

    Raises
    ------
    UsageError
        There is no camera.
    """
    views = evaluation_cameras(reference, threads=threads) if cameras is None else list(cameras)
    if not views:
        raise UsageError("compare: no cameras, expected at least one.")
    near = stage(reference).near

    def work(camera: Camera) -> tuple[float, float]:
        pictures = [render(s, camera, background=background, near=near, threads=1).color for s in (reference, test)]
        return psnr(*pictures), ssim(*pictures)

    figures = list(ordered_map(work, views, threads))
    names = [camera.name or f"view-{k:02d}" for k, camera in enumerate(views)]
    return CompareReport(names, [f[0] for f in figures], [f[1] for f in figures])
