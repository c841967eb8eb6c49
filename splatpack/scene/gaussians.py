"""The Gaussian scene: a structure of arrays in the field's standard terms and domains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import InvalidSceneError

FloatArray = NDArray[np.float32]

C0 = 0.28209479177387814
"""Value of the constant spherical harmonic: rgb = 0.5 + C0 * sh0."""

FRAMES = ("rdf", "rub", "luf", "z_up", "unknown")
"""Directions of +x, +y, +z: ``rdf`` = right, down, front (COLMAP, Inria PLY), ``rub`` OpenGL, ``luf`` glTF."""

ATTRIBUTES = ("means", "scales", "quats", "opacities", "sh0", "shN")
"""The names of the six attributes, in the order in which files keep them."""

SH_COEFFICIENTS = (0, 3, 8, 15)
"""Coefficients of ``shN`` for SH degree 0 to 3: (degree + 1)^2 - 1."""


@dataclass(frozen=True)
class Gaussians:
    """N anisotropic Gaussians.

    Attributes
    ----------
    means : float32 (N, 3)
        Centres, in scene units, in ``frame``.
    scales : float32 (N, 3)
        Natural logarithm of the standard deviation along each principal axis.
    quats : float32 (N, 4)
        Rotation of the principal axes, (w, x, y, z). Unit length after :func:`splatpack.scene.validate.validate`.
    opacities : float32 (N,)
        Logit of the opacity.
    sh0 : float32 (N, 1, 3)
        Constant spherical-harmonics coefficient, RGB.
    shN : float32 (N, K, 3)
        Coefficients of bands 1 to ``sh_degree``, coefficient-major (band by band, m = -l..l), K = 0, 3, 8 or 15.
    extras : mapping of str to array (N,) or (N, k)
        Further columns, kept as they are (float32, or any integer dtype up to 64 bits).
    frame : str
        One of :data:`FRAMES`.
    antialiased : bool
        The scene was trained with 2D opacity compensation (mip-splatting); renderers must apply it.
    surfels : bool
        The scene came from 2DGS: the third axis is flat.
    metadata : mapping
        Where the scene came from; strings, numbers, lists and maps only.
    """

    means: FloatArray
    scales: FloatArray
    quats: FloatArray
    opacities: FloatArray
    sh0: FloatArray
    shN: FloatArray
    extras: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    frame: str = "rdf"
    antialiased: bool = False
    surfels: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.means)
        want = {"means": (n, 3), "scales": (n, 3), "quats": (n, 4), "opacities": (n,), "sh0": (n, 1, 3)}
        for name in ATTRIBUTES:
            array = getattr(self, name)
            if array.dtype != np.float32:
                raise InvalidSceneError(f"{name}: dtype {array.dtype}, expected float32.")
            if name != "shN" and array.shape != want[name]:
                raise InvalidSceneError(f"{name}: shape {array.shape}, expected {want[name]}.")
        if self.shN.ndim != 3 or self.shN.shape[::2] != (n, 3) or self.shN.shape[1] not in SH_COEFFICIENTS:
            raise InvalidSceneError(f"shN: shape {self.shN.shape}, expected ({n}, 0 | 3 | 8 | 15, 3).")
        for name, column in self.extras.items():
            if len(column) != n or column.ndim not in (1, 2):
                raise InvalidSceneError(f"extra column {name!r}: shape {column.shape}, expected ({n},) or ({n}, k).")
        if self.frame not in FRAMES:
            raise InvalidSceneError(f"frame {self.frame!r}, expected one of {', '.join(FRAMES)}.")

    def __len__(self) -> int:
        return len(self.means)

    @property
    def sh_degree(self) -> int:
        """Degree of the spherical harmonics, 0 to 3."""
        return SH_COEFFICIENTS.index(self.shN.shape[1])

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        columns = [*(getattr(self, name) for name in ATTRIBUTES), *self.extras.values()]
        return sum(int(c.nbytes) for c in columns)

    def take(self, index: NDArray[Any] | slice) -> Gaussians:
        """Return the Gaussians at ``index`` (integers, a boolean mask or a slice), with everything else unchanged."""
        arrays: dict[str, Any] = {name: _rows(getattr(self, name), index) for name in ATTRIBUTES}
        extras = {name: _rows(column, index) for name, column in self.extras.items()}
        return replace(self, **arrays, extras=extras)

    def with_sh_degree(self, degree: int) -> Gaussians:
        """Return the scene with SH bands above ``degree`` dropped.

        Raises
        ------
        InvalidSceneError
            ``degree`` is above what the scene has.
        """
        if not 0 <= degree <= self.sh_degree:
            raise InvalidSceneError(f"SH degree {degree} asked for, the scene has 0 to {self.sh_degree}.")
        return replace(self, shN=np.ascontiguousarray(self.shN[:, : SH_COEFFICIENTS[degree]]))


def _rows(array: NDArray[Any], index: NDArray[Any] | slice) -> NDArray[Any]:
    if isinstance(index, slice) or index.dtype == bool:
        return np.ascontiguousarray(array[index])
    return np.take(array, index, axis=0)


def concatenate(parts: list[Gaussians]) -> Gaussians:
    """Join scenes of the same SH degree and the same extra columns, in order; frame and flags are the first one's.

    Raises
    ------
    InvalidSceneError
        There is no part, or the parts do not have the same columns.
    """
    if not parts:
        raise InvalidSceneError("no scene to concatenate, expected at least one.")
    first = parts[0]
    for part in parts:
        if part.sh_degree != first.sh_degree or set(part.extras) != set(first.extras):
            raise InvalidSceneError("scenes with different SH degrees or extra columns cannot be concatenated.")
    if len(parts) == 1:
        return first
    arrays: dict[str, Any] = {name: np.concatenate([getattr(p, name) for p in parts]) for name in ATTRIBUTES}
    extras = {name: np.concatenate([p.extras[name] for p in parts]) for name in first.extras}
    return replace(first, **arrays, extras=extras)
