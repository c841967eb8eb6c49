"""COLMAP's sparse models, binary and text, and what happens when they lie."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from splatpack.errors import CorruptError, LimitError, SplatpackError, TruncatedError, UnsupportedError
from splatpack.limits import Limits
from splatpack.train.data import colmap as module
from splatpack.train.data.colmap import find_model, read_colmap, read_points3d
from splatpack.train.data.lens import Lens
from splatpack.train.data.listing import Listing

from .samples import POINTS, colmap_binary, colmap_text, ring, write_colmap

CAMERAS = ring(5)


def put(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def read(folder: Path, files: dict[str, bytes]) -> Listing:
    return read_colmap(folder, put(folder, files), Limits())


@pytest.mark.parametrize("make", [colmap_binary, colmap_text])
def test_reads_cameras_poses_and_points(tmp_path: Path, make: Callable[..., dict[str, bytes]]) -> None:
    listing = read(tmp_path, make(CAMERAS))
    assert [f.name for f in listing.frames] == [f"{c.name}.png" for c in CAMERAS]
    for frame, camera in zip(listing.frames, CAMERAS, strict=True):
        assert np.allclose(frame.viewmat, camera.viewmat, atol=1e-9)
        assert frame.lens == Lens(camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height)
    assert listing.points is not None
    assert listing.colors is not None
    assert np.allclose(listing.points, POINTS[:, :3])
    assert np.allclose(listing.colors, POINTS[:, 3:] / 255)
    assert listing.frame == "rdf"


@pytest.mark.parametrize("place", ["sparse/0", "sparse", "colmap/sparse/0", "."])
def test_finds_the_model(tmp_path: Path, place: str) -> None:
    assert find_model(tmp_path) is None
    write_colmap(tmp_path, colmap_binary(CAMERAS), CAMERAS, place)
    assert find_model(tmp_path) == tmp_path / place


def test_prefers_binary_and_wants_both_files_of_a_kind(tmp_path: Path) -> None:
    text, binary = colmap_text(CAMERAS), colmap_binary(CAMERAS)
    put(tmp_path, {"cameras.bin": binary["cameras.bin"], **{k: text[k] for k in ("cameras.txt", "images.txt")}})
    assert len(read_colmap(tmp_path, tmp_path, Limits()).frames) == 5
    put(tmp_path, {"images.bin": colmap_binary(CAMERAS[:3])["images.bin"]})
    assert len(read_colmap(tmp_path, tmp_path, Limits()).frames) == 3


def test_names_the_models_that_are_left_out(tmp_path: Path) -> None:
    for k in range(3):
        write_colmap(tmp_path, colmap_binary(CAMERAS), CAMERAS, f"sparse/{k}")
    listing = read_colmap(tmp_path, tmp_path / "sparse/0", Limits())
    assert "3 models" in listing.warnings[0]
    assert "1, 2" in listing.warnings[0]


def test_the_split_of_a_test_txt(tmp_path: Path) -> None:
    (tmp_path / "test.txt").write_text("p01.png\np03\n\n")
    splits = [f.split for f in read(tmp_path, colmap_binary(CAMERAS)).frames]
    assert splits == ["train", "test", "train", "test", "train"]


def test_no_points_file_and_no_points(tmp_path: Path) -> None:
    files = colmap_binary(CAMERAS)
    del files["points3D.bin"]
    assert read(tmp_path, files).points is None
    listing = read(tmp_path, colmap_binary(CAMERAS, POINTS[:0]))
    assert listing.points is not None
    assert listing.points.shape == (0, 3)


def test_points_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    points = np.concatenate([POINTS, [[np.nan, 0, 0, 1, 2, 3], [1e300, 0, 0, 1, 2, 3]]])
    for make in (colmap_binary, colmap_text):
        listing = read(tmp_path / make.__name__, make(CAMERAS, points))
        assert listing.points is not None
        assert listing.colors is not None
        assert len(listing.points) == len(listing.colors) == 2


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin", "points3D.bin"])
def test_every_prefix_of_a_binary_file_fails(tmp_path: Path, name: str) -> None:
    files = colmap_binary(CAMERAS[:2])
    put(tmp_path, files)
    for end in range(len(files[name])):
        (tmp_path / name).write_bytes(files[name][:end])
        with pytest.raises(TruncatedError, match=name):
            read_colmap(tmp_path, tmp_path, Limits())


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin", "points3D.bin"])
def test_extra_bytes_fail(tmp_path: Path, name: str) -> None:
    files = colmap_binary(CAMERAS[:2])
    files[name] += b"\0"
    with pytest.raises(CorruptError, match="after the last record"):
        read(tmp_path, files)


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin", "points3D.bin"])
@pytest.mark.parametrize("count", [3, 1 << 20, 1 << 40, (1 << 64) - 1])
def test_counts_that_lie_allocate_nothing(tmp_path: Path, name: str, count: int) -> None:
    files = colmap_binary(CAMERAS[:2])
    files[name] = struct.pack("<Q", count) + files[name][8:]
    with pytest.raises(TruncatedError):
        read(tmp_path, files)


def test_inner_counts_that_lie(tmp_path: Path) -> None:
    for name, offset in (("images.bin", 8 + 64 + 8), ("points3D.bin", 8 + 43)):
        files = colmap_binary(CAMERAS[:2])
        data = bytearray(files[name])
        data[offset : offset + 8] = struct.pack("<Q", 1 << 60)
        files[name] = bytes(data)
        with pytest.raises(TruncatedError):
            read(tmp_path / name, files)


def _camera(model: int, size: tuple[int, int], *values: float) -> bytes:
    return struct.pack(f"<QIiQQ{len(values)}d", 1, 7, model, *size, *values)


def _image(numbers: tuple[float, ...], camera: int, name: bytes) -> bytes:
    return struct.pack("<QI7dI", 1, 1, *numbers, camera) + name + b"\0" + struct.pack("<Q", 0)


STRAIGHT = (1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
BAD: list[tuple[dict[str, bytes], type[SplatpackError], str]] = [
    ({"cameras.bin": _camera(11, (24, 20), *[1.0] * 16)}, UnsupportedError, "camera model 11"),
    ({"cameras.bin": _camera(-1, (24, 20), 1.0)}, UnsupportedError, "camera model -1"),
    ({"cameras.bin": _camera(1, (1 << 40, 20), 5, 5, 1, 1)}, CorruptError, "picture size"),
    ({"cameras.bin": _camera(1, (0, 20), 5, 5, 1, 1)}, CorruptError, "picture size"),
    ({"cameras.bin": _camera(1, (24, 20), float("nan"), 5, 1, 1)}, CorruptError, "intrinsics"),
    ({"cameras.bin": _camera(0, (24, 20), -5, 1, 1)}, CorruptError, "intrinsics"),
    ({"images.bin": _image(STRAIGHT, 8, b"a.png")}, CorruptError, "camera 8"),
    ({"images.bin": _image((0.0,) * 7, 7, b"a.png")}, CorruptError, "quaternion"),
    ({"images.bin": _image((float("nan"), *STRAIGHT[1:]), 7, b"a.png")}, CorruptError, "quaternion"),
    ({"images.bin": _image((*STRAIGHT[:6], float("inf")), 7, b"a.png")}, CorruptError, "NaN or numbers beyond"),
    ({"images.bin": _image(STRAIGHT, 7, b"../../etc/a.png")}, CorruptError, "leaves the folder"),
    ({"images.bin": _image(STRAIGHT, 7, b"/etc/a.png")}, CorruptError, "leaves the folder"),
    ({"images.bin": _image(STRAIGHT, 7, b"\xff\xfe.png")}, CorruptError, "UTF-8"),
    ({"images.bin": _image(STRAIGHT, 7, b"")}, CorruptError, "name of a file"),
    ({"images.bin": _image(STRAIGHT, 7, b"a" * 5000)}, CorruptError, "no end within"),
]


@pytest.mark.parametrize(("files", "error", "text"), BAD, ids=[str(k) for k in range(len(BAD))])
def test_hostile_records(tmp_path: Path, files: dict[str, bytes], error: type[SplatpackError], text: str) -> None:
    with pytest.raises(error, match=text):
        read(tmp_path, {**colmap_binary(CAMERAS), **files})


def test_a_camera_that_is_listed_twice(tmp_path: Path) -> None:
    one = _camera(1, (24, 20), 5, 5, 1, 1)
    with pytest.raises(CorruptError, match="listed twice"):
        read(tmp_path, {**colmap_binary(CAMERAS), "cameras.bin": struct.pack("<Q", 2) + one[8:] * 2})


def test_a_quaternion_of_any_length_is_a_rotation(tmp_path: Path) -> None:
    listing = read(tmp_path, {**colmap_binary(CAMERAS), "images.bin": _image((2.0, *STRAIGHT[1:]), 7, b"a.png")})
    assert np.array_equal(listing.frames[0].viewmat, np.eye(4))


TEXT: list[tuple[dict[str, bytes], type[SplatpackError], str]] = [
    ({"cameras.txt": b"7 PINHOLE 24\n"}, CorruptError, "line 1"),
    ({"cameras.txt": b"7 PINHOLE 24 20 5 5 1\n"}, CorruptError, "fx fy cx cy"),
    ({"cameras.txt": b"7 PINHOLE 24 -20 5 5 1 1\n"}, CorruptError, "line 1"),
    ({"cameras.txt": b"7 PINHOLE 24 20 5 x 1 1\n"}, CorruptError, "line 1"),
    ({"cameras.txt": b"7 MAGIC 24 20 5 5 1 1\n"}, UnsupportedError, "MAGIC"),
    ({"cameras.txt": b"\xff\n"}, CorruptError, "UTF-8"),
    ({"images.txt": b"1 1 0 0 0 0 0 0 7\n\n"}, CorruptError, "line 1"),
    ({"images.txt": b"1 1 0 0 0 0 0 zero 7 a.png\n\n"}, CorruptError, "line 1"),
    ({"images.txt": b"1 1 0 0 0 0 0 0 7 a.png"}, TruncatedError, "no line of points"),
    ({"points3D.txt": b"1 2 3\n"}, CorruptError, "line 1"),
    ({"points3D.txt": b"1 2 3 4 5 red 7 8\n"}, CorruptError, "line 1"),
]


@pytest.mark.parametrize(("files", "error", "text"), TEXT, ids=[str(k) for k in range(len(TEXT))])
def test_hostile_lines(tmp_path: Path, files: dict[str, bytes], error: type[SplatpackError], text: str) -> None:
    with pytest.raises(error, match=text):
        read(tmp_path, {**colmap_text(CAMERAS), **files})


def test_names_may_hold_spaces(tmp_path: Path) -> None:
    line = b"1 1 0 0 0 0 0 0 7 a b/c d.png\n\n"
    assert read(tmp_path, {**colmap_text(CAMERAS), "images.txt": line}).frames[0].name == "a b/c d.png"


def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, colmap_binary(CAMERAS))
    with pytest.raises(LimitError):
        read_points3d(tmp_path / "points3D.bin", Limits(memory=100))
    put(tmp_path, colmap_text(CAMERAS))
    with pytest.raises(LimitError):
        read_points3d(tmp_path / "points3D.txt", Limits(memory=100))
    monkeypatch.setattr(module, "MAX_CAMERAS", 4)
    with pytest.raises(LimitError, match="more than 4 images"):
        read_colmap(tmp_path, tmp_path, Limits())
