"""SOG: what we write is read; version 1 and the layout of version 2 built here from the definition; bombs and lies."""

from __future__ import annotations

import io
import json
import struct
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from splatpack.errors import (
    CorruptError,
    InvalidSceneError,
    LimitError,
    SplatpackError,
    StorageError,
    TruncatedError,
    UnsupportedError,
    UsageError,
)
from splatpack.formats.detect import detect
from splatpack.formats.registry import read_scene, write_folder, write_scene
from splatpack.formats.sogimage import decode_texture, encode_texture, texture_size
from splatpack.formats.sogwrite import default_palette
from splatpack.limits import Limits
from splatpack.render.compare import compare
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians
from splatpack.scene.transform import change_frame
from splatpack.scene.validate import validate
from tests import synth
from tests.test_formats.closeness import assert_close, decode, encode

BOUNDS = {"means": 1e-3, "scales": 0.12, "covariances": 0.3, "alphas": 0.00197, "sh0": 0.1}
Files = dict[str, bytes]


def files_of(scene: Any, **settings: Any) -> Files:
    """The parts of a scene that we write."""
    with zipfile.ZipFile(io.BytesIO(encode(scene, ".sog", **settings)[0])) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(files: Files, how: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, how)
    return out.getvalue()


def webp(pixels: Any) -> bytes:
    return encode_texture(np.ascontiguousarray(np.asarray(pixels, np.uint8)))


def hand_built(version: int) -> Files:
    """Four Gaussians of SH degree 1: the bytes of each texture spelled out."""
    low = [[0, 0, 0], [255, 255, 255], [0, 0, 128], [0, 0, 0]]
    high = [[0, 0, 0], [255, 255, 255], [128, 128, 127], [0, 0, 0]]
    quats = [[128, 128, 128, 252], [255, 128, 128, 253], [128, 128, 255, 255], [9, 9, 9, 7]]
    colours = [[0, 1, 2, 0], [255, 255, 255, 255], [3, 4, 5, 128], [0, 0, 0, 64]]
    centroids = np.zeros((1, 192, 3))
    centroids[0, 3:6] = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    files = {
        "l.webp": webp([low]), "u.webp": webp([high]), "q.webp": webp([quats]), "s.webp": webp([low]),
        "c.webp": webp([colours]), "p.webp": webp(centroids),
        "i.webp": webp([[[1, 0, 0], [0, 0, 0], [1, 0, 9], [0, 0, 0]]]),
    }  # fmt: skip
    names = {"means": ["l.webp", "u.webp"], "quats": ["q.webp"], "scales": ["s.webp"], "sh0": ["c.webp"]}
    meta: dict[str, Any] = {key: {"files": value} for key, value in names.items()}
    meta["means"] |= {"mins": [-1.0, 0.0, 0.0], "maxs": [1.0, 2.0, 3.0], "shape": [4, 3]}
    meta["shN"] = {"files": ["p.webp", "i.webp"]}
    ramp = [i / 255 for i in range(256)]
    if version == 1:
        meta["scales"] |= {"mins": [-9, -9, -9], "maxs": [0, 0, 0]}
        meta["sh0"] |= {"mins": [0, 0, 0, -8], "maxs": [1, 1, 1, 8]}
        meta["shN"] |= {"mins": 0.0, "maxs": 1.0, "shape": [4, 9]}
    else:
        meta |= {"version": 2, "count": 4, "antialias": True}
        meta["scales"] |= {"codebook": [9 * (r - 1) for r in ramp]}
        meta["sh0"] |= {"codebook": ramp}
        meta["shN"] |= {"codebook": ramp, "count": 2, "bands": 1}
    return files | {"meta.json": json.dumps(meta).encode()}


