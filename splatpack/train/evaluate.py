"""How good a scene is on photos: PSNR and SSIM, with exposures fitted where the photos have their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splatpack.render.compare import CAP_DB, ssim
from splatpack.render.cpu import render
from splatpack.scene.gaussians import Gaussians
from splatpack.train.exposure import fitted, mapped
from splatpack.train.views import View

Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Quality:
    """PSNR (dB, at most 100) and SSIM of each photo, in the order of the photos."""

    psnr: list[float]
    ssim: list[float]

    @property
    def psnr_mean(self) -> float:
        """Mean PSNR over the photos, dB."""
        return float(np.mean(self.psnr))

    @property
    def ssim_mean(self) -> float:
        """Mean SSIM over the photos."""
        return float(np.mean(self.ssim))


def psnr_of(picture: Plane, target: Plane, weight: Plane | None = None) -> float:
    """Return the PSNR in dB of a picture (H, W, 3) where pixels count by ``weight`` (H, W)."""
    squares = np.square(picture - target, dtype=np.float64).mean(axis=2)
    total = squares.mean() if weight is None else (squares * weight).sum() / max(float(weight.sum()), 1e-9)
    return CAP_DB if total <= 0 else min(CAP_DB, -10 * math.log10(float(total)))


def shown(
    scene: Gaussians, view: View, background: tuple[float, float, float], near: float, threads: int | None = None
) -> Plane:
    """Return what a scene shows of a view, float32 (H, W, 3)."""
    return render(scene, view.camera, background=background, near=near, threads=threads).color


def judge(picture: Plane, view: View, *, exposure: bool = False) -> tuple[float, float]:
    """Return PSNR and SSIM of a picture of a view.

    With ``exposure``, the map of the colours is fitted on the left half and only the right half is judged, so that
    nothing that is judged has been looked at (Martin-Brualla et al. 2021).
    """
    target, weight = view.pixels, view.weight
    if exposure:
        half = picture.shape[1] // 2
        affine = fitted(picture[:, :half], target[:, :half], None if weight is None else weight[:, :half])
        picture, target = mapped(picture[:, half:], affine), np.ascontiguousarray(target[:, half:])
        weight = None if weight is None else np.ascontiguousarray(weight[:, half:])
    covered = picture if weight is None else picture * weight[..., None] + target * (1 - weight[..., None])
    alike = ssim(np.ascontiguousarray(covered), target) if min(target.shape[:2]) >= 11 else math.nan
    return psnr_of(picture, target, weight), alike


def quality(
    scene: Gaussians,
    views: Sequence[View],
    background: tuple[float, float, float],
    near: float,
    *,
    exposure: bool = False,
    threads: int | None = None,
) -> Quality:
    """Return how well a scene shows photos; ``scene`` and ``views`` are in the same coordinates."""
    pairs = [judge(shown(scene, view, background, near, threads), view, exposure=exposure) for view in views]
    return Quality([p for p, _ in pairs], [s for _, s in pairs])
