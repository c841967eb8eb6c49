"""Lenses: where a ray of a pinhole camera lands in the picture of a real one.

All work is on the plane at z = 1: ``(x, y)`` is where a pinhole camera would see a point, ``(u, v)`` where the lens
puts it; pixels are ``fx u + cx``, ``fy v + cy``. Three families hold every model that is read:

* ``brown``: a rational radial part and a tangential part (Brown 1966; OpenCV's and COLMAP's perspective models);
* ``fisheye``: the same polynomial in the angle to the axis, with a thin prism (Kannala and Brandt 2006; Weng 1992);
* ``fov``: one angle (Devernay and Faugeras 2001).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import UsageError

Floats = NDArray[np.float64]

_SAMPLES = 4096
_WIDEST = math.tan(math.radians(85))
"""How far from the axis a pinhole picture may reach, on the plane at z = 1."""


@dataclass(frozen=True)
class Lens:
    """Intrinsics and distortion of a picture of ``width`` x ``height`` pixels; the first pixel's centre is (0.5, 0.5).

    Attributes
    ----------
    radial : (k1, k2, k3, k4)
        Factors of r^2, r^4, r^6, r^8 (``fisheye``: of the angle instead of r; ``fov``: k1 is the angle omega).
    rational : (k4, k5, k6)
        ``brown`` only: factors of r^2, r^4, r^6 below the fraction bar.
    tangential : (p1, p2)
    prism : (sx, sy)
        ``fisheye`` only: factors of r^2 in x and in y.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    family: Literal["brown", "fisheye", "fov"] = "brown"
    radial: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    rational: tuple[float, float, float] = (0.0, 0.0, 0.0)
    tangential: tuple[float, float] = (0.0, 0.0)
    prism: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        numbers = (self.fx, self.fy, self.cx, self.cy, *self.radial, *self.rational, *self.tangential, *self.prism)
        if not all(math.isfinite(v) for v in numbers) or not (self.fx > 0 and self.fy > 0):
            raise UsageError(f"intrinsics {numbers[:4]}: expected finite numbers and positive focal lengths.")
        if not (1 <= self.width <= 16384 and 1 <= self.height <= 16384):
            raise UsageError(f"picture size {self.width}x{self.height}, expected 1 to 16384 pixels a side.")
        if self.family == "fov" and not 0 <= self.radial[0] < math.pi:
            raise UsageError(f"omega {self.radial[0]}: expected 0 to pi radians.")

    @property
    def straight(self) -> bool:
        """Whether this is a pinhole camera."""
        bent = any((*self.radial, *self.rational, *self.tangential, *self.prism))
        return not bent and self.family != "fisheye"

    def resized(self, width: int, height: int) -> Lens:
        """Return the lens for the same picture at another size."""
        sx, sy = width / self.width, height / self.height
        return replace(
            self, fx=self.fx * sx, fy=self.fy * sy, cx=self.cx * sx, cy=self.cy * sy, width=width, height=height
        )

    def distort(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return where the lens puts points of the plane at z = 1; NaN beyond the radius up to which it is one to one.

        Parameters
        ----------
        x, y : float64, any equal shape
        """
        r2 = x * x + y * y
        r2 = np.where(r2 <= self.reach() ** 2, r2, np.nan)
        if self.family == "fov":
            factor = self._ratio(np.sqrt(r2))
            return x * factor, y * factor
        if self.family == "fisheye":
            r = np.sqrt(r2)
            bend = np.where(r > 1e-9, np.arctan(r) / np.maximum(r, 1e-9), 1.0)
            x, y, r2 = x * bend, y * bend, r2 * bend * bend
        factor = self._polynomial(r2)
        p1, p2 = self.tangential
        u = x * factor + 2 * p1 * x * y + p2 * (r2 + 2 * x * x) + self.prism[0] * r2
        v = y * factor + 2 * p2 * x * y + p1 * (r2 + 2 * y * y) + self.prism[1] * r2
        return u, v

    def undistort(self, u: Floats, v: Floats) -> tuple[Floats, Floats]:
        """Return the points that the lens puts at ``(u, v)``, by Newton's method; NaN where it finds none."""
        x, y = self._first_guess(u, v)
        step = 1e-6
        for _ in range(25):
            fu, fv = self.distort(x, y)
            (ua, va), (ub, vb) = self.distort(x + step, y), self.distort(x, y + step)
            a, b, c, d = (ua - fu) / step, (ub - fu) / step, (va - fv) / step, (vb - fv) / step
            det = a * d - b * c
            with np.errstate(divide="ignore", invalid="ignore"):
                dx, dy = (d * (u - fu) - b * (v - fv)) / det, (a * (v - fv) - c * (u - fu)) / det
            x, y = x + dx, y + dy
        fu, fv = self.distort(x, y)
        found = np.hypot(fu - u, fv - v) < 1e-7
        return np.where(found, x, np.nan), np.where(found, y, np.nan)

    def reach(self) -> float:
        """Return the radius on the plane at z = 1 up to which the radial part grows: beyond, a picture would fold."""
        return _reach(self)

    def _image_radius(self, r: Floats) -> Floats:
        """Return where the radial part alone puts the radius ``r``."""
        if self.family == "fov":
            return r * self._ratio(r)
        t = np.arctan(r) if self.family == "fisheye" else r
        return t * self._polynomial(t * t)

    def _polynomial(self, s: Floats) -> Floats:
        k1, k2, k3, k4 = self.radial
        d1, d2, d3 = self.rational
        above = 1 + s * (k1 + s * (k2 + s * (k3 + s * k4)))
        return above if not any(self.rational) else above / (1 + s * (d1 + s * (d2 + s * d3)))

    def _ratio(self, r: Floats) -> Floats:
        """Return the image radius over the radius for the ``fov`` family."""
        omega = self.radial[0]
        if omega < 1e-6:
            return np.ones_like(r)
        slope = 2 * math.tan(omega / 2)
        return np.where(r > 1e-9, np.arctan(r * slope) / (omega * np.maximum(r, 1e-9)), slope / omega)

    def _first_guess(self, u: Floats, v: Floats) -> tuple[Floats, Floats]:
        """Return the inverse of the radial part, from a table."""
        if self.straight:
            return u, v
        r = np.linspace(0.0, self.reach() * (1 - 1e-6), _SAMPLES)
        image = self._image_radius(r)
        wanted = np.hypot(u, v)
        factor = np.interp(wanted, image, r) / np.maximum(wanted, 1e-12)
        return u * factor, v * factor


@lru_cache(maxsize=1024)
def _reach(lens: Lens) -> float:
    if lens.straight:
        return math.inf
    r = np.linspace(0.0, _WIDEST, _SAMPLES)
    with np.errstate(all="ignore"):
        grows = np.diff(lens._image_radius(r)) > 0
    return _WIDEST if grows.all() else float(r[int(np.argmin(grows))])