def save(folder: Path, files: Files) -> Path:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("version", [1, 2])
def test_textures_spelled_by_hand(tmp_path: Path, version: int) -> None:
    scene = read_scene(save(tmp_path, hand_built(version)), normalise=False)
    assert detect(tmp_path) == "sog"
    assert scene.antialiased == (version == 2)
    x = np.expm1(1.0)
    assert scene.means[0] == pytest.approx([-x, 0, 0], rel=1e-6)
    assert scene.means[1] == pytest.approx([x, np.expm1(2.0), np.expm1(3.0)], rel=1e-6)
    assert scene.means[2, 2] == pytest.approx(np.expm1(3 * (127 * 256 + 128) / 65535), rel=1e-6)
    c = 0.5 / 255 * 2**0.5
    side = 0.5 * 2**0.5
    assert scene.quats[0] == pytest.approx([(1 - 3 * c * c) ** 0.5, c, c, c], abs=1e-6)
    assert scene.quats[1] == pytest.approx([side, (1 - 0.5 - 2 * c * c) ** 0.5, c, c], abs=1e-6)
    assert scene.quats[2] == pytest.approx([c, c, side, (1 - 0.5 - 2 * c * c) ** 0.5], abs=1e-6)
    assert scene.quats[3].tolist() == [1, 0, 0, 0]
    assert scene.scales[:2] == pytest.approx(np.array([[-9] * 3, [0] * 3]), abs=1e-5)
    assert scene.sh0[2, 0] == pytest.approx(np.array([3, 4, 5]) / 255)
    alpha = 128 / 255
    want = np.log(alpha / (1 - alpha)) if version == 2 else -8 + 16 * alpha
    assert scene.opacities[2] == pytest.approx(want, abs=1e-5)
    assert np.isfinite(scene.opacities).all()
    assert scene.shN[0] == pytest.approx(np.arange(1, 10).reshape(3, 3) / 255)
    assert (scene.shN[1] == 0).all()


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_round_trip(tmp_path: Path, degree: int) -> None:
    scene = synth.scene(3000, degree, seed=5)
    data, said = encode(scene, ".sog")
    assert said == []
    back = decode(tmp_path, data, ".sog")
    reference = scene.take(_order(scene))
    assert_close(reference, back, **BOUNDS, shN=1.5)
    assert np.abs(reference.scales - back.scales).mean() < 0.012
    assert np.abs(reference.sh0 - back.sh0).mean() < 0.01
    assert compare(reference, back).psnr_mean > 40


def _order(scene: Any) -> Any:
    from splatpack.formats.morton import morton_order

    return morton_order(scene.means)


def test_a_palette_of_all_points_keeps_sh(tmp_path: Path) -> None:
    scene = synth.scene(600, 3, seed=5)
    back = decode(tmp_path, encode(scene, ".sog", palette=600)[0], ".sog")
    step = np.abs(scene.take(_order(scene)).shN - back.shN)
    assert step.mean() < 0.002


def test_folder_and_zip_are_the_same_scene(tmp_path: Path) -> None:
    scene = synth.scene(500, 2, seed=1)
    made = tmp_path / "scene"
    made.mkdir()
    assert write_folder(made, scene, "sog-folder") == []
    one, two = read_scene(made), decode(tmp_path, encode(scene, ".sog")[0], ".sog")
    three = decode(tmp_path, zipped(files_of(scene), zipfile.ZIP_DEFLATED), ".sog")
    for other in (two, three):
        assert all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("means", "quats", "shN"))
    assert one.metadata["source"] == {"format": "sog", "version": 2}
    assert np.array_equal(read_scene(made / "meta.json").means, one.means)


def test_the_same_bytes_for_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = synth.scene(3000, 3)
    many = encode(scene, ".sog")[0]
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0}, raising=False)
    assert encode(scene, ".sog")[0] == many


def test_colours_of_what_is_invisible_survive(tmp_path: Path) -> None:
    scene = synth.scene(64, 0)
    scene.opacities[:] = -12
    back = decode(tmp_path, encode(scene, ".sog")[0], ".sog")
    assert np.abs(back.sh0 - scene.take(_order(scene)).sh0).max() < 0.05
    assert np.isfinite(back.opacities).all()


@pytest.mark.parametrize("frame", ["rub", "z_up"])
def test_frames(tmp_path: Path, frame: str) -> None:
    scene = synth.scene(300, 1)
    plain = decode(tmp_path, encode(scene, ".sog")[0], ".sog")
    turned = decode(tmp_path, encode(change_frame(scene, frame), ".sog")[0], ".sog")
    assert sorted(plain.means[:, 0]) == pytest.approx(sorted(turned.means[:, 0]), abs=1e-3)
    named = decode(tmp_path, encode(scene, ".sog", frame=frame)[0], ".sog", frame=frame)
    assert compare(plain, change_frame(named, "rdf")).psnr_mean > 35


