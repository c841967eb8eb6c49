"""Cameras from JSON: Inria's ``cameras.json``, nerfstudio, instant-ngp and Blender ``transforms.json``, and our own.

Lens distortion (k1, k2, p1, p2) is not modelled and not read: a splat renderer draws pinhole pictures.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import CorruptError, LimitError, UsageError
from splatpack.limits import Limits
from splatpack.scene.cameras import Camera
from splatpack.scene.jsonvalues import angle, load_json, matrix, number, pixels

MAX_CAMERAS = 100_000
BLENDER_SIZE = 800
"""Side of the pictures of the NeRF-synthetic scenes, whose files do not state it."""

_CAMERA_BYTES = 1024
Builder = Callable[[dict[str, Any]], Camera]

_OPENGL = np.array([1.0, -1.0, -1.0])


def read_cameras(path: str | os.PathLike[str], limits: Limits | None = None) -> list[Camera]:
    """Read the cameras of a JSON file. Safe on untrusted input.

    Parameters
    ----------
    path : path-like
        One of: a list of objects with ``position`` and ``rotation`` (camera to world, OpenCV axes) as Inria's trainer
        writes; an object with ``frames`` whose ``transform_matrix`` is camera to world with OpenGL axes; one object or
        a list of objects with ``viewmat`` (or ``w2c``: world to camera, OpenCV axes), ``fx``, ``fy``, ``cx``, ``cy``,
        ``width``, ``height``, ``name``.
    limits : Limits, optional
        The budget of the read. Default: ``Limits()``.

    Returns
    -------
    list of Camera
        In file order. Names are file names without folder and suffix, made unique; never a path.

    Raises
    ------
    CorruptError
        The text is no JSON, a field is missing, no finite number, or no pinhole camera.
    UsageError
        The JSON holds something else than cameras, or none at all.
    LimitError
        More than 64 MiB or 100,000 cameras.
    StorageError
        The file cannot be read.
    """
    name = os.fspath(path)
    value = load_json(name, limits or Limits())
    items = value if isinstance(value, list) else [value]
    first = items[0] if items else None
    build: Builder
    if isinstance(value, dict) and isinstance(value.get("frames"), list):
        build, items = _Transforms(name, value), value["frames"]
    elif isinstance(value, dict) and isinstance(value.get("cameras"), list):
        build, items = _own, value["cameras"]
    elif isinstance(first, dict) and {"position", "rotation"} <= set(first):
        build = _inria
    elif isinstance(first, dict) and ({"viewmat"} <= set(first) or {"w2c"} <= set(first)):
        build = _own
    else:
        raise UsageError(
            f"{name}: no cameras in this JSON, expected cameras.json (position, rotation), transforms.json (frames) or "
            "objects with viewmat, fx, fy, cx, cy, width, height."
        )
    if not items:
        raise UsageError(f"{name}: 0 cameras, expected at least 1.")
    if len(items) > MAX_CAMERAS:
        raise LimitError(f"{name}: {len(items):,} cameras, expected at most {MAX_CAMERAS:,}. Split the file.")
    return _unique([_one(name, i, build, item) for i, item in enumerate(items)])


def write_cameras(cameras: Sequence[Camera]) -> str:
    """Return cameras as JSON text that :func:`read_cameras` reads back without loss, ending in a line feed."""
    rows = [
        {
            "name": c.name,
            "viewmat": [[float(v) for v in row] for row in c.viewmat],
            "fx": float(c.fx),
            "fy": float(c.fy),
            "cx": float(c.cx),
            "cy": float(c.cy),
            "width": int(c.width),
            "height": int(c.height),
        }
        for c in cameras
    ]
    return "[\n" + ",\n".join(json.dumps(row, allow_nan=False) for row in rows) + "\n]\n"


def _one(name: str, index: int, build: Builder, item: Any) -> Camera:
    try:
        if not isinstance(item, dict):
            raise UsageError(f"{type(item).__name__}, expected an object.")
        return build(item)
    except UsageError as error:
        raise CorruptError(f"{name}: camera {index}: {error}") from None


def _inria(item: dict[str, Any]) -> Camera:
    """``rotation`` is camera to world, row by row; the principal point is the centre of the picture."""
    width, height = pixels(item, "width"), pixels(item, "height")
    viewmat = _inverse(matrix(item, "rotation", (3, 3)), matrix(item, "position", (3,)))
    fx, fy = number(item, "fx"), number(item, "fy")
    return Camera(viewmat, fx, fy, width / 2, height / 2, width, height, _label(item.get("img_name")))


def _own(item: dict[str, Any]) -> Camera:
    viewmat = matrix(item, "viewmat" if "viewmat" in item else "w2c", (4, 4))
    if np.abs(viewmat[3] - (0, 0, 0, 1)).max() > 1e-6:
        raise UsageError("viewmat: last row is not 0 0 0 1, expected a rigid world-to-camera matrix.")
    width, height = pixels(item, "width"), pixels(item, "height")
    fx = number(item, "fx")
    fy, cx, cy = number(item, "fy", fx), number(item, "cx", width / 2), number(item, "cy", height / 2)
    return Camera(viewmat, fx, fy, cx, cy, width, height, _label(item.get("name")))


class _Transforms:
    """Builds cameras from the frames of a ``transforms.json``: intrinsics per frame, else those on top."""

    def __init__(self, name: str, top: dict[str, Any]) -> None:
        self.folder = Path(name).parent
        self.top = {k: v for k, v in top.items() if k != "frames"}
        self.known: tuple[int, int] | None = None

    def __call__(self, frame: dict[str, Any]) -> Camera:
        item = {**self.top, **frame}
        width, height = self._picture_size(item)
        fx, fy, cx, cy = frame_intrinsics(item, width, height)
        return Camera(frame_viewmat(item), fx, fy, cx, cy, width, height, _label(item.get("file_path")))

    def _picture_size(self, item: dict[str, Any]) -> tuple[int, int]:
        """Return the stated size, else that of the first picture beside the file, else Blender's 800 x 800."""
        if "w" in item and "h" in item:
            return pixels(item, "w"), pixels(item, "h")
        if self.known is None:
            self.known = self._look(item.get("file_path")) or (BLENDER_SIZE, BLENDER_SIZE)
        return self.known

    def _look(self, file_path: Any) -> tuple[int, int] | None:
        """Return the size of a picture inside the folder; only its header is read."""
        if not isinstance(file_path, str) or "\0" in file_path or len(file_path) > 1024:
            return None
        folder = self.folder.resolve()
        for suffix in ("", ".png", ".jpg"):
            try:
                picture = (folder / (file_path + suffix)).resolve()
                if picture.is_relative_to(folder) and picture.is_file():
                    return _image_size(picture)
            except OSError:
                return None
        return None


