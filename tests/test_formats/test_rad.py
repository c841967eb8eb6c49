"""Spark's RAD, built here from its layout: every encoding, chunks in files of their own, levels, lies."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splatpack.errors import CorruptError, LimitError, SplatpackError, StorageError, TruncatedError, UnsupportedError
from splatpack.formats.detect import detect
from splatpack.formats.registry import read_scene
from splatpack.limits import Limits
from splatpack.scene.gaussians import C0, Gaussians
from tests import synth
from tests.test_formats.closeness import assert_close, decode

Property = tuple[dict[str, Any], bytes]


def pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


def head(magic: bytes, fields: dict[str, Any]) -> bytes:
    text = json.dumps(fields).encode()
    return pad(magic + struct.pack("<I", len(text)) + text)


def floats(values: Any, encoding: str = "f32") -> Property:
    """Planar floats, whole or as planes of bytes."""
    kind = "<f4" if encoding.startswith("f32") else "<f2"
    flat = np.ascontiguousarray(values.T, kind).reshape(-1)
    planes = flat.view(np.uint8).reshape(len(flat), -1)
    return {"encoding": encoding}, (planes.T if encoding.endswith("_lebytes") else planes).tobytes()


def levels(values: Any, encoding: str) -> Property:
    low, high = float(values.min()), float(values.max())
    if encoding.startswith("s8"):
        high = float(np.abs(values).max())
        bytes_ = np.rint(values / high * 127).astype(np.int8).view(np.uint8)
    elif encoding == "ln_0r8":
        low = float(values[np.isfinite(values)].min())
        bytes_ = np.where(np.isfinite(values), np.rint((values - low) / (high - low) * 254) + 1, 0).astype(np.uint8)
    else:
        bytes_ = np.rint((values - low) / (high - low) * 255).astype(np.uint8)
    planar = np.ascontiguousarray(bytes_.T)
    if encoding.endswith("_delta"):
        planar = np.diff(planar, axis=1, prepend=np.uint8(0)).astype(np.uint8)
    return {"encoding": encoding, "min": low, "max": high}, planar.tobytes()


def octahedral(quats: Any) -> Property:
    q = quats * np.where(quats[:, :1] < 0, -1, 1)
    axis = q[:, 1:] / np.maximum(np.linalg.norm(q[:, 1:], axis=1, keepdims=True), 1e-12)
    x, y, z = (axis / np.abs(axis).sum(axis=1, keepdims=True)).T
    u = np.where(z < 0, (1 - np.abs(y)) * np.where(x < 0, -1, 1), x)
    v = np.where(z < 0, (1 - np.abs(x)) * np.where(y < 0, -1, 1), y)
    angle = 2 * np.arccos(np.clip(q[:, 0], -1, 1)) / np.pi
    rows = np.stack([(u + 1) / 2, (v + 1) / 2, angle], axis=1) * 255
    return {"encoding": "oct88r8"}, np.rint(rows).astype(np.uint8).tobytes()


def plain(scene: Gaussians) -> dict[str, Property]:
    """All columns as floats."""
    quats = scene.quats * np.where(scene.quats[:, :1] < 0, -1, 1)
    made = {
        "center": floats(scene.means), "alpha": floats(1 / (1 + np.exp(-scene.opacities[:, None]))),
        "rgb": floats(0.5 + np.float32(C0) * scene.sh0[:, 0]), "scales": floats(np.exp(scene.scales)),
        "orientation": floats(quats[:, 1:]),
    }  # fmt: skip
    for band, rows in ((1, slice(0, 3)), (2, slice(3, 8)), (3, slice(8, 15)))[: scene.sh_degree]:
        made[f"sh{band}"] = floats(scene.shN[:, rows].reshape(len(scene), -1))
    return made


def chunk(n: int, columns: dict[str, Property], *, gz: bool = False, **changes: Any) -> bytes:
    payload, listed = b"", []
    for name, (fields, data) in columns.items():
        if gz:
            deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
            data, fields = deflate.compress(data) + deflate.flush(), fields | {"compression": "gz"}
        listed.append({"property": name, "offset": len(payload), "bytes": len(data)} | fields)
        payload += pad(data)
    fields = {"version": 1, "base": 0, "count": n, "payloadBytes": len(payload), "properties": listed} | changes
    return head(b"RADC", fields) + struct.pack("<Q", len(payload)) + payload


def rad(n: int, parts: list[bytes], **changes: Any) -> bytes:
    starts = np.cumsum([0, *(len(c) for c in parts)])
    places = [{"offset": int(start), "bytes": len(c)} for start, c in zip(starts, parts, strict=False)]
    return head(b"RAD0", {"version": 1, "type": "gsplat", "count": n, "chunks": places} | changes) + b"".join(parts)


SCENE = synth.scene(6, 1, seed=2)
HALVES = SCENE.take(slice(0, 3)), SCENE.take(slice(3, 6))
PLAIN = plain(SCENE)
GOOD = rad(6, [chunk(6, PLAIN)])
EXACT = {"scales": 1e-6, "covariances": 1e-5, "alphas": 2e-7, "sh0": 1e-6}


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("gz", [False, True])
def test_floats(tmp_path: Path, degree: int, gz: bool) -> None:
    scene = synth.scene(40, degree)
    chunks = [chunk(25, plain(scene.take(slice(0, 25))), gz=gz), chunk(15, plain(scene.take(slice(25, 40))), gz=gz)]
    back = decode(tmp_path, rad(40, chunks), ".rad")
    assert detect(tmp_path / "scene.rad") == "rad"
    assert back.metadata["source"] == {"format": "rad"}
    assert_close(scene, back, **EXACT)


@pytest.mark.parametrize(
    ("name", "made", "bounds"),
    [
        ("center", lambda s: floats(s.means, "f32_lebytes"), {}),
        ("center", lambda s: floats(s.means, "f16_lebytes"), {"means": 6e-3}),
        ("center", lambda s: floats(s.means, "f16"), {"means": 6e-3}),
        ("alpha", lambda s: levels(1 / (1 + np.exp(-s.opacities[:, None])), "r8"), {"alphas": 0.00197}),
        ("rgb", lambda s: levels(0.5 + C0 * s.sh0[:, 0], "r8"), {"sh0": 0.02}),
        ("rgb", lambda s: levels(0.5 + C0 * s.sh0[:, 0], "r8_delta"), {"sh0": 0.02}),
        ("scales", lambda s: floats(s.scales, "f16") and ({"encoding": "ln_f16"}, floats(s.scales, "f16")[1]),
         {"scales": 5e-3, "covariances": 0.01}),
        ("scales", lambda s: levels(s.scales, "ln_0r8"), {"scales": 0.02, "covariances": 0.05}),
        ("orientation", lambda s: octahedral(s.quats), {"covariances": 0.09}),
        ("sh1", lambda s: levels(s.shN[:, :3].reshape(len(s), -1), "s8"), {"shN": 0.006}),
        ("sh1", lambda s: levels(s.shN[:, :3].reshape(len(s), -1), "s8_delta"), {"shN": 0.006}),
        ("sh1", lambda s: levels(s.shN[:, :3].reshape(len(s), -1), "r8_delta"), {"shN": 0.006}),
    ],
)  # fmt: skip
def test_encodings(tmp_path: Path, name: str, made: Callable[[Gaussians], Property], bounds: dict[str, float]) -> None:
    scene = synth.scene(60, 1, seed=8)
    back = decode(tmp_path, rad(60, [chunk(60, plain(scene) | {name: made(scene)}, gz=True)]), ".rad")
    assert_close(scene, back, **EXACT | bounds)


def test_a_scale_of_zero(tmp_path: Path) -> None:
    scales = SCENE.scales.copy()
    scales[2, 1] = -np.inf
    back = decode(tmp_path, rad(6, [chunk(6, PLAIN | {"scales": levels(scales, "ln_0r8")})]), ".rad")
    assert back.scales[2, 1] == -np.inf
    assert back.scales == pytest.approx(scales, abs=0.02)


def test_leaves_of_levels_are_read(tmp_path: Path) -> None:
    """Children counts say which rows stand for others; their alphas may pass 1."""
    children = np.array([[2], [0], [0], [3], [0], [0]], "<u2")
    alphas = np.full((6, 1), 1.7, np.float32)
    made = PLAIN | {"child_count": ({"encoding": "u16"}, children.tobytes()), "alpha": floats(alphas)}
    back = decode(tmp_path, rad(6, [chunk(6, made)], lodTree=True), ".rad")
    want = replace(SCENE, opacities=np.full(6, 16.6355, np.float32)).take(np.array([1, 2, 4, 5]))
    assert_close(want, back, **EXACT)
    assert back.metadata["source"]["notes"] == ["levels of detail: 2 stand-ins left out."]


def test_chunks_in_files_of_their_own(tmp_path: Path) -> None:
    parts = [chunk(2, plain(SCENE.take(slice(0, 2)))), chunk(4, plain(SCENE.take(slice(2, 6))))]
    for i, data in enumerate(parts):
        (tmp_path / f"c{i}.radc").write_bytes(data)
    data = rad(6, [], chunks=[{"filename": f"c{i}.radc"} for i in range(2)])
    assert_close(SCENE, decode(tmp_path, data, ".rad"), **EXACT)
    assert len(read_scene(tmp_path / "c1.radc")) == 4
    (tmp_path / "c1.radc").unlink()
    with pytest.raises(StorageError):
        read_scene(tmp_path / "scene.rad")


def without(name: str) -> dict[str, Property]:
    return {k: v for k, v in PLAIN.items() if k != name}


def altered(name: str, **fields: Any) -> bytes:
    return rad(6, [chunk(6, PLAIN | {name: (PLAIN[name][0] | fields, PLAIN[name][1])})])


def bomb() -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = deflate.compress(bytes(1 << 26)) + deflate.flush()
    return rad(6, [chunk(6, PLAIN | {"center": ({"encoding": "f32", "compression": "gz"}, data)})])


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (b"RAD0", TruncatedError, "a JSON of 0"),
        (b"RAD0\xff\xff\xff\xff", TruncatedError, "a JSON of 4,294,967,295"),
        (b"RAD0\x02\0\0\0[]", CorruptError, "expected an object"),
        (rad(6, [], version=2), UnsupportedError, "version 2"),
        (rad(6, [], type="mesh"), UnsupportedError, "of mesh"),
        (rad(6, []), CorruptError, "0 chunks"),
        (rad(-1, [chunk(6, PLAIN)]), CorruptError, "count -1"),
        (rad(7, [chunk(6, PLAIN)]), CorruptError, "6 Gaussians in its chunks"),
        (rad(5, [chunk(6, PLAIN)]), CorruptError, "more than the 5"),
        (rad(0, [chunk(0, {k: (f, b"") for k, (f, _) in PLAIN.items()})]), CorruptError, "at least 1"),
        (rad(1 << 39, [chunk(6, PLAIN)]), LimitError, "declared"),
        (rad(400_000_000, [chunk(6, PLAIN)]), LimitError, "rad scene"),
        (rad(6, [], chunks=[{"offset": 0, "bytes": 8}]), TruncatedError, "a chunk of 8 bytes"),
        (rad(6, [chunk(6, PLAIN)], chunks=[{"offset": 8, "bytes": 8}]), CorruptError, "expected at"),
        (rad(6, [], chunks=[{"filename": "../x"}]), CorruptError, "plain name"),
        (rad(6, [], chunks=[{"filename": 3}]), CorruptError, "plain name"),
        (rad(6, [bytes(64)]), CorruptError, "no chunk at byte"),
        (GOOD[:-8], TruncatedError, "a chunk of"),
        (GOOD + bytes(8), CorruptError, "the file at"),
        (rad(6, [chunk(6, PLAIN, payloadBytes=8)]), CorruptError, "a payload of"),
        (rad(6, [chunk(6, PLAIN)[:-8]]), TruncatedError, "a payload of"),
        (rad(6, [chunk(6, PLAIN, count=5)]), CorruptError, "72 bytes, expected 60"),
        (rad(6, [chunk(6, PLAIN, properties=5)]), CorruptError, "properties 5"),
        (rad(6, [chunk(6, without("rgb"))]), CorruptError, "without rgb"),
        (rad(6, [chunk(6, PLAIN | {"sh_label": PLAIN["alpha"]})]), UnsupportedError, "codebook"),
        (rad(6, [chunk(6, PLAIN | {"sh1_code": PLAIN["alpha"]})]), UnsupportedError, "codebook"),
        (altered("center", encoding="r8"), UnsupportedError, "center: encoding 'r8'"),
        (altered("center", encoding=[]), UnsupportedError, "center: encoding"),
        (altered("center", offset=1 << 30), CorruptError, "of a payload of"),
        (altered("center", bytes=-1), CorruptError, "bytes -1"),
        (altered("center", compression="zstd"), UnsupportedError, "compression 'zstd'"),
        (altered("center", compression="gz"), CorruptError, "center:"),
        (altered("center", property="alpha"), CorruptError, "two properties of one name"),
        (
            rad(6, [chunk(6, PLAIN | {"alpha": ({"encoding": "r8", "max": float("nan"), "min": 0}, bytes(6))})]),
            CorruptError, "alpha max",
        ),
        (rad(6, [chunk(6, PLAIN | {"alpha": ({"encoding": "r8", "max": 1}, bytes(6))})]), CorruptError, "alpha min"),
        (bomb(), CorruptError, "does not end with its 72 bytes"),
        (
            rad(6, [chunk(3, plain(HALVES[0])), chunk(3, plain(HALVES[1].with_sh_degree(0)))]),
            CorruptError, "different SH degrees",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, data: bytes, error: type[SplatpackError], message: str) -> None:
    with pytest.raises(error, match=message):
        decode(tmp_path, data, ".rad")


def test_limits(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match="rad scene"):
        decode(tmp_path, GOOD, ".rad", limits=Limits(memory=6 * 92))
    with pytest.raises(LimitError, match="6 declared"):
        decode(tmp_path, GOOD, ".rad", limits=Limits(gaussians=5))