def test_edges(tmp_path: Path) -> None:
    for n in (1, 2, 5, 17):
        scene = synth.scene(n, 1)
        assert_close(scene.take(_order(scene)), decode(tmp_path, encode(scene, ".sog")[0], ".sog"), shN=1.0, **BOUNDS)
    flat = replace(synth.scene(9, 0), means=np.ones((9, 3), np.float32))
    assert decode(tmp_path, encode(flat, ".sog")[0], ".sog").means == pytest.approx(flat.means, rel=1e-6)
    assert decode(tmp_path, encode(replace(flat, antialiased=True), ".sog")[0], ".sog").antialiased


def test_what_is_clamped_or_refused() -> None:
    scene = synth.scene(9, 1)
    scene.scales[:2] = -np.inf
    scene.sh0[0] = 3e4
    scene.shN[:3] = -3e4
    said = encode(scene, ".sog")[1]
    assert [s.split(" of")[0] for s in said] == ["2", "1", "3"]
    with pytest.raises(UnsupportedError, match="0 Gaussians"):
        encode(synth.scene(0), ".sog")
    with pytest.raises(UsageError, match="palette: 65,537"):
        encode(scene, ".sog", palette=65537)
    scene.means[0] = np.nan
    with pytest.raises(InvalidSceneError):
        encode(scene, ".sog")
    many: dict[str, Any] = {}
    for name in ATTRIBUTES:
        row = getattr(scene, name)[:1]
        many[name] = np.broadcast_to(row, (179_000_000, *row.shape[1:]))
    with pytest.raises(UnsupportedError, match="179,000,000 Gaussians: a SOG of more than 178,956,970"):
        encode(Gaussians(**many), ".sog")


def test_progress_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    encode(synth.scene(2000, 1), ".sog", progress=lambda *words: told.append(words))
    assert [stage for stage, done, total in told if done == total] == ["SH palette", "WebP"]
    assert all(0 < done <= total for _, done, total in told)


def test_default_palette_is_that_of_the_reference() -> None:
    counts = {1: 1, 3: 2, 1000: 512, 1024: 1024, 3000: 2048, 53055: 32768, 70_000: 65536, 10**7: 65536}
    assert {n: default_palette(n) for n in counts} == counts


def test_webp_is_exact() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 12, 4), dtype=np.uint8)
    pixels[:4, :, 3] = 0
    data = encode_texture(pixels)
    assert texture_size(data, "x") == (12, 8)
    assert np.array_equal(decode_texture(data, "x", (12, 8)), pixels.reshape(-1, 4))


def test_pictures_of_more_pixels_than_pillow_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes are held to the count and to the budget; a scene of 89 million Gaussians is no bomb."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    scene = synth.scene(3000, 0)
    assert len(decode(tmp_path, encode(scene, ".sog")[0], ".sog")) == 3000
    (tmp_path / "png").mkdir()
    write_folder(tmp_path / "png", scene, "png-compression")
    assert len(read_scene(tmp_path / "png")) == 54**2


GOOD = hand_built(2)


def changed(edit: Callable[[dict[str, Any]], object], version: int = 2) -> Files:
    files = hand_built(version)
    meta = json.loads(files["meta.json"])
    edit(meta)
    return files | {"meta.json": json.dumps(meta).encode()}


def lossy() -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.zeros((1, 4, 3), np.uint8)).save(out, "WEBP")
    return out.getvalue()


def claims(width: int, height: int) -> bytes:
    """A texture whose header says another size."""
    bits = struct.pack("<I", width - 1 | (height - 1) << 14)
    return GOOD["l.webp"][:21] + bits + GOOD["l.webp"][25:]


