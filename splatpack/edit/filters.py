"""Filters: Gaussians by opacity, size, soundness, or any expression over their attributes."""

from __future__ import annotations

import math

import numpy as np

from splatpack.edit.attributes import ATTRIBUTES as VALUES
from splatpack.edit.attributes import opacity
from splatpack.edit.expressions import Expression
from splatpack.errors import UsageError
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians


def select(scene: Gaussians, expression: str, *, keep: bool = True) -> Gaussians:
    """Keep the Gaussians for which an expression holds.

    Parameters
    ----------
    scene : Gaussians
    expression : str
        Such as ``"label == 3 and opacity > 0.1"``: see :mod:`splatpack.edit.expressions`. It is never executed.
    keep : bool
        False removes them instead.

    Raises
    ------
    UsageError
        The text is no expression, or names a column that is not there.
    """
    mask = Expression(expression).mask(scene)
    return scene.take(mask if keep else ~mask)


def filter_opacity(scene: Gaussians, low: float = 0.0, high: float = 1.0) -> Gaussians:
    """Keep the Gaussians whose opacity (0 to 1) lies in [low, high].

    Raises
    ------
    UsageError
        The bounds are not in order, or not from 0 to 1.
    """
    if not 0 <= low <= high <= 1:
        raise UsageError(f"opacity from {low:g} to {high:g}, expected 0 <= low <= high <= 1.")
    values = opacity(scene)
    return scene.take((values >= low) & (values <= high))


def filter_scale(scene: Gaussians, low: float = 0.0, high: float = math.inf) -> Gaussians:
    """Keep the Gaussians whose longest standard deviation (scene units) lies in [low, high].

    Raises
    ------
    UsageError
        The bounds are not in order, or negative.
    """
    if not 0 <= low <= high:
        raise UsageError(f"scale from {low:g} to {high:g}, expected 0 <= low <= high.")
    values = VALUES["scale_max"](scene)
    return scene.take((values >= low) & (values <= high))


def drop_nan(scene: Gaussians) -> Gaussians:
    """Remove the Gaussians with a NaN or an infinity in any attribute or extra column.

    Reading a file repairs the attributes already (:func:`splatpack.scene.validate.validate`), but not extra columns.
    """
    sound = np.ones(len(scene), bool)
    for column in (*(getattr(scene, name) for name in ATTRIBUTES), *scene.extras.values()):
        if column.size:
            sound &= np.isfinite(column.reshape(len(scene), -1)).all(axis=1)
    return scene if sound.all() else scene.take(sound)
