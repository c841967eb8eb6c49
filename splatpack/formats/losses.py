"""What a target cannot hold: counted while it is written, said once each, never dropped in silence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from splatpack.errors import UnsupportedError
from splatpack.formats.table import Format
from splatpack.scene.gaussians import FloatArray, Gaussians


class Losses:
    """Counts of Gaussians by what happened to them.

    Parameters
    ----------
    total : int
        Gaussians of the scene.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._said: list[str] = []
        self._counts: dict[str, int] = {}

    def say(self, sentence: str) -> None:
        """Note what is true of the whole scene."""
        self._said.append(sentence)

    def count(self, what: str, number: int) -> None:
        """Add ``number`` Gaussians to those of which ``what`` is true; blocks of a scene add up."""
        if number:
            self._counts[what] = self._counts.get(what, 0) + int(number)

    @property
    def sentences(self) -> list[str]:
        """One sentence for each loss."""
        return self._said + [f"{n:,} of {self._total:,} Gaussians: {what}." for what, n in self._counts.items()]


def fit_to(scene: Gaussians, target: Format, losses: Losses, frame: str) -> Gaussians:
    """Return what ``target`` can hold of a scene; say what that leaves out.

    Parameters
    ----------
    scene : Gaussians
    target : Format
    losses : Losses
        Takes a sentence for each: SH bands above the target's, extra columns, flags, an unknown frame.
    frame : str
        That the file will be in.
    """
    if scene.sh_degree > target.sh_degree:
        said = f"SH degree {scene.sh_degree}" if target.sh_degree == 0 else f"SH bands above {target.sh_degree}"
        losses.say(f"{said}: left out, {target.title} holds degree {target.sh_degree} at most.")
        scene = scene.with_sh_degree(target.sh_degree)
    if scene.extras and not target.extras:
        if "filter_3D" in scene.extras:
            scene = fuse_filter(scene)
            losses.say("filter_3D: fused into scales and opacities.")
        names = sorted(set(scene.extras) - {"filter_3D"})
        if names:
            listed = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
            losses.say(f"extra columns left out, {target.title} has none: {listed}.")
        scene = replace(scene, extras={})
    if scene.antialiased and not target.antialiased:
        losses.say(
            f"antialiased: {target.title} cannot say so. Rendered without 2D compensation the scene is too opaque."
        )
    if scene.surfels and not target.surfels:
        losses.say(f"2DGS: {target.title} cannot say so. The flat axis stays as a small scale.")
    if scene.frame == "unknown":
        losses.say(f"frame unknown: written as it is, {target.title} is read as {frame}. Say which with --frame.")
    return scene


def fuse_filter(scene: Gaussians) -> Gaussians:
    """Bake ``filter_3D`` (mip-splatting: a size per Gaussian, scene units) into scales and opacities.

    ``s'^2 = s^2 + f^2`` for each axis, ``alpha' = alpha * sqrt(prod(s^2) / prod(s'^2))``.
    """
    f2 = np.square(scene.extras["filter_3D"].astype(np.float64).reshape(-1, 1))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        log_s2 = 2.0 * scene.scales.astype(np.float64)
        grown = np.logaddexp(log_s2, np.log(f2))
        log_alpha = -np.logaddexp(0.0, -scene.opacities.astype(np.float64)) + 0.5 * (log_s2 - grown).sum(axis=1)
        logits = np.where(np.isfinite(log_alpha), log_alpha - np.log(-np.expm1(log_alpha)), log_alpha)
    extras = {name: column for name, column in scene.extras.items() if name != "filter_3D"}
    return replace(scene, scales=(grown / 2).astype(np.float32), opacities=logits.astype(np.float32), extras=extras)


def require_within(means: FloatArray, bound: float, title: str) -> None:
    """Refuse positions that the target would wrap or clamp.

    Raises
    ------
    UnsupportedError
        A coordinate is not finite, or its size is not below ``bound``.
    """
    outside = int((~(np.abs(means) < bound)).any(axis=1).sum())
    if outside:
        raise UnsupportedError(
            f"{outside:,} of {len(means):,} Gaussians lie outside +-{bound:g}, which {title} cannot hold. "
            "Crop, move or scale the scene first."
        )