@pytest.mark.parametrize(
    ("files", "error", "message"),
    [
        (GOOD | {"meta.json": b'{"means": [' + b"[" * 9000}, CorruptError, "no valid JSON"),
        (GOOD | {"meta.json": b'{"means": 1}' + b" " * (1 << 20)}, CorruptError, "at most 1,048,576"),
        (changed(lambda m: m.update(version=3)), UnsupportedError, "version 3"),
        (changed(lambda m: m.update(version=True)), UnsupportedError, "version True"),
        (changed(lambda m: m.update(count=0)), CorruptError, "a count of 0"),
        (changed(lambda m: m.update(count=-1)), CorruptError, "a count of -1"),
        (changed(lambda m: m.update(count=4.0)), CorruptError, "a count of 4.0"),
        (changed(lambda m: m.update(count=1 << 39)), LimitError, "549,755,813,888 declared"),
        (changed(lambda m: m.update(count=5)), CorruptError, "4 x 1 for 5"),
        (changed(lambda m: m.pop("quats")), CorruptError, "quats: None"),
        (changed(lambda m: m.update(scales=[])), CorruptError, r"scales: \[\]"),
        (changed(lambda m: m["sh0"].update(files=["../c.webp"])), CorruptError, "plain file names"),
        (changed(lambda m: m["sh0"].update(files=["/etc/passwd"])), CorruptError, "plain file names"),
        (changed(lambda m: m["sh0"].update(files=[".."])), CorruptError, "plain file names"),
        (changed(lambda m: m["sh0"].update(files=["c.webp"] * 2)), CorruptError, "expected 1 plain"),
        (changed(lambda m: m["sh0"].update(files=["none.webp"])), StorageError, "none.webp"),
        (changed(lambda m: m["sh0"].update(codebook=[0.0] * 255)), CorruptError, "expected 256 finite"),
        (changed(lambda m: m["sh0"].update(codebook=[float("nan")] * 256)), CorruptError, "expected 256 finite"),
        (changed(lambda m: m["sh0"].update(codebook=["1"] * 256)), CorruptError, "expected 256 finite"),
        (changed(lambda m: m["means"].update(mins=[0, 0, 10**400])), CorruptError, "expected 3 finite"),
        (changed(lambda m: m["shN"].update(bands=4)), CorruptError, "4 bands"),
        (changed(lambda m: m["shN"].update(bands=2)), CorruptError, "192 x 1 for 2 entries of SH degree 2"),
        (changed(lambda m: m["shN"].update(count=65)), CorruptError, "192 x 1 for 65"),
        (changed(lambda m: m["shN"].update(count=1)), CorruptError, "labels up to 1, the palette has 1"),
        (changed(lambda m: m["means"].update(shape=[9, 3]), 1), CorruptError, "4 x 1 for 9"),
        (changed(lambda m: m["means"].update(shape="ab"), 1), CorruptError, "a count of None"),
        (changed(lambda m: m["means"].update(shape=4), 1), CorruptError, "a count of None"),
        (changed(lambda m: m["means"].update(shape={"0": 4}), 1), CorruptError, "a count of None"),
        (changed(lambda m: m["sh0"].update(files=["q.webp"])), CorruptError, "one file for two textures"),
        (GOOD | {"l.webp": GOOD["l.webp"][:-1]}, TruncatedError, "the header says"),
        (GOOD | {"l.webp": GOOD["l.webp"] + b"\0\0"}, CorruptError, "the header says"),
        (GOOD | {"l.webp": b"RIFF"}, TruncatedError, "4 bytes"),
        (GOOD | {"l.webp": b"\x89PNG" + GOOD["l.webp"][4:]}, CorruptError, "expected a WebP"),
        (GOOD | {"l.webp": lossy()}, UnsupportedError, "lossless"),
        (GOOD | {"l.webp": claims(16383, 16383)}, CorruptError, "expected 16383 x 16383 as means"),
        (
            GOOD | {n: claims(16383, 16383) for n in GOOD if n not in ("meta.json", "p.webp")}, CorruptError,
            "16383 x 16383 for 4 Gaussians",
        ),
        (GOOD | {"q.webp": claims(8, 1)}, CorruptError, "8 x 1, expected 4 x 1"),
        (GOOD | {"p.webp": claims(192, 16383)}, CorruptError, "192 x 16383"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, files: Files, error: type[SplatpackError], message: str) -> None:
    with pytest.raises(error, match=message):
        read_scene(save(tmp_path, files))


def two_of_one_name() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in [*GOOD, "meta.json"]:
            archive.writestr(name, GOOD[name])
    return out.getvalue()


def bomb() -> bytes:
    """64 MiB of zeros behind the name of a texture, and a directory entry that declares 100 bytes of them."""
    data = bytearray(zipped(GOOD | {"l.webp": bytes(1 << 26)}, zipfile.ZIP_DEFLATED))
    at = data.index(b"PK\x01\x02")
    assert data[at + 46 : at + 52] == b"l.webp"
    data[at + 24 : at + 28] = struct.pack("<I", 100)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (zipped(GOOD)[:-1], CorruptError, "zip"),
        (zipped(GOOD) + b"\0", CorruptError, "bytes follow"),
        (zipped(GOOD | {f"meta.json{i}": b"" for i in range(60)}), CorruptError, "68 members in a directory"),
        (zipped(GOOD | {"x" * 65500: b""}), CorruptError, "in a directory of 65,"),
        (zipped(GOOD)[:-2] + b"\1\0!", CorruptError, "bytes follow"),
        (zipped(GOOD)[:-22] + b"PK\6\7" + bytes(16) + zipped(GOOD)[-22:], UnsupportedError, "64-bit"),
        (zipped(GOOD, zipfile.ZIP_LZMA), UnsupportedError, "zip method 14"),
        (zipped(GOOD, zipfile.ZIP_BZIP2), UnsupportedError, "zip method 12"),
        (b"PK\3\4meta.json", TruncatedError, "13 bytes"),
        (two_of_one_name(), CorruptError, "two members of one name"),
        (zipped({k: v for k, v in GOOD.items() if k != "q.webp"}), CorruptError, r"no q\.webp"),
        (zipped({k: v for k, v in GOOD.items() if k != "meta.json"}), CorruptError, r"no meta\.json"),
        (zipped(GOOD | {"l.webp": bytes(1 << 26)}, zipfile.ZIP_DEFLATED), CorruptError, "expected a WebP"),
        (bomb(), CorruptError, r"l\.webp"),
    ],
)  # fmt: skip
def test_zips(tmp_path: Path, data: bytes, error: type[SplatpackError], message: str) -> None:
    path = tmp_path / "a.sog"
    path.write_bytes(data)
    with pytest.raises(error, match=message):
        read_scene(path)


