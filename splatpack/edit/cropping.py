"""Cropping: Gaussians whose centre lies on one side of a box, a sphere or a plane."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from splatpack.errors import UsageError
from splatpack.scene.gaussians import Gaussians

Mask = NDArray[np.bool_]


def crop_box(scene: Gaussians, low: ArrayLike, high: ArrayLike, *, inside: bool = True) -> Gaussians:
    """Keep the Gaussians whose centre lies in a box, its faces included.

    Parameters
    ----------
    scene : Gaussians
    low, high : array-like (3,)
        Corners in the frame of the scene; infinite where the box is open.
    inside : bool
        False keeps those outside instead.

    Raises
    ------
    UsageError
        A corner is not three numbers, or ``low`` is above ``high``.
    """
    a, b = _vector(low, "low", infinite=True), _vector(high, "high", infinite=True)
    if (a > b).any():
        raise UsageError(f"box from {_text(a)} to {_text(b)}: expected low <= high in x, y and z.")
    within = (scene.means >= a) & (scene.means <= b)
    return _keep(scene, np.asarray(within.all(axis=1)), inside)


def crop_sphere(scene: Gaussians, centre: ArrayLike, radius: float, *, inside: bool = True) -> Gaussians:
    """Keep the Gaussians whose centre lies in a sphere, its surface included.

    Parameters
    ----------
    scene : Gaussians
    centre : array-like (3,)
    radius : float
        Scene units, positive.
    inside : bool
        False keeps those outside instead.

    Raises
    ------
    UsageError
        The centre is not three finite numbers, or the radius is not positive.
    """
    c = _vector(centre, "centre")
    if not (radius > 0 and np.isfinite(radius)):
        raise UsageError(f"radius {radius:g}, expected a positive, finite number.")
    away = scene.means.astype(np.float64) - c
    return _keep(scene, np.einsum("ij,ij->i", away, away) <= radius * radius, inside)


def crop_plane(scene: Gaussians, normal: ArrayLike, offset: float, *, inside: bool = True) -> Gaussians:
    """Keep the Gaussians with ``normal . centre >= offset``: the half-space to which the normal points.

    Parameters
    ----------
    scene : Gaussians
    normal : array-like (3,)
        Of any length but zero; it is made a unit vector first.
    offset : float
        Distance of the plane from the origin along the normal, scene units.
    inside : bool
        False keeps the other half-space, without the plane.

    Raises
    ------
    UsageError
        The normal is zero or not finite, or the offset is not finite.
    """
    n = _vector(normal, "normal")
    length = float(np.linalg.norm(n))
    if not (length > 0 and np.isfinite(length) and np.isfinite(offset)):
        raise UsageError(f"plane with normal {_text(n)}, offset {offset:g}: expected a finite vector that is not zero.")
    return _keep(scene, scene.means.astype(np.float64) @ (n / length) >= offset, inside)


def _keep(scene: Gaussians, within: Mask, inside: bool) -> Gaussians:
    return scene.take(within if inside else ~within)


def _vector(value: ArrayLike, what: str, *, infinite: bool = False) -> NDArray[np.float64]:
    vector = np.asarray(value, np.float64)
    if vector.shape != (3,) or np.isnan(vector).any() or not (infinite or np.isfinite(vector).all()):
        raise UsageError(f"{what}: {value!r}, expected 3 {'' if infinite else 'finite '}numbers.")
    return vector


def _text(vector: NDArray[np.float64]) -> str:
    return "(" + ", ".join(f"{v:g}" for v in vector) + ")"
