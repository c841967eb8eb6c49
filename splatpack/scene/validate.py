"""What no renderer can draw: found, counted, and repaired or refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import InvalidSceneError
from splatpack.scene.gaussians import FloatArray, Gaussians

LOGIT_LIMIT = float(np.log(1 - 1e-6) - np.log(1e-6))
"""Where infinite opacity logits go: the logit of 1 - 1e-6. An alpha byte of 255 decodes to +inf in some tools."""

SCALE_LIMIT = 30.0
"""Bound of a log-scale: exp(30) = 1e13 and its square 1e26 still leave float32 room for a squared focal length.

A log-scale of -inf is a flat axis (tools write 2DGS scenes so) and is clamped too, not removed.
"""

POSITION_LIMIT = 1e15
"""Bound of a coordinate: its square, 1e30, is still a float32. Nothing real is there, and it would ruin every bound."""

UNIT_TOLERANCE = 1e-6
"""Quats this close to unit length are left bit for bit."""

_BLOCK = 1 << 16


@dataclass(frozen=True)
class ValidationReport:
    """What :func:`validate` found.

    Attributes
    ----------
    total : int
        Gaussians that were looked at.
    non_finite : int
        Removed: NaN or an infinity in a mean, scale, quat or SH coefficient, or a NaN opacity.
    far : int
        Removed: a coordinate beyond :data:`POSITION_LIMIT`.
    zero_quats : int
        Set to the identity: quats of length zero.
    scales_clamped : int
        Gaussians with a log-scale outside +-:data:`SCALE_LIMIT`, clamped to it.
    opacities_clamped : int
        Infinite opacity logits, clamped to +-:data:`LOGIT_LIMIT`.
    normalised : int
        Quats that were not of unit length. A habit of trainers, no defect: it does not make a scene unclean.
    """

    total: int
    non_finite: int = 0
    far: int = 0
    zero_quats: int = 0
    scales_clamped: int = 0
    opacities_clamped: int = 0
    normalised: int = 0

    @property
    def removed(self) -> int:
        """Gaussians that a repair removes."""
        return self.non_finite + self.far

    @property
    def clean(self) -> bool:
        """Whether nothing was wrong."""
        return not (self.removed or self.zero_quats or self.scales_clamped or self.opacities_clamped)

    def summary(self) -> str:
        """Return the findings as one line."""
        found = [
            f"{count:,} {what}"
            for count, what in (
                (self.non_finite, "with NaN or infinite values"),
                (self.far, f"farther than {POSITION_LIMIT:g} from the origin"),
                (self.zero_quats, "with a zero quaternion"),
                (self.scales_clamped, f"with a log-scale outside +-{SCALE_LIMIT:g}"),
                (self.opacities_clamped, "with an infinite opacity logit"),
            )
            if count
        ]
        return f"{self.total:,} Gaussians: " + (", ".join(found) or "all valid")


def validate(scene: Gaussians, *, repair: bool = True) -> tuple[Gaussians, ValidationReport]:
    """Check that every Gaussian can be drawn, and repair the scene.

    Parameters
    ----------
    scene : Gaussians
        Is not changed. Extra columns are not looked at.
    repair : bool
        Remove what has no meaning, clamp what runs away, make the quats unit length. False: refuse a scene that has a
        defect, and return any other as it is.

    Returns
    -------
    tuple of Gaussians and ValidationReport
        The same object when nothing had to change; otherwise only the arrays that changed are new.

    Raises
    ------
    InvalidSceneError
        No Gaussian is left; or ``repair`` is False and the scene is not clean.
    """
    if not len(scene):
        raise InvalidSceneError("0 Gaussians, expected at least 1: there is nothing to compress, render or convert.")
    report, keep = _examine(scene)
    if not (repair or report.clean):
        raise InvalidSceneError(f"{report.summary()}. Expected a clean scene; repair it (validate(..., repair=True)).")
    if report.removed == len(scene):
        raise InvalidSceneError(f"{report.summary()}: none can be drawn, there is nothing to work with.")
    if not repair:
        return scene, report
    if report.removed:
        scene = scene.take(keep)
    changed: dict[str, FloatArray] = {}
    if report.opacities_clamped:
        bound = np.copysign(np.float32(LOGIT_LIMIT), scene.opacities)
        changed["opacities"] = np.where(np.isinf(scene.opacities), bound, scene.opacities)
    if report.scales_clamped:
        changed["scales"] = scene.scales.clip(-SCALE_LIMIT, SCALE_LIMIT)
    if report.zero_quats or report.normalised:
        changed["quats"] = scene.quats.copy()
        changed["quats"][~scene.quats.any(axis=1)] = (1, 0, 0, 0)
        normalise_quats(changed["quats"])
    fixed: dict[str, Any] = dict(changed)
    return (replace(scene, **fixed) if fixed else scene), report


def normalise_quats(quats: FloatArray) -> int:
    """Make quats unit length in place and return how many were not.

    Parameters
    ----------
    quats : float32 (N, 4)
        Those within :data:`UNIT_TOLERANCE` of unit length, zero ones and those that are not finite stay bit for bit.
    """
    count = 0
    for rows in _blocks(len(quats)):
        norm = _norms(quats[rows])
        off = _off_unit(norm)
        if off.any():
            count += int(off.sum())
            quats[rows][off] = quats[rows][off] / norm[off, None]
    return count


def _blocks(n: int) -> Iterator[slice]:
    return (slice(i, min(i + _BLOCK, n)) for i in range(0, n, _BLOCK))


def _norms(quats: FloatArray) -> NDArray[np.float64]:
    """Return lengths in float64, in which no square of a float32 overflows or vanishes."""
    with np.errstate(invalid="ignore"):  # a signalling NaN warns in the cast already
        wide = quats.astype(np.float64)
        return np.asarray(np.sqrt(np.einsum("ij,ij->i", wide, wide)))


def _off_unit(norm: NDArray[np.float64]) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        off: NDArray[np.bool_] = (np.abs(norm - 1.0) > UNIT_TOLERANCE) & (norm > 0) & np.isfinite(norm)
    return off


def _finite_rows(array: NDArray[Any]) -> NDArray[np.bool_]:
    finite = np.isfinite(array.reshape(len(array), -1))
    rows: NDArray[np.bool_] = np.ones(len(array), bool) if finite.all() else finite.all(axis=1)
    return rows


def _examine(scene: Gaussians) -> tuple[ValidationReport, NDArray[np.bool_]]:
    """Count the defects of the rows that stay, block by block, and say which rows those are."""
    keep = np.empty(len(scene), bool)
    counts = np.zeros(6, np.int64)
    for rows in _blocks(len(scene)):
        means, scales, logits = scene.means[rows], scene.scales[rows], scene.opacities[rows]
        finite = ~np.isnan(logits) & ~(np.isnan(scales) | np.isposinf(scales)).any(axis=1)
        for array in (means, scene.quats[rows], scene.sh0[rows], scene.shN[rows]):
            if array.size:
                finite &= _finite_rows(array)
        near = ~(np.abs(means) > POSITION_LIMIT).any(axis=1)
        keep[rows] = stay = finite & near
        norm = _norms(scene.quats[rows])
        counts += [
            (~finite).sum(),
            (finite & ~near).sum(),
            (stay & (norm == 0)).sum(),
            (stay & (np.abs(scales) > SCALE_LIMIT).any(axis=1)).sum(),
            (stay & np.isinf(logits)).sum(),
            (stay & _off_unit(norm)).sum(),
        ]
    return ValidationReport(len(scene), *(int(c) for c in counts)), keep