def test_what_a_zip_declares_raises_no_budget(tmp_path: Path) -> None:
    """The budget follows the bytes on disk: a member that says 2 GiB of itself is refused, not granted more."""
    data = bytearray(zipped(GOOD, zipfile.ZIP_DEFLATED))
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 1 << 31)
    path = tmp_path / "a.sog"
    path.write_bytes(data)
    with pytest.raises(LimitError, match="SOG files wants 2,147"):
        read_scene(path)


def test_limits(tmp_path: Path) -> None:
    path = save(tmp_path, GOOD)
    with pytest.raises(LimitError, match="4 declared"):
        read_scene(path, limits=Limits(gaussians=3))
    with pytest.raises(LimitError, match="SOG files"):
        read_scene(path, limits=Limits(memory=100))
    stored = sum(len(v) for k, v in GOOD.items() if k != "meta.json")
    with pytest.raises(LimitError, match="SOG scene of 4"):
        read_scene(path, limits=Limits(memory=stored + 4 * 92 - 1))
    with pytest.raises(LimitError, match="SOG textures"):
        read_scene(path, limits=Limits(memory=stored + 4 * 92))


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
            read_scene(tmp_path, limits=Limits(memory=8 << 20))
        except SplatpackError:
            continue


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "count", "degree"),
    [("courtyard_lod/3_1", None, 0), ("playcanvas/logo_sog1", 307128, 0), ("playcanvas/playbot_lod/4_0", 8406, 2)],
)
def test_real_files(data_dir: Path, tmp_path: Path, name: str, count: int | None, degree: int) -> None:
    scene = read_scene(data_dir / "splats" / name)
    assert scene.sh_degree == degree
    assert count is None or len(scene) == count
    assert validate(scene)[1].removed == 0
    part = scene.take(slice(0, 5000))
    path = tmp_path / "again.sog"
    with path.open("wb") as file:
        write_scene(file, part, ".sog")
    again = read_scene(path)
    assert compare(part.take(_order(part)), again).psnr_mean > 40
