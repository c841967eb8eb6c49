"""What a scene is worth on the photos that were held out, whatever it went through after training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from splatpack.container.reader import ContainerReader
from splatpack.container.source import MemorySource
from splatpack.pack.decode import decode
from splatpack.pack.encode import encode, weigh
from splatpack.pack.presets import Settings
from splatpack.scene.gaussians import Gaussians
from splatpack.train.evaluate import Quality, judge, shown
from splatpack.train.normal import NEAR
from splatpack.train.trainer import Trainer

Plane = NDArray[np.float32]

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Factors of the quantisers' steps at which :func:`sizes` encodes."""


@dataclass(frozen=True)
class Verdict:
    """A held-out photo, what the scene shows of it, and how close that is.

    Attributes
    ----------
    name : str
    photo, picture : float32 (H, W, 3)
    weight : float32 (H, W) or None
        How much each pixel of the photo counts.
    psnr, ssim : float
    """

    name: str
    photo: Plane
    picture: Plane
    weight: Plane | None
    psnr: float
    ssim: float


@dataclass(frozen=True)
class Rate:
    """A scene's bytes as a ``.spk`` under some settings, and its mean PSNR on the held-out photos, dB."""

    name: str
    bytes: int
    psnr: float


def verdicts(trainer: Trainer, scene: Gaussians) -> list[Verdict]:
    """Draw every held-out photo from a scene in the coordinates of the data set."""
    inward, how, out = trainer.space.inward(scene), trainer.settings, []
    for k, photo in enumerate(trainer.dataset.test):
        view = trainer.held_out.at(k)
        picture = shown(inward, view, trainer.background, NEAR, how.threads)
        out.append(Verdict(photo.name, view.pixels, picture, view.weight, *judge(picture, view, exposure=how.exposure)))
    return out


def summed(found: Sequence[Verdict]) -> Quality | None:
    """Return the figures of verdicts; None where there are none."""
    return Quality([v.psnr for v in found], [v.ssim for v in found]) if found else None


def sizes(trainer: Trainer, scene: Gaussians, how: Settings) -> list[Rate]:
    """Encode a scene with coarser and coarser steps, and judge what each file decodes to."""
    out, threads = [], trainer.settings.threads
    weights = weigh(scene, how, threads)
    for factor in FACTORS:
        file = BytesIO()
        plain = replace(how, q=factor, prune=0.0)
        encode(scene, file, plain, threads=threads, weights=weights)
        with ContainerReader(MemorySource(file.getvalue())) as reader:
            found = summed(verdicts(trainer, decode(reader, threads=threads)))
        if found is not None:
            out.append(Rate(f"q {factor:g}", len(file.getvalue()), found.psnr_mean))
    return out
