"""``transforms.json``: nerfstudio's, instant-ngp's, and the pair that Blender scenes have.

Poses are camera to world with OpenGL axes. instant-ngp's ``scale``, ``offset`` and ``aabb_scale`` say how it places the
scene in its own cube and are no part of the poses; nerfstudio's ``applied_transform`` is in them already.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from splatpack.errors import CorruptError, LimitError, UnsupportedError, UsageError
from splatpack.limits import Limits
from splatpack.scene.jsonvalues import angle, load_json, number, pixels
from splatpack.scene.readcameras import MAX_CAMERAS, frame_intrinsics, frame_viewmat
from splatpack.train.data.files import locate, plain
from splatpack.train.data.lens import Lens
from splatpack.train.data.listing import Angle, Frame, Listing, rigid
from splatpack.train.data.points import read_points

Split = Literal["train", "test"]

_PERSPECTIVE = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE", "FULL_OPENCV")
_FISHEYE = ("OPENCV_FISHEYE", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE")


def read_transforms(path: Path, limits: Limits) -> Listing:
    """Read one ``transforms.json``. Safe on untrusted input.

    Raises
    ------
    CorruptError, UnsupportedError, UsageError, LimitError, StorageError
        As the file deserves.
    """
    top = _load(path, limits)
    frames = [_frame(path, k, top, item) for k, item in enumerate(top["frames"])]
    listing = Listing(path, _divided(path, top, frames), (path.parent,), frame="z_up")
    if top.get("ply_file_path") is not None:
        _add_points(listing, top["ply_file_path"], limits)
    return listing


def read_blender(folder: Path, limits: Limits) -> Listing:
    """Read ``transforms_train.json`` and, where it is there, ``transforms_test.json``. Safe on untrusted input."""
    frames: list[Frame] = []
    for split in ("train", "test"):
        path = folder / f"transforms_{split}.json"
        if split == "test" and not path.is_file():
            continue
        top = _load(path, limits)
        frames += [_frame(path, k, top, item, split) for k, item in enumerate(top["frames"])]
    if all(frame.split == "train" for frame in frames):
        frames = [Frame(f.name, f.viewmat, f.lens, f.mask) for f in frames]
    return Listing(folder, frames, (folder,), frame="z_up")


def _load(path: Path, limits: Limits) -> dict[str, Any]:
    top = load_json(str(path), limits)
    if not isinstance(top, dict) or not isinstance(top.get("frames"), list):
        raise UsageError(f"{path}: no list of frames in this JSON, expected a transforms.json.")
    if len(top["frames"]) > MAX_CAMERAS:
        raise LimitError(f"{path}: {len(top['frames']):,} frames, expected at most {MAX_CAMERAS:,}. Split the file.")
    return top


def _frame(path: Path, index: int, top: dict[str, Any], frame: Any, split: Split | None = None) -> Frame:
    where = f"{path}: frame {index}"
    try:
        if not isinstance(frame, dict):
            raise UsageError(f"{type(frame).__name__}, expected an object.")
        item = {**{k: v for k, v in top.items() if k != "frames"}, **frame}
        name = plain(_text(item, "file_path"))
        mask = None if item.get("mask_path") is None else plain(_text(item, "mask_path"))
        return Frame(name, rigid(frame_viewmat(item), name), _lens(item), mask, split)
    except UnsupportedError as error:
        raise UnsupportedError(f"{where}: {error}") from None
    except (UsageError, CorruptError) as error:
        raise CorruptError(f"{where}: {error}") from None


def _text(item: dict[str, Any], key: str) -> str:
    value = item.get(key)
    if not isinstance(value, str):
        raise UsageError(f"{key}: {str(value)[:40]!r}, expected the name of a file.")
    return value


def _lens(item: dict[str, Any]) -> Lens | Angle:
    """Return the lens of a frame; a file without ``w`` and ``h`` means pixels of whatever size the photo has."""
    family = _family(item)
    if "fl_x" not in item:
        plainly = {"w", "h"} & set(item) == set() and not any(_terms(item, ("k1", "k2", "k3", "k4", "p1", "p2")))
        if plainly and "cx" not in item and "cy" not in item:
            wide = angle(item, "camera_angle_x")
            return Angle(wide, angle(item, "camera_angle_y") if "camera_angle_y" in item else None)
    if "w" not in item or "h" not in item:
        raise UsageError("w, h: missing, expected the size of the picture that the other numbers are pixels of.")
    width, height = pixels(item, "w"), pixels(item, "h")
    fx, fy, cx, cy = frame_intrinsics(item, width, height)
    k1, k2, k3, k4, p1, p2 = _terms(item, ("k1", "k2", "k3", "k4", "p1", "p2"))
    if family == "fisheye":
        return Lens(fx, fy, cx, cy, width, height, "fisheye", (k1, k2, k3, k4))
    k5, k6 = _terms(item, ("k5", "k6"))
    if item.get("camera_model") == "FULL_OPENCV":
        return Lens(fx, fy, cx, cy, width, height, "brown", (k1, k2, k3, 0.0), (k4, k5, k6), (p1, p2))
    return Lens(fx, fy, cx, cy, width, height, "brown", (k1, k2, k3, k4), tangential=(p1, p2))


def _terms(item: dict[str, Any], keys: tuple[str, ...]) -> list[float]:
    return [number(item, key, 0.0) for key in keys]


def _family(item: dict[str, Any]) -> str:
    model = item.get("camera_model", "OPENCV")
    if item.get("is_fisheye") is True or model in _FISHEYE:
        return "fisheye"
    if model not in _PERSPECTIVE:
        raise UnsupportedError(f"camera_model {str(model)[:40]!r}, expected {', '.join((*_PERSPECTIVE, *_FISHEYE))}.")
    if item.get("is_equirectangular") is True or item.get("equirectangular") is True or "ftheta_p0" in item:
        raise UnsupportedError("a panorama or f-theta lens, expected a perspective or fisheye camera.")
    return "brown"


def _divided(path: Path, top: dict[str, Any], frames: list[Frame]) -> list[Frame]:
    """Mark the frames that nerfstudio's lists of file names put aside."""
    key = next((k for k in ("test_filenames", "val_filenames") if top.get(k)), None)
    if key is None:
        return frames
    named = top[key]
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise CorruptError(f"{path}: {key}: expected a list of file names.")
    aside = {plain(name) for name in named}
    return [Frame(f.name, f.viewmat, f.lens, f.mask, "test" if f.name in aside else "train") for f in frames]


def _add_points(listing: Listing, name: Any, limits: Limits) -> None:
    if not isinstance(name, str):
        raise CorruptError(f"{listing.source}: ply_file_path: {str(name)[:40]!r}, expected the name of a file.")
    found = locate(listing.photos, plain(name), ())
    if found is None:
        listing.warnings.append(f"{name}: the point cloud that {listing.source.name} names is not there.")
        return
    listing.points, listing.colors = read_points(found, limits)
