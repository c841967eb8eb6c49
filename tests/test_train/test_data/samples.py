"""Small data sets on disk: cameras on a ring, photos of noise, in the formats that are read."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from splatpack.scene.cameras import Camera, look_at

SIDE = 20


def ring(count: int = 9, width: int = SIDE + 4, height: int = SIDE) -> list[Camera]:
    angles = np.linspace(0, 5, count)
    return [
        look_at((3 * np.cos(a), -1, 3 * np.sin(a)), (0, 0, 0), (0, -1, 0), 1, width, height, f"p{k:02d}")
        for k, a in enumerate(angles)
    ]


def noise(width: int, height: int, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def save(path: Path, pixels: NDArray[Any], **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def pose(camera: Camera) -> list[list[float]]:
    """Camera to world with OpenGL axes."""
    return [[float(v) for v in row] for row in np.linalg.inv(camera.viewmat) @ np.diag([1, -1, -1, 1])]


def transforms(cameras: Sequence[Camera], **top: Any) -> dict[str, Any]:
    first = cameras[0]
    frames = [{"file_path": f"images/{c.name}.png", "transform_matrix": pose(c)} for c in cameras]
    size = {"w": first.width, "h": first.height, "fl_x": first.fx, "fl_y": first.fy, "cx": first.cx, "cy": first.cy}
    return {**size, **top, "frames": frames}


def write_transforms(folder: Path, value: Mapping[str, Any], channels: int = 3, name: str = "transforms.json") -> Path:
    """Write the JSON, and a photo for each frame."""
    folder.mkdir(parents=True, exist_ok=True)
    for k, frame in enumerate(value["frames"]):
        path = folder / (frame["file_path"] if "." in Path(frame["file_path"]).name else frame["file_path"] + ".png")
        save(path, noise(value.get("w", SIDE + 4), value.get("h", SIDE), channels, k))
    (folder / name).write_text(json.dumps(value))
    return folder


def quat(rotation: NDArray[np.float64]) -> tuple[float, float, float, float]:
    w = np.sqrt(max(0.0, 1 + np.trace(rotation))) / 2
    if w < 1e-3:
        raise ValueError("a half turn: choose another camera")
    x, y, z = ((rotation[2, 1] - rotation[1, 2]), (rotation[0, 2] - rotation[2, 0]), (rotation[1, 0] - rotation[0, 1]))
    return float(w), float(x / 4 / w), float(y / 4 / w), float(z / 4 / w)


POINTS = np.array([[0.1, 0.2, 0.3, 255, 0, 51], [-1, 2, 4, 0, 102, 255]], np.float64)


def colmap_binary(cameras: Sequence[Camera], points: NDArray[np.float64] = POINTS) -> dict[str, bytes]:
    first = cameras[0]
    data = struct.pack("<Q", 1)
    data += struct.pack("<IiQQ4d", 7, 1, first.width, first.height, first.fx, first.fy, first.cx, first.cy)
    images = struct.pack("<Q", len(cameras))
    for k, c in enumerate(cameras):
        images += struct.pack("<I7dI", k + 1, *quat(c.viewmat[:3, :3]), *c.viewmat[:3, 3], 7)
        images += f"{c.name}.png".encode() + b"\0" + struct.pack("<Q2dQ", 1, 3.0, 4.0, 2**64 - 1)
    cloud = struct.pack("<Q", len(points))
    for k, row in enumerate(points):
        cloud += struct.pack("<Q3d3BdQ2I", k, *row[:3], *(int(v) for v in row[3:]), 0.5, 1, 1, 0)
    return {"cameras.bin": data, "images.bin": images, "points3D.bin": cloud}


def colmap_text(cameras: Sequence[Camera], points: NDArray[np.float64] = POINTS) -> dict[str, bytes]:
    first = cameras[0]
    camera = f"# list\n7 PINHOLE {first.width} {first.height} {first.fx!r} {first.fy!r} {first.cx!r} {first.cy!r}\n"
    images = "# two lines each\n"
    for k, c in enumerate(cameras):
        numbers = " ".join(repr(float(v)) for v in (*quat(c.viewmat[:3, :3]), *c.viewmat[:3, 3]))
        images += f"{k + 1} {numbers} 7 {c.name}.png\n{'' if k % 2 else '3.0 4.0 -1'}\n"
    cloud = "".join(
        f"{k} {row[0]!r} {row[1]!r} {row[2]!r} {int(row[3])} {int(row[4])} {int(row[5])} 0.5 1 0\n"
        for k, row in enumerate(points.tolist())
    )
    return {"cameras.txt": camera.encode(), "images.txt": images.encode(), "points3D.txt": cloud.encode()}


def write_colmap(folder: Path, files: Mapping[str, bytes], cameras: Sequence[Camera], place: str = "sparse/0") -> Path:
    (folder / place).mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / place / name).write_bytes(data)
    for k, c in enumerate(cameras):
        save(folder / "images" / f"{c.name}.png", noise(c.width, c.height, 3, k))
    return folder
