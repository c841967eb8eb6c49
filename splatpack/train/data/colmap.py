"""COLMAP's sparse models, binary and text: cameras, poses, points. Poses are world to camera, OpenCV axes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import CorruptError, LimitError
from splatpack.limits import Limits
from splatpack.scene.readcameras import MAX_CAMERAS
from splatpack.train.data import colmapbytes, colmaptext
from splatpack.train.data.colmapmodels import CameraRow, ImageRow
from splatpack.train.data.files import plain
from splatpack.train.data.lens import Lens
from splatpack.train.data.listing import Frame, Listing, rigid

PLACES = ("sparse/0", "sparse", "colmap/sparse/0", ".")
"""Where in a data set's folder a model may be."""
PHOTOS = ("images", "input", ".")
MASKS = ("masks",)


def find_model(folder: Path) -> Path | None:
    """Return the folder of the model of a data set, None when there is none."""
    return next((folder / place for place in PLACES if _suffix(folder / place)), None)


def read_colmap(folder: Path, model: Path, limits: Limits) -> Listing:
    """Read a sparse model. Safe on untrusted input.

    Parameters
    ----------
    folder : path
        Of the data set; photos are looked for in its ``images``, masks in its ``masks``.
    model : path
        Of the model, as :func:`find_model` found it.

    Raises
    ------
    CorruptError, TruncatedError, UnsupportedError, LimitError, StorageError
        As the files deserve.
    """
    lenses: dict[int, Lens] = {}
    for camera in _cameras(model, limits):
        if camera.number in lenses:
            raise CorruptError(f"{model}: camera {camera.number} is listed twice, expected once.")
        lenses[camera.number] = camera.lens(str(model))
    frames = [_frame(model, image, lenses) for image in _images(model, limits)]
    photos = tuple(folder / place for place in PHOTOS)
    listing = Listing(model, sorted(frames, key=lambda f: f.name), photos, tuple(folder / m for m in MASKS), "rdf")
    listing.frames = _divided(model, listing.frames)
    points = next((p for p in (model / "points3D.bin", model / "points3D.txt") if p.is_file()), None)
    if points is not None:
        listing.points, listing.colors = read_points3d(points, limits)
    others = [p.name for p in model.parent.iterdir() if p != model and _suffix(p)] if model.name == "0" else []
    if others:
        listing.warnings.append(
            f"{model.parent}: COLMAP split the photos into {len(others) + 1} models; this is the one in {model.name}, "
            f"those in {', '.join(sorted(others)[:5])} are left out."
        )
    return listing


def read_points3d(path: Path, limits: Limits) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return positions and colours of ``points3D.bin`` or ``points3D.txt``, float32 (P, 3); finite rows only.

    Raises
    ------
    CorruptError, TruncatedError, LimitError, StorageError
        As the file deserves.
    """
    if path.suffix == ".txt":
        points, colors = colmaptext.points(colmaptext.Lines(path, limits))
    else:
        points, colors = colmapbytes.points(colmapbytes.load(path, limits))
    good = np.isfinite(points).all(axis=1)
    return points[good], colors[good]


def _suffix(folder: Path) -> str | None:
    """Return ``.bin`` or ``.txt``, whichever a folder's model has; None where it has no model."""
    return next(
        (s for s in (".bin", ".txt") if all((folder / f"{k}{s}").is_file() for k in ("cameras", "images"))), None
    )


def _cameras(model: Path, limits: Limits) -> Iterable[CameraRow]:
    if _suffix(model) == ".bin":
        return colmapbytes.cameras(colmapbytes.load(model / "cameras.bin", limits))
    return colmaptext.cameras(colmaptext.Lines(model / "cameras.txt", limits))


def _images(model: Path, limits: Limits) -> list[ImageRow]:
    found: Iterable[ImageRow]
    if _suffix(model) == ".bin":
        found = colmapbytes.images(colmapbytes.load(model / "images.bin", limits))
    else:
        found = colmaptext.images(colmaptext.Lines(model / "images.txt", limits))
    rows = list(islice(found, MAX_CAMERAS + 1))
    if len(rows) > MAX_CAMERAS:
        raise LimitError(f"{model}: more than {MAX_CAMERAS:,} images, expected fewer. Split the model.")
    return rows


def _frame(model: Path, image: ImageRow, lenses: dict[int, Lens]) -> Frame:
    if image.camera not in lenses:
        raise CorruptError(f"{model}: {image.name[:60]!r} has camera {image.camera}, which is not listed.")
    viewmat = np.eye(4)
    viewmat[:3, :3] = _rotation(image.quat, f"{model}: {image.name[:60]!r}")
    viewmat[:3, 3] = image.translation
    try:
        name = plain(image.name)
    except CorruptError as error:
        raise CorruptError(f"{model}: {error}") from None
    return Frame(name, rigid(viewmat, f"{model}: {name[:60]!r}"), lenses[image.camera])


def _rotation(quat: tuple[float, ...], where: str) -> NDArray[np.float64]:
    """Return the rotation of a quaternion wxyz of any length."""
    length = math.hypot(*quat)
    if not (math.isfinite(length) and length > 1e-9):
        raise CorruptError(f"{where}: quaternion {quat}, expected finite numbers that are not all 0.")
    w, x, y, z = (v / length for v in quat)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _divided(model: Path, frames: list[Frame]) -> list[Frame]:
    """Mark the photos that a ``test.txt`` beside the model names, one a line, as Inria's trainer reads it."""
    path = model / "test.txt"
    if not path.is_file() or path.stat().st_size > 1 << 24:
        return frames
    aside = {line.strip() for line in path.read_text("utf-8", "replace").splitlines() if line.strip()}
    aside |= {Path(name).stem for name in aside}
    return [
        Frame(f.name, f.viewmat, f.lens, f.mask, "test" if {f.name, Path(f.name).stem} & aside else "train")
        for f in frames
    ]
