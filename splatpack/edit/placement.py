"""Where Gaussians are: moving, turning, scaling and mirroring a scene, its frame, and the order of its rows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from splatpack.errors import UsageError
from splatpack.formats.morton import morton_order
from splatpack.scene.gaussians import Gaussians
from splatpack.scene.transform import change_frame, flip, transform

__all__ = ["change_frame", "mirror", "rotate", "rotation_of", "scale", "sort", "translate"]


def translate(scene: Gaussians, by: ArrayLike) -> Gaussians:
    """Move the scene by a vector (3,), scene units.

    Raises
    ------
    UsageError
        The vector is not three finite numbers.
    """
    return transform(scene, translation=by)


def rotate(scene: Gaussians, by: Sequence[float]) -> Gaussians:
    """Turn the scene about the origin; shapes, normals and the bands of its spherical harmonics turn along.

    Parameters
    ----------
    scene : Gaussians
    by : sequence of float
        See :func:`rotation_of`.

    Raises
    ------
    UsageError
        As :func:`rotation_of`.
    """
    return transform(scene, rotation=rotation_of(by))


def rotation_of(by: Sequence[float]) -> NDArray[np.float64]:
    """Return the rotation matrix of three angles or of a quaternion, float64 (3, 3).

    Parameters
    ----------
    by : sequence of float
        Three: degrees about the fixed axes x, then y, then z (R = Rz Ry Rx, right-handed). Four: a quaternion
        (w, x, y, z) of any length but zero.

    Raises
    ------
    UsageError
        There are neither three nor four finite numbers, or the quaternion is zero.
    """
    values = [float(v) for v in by]
    norm = math.hypot(*values)
    if len(values) not in (3, 4) or not math.isfinite(norm) or (len(values) == 4 and norm == 0):
        raise UsageError(
            f"rotation {tuple(values)}, expected 3 angles in degrees or a quaternion w, x, y, z that is not zero."
        )
    if len(values) == 3:
        return _about(2, values[2]) @ _about(1, values[1]) @ _about(0, values[0])
    w, x, y, z = (v / norm for v in values)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _about(axis: int, degrees: float) -> NDArray[np.float64]:
    """Return the rotation about an axis; a multiple of 90 degrees is exact."""
    quarters, rest = divmod(degrees, 90.0)
    c, s = math.cos(math.radians(rest)), math.sin(math.radians(rest))
    c, s = ((c, s), (-s, c), (-c, -s), (s, -c))[int(quarters % 4)]
    i, j = (axis + 1) % 3, (axis + 2) % 3
    out = np.eye(3)
    out[i, i], out[i, j], out[j, i], out[j, j] = c, -s, s, c
    return out


def scale(scene: Gaussians, by: float) -> Gaussians:
    """Scale the scene about the origin, positions and sizes alike, by a positive factor.

    Raises
    ------
    UsageError
        The factor is not positive and finite.
    """
    return transform(scene, scale=by)


def mirror(scene: Gaussians, axes: str) -> Gaussians:
    """Reverse the axes named in ``axes`` (``"x"``, ``"xz"``...), exactly: only signs change.

    Raises
    ------
    UsageError
        A letter is none of x, y, z, or there is none.
    """
    if not axes or set(axes) - set("xyz"):
        raise UsageError(f"axes {axes!r}, expected some of x, y, z.")
    x, y, z = (-1 if axis in axes else 1 for axis in "xyz")
    return flip(scene, (x, y, z))


def sort(scene: Gaussians) -> Gaussians:
    """Sort the rows along a Morton curve: neighbours in the file are neighbours in space."""
    return scene.take(morton_order(scene.means))