def frame_viewmat(item: dict[str, Any]) -> NDArray[np.float64]:
    """Return the world-to-camera matrix (OpenCV axes) of a frame of a ``transforms.json``, float64 (4, 4).

    Raises
    ------
    UsageError
        ``transform_matrix`` is no matrix of numbers; whether it is rigid is not looked at.
    """
    rows = item.get("transform_matrix")
    pose = matrix(item, "transform_matrix", (3, 4) if isinstance(rows, list) and len(rows) == 3 else (4, 4))
    return _inverse(pose[:3, :3] * _OPENGL, pose[:3, 3])


def frame_intrinsics(item: dict[str, Any], width: int, height: int) -> tuple[float, float, float, float]:
    """Return fx, fy, cx, cy of a frame of a ``transforms.json``, pixels of a picture of this size.

    Raises
    ------
    UsageError
        A field is missing or is no finite number.
    """
    fx = number(item, "fl_x") if "fl_x" in item else width / 2 / math.tan(angle(item, "camera_angle_x") / 2)
    fy = number(item, "fl_y", fx)
    if "fl_y" not in item and "camera_angle_y" in item:
        fy = height / 2 / math.tan(angle(item, "camera_angle_y") / 2)
    return fx, fy, number(item, "cx", width / 2), number(item, "cy", height / 2)


def _image_size(path: Path) -> tuple[int, int] | None:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            return image.width, image.height
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _inverse(rotation: NDArray[np.float64], position: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the world-to-camera matrix of a camera-to-world pose."""
    viewmat = np.eye(4)
    viewmat[:3, :3] = rotation.T
    viewmat[:3, 3] = -rotation.T @ position
    return viewmat


def _label(value: Any) -> str:
    """Return a plain name: no folder, no suffix of a picture, nothing that a terminal or a file system acts on."""
    name = PurePosixPath(str(value if value is not None else "").replace("\\", "/")).name
    stem, dot, suffix = name.rpartition(".")
    if dot and suffix.lower() in ("png", "jpg", "jpeg", "webp", "exr", "tif", "tiff"):
        name = stem
    return "".join(c for c in name if c.isprintable() and c not in '<>:"|?*').strip(". ")[:100]


def _unique(cameras: list[Camera]) -> list[Camera]:
    """Number cameras without a name, and those whose name was taken."""
    seen: set[str] = set()
    out = []
    for i, camera in enumerate(cameras):
        name = camera.name or f"camera_{i:05d}"
        while name in seen:
            name = f"{name}_{i}"
        seen.add(name)
        out.append(camera if name == camera.name else replace(camera, name=name))
    return out
