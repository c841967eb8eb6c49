"""What COLMAP's camera models mean, and the rows of its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from splatpack.errors import CorruptError, UnsupportedError, UsageError
from splatpack.train.data.lens import Lens

MODELS: dict[str, tuple[int, str]] = {
    "SIMPLE_PINHOLE": (0, "f cx cy"),
    "PINHOLE": (1, "fx fy cx cy"),
    "SIMPLE_RADIAL": (2, "f cx cy k1"),
    "RADIAL": (3, "f cx cy k1 k2"),
    "OPENCV": (4, "fx fy cx cy k1 k2 p1 p2"),
    "OPENCV_FISHEYE": (5, "fx fy cx cy k1 k2 k3 k4"),
    "FULL_OPENCV": (6, "fx fy cx cy k1 k2 p1 p2 k3 d1 d2 d3"),
    "FOV": (7, "fx fy cx cy k1"),
    "SIMPLE_RADIAL_FISHEYE": (8, "f cx cy k1"),
    "RADIAL_FISHEYE": (9, "f cx cy k1 k2"),
    "THIN_PRISM_FISHEYE": (10, "fx fy cx cy k1 k2 p1 p2 k3 k4 sx sy"),
}
"""Number and parameters of each model (colmap/src/colmap/sensor/models.h), in the names of :class:`Lens`.

``d1`` to ``d3`` stand below the fraction bar, where OpenCV calls them k4 to k6; the omega of FOV is ``k1``.
"""

_BY_NUMBER = {number: name for name, (number, _) in MODELS.items()}


@dataclass(frozen=True)
class CameraRow:
    """One camera: its number, model, picture size and parameters."""

    number: int
    model: str
    width: int
    height: int
    values: tuple[float, ...]

    def lens(self, where: str) -> Lens:
        """Return the lens.

        Raises
        ------
        CorruptError
            The numbers are none of a lens.
        """
        v = dict(zip(MODELS[self.model][1].split(), self.values, strict=True))
        term = {k: v.get(k, 0.0) for k in ("k1", "k2", "k3", "k4", "d1", "d2", "d3", "p1", "p2", "sx", "sy")}
        fx, fy = (v["f"], v["f"]) if "f" in v else (v["fx"], v["fy"])
        family: Literal["brown", "fisheye", "fov"] = "fisheye" if "FISHEYE" in self.model else "brown"
        try:
            return Lens(
                fx, fy, v["cx"], v["cy"], self.width, self.height, "fov" if self.model == "FOV" else family,
                (term["k1"], term["k2"], term["k3"], term["k4"]), (term["d1"], term["d2"], term["d3"]),
                (term["p1"], term["p2"]), (term["sx"], term["sy"]),
            )  # fmt: skip
        except UsageError as error:
            raise CorruptError(f"{where}: camera {self.number}: {error}") from None


@dataclass(frozen=True)
class ImageRow:
    """One image: its name, its pose (world to camera: quaternion wxyz, translation) and its camera's number."""

    name: str
    quat: tuple[float, ...]
    translation: tuple[float, ...]
    camera: int


def model_of(number: int, where: str) -> str:
    """Return the name of a camera model.

    Raises
    ------
    UnsupportedError
        It is none that is read.
    """
    if number not in _BY_NUMBER:
        raise UnsupportedError(f"{where}: camera model {number}, expected one of {', '.join(MODELS)}.")
    return _BY_NUMBER[number]


def count_of(model: str) -> int:
    """Return how many parameters a model has."""
    return len(MODELS[model][1].split())
