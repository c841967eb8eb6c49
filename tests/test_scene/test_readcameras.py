from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from splatpack.errors import CorruptError, LimitError, SplatpackError, StorageError, UsageError
from splatpack.limits import Limits
from splatpack.scene import jsonvalues, readcameras
from splatpack.scene.cameras import Camera, look_at
from splatpack.scene.readcameras import read_cameras, write_cameras

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def _save(path: Path, value: Any) -> Path:
    file = path / "c.json"
    file.write_text(value if isinstance(value, str) else json.dumps(value))
    return file


def _ring(n: int = 5) -> list[Camera]:
    angles = np.linspace(0, 6, n)
    return [
        look_at((3 * np.cos(a), -1, 3 * np.sin(a)), (0, 0, 0), (0, -1, 0), 1, 320, 200, f"v{a:.1f}") for a in angles
    ]


def _inria(camera: Camera) -> dict[str, Any]:
    return {
        "id": 0,
        "img_name": camera.name,
        "width": camera.width,
        "height": camera.height,
        "position": camera.position.tolist(),
        "rotation": camera.viewmat[:3, :3].T.tolist(),
        "fx": camera.fx,
        "fy": camera.fy,
    }


def _frame(camera: Camera) -> dict[str, Any]:
    pose = np.linalg.inv(camera.viewmat) @ np.diag([1, -1, -1, 1])
    return {"file_path": f"./images/{camera.name}.png", "transform_matrix": pose.tolist()}


def _same(got: list[Camera], want: list[Camera]) -> None:
    assert [c.name for c in got] == [c.name for c in want]
    for a, b in zip(got, want, strict=True):
        assert np.allclose(a.viewmat, b.viewmat, atol=1e-12)
        assert np.allclose((a.fx, a.fy, a.cx, a.cy), (b.fx, b.fy, b.cx, b.cy))
        assert (a.width, a.height) == (b.width, b.height)


def test_our_own_round_trips_exactly(tmp_path: Path) -> None:
    want = _ring()
    got = read_cameras(_save(tmp_path, write_cameras(want)))
    _same(got, want)
    assert all(np.array_equal(a.viewmat, b.viewmat) for a, b in zip(got, want, strict=True))


def test_the_three_layouts_agree(tmp_path: Path) -> None:
    want = _ring()
    _same(read_cameras(_save(tmp_path, [_inria(c) for c in want])), want)
    c = want[0]
    top = {"fl_x": c.fx, "fl_y": c.fy, "cx": c.cx, "cy": c.cy, "w": 320.0, "h": 200}
    _same(read_cameras(_save(tmp_path, {**top, "frames": [_frame(c) for c in want]})), want)
    angles = {"camera_angle_x": 2 * np.arctan(160 / c.fx), "w": 320, "h": 200}
    _same(read_cameras(_save(tmp_path, {**angles, "frames": [_frame(c) for c in want]})), want)
    rows = _frame(c)
    rows["transform_matrix"] = rows["transform_matrix"][:3]
    _same(read_cameras(_save(tmp_path, {**top, "frames": [rows]})), want[:1])


def test_one_object_defaults_and_w2c(tmp_path: Path) -> None:
    item = {"w2c": np.eye(4).tolist(), "fx": 100, "width": 64, "height": 48}
    (camera,) = read_cameras(_save(tmp_path, item))
    assert (camera.fy, camera.cx, camera.cy, camera.name) == (100, 32, 24, "camera_00000")


def test_blender_size_comes_from_the_picture(tmp_path: Path) -> None:
    value = {"camera_angle_x": 0.7, "frames": [{"file_path": "./train/r_0", "transform_matrix": np.eye(4).tolist()}]}
    (camera,) = read_cameras(_save(tmp_path, value))
    assert (camera.width, camera.height, camera.name) == (800, 800, "r_0")
    (tmp_path / "train").mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "train" / "r_0.png")
    (camera,) = read_cameras(_save(tmp_path, value))
    assert (camera.width, camera.height) == (40, 30)


def test_pictures_outside_the_folder_are_not_opened(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "out.png")
    (tmp_path / "in").mkdir()
    for name in ("../out", "../out.png", str(tmp_path / "out.png")):
        value = {"camera_angle_x": 0.7, "frames": [{"file_path": name, "transform_matrix": np.eye(4).tolist()}]}
        (camera,) = read_cameras(_save(tmp_path / "in", value))
        assert (camera.width, camera.name) == (800, "out")


