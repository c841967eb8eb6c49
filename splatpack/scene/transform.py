"""Rotating, scaling, moving and mirroring a scene, view-dependent colour included.

``x' = s R x + t`` with uniform s > 0. SH bands turn with matrices that are solved for in float64 from the basis itself,
as 3DGRUT does; a flip of axes only changes signs and is exact. Rotating a scene without its SH makes highlights wrong.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from splatpack.errors import UsageError
from splatpack.scene.gaussians import FloatArray, Gaussians

Matrix = NDArray[np.float64]

_BLOCK = 1 << 15

_TO_RDF: dict[str, Matrix] = {
    "rdf": np.eye(3),
    "rub": np.diag((1.0, -1.0, -1.0)),
    "luf": np.diag((-1.0, -1.0, 1.0)),
    "z_up": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]),
}
"""Rotations from each frame to ``rdf``. ``z_up`` is right, forward, up: ``rub`` turned by +90 degrees about x."""


def transform(
    scene: Gaussians, *, rotation: ArrayLike | None = None, scale: float = 1.0, translation: ArrayLike | None = None
) -> Gaussians:
    """Return the scene after ``x' = scale * rotation @ x + translation``.

    Means, log-scales, quats, SH bands 1 to 3, ``filter_3D`` and normals (extra columns) follow; ``frame`` stays. Work
    is done block by block in float64; arrays that do not change are shared with ``scene``.

    Parameters
    ----------
    rotation : array-like (3, 3), optional
        Orthonormal within 1e-4, determinant +1 (a mirror is :func:`flip`).
    scale : float
        Uniform, positive. Anything else has no exact answer for SH.
    translation : array-like (3,), optional
        Scene units.

    Raises
    ------
    UsageError
        The rotation is none, or the numbers are not finite, or the scale is not positive.
    """
    turn = np.eye(3) if rotation is None else _checked_rotation(np.asarray(rotation, np.float64))
    move = np.zeros(3) if translation is None else np.asarray(translation, np.float64)
    if move.shape != (3,) or not np.isfinite(move).all():
        raise UsageError(f"translation: shape {move.shape}, expected 3 finite numbers.")
    if not (np.isfinite(scale) and scale > 0):
        raise UsageError(f"scale: {scale}, expected a positive, finite number.")
    arrays: dict[str, Any] = {"means": _affine(scene.means, scale * turn, move)}
    if scale != 1.0:
        arrays["scales"] = scene.scales + np.float32(np.log(scale))
    if not np.array_equal(turn, np.eye(3)):
        arrays["quats"] = _left_multiply(quat_of(turn), scene.quats)
        arrays["shN"] = _turn_sh(scene.shN, sh_rotation(turn, scene.sh_degree))
    arrays["extras"] = _turn_extras(scene, turn, scale)
    return replace(scene, **arrays)


def flip(scene: Gaussians, signs: tuple[int, int, int]) -> Gaussians:
    """Return the scene with coordinate axes reversed where ``signs`` holds -1: exact, mirrors included.

    Raises
    ------
    UsageError
        A sign is not 1 or -1.
    """
    if len(signs) != 3 or any(s not in (1, -1) for s in signs):
        raise UsageError(f"signs: {signs}, expected three of 1 and -1.")
    fx, fy, fz = signs
    quat = np.array([1, fy * fz, fx * fz, fx * fy], np.float32)
    shn = sh_signs(signs)[: scene.shN.shape[1], None].astype(np.float32)
    return replace(
        scene,
        means=scene.means * np.array(signs, np.float32),
        quats=scene.quats * quat,
        shN=scene.shN * shn,
        extras=_turn_extras(scene, np.diag(np.array(signs, np.float64)), 1.0),
    )


def change_frame(scene: Gaussians, frame: str) -> Gaussians:
    """Return the scene in another coordinate frame.

    Parameters
    ----------
    frame : str
        ``rdf``, ``rub``, ``luf`` or ``z_up``. Between the first three only signs change, without any rounding.

    Raises
    ------
    UsageError
        ``frame`` is none of these, or the frame of the scene is not known.
    """
    known = ", ".join(_TO_RDF)
    if frame not in _TO_RDF:
        raise UsageError(f"frame {frame!r}, expected one of {known}.")
    if scene.frame == frame:
        return scene
    if scene.frame not in _TO_RDF:
        raise UsageError(f"the scene's frame is {scene.frame!r}, expected one of {known}. Say which it is first.")
    turn = _TO_RDF[frame].T @ _TO_RDF[scene.frame]
    diagonal = np.diag(turn)
    if np.array_equal(np.abs(diagonal), np.ones(3)):
        fx, fy, fz = (int(v) for v in diagonal)
        return replace(flip(scene, (fx, fy, fz)), frame=frame)
    return replace(transform(scene, rotation=turn), frame=frame)


def sh_basis(directions: ArrayLike, degree: int = 3) -> Matrix:
    """Return the real spherical harmonics of bands 1 to ``degree`` (Condon-Shortley phase; Inria's order and signs).

    Parameters
    ----------
    directions : array-like (N, 3)
        Unit vectors from the camera to the Gaussian.

    Returns
    -------
    float64 (N, (degree + 1)^2 - 1)
    """
    d = np.asarray(directions, np.float64)
    x, y, z = d[:, 0], d[:, 1], d[:, 2]
    xx, yy, zz = x * x, y * y, z * z
    values = [-0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x]
    values += [
        1.0925484305920792 * x * y,
        -1.0925484305920792 * y * z,
        0.31539156525252005 * (2 * zz - xx - yy),
        -1.0925484305920792 * x * z,
        0.5462742152960396 * (xx - yy),
    ]
    values += [
        -0.5900435899266435 * y * (3 * xx - yy),
        2.890611442640554 * x * y * z,
        -0.4570457994644658 * y * (4 * zz - xx - yy),
        0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy),
        -0.4570457994644658 * x * (4 * zz - xx - yy),
        1.445305721320277 * z * (xx - yy),
        -0.5900435899266435 * x * (xx - 3 * yy),
    ]
    return np.stack(values[: (degree + 1) ** 2 - 1], axis=1) if degree else np.empty((len(d), 0))


def sh_rotation(rotation: Matrix, degree: int) -> list[Matrix]:
    """Return the matrices that turn the coefficients of bands 1 to ``degree``, float64 (2l+1, 2l+1) each.

    The new function at a direction d is the old one at R^T d: B(d) D c = B(R^T d) c, solved by least squares over a
    fixed, well spread set of directions.
    """
    i = np.arange(32) + 0.5
    polar, azimuth = np.arccos(1 - 2 * i / 32), np.pi * (1 + 5**0.5) * i
    d = np.stack([np.cos(azimuth) * np.sin(polar), np.sin(azimuth) * np.sin(polar), np.cos(polar)], axis=1)
    here, there = sh_basis(d, degree), sh_basis(d @ rotation, degree)
    bands = [slice(band * band - 1, (band + 1) ** 2 - 1) for band in range(1, degree + 1)]
    return [np.asarray(np.linalg.lstsq(here[:, b], there[:, b])[0], np.float64) for b in bands]


def sh_signs(signs: tuple[int, int, int]) -> NDArray[np.int64]:
    """Return the factors, 1 or -1, of the 15 coefficients of bands 1 to 3 when axes are reversed."""
    probe = np.array([[0.36, 0.48, 0.8]])
    ratio = sh_basis(probe * np.array(signs)) / sh_basis(probe)
    return np.asarray(np.sign(ratio[0]), np.int64)


def quat_of(rotation: Matrix) -> Matrix:
    """Return the unit quaternion (w, x, y, z) of a rotation matrix, float64 (4,), by the largest of its components."""
    m = rotation
    square = np.array(
        [
            1 + m[0, 0] + m[1, 1] + m[2, 2],
            1 + m[0, 0] - m[1, 1] - m[2, 2],
            1 - m[0, 0] + m[1, 1] - m[2, 2],
            1 - m[0, 0] - m[1, 1] + m[2, 2],
        ]
    )
    wx, wy, wz = m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]
    xy, xz, yz = m[0, 1] + m[1, 0], m[0, 2] + m[2, 0], m[1, 2] + m[2, 1]
    rows = ([square[0], wx, wy, wz], [wx, square[1], xy, xz], [wy, xy, square[2], yz], [wz, xz, yz, square[3]])
    q = np.array(rows[int(square.argmax())])
    return np.asarray(q / np.linalg.norm(q))


def _checked_rotation(rotation: Matrix) -> Matrix:
    """Return the nearest exact rotation."""
    if rotation.shape != (3, 3) or not np.isfinite(rotation).all():
        raise UsageError(f"rotation: shape {rotation.shape}, expected 3 x 3 finite numbers.")
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-4 or np.linalg.det(rotation) < 0:
        raise UsageError(
            "rotation: not orthonormal with determinant +1. A mirror is flip(); shear has no exact answer."
        )
    if np.array_equal(np.abs(rotation).sum(axis=0), np.ones(3)):
        return rotation
    u, _, vt = np.linalg.svd(rotation)
    return np.asarray(u @ vt)


def _affine(points: FloatArray, matrix: Matrix, move: Matrix) -> FloatArray:
    out = np.empty_like(points)
    for i in range(0, len(points), _BLOCK):
        out[i : i + _BLOCK] = points[i : i + _BLOCK].astype(np.float64) @ matrix.T + move
    return out


def _left_multiply(q: Matrix, quats: FloatArray) -> FloatArray:
    """Return the Hamilton products ``q (x) quats``, float32 (N, 4)."""
    w, x, y, z = q
    matrix = np.array([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])
    return _affine(quats, matrix, np.zeros(4))


def _turn_sh(shn: FloatArray, bands: list[Matrix]) -> FloatArray:
    out = np.empty_like(shn)
    for i in range(0, len(shn), _BLOCK):
        first = 0
        for band in bands:
            part = slice(first, first + len(band))
            out[i : i + _BLOCK, part] = np.einsum("jk,nkc->njc", band, shn[i : i + _BLOCK, part].astype(np.float64))
            first += len(band)
    return out


def _turn_extras(scene: Gaussians, turn: Matrix, scale: float) -> dict[str, NDArray[Any]]:
    """Return the extra columns, with those that have a direction or a size (normals, ``filter_3D``) turned along."""
    extras = dict(scene.extras)
    if "filter_3D" in extras and scale != 1.0:
        extras["filter_3D"] = (extras["filter_3D"] * scale).astype(extras["filter_3D"].dtype)
    if all(n in extras and extras[n].dtype == np.float32 and extras[n].ndim == 1 for n in ("nx", "ny", "nz")):
        normals = _affine(np.stack([extras[n] for n in ("nx", "ny", "nz")], axis=1), turn, np.zeros(3))
        extras |= {n: np.ascontiguousarray(normals[:, i]) for i, n in enumerate(("nx", "ny", "nz"))}
    return extras
