"""glTF 2.0 with ``KHR_gaussian_splatting``: writing one ``.glb``, plain or with an SPZ inside."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import UnsupportedError
from splatpack.formats.blocks import rows_outside, to_u8, turned
from splatpack.formats.losses import Losses
from splatpack.formats.spzwrite import write_spz
from splatpack.scene.gaussians import C0, FloatArray, Gaussians
from splatpack.scene.transform import change_frame
from splatpack.scene.validate import SCALE_LIMIT

BASE = "KHR_gaussian_splatting"
PREFIX = BASE + ":"
SPZ_2 = BASE + "_compression_spz_2"
SPZ = BASE + "_compression_spz"
ALSO_SPZ = "KHR_spz_gaussian_splats_compression"
"""What the first draft was called; it sits on the primitive itself."""

_GLB_LIMIT = (1 << 32) - 1
_FLOAT, _BYTE = 5126, 5121
_ARRAY_BUFFER = 34962
_TYPES = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}
_POINTS = 0


def write_gltf(
    file: BinaryIO, scene: Gaussians, losses: Losses, *, frame: str, version: int | None = None
) -> None:  # fmt: skip
    """Write ``scene`` as a binary glTF with one node, one mesh, one primitive of points.

    Viewers that do not know the extension show the points in ``COLOR_0``. Memory: the file once.

    Parameters
    ----------
    file : binary file
        Is written from where it stands, and left open.
    scene : Gaussians
        Without extra columns: they are not written.
    losses : Losses
    frame : str
        The frame to turn to; ``luf`` is that of glTF.
    version : int, optional
        Store the splats as SPZ of this version (``KHR_gaussian_splatting_compression_spz_2`` for version 2, the name
        that drafts had without a number for others). Default: plain float32 accessors, which lose nothing.

    Raises
    ------
    UnsupportedError
        The scene is empty, or the file would pass the 4 GiB of a ``.glb``.
    InvalidSceneError
        The scene holds NaN or infinite positions.
    """
    if not len(scene):
        raise UnsupportedError("0 Gaussians: glTF has no empty accessors, expected at least 1.")
    columns = _columns(scene)
    if version is None:
        views = {name: _packed(len(scene), width, kind) for name, (width, kind) in columns.items()}
        if sum(v.nbytes for v in views.values()) + (1 << 20) > _GLB_LIMIT:
            raise UnsupportedError(f"{len(scene):,} Gaussians: a .glb ends at 4 GiB. Split the scene, or use SPZ.")
        for start, part in turned(scene, frame):
            _fill(views, slice(start, start + len(part)), part, losses)
        bounds = [views["POSITION"].min(axis=0), views["POSITION"].max(axis=0)]
        blobs: Sequence[memoryview] = [v.data.cast("B") for v in views.values()]
        tree = _tree(len(scene), columns, bounds, None)
    else:
        packed = io.BytesIO()
        write_spz(packed, scene, losses, frame=frame, version=version)
        blobs = [packed.getbuffer()]
        tree = _tree(len(scene), columns, _bounds(scene, frame), SPZ_2 if version == 2 else SPZ)
    _write_glb(file, tree, blobs)


def _columns(scene: Gaussians) -> dict[str, tuple[int, int]]:
    """Return width and component type of each attribute, in the order of the file."""
    names = {"POSITION": (3, _FLOAT), PREFIX + "ROTATION": (4, _FLOAT), PREFIX + "SCALE": (3, _FLOAT)}
    names |= {PREFIX + "OPACITY": (1, _FLOAT), PREFIX + "SH_DEGREE_0_COEF_0": (3, _FLOAT)}
    for band in range(1, scene.sh_degree + 1):
        names |= {f"{PREFIX}SH_DEGREE_{band}_COEF_{c}": (3, _FLOAT) for c in range(2 * band + 1)}
    return names | {"COLOR_0": (4, _BYTE)}


def _packed(count: int, width: int, kind: int) -> NDArray[Any]:
    return np.empty((count, width), "<f4" if kind == _FLOAT else "u1")


def _fill(views: dict[str, NDArray[Any]], rows: slice, part: Gaussians, losses: Losses) -> None:
    """Write a block, which is in the frame of the file and has unit quats, to its rows."""
    losses.count(f"log-scale above {SCALE_LIMIT:g}, clamped", rows_outside(part.scales, -np.inf, SCALE_LIMIT))
    with np.errstate(over="ignore"):
        alpha = np.float32(1) / (np.float32(1) + np.exp(-part.opacities))
    views["POSITION"][rows] = part.means
    views[PREFIX + "ROTATION"][rows] = part.quats[:, (1, 2, 3, 0)]
    views[PREFIX + "SCALE"][rows] = np.exp(np.minimum(part.scales, np.float32(SCALE_LIMIT)))
    views[PREFIX + "OPACITY"][rows, 0] = alpha
    views[PREFIX + "SH_DEGREE_0_COEF_0"][rows] = part.sh0[:, 0]
    at = 0
    for band in range(1, part.sh_degree + 1):
        for c in range(2 * band + 1):
            views[f"{PREFIX}SH_DEGREE_{band}_COEF_{c}"][rows] = part.shN[:, at]
            at += 1
    views["COLOR_0"][rows, :3] = to_u8(np.float32(255) * _linear(np.float32(0.5) + np.float32(C0) * part.sh0[:, 0]))
    views["COLOR_0"][rows, 3] = to_u8(np.float32(255) * alpha)


def _linear(display: FloatArray) -> FloatArray:
    """Return sRGB display values as the linear light that COLOR_0 holds (IEC 61966-2-1)."""
    c = np.clip(display, 0, 1)
    out = np.where(c <= 0.04045, c / np.float32(12.92), ((c + np.float32(0.055)) / np.float32(1.055)) ** 2.4)
    return np.asarray(out, np.float32)


def _bounds(scene: Gaussians, frame: str) -> list[FloatArray]:
    """Return lowest and highest position in ``frame``: all frames are turns by right angles."""
    ends = scene.take(np.array([0, 0]))
    ends.means[0], ends.means[1] = scene.means.min(axis=0), scene.means.max(axis=0)
    means = (ends if scene.frame in (frame, "unknown") else change_frame(ends, frame)).means
    return [means.min(axis=0), means.max(axis=0)]


def _tree(
    count: int, columns: dict[str, tuple[int, int]], bounds: list[FloatArray], compression: str | None
) -> dict[str, Any]:
    """Return the JSON without its buffer; accessors of a compressed cloud have no data of their own."""
    accessors: list[dict[str, Any]] = []
    for i, (name, (width, kind)) in enumerate(columns.items()):
        accessor = {"componentType": kind, "count": count, "type": _TYPES[width]}
        accessor |= {} if compression else {"bufferView": i}
        accessor |= {"normalized": True} if kind == _BYTE else {}
        if name == "POSITION":
            accessor |= {"min": bounds[0].tolist(), "max": bounds[1].tolist()}
        accessors.append(accessor)
    kind_of_splat: dict[str, Any] = {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}
    if compression:
        kind_of_splat["extensions"] = {compression: {"bufferView": 0}}
    primitive = {
        "mode": _POINTS, "attributes": {name: i for i, name in enumerate(columns)},
        "extensions": {BASE: kind_of_splat},
    }  # fmt: skip
    used = [BASE, compression] if compression else [BASE]
    return {
        "asset": {"version": "2.0", "generator": "splatpack"}, "extensionsUsed": used,
        **({"extensionsRequired": used} if compression else {}),
        "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}], "meshes": [{"primitives": [primitive]}],
        "accessors": accessors,
    }  # fmt: skip


def _write_glb(file: BinaryIO, tree: dict[str, Any], blobs: Sequence[memoryview]) -> None:
    """Write header, JSON chunk and binary chunk; every view starts at a multiple of four bytes."""
    views, at = [], 0
    for blob in blobs:
        view = {"buffer": 0, "byteOffset": at, "byteLength": len(blob)}
        views.append(view if len(blobs) == 1 else view | {"target": _ARRAY_BUFFER})
        at += -(-len(blob) // 4) * 4
    if at > _GLB_LIMIT - (1 << 20):
        raise UnsupportedError(f"{at:,} bytes: a .glb ends at 4 GiB. Split the scene.")
    tree |= {"bufferViews": views, "buffers": [{"byteLength": at}]}
    text = json.dumps(tree, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    file.write(struct.pack("<4sII", b"glTF", 2, 28 + len(text) + at))
    file.write(struct.pack("<II", len(text), 0x4E4F534A) + text)
    file.write(struct.pack("<II", at, 0x004E4942))
    for blob in blobs:
        file.write(blob)
        file.write(bytes(-len(blob) % 4))
