"""What one photo asks of the scene: the loss, and its gradients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splatpack.fit.loss import Loss, l1, photometric
from splatpack.render.backward import Gradients
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians
from splatpack.train.backend import Backend
from splatpack.train.exposure import Exposures
from splatpack.train.settings import TrainSettings
from splatpack.train.views import View

WINDOW = 11
"""Sides of pictures from which on SSIM is defined, pixels."""


@dataclass(frozen=True)
class Pull:
    """The gradients of a step.

    Attributes
    ----------
    gradients : Gradients
    seen : uint8 (N,)
        1 where a Gaussian is visible.
    loss, error : float
        The loss without regularisers, and the mean squared error.
    count : int
        Photos.
    """

    gradients: Gradients
    seen: NDArray[np.uint8]
    loss: float
    error: float
    count: int = 1

    def plus(self, other: Pull) -> Pull:
        """Return the sum of the gradients, and the means of loss and error."""
        count = self.count + other.count
        share = self.count / count
        arrays = [getattr(self.gradients, name) + getattr(other.gradients, name) for name in ATTRIBUTES]
        loss = share * self.loss + (1 - share) * other.loss
        error = share * self.error + (1 - share) * other.error
        return Pull(Gradients(*arrays), self.seen | other.seen, loss, error, count)


def pull(
    backend: Backend,
    scene: Gaussians,
    view: View,
    background: tuple[float, float, float],
    near: float,
    settings: TrainSettings,
    exposures: Exposures | None,
    index: int,
) -> Pull:
    """Return what photo ``index`` asks of the scene; the map of its colours takes a step on the way."""
    drawn = backend.draw(scene, view.camera, background, near)
    picture = drawn.color if exposures is None else exposures.apply(index, drawn.color)
    loss = _loss(picture, view, settings)
    grad = loss.grad if exposures is None else exposures.back(index, drawn.color, picture, loss.grad)
    gradients = backend.pull(drawn, np.ascontiguousarray(grad, np.float32))
    squares = np.square(picture - view.pixels)
    error = squares.mean() if view.weight is None else (squares.mean(axis=2) * view.weight).mean()
    return Pull(gradients, drawn.seen, loss.value, float(error))


def _loss(picture: NDArray[np.float32], view: View, settings: TrainSettings) -> Loss:
    """Where a pixel counts less, picture and photo are both darkened: neither term sees what is behind a mask."""
    target, weight = view.pixels, None if view.weight is None else view.weight[..., None]
    if weight is not None:
        picture, target = picture * weight, target * weight
    if settings.ssim > 0 and min(target.shape[:2]) >= WINDOW:
        loss = photometric(picture, target, weight=settings.ssim, threads=settings.threads)
    else:
        loss = l1(picture, target)
    return loss if weight is None else Loss(loss.value, loss.grad * weight)


def regularise(gradients: Gradients, scene: Gaussians, settings: TrainSettings) -> None:
    """Add the gradients of the weighted means of opacity and of standard deviation, in place."""
    n = max(1, len(scene))
    if settings.opacity_weight > 0:
        opacity = 1 / (1 + np.exp(-scene.opacities))
        gradients.opacities[:] += np.float32(settings.opacity_weight / n) * opacity * (1 - opacity)
    if settings.scale_weight > 0:
        gradients.scales[:] += np.float32(settings.scale_weight / (3 * n)) * np.exp(scene.scales)
