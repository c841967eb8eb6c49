"""gsplat's folder of images, written here from the definition."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from splatpack.errors import (
    CorruptError,
    LimitError,
    SplatpackError,
    StorageError,
    TruncatedError,
    UnsupportedError,
    UsageError,
)
from splatpack.formats.detect import detect
from splatpack.formats.morton import morton_order
from splatpack.formats.registry import read_scene, write_folder
from splatpack.limits import Limits
from splatpack.scene.gaussians import Gaussians
from tests import synth
from tests.test_formats.closeness import assert_close

SIDE = 5


def spread(values: np.ndarray[Any, Any], top: int) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
    low, high = values.min(axis=0), values.max(axis=0)
    levels = np.rint((values - low) / (high - low) * top).astype(np.uint16)
    return levels, {"mins": low.tolist(), "maxs": high.tolist(), "dtype": "float32"}


def picture(levels: np.ndarray[Any, Any]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(levels.astype(np.uint8).reshape(SIDE, SIDE, -1).squeeze()).save(out, "PNG")
    return out.getvalue()


def build(scene: Gaussians) -> dict[str, bytes]:
    """The files of a folder."""
    n = len(scene)
    means = scene.means.astype(np.float64)
    levels, meta = spread(np.sign(means) * np.log1p(np.abs(means)), 65535)
    files = {"means_l.png": picture(levels & 255), "means_u.png": picture(levels >> 8)}
    table: dict[str, Any] = {"means": {"shape": [n, 3], **meta}}
    for name in ("scales", "quats", "opacities", "sh0"):
        column = getattr(scene, name)
        levels, meta = spread(column.reshape(n, -1).astype(np.float64), 255)
        files[f"{name}.png"] = picture(levels)
        table[name] = {"shape": list(column.shape), **meta}
    table["shN"] = {"shape": list(scene.shN.shape), "dtype": "float32"}
    if scene.shN.size:
        flat = scene.shN.reshape(n, -1)
        low, high = float(flat.min()), float(flat.max())
        table["shN"] |= {"mins": low, "maxs": high, "quantization": 6}
        labels = np.arange(n, dtype=np.uint16)[::-1]
        out = io.BytesIO()
        np.savez_compressed(
            out, centroids=np.rint((flat[::-1] - low) / (high - low) * 63).astype(np.uint8), labels=labels
        )
        files["shN.npz"] = out.getvalue()
    files["meta.json"] = json.dumps(table).encode()
    return files


def save(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("degree", [0, 1, 3])
def test_a_folder(tmp_path: Path, degree: int) -> None:
    scene = synth.scene(SIDE * SIDE, degree, seed=3)
    folder = save(tmp_path, build(scene))
    assert detect(folder) == detect(folder / "meta.json") == "png-compression"
    back = read_scene(folder)
    assert back.sh_degree == degree
    assert back.metadata["source"] == {"format": "png-compression"}
    bounds = {"means": 5e-4, "scales": 0.02, "covariances": 0.05, "alphas": 0.02, "sh0": 0.02}
    assert_close(scene, back, **bounds, shN=float(np.ptp(scene.shN)) / 126 * 1.01 if degree else 0.0)
    assert np.array_equal(read_scene(folder / "meta.json").means, back.means)


@pytest.mark.parametrize("degree", [0, 2, 3])
def test_what_we_write_is_read(tmp_path: Path, degree: int) -> None:
    scene = synth.scene(400, degree, seed=3)
    scene = replace(scene, opacities=scene.opacities.clip(-8, 8), antialiased=True)
    said = write_folder(tmp_path, scene, "png-compression", palette=400)
    assert [s.split(":")[0] for s in said] == ["antialiased"]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(set(GOOD) - (set() if degree else {"shN.npz"}))
    back = read_scene(tmp_path)
    want = scene.take(morton_order(scene.means))
    bounds = {"means": 2e-3, "scales": 0.02, "covariances": 0.06, "alphas": 0.02, "sh0": 0.02}
    step = np.abs(want.shN - back.shN).max(initial=0.0)
    assert step <= np.ptp(scene.shN) / 126 * 1.3 if degree else step == 0
    assert_close(want, back, **bounds, shN=step)
    meta = json.loads((tmp_path / "meta.json").read_text())
    assert {name: entry["shape"] for name, entry in meta.items()} == {
        "means": [400, 3], "scales": [400, 3], "quats": [400, 4], "opacities": [400], "sh0": [400, 1, 3],
        "shN": [400, (degree + 1) ** 2 - 1, 3],
    }  # fmt: skip


def test_the_least_opaque_are_left_out(tmp_path: Path) -> None:
    scene = synth.scene(103, 1, seed=3)
    said = write_folder(tmp_path, scene, "png-compression", palette=8)
    assert said == ["3 of 103 Gaussians: left out, the least opaque: their number must be a square."]
    back = read_scene(tmp_path)
    assert len(back) == 100
    kept = np.sort(scene.opacities)[3:]
    assert np.sort(back.opacities) == pytest.approx(kept.clip(-8, 8), abs=0.04)


def test_what_is_clamped_or_cannot_be_written(tmp_path: Path) -> None:
    scene = synth.scene(9, 1)
    scene.scales[:2] = -np.inf
    scene.sh0[0] = 3e4
    scene.shN[:3] = -3e4
    said = write_folder(tmp_path, scene, "png-compression")
    assert [s.split(" of")[0] for s in said] == ["2", "1", "3"]
    with pytest.raises(UnsupportedError, match="0 Gaussians"):
        write_folder(tmp_path, synth.scene(0), "png-compression")
    with pytest.raises(UsageError, match="palette: 0"):
        write_folder(tmp_path, scene, "png-compression", palette=0)
    one = synth.scene(1, 3)
    write_folder(tmp_path, one, "png-compression")
    assert_close(one, read_scene(tmp_path), means=1e-5, scales=1e-5, covariances=1e-5, alphas=1e-5, sh0=1e-5, shN=1.0)


def test_a_flat_channel_is_its_minimum(tmp_path: Path) -> None:
    files = build(synth.scene(SIDE * SIDE, 0))
    meta = json.loads(files["meta.json"])
    meta["scales"]["maxs"] = meta["scales"]["mins"] = [-3.0, -4.0, -5.0]
    back = read_scene(save(tmp_path, files | {"meta.json": json.dumps(meta).encode()}))
    assert (back.scales == [-3.0, -4.0, -5.0]).all()


def test_other_parameters_are_named(tmp_path: Path) -> None:
    files = build(synth.scene(SIDE * SIDE, 0))
    meta = json.loads(files["meta.json"]) | {"../../etc/passwd": {"shape": [25]}}
    back = read_scene(save(tmp_path, files | {"meta.json": json.dumps(meta).encode()}))
    assert back.metadata["source"]["notes"] == ["parameters left out: ../../etc/passwd."]


def bomb(shape: tuple[int, ...], member: str = "labels.npy") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("centroids.npy", "labels.npy"):
            if name == member:
                archive.writestr(name, bytes(1 << 26))
            else:
                inner = io.BytesIO()
                np.save(inner, np.zeros(shape, np.uint8))
                archive.writestr(name, inner.getvalue())
    return out.getvalue()


def pickled() -> bytes:
    out = io.BytesIO()
    np.savez(out, centroids=np.array([{}], dtype=object), labels=np.zeros(25, np.uint16))
    return out.getvalue()


def changed(name: str, key: str, value: Any) -> dict[str, bytes]:
    files = build(synth.scene(SIDE * SIDE, 1))
    meta = json.loads(files["meta.json"])
    meta[name][key] = value
    return files | {"meta.json": json.dumps(meta).encode()}


GOOD = build(synth.scene(SIDE * SIDE, 1))
WIDE = io.BytesIO()
Image.new("RGB", (9000, 5)).save(WIDE, "PNG")


@pytest.mark.parametrize(
    ("files", "error", "message"),
    [
        (GOOD | {"meta.json": b'{"means": {"mins": 1}}'}, CorruptError, "has no scales, quats, opacities, sh0"),
        (GOOD | {"means_l.png": GOOD["means_l.png"][:-40]}, TruncatedError, "means_l.png: does not end"),
        (GOOD | {"means_l.png": WIDE.getvalue()}, CorruptError, "RGB 9000 x 5, expected RGB 5 x 5"),
        (GOOD | {"scales.png": GOOD["quats.png"]}, CorruptError, "RGBA 5 x 5, expected RGB"),
        (GOOD | {"quats.png": b"GIF89a" + GOOD["quats.png"][6:]}, CorruptError, "quats.png: no readable PNG"),
        (GOOD | {"shN.npz": b"PK"}, CorruptError, "shN.npz: no readable archive"),
        (GOOD | {"shN.npz": GOOD["shN.npz"][:-30]}, CorruptError, "shN.npz: no readable archive"),
        (GOOD | {"shN.npz": bomb((3, 9))}, CorruptError, "labels.npy: more than"),
        (GOOD | {"shN.npz": bomb((3, 9), "centroids.npy")}, CorruptError, "centroids.npy: more than"),
        (GOOD | {"shN.npz": pickled()}, CorruptError, "centroids.npy: object"),
        (changed("means", "shape", [26, 3]), CorruptError, "26 Gaussians, expected a square"),
        (changed("means", "shape", [0, 3]), CorruptError, "0 Gaussians, expected a square"),
        (changed("means", "shape", "x"), CorruptError, "means: shape x"),
        (changed("means", "shape", [1 << 50, 3]), CorruptError, "means: shape"),
        (changed("means", "shape", [900_000_000, 3]), LimitError, "900,000,000 declared"),
        (changed("quats", "shape", [25, 3]), CorruptError, r"quats: shape \[25, 3\] for 25"),
        (changed("shN", "shape", [25, 4, 3]), CorruptError, r"shN: shape \[25, 4, 3\]"),
        (changed("shN", "quantization", 9), CorruptError, "quantization 9"),
        (changed("shN", "shape", [25, 8, 3]), CorruptError, "shN.npz"),
        (changed("sh0", "mins", [0.0, 1.0]), CorruptError, "expected 3 finite numbers"),
        (changed("sh0", "maxs", [0.0, 1.0, float("nan")]), CorruptError, "expected 3 finite numbers"),
        (changed("sh0", "maxs", [0.0, 1.0, 10**400]), CorruptError, "expected 3 finite numbers"),
        (GOOD | {"meta.json": GOOD["meta.json"][:-1] + b', "features": {}}'}, UnsupportedError, "network"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, files: dict[str, bytes], error: type[SplatpackError], message: str) -> None:
    with pytest.raises(error, match=message):
        read_scene(save(tmp_path, files))


def test_missing_files(tmp_path: Path) -> None:
    save(tmp_path, GOOD)
    (tmp_path / "scales.png").unlink()
    with pytest.raises(StorageError, match=r"scales\.png"):
        read_scene(tmp_path)


def test_limits(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match="PngCompression scene of 25 Gaussians"):
        read_scene(save(tmp_path, GOOD), limits=Limits(memory=2299))


@pytest.mark.parametrize("name", GOOD)
def test_every_part_of_every_file_matters(tmp_path: Path, name: str) -> None:
    """Any prefix is refused; a flipped byte gives a scene or one of our errors."""
    data = GOOD[name]
    save(tmp_path, GOOD)
    for end in range(0, len(data), max(1, len(data) // 60)):
        (tmp_path / name).write_bytes(data[:end])
        with pytest.raises(SplatpackError):
            read_scene(tmp_path)
    for at in range(0, len(data), max(1, len(data) // 150)):
        (tmp_path / name).write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        try:
            read_scene(tmp_path)
        except SplatpackError:
            continue