def test_names_are_never_paths_and_unique(tmp_path: Path) -> None:
    names = ["a/0.jpg", "b/0.jpg", "../../etc/passwd", "C:\\x\\y.png", "..", "\x1b[31m", None, 7]
    cameras = [{**_inria(_ring(1)[0]), "img_name": n} for n in names]
    got = [c.name for c in read_cameras(_save(tmp_path, cameras))]
    assert got == ["0", "0_1", "passwd", "y", "camera_00004", "[31m", "camera_00006", "7"]


BROKEN = [
    {"fx": 0},
    {"fx": -5},
    {"fx": "5"},
    {"fx": True},
    {"fx": None},
    {"fx": 10**400},
    {"width": 0},
    {"width": 1.5},
    {"width": 1e9},
    {"height": [3]},
    {"position": [0, 0]},
    {"position": [0, 0, "x"]},
    {"position": {"x": 1}},
    {"rotation": [[1, 0, 0], [0, 1, 0]]},
    {"rotation": [[2, 0, 0], [0, 1, 0], [0, 0, 1]]},
    {"rotation": [[1, 0, 0], [0, 1, 0], [0, 0]]},
    {"rotation": 4},
]


@pytest.mark.parametrize("change", BROKEN)
def test_broken_fields_are_corrupt(tmp_path: Path, change: dict[str, Any]) -> None:
    good = _inria(_ring(1)[0])
    with pytest.raises(CorruptError, match="camera 1: "):
        read_cameras(_save(tmp_path, [good, {**good, **change}]))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "\xff\xfe",
        '[{"position": [0,0,0], "rotation": NaN}]',
        '[{"position": [0,0,0], "rotation": Infinity}]',
        "[" * 200_000,
        '[{"position": 1, "rotation": ' + "9" * 5000 + "}]",
        '[{"viewmat": [[1e999,0,0,0],[0,1,0,0],[0,0,1,0],[0,0,0,1]], "fx":1,"width":1,"height":1}]',
        '[{"viewmat": [[1,0,0,0],[0,1,0,0],[0,0,1,0],[0,0,0,2]], "fx":1,"width":1,"height":1}]',
        '{"camera_angle_x": 7, "w": 5, "h": 5, "frames": [{"transform_matrix": [[1,0,0,0],[0,1,0,0],[0,0,1,0]]}]}',
        '{"w": 5, "h": 5, "frames": [{"transform_matrix": [[1,0,0,0],[0,1,0,0],[0,0,1,0]]}]}',
        '{"frames": [3]}',
    ],
)
def test_broken_texts_are_corrupt(tmp_path: Path, text: str) -> None:
    with pytest.raises(CorruptError):
        read_cameras(_save(tmp_path, text))


@pytest.mark.parametrize("value", [3, [], {}, [3], [[]], {"frames": []}, {"asset": {}}, "null", '"x"'])
def test_other_json_is_named(tmp_path: Path, value: Any) -> None:
    with pytest.raises(UsageError, match="cameras"):
        read_cameras(_save(tmp_path, value))


def test_every_truncation_fails(tmp_path: Path) -> None:
    text = write_cameras(_ring(2)).rstrip()
    for end in range(0, len(text), 7):
        with pytest.raises(SplatpackError):
            read_cameras(_save(tmp_path, text[:end]))


def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = _save(tmp_path, write_cameras(_ring(4)))
    with pytest.raises(LimitError):
        read_cameras(file, Limits(memory=100))
    monkeypatch.setattr(readcameras, "MAX_CAMERAS", 3)
    with pytest.raises(LimitError, match="4 cameras"):
        read_cameras(file)
    monkeypatch.setattr(jsonvalues, "MAX_BYTES", 10)
    with pytest.raises(LimitError, match="MiB"):
        read_cameras(file)


def test_storage_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(StorageError):
            read_cameras(path)


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the real scenes are not here")
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("cameras/mipnerf360_garden_cameras.json", 185),
        ("cameras/tandt_truck_cameras.json", 251),
        ("photos/fox/transforms.json", 50),
        ("photos/lego/transforms_train.json", 50),
    ],
)
def test_real_files(name: str, count: int) -> None:
    cameras = read_cameras(DATA / name)
    assert len(cameras) == count
    assert len({c.name for c in cameras}) == count
    centre = np.mean([c.position for c in cameras], axis=0)
    inward = [float(c.viewmat[2, :3] @ (centre - c.position)) > 0 for c in cameras]
    assert np.mean(inward) > 0.6
