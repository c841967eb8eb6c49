"""transforms.json of nerfstudio, instant-ngp and Blender."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splatpack.errors import CorruptError, LimitError, SplatpackError, UnsupportedError, UsageError
from splatpack.limits import Limits
from splatpack.train.data import transforms as module
from splatpack.train.data.lens import Lens
from splatpack.train.data.listing import Angle, Listing
from splatpack.train.data.transforms import read_blender, read_transforms

from .samples import pose, ring, transforms, write_transforms


def read(folder: Path, value: Any) -> Listing:
    path = folder / "transforms.json"
    path.write_text(json.dumps(value))
    return read_transforms(path, Limits())


def lens_of(folder: Path, **top: Any) -> Lens | Angle:
    return read(folder, {**transforms(ring(1)), **top}).frames[0].lens


def test_poses_and_names(tmp_path: Path) -> None:
    cameras = ring()
    listing = read(tmp_path, transforms(cameras))
    assert [f.name for f in listing.frames] == [f"images/{c.name}.png" for c in cameras]
    for frame, camera in zip(listing.frames, cameras, strict=True):
        assert np.allclose(frame.viewmat, camera.viewmat, atol=1e-12)
        assert frame.lens == Lens(camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height)
        assert frame.split is None
    assert listing.frame == "z_up"


def test_the_world_of_instant_ngp_is_left_as_it_is(tmp_path: Path) -> None:
    plain = read(tmp_path, transforms(ring()))
    placed = read(tmp_path, transforms(ring(), aabb_scale=16, scale=0.5, offset=[1, 2, 3], k1=0.1, k2=-0.2, p1=0.01))
    assert all(np.array_equal(a.viewmat, b.viewmat) for a, b in zip(plain.frames, placed.frames, strict=True))
    lens = placed.frames[0].lens
    assert isinstance(lens, Lens)
    assert (lens.family, lens.radial, lens.tangential) == ("brown", (0.1, -0.2, 0.0, 0.0), (0.01, 0.0))


def test_a_frame_has_its_own_intrinsics(tmp_path: Path) -> None:
    value = transforms(ring(2))
    value["frames"][1] |= {"fl_x": 77.0, "k1": 0.3}
    one, two = (f.lens for f in read(tmp_path, value).frames)
    assert isinstance(one, Lens)
    assert isinstance(two, Lens)
    assert (one.fx != 77, two.fx, two.radial[0]) == (True, 77, 0.3)


@pytest.mark.parametrize("top", [{"camera_model": "OPENCV_FISHEYE"}, {"is_fisheye": True}])
def test_fisheye(tmp_path: Path, top: dict[str, Any]) -> None:
    lens = lens_of(tmp_path, k1=0.1, k2=0.2, k3=0.3, k4=0.4, **top)
    assert isinstance(lens, Lens)
    assert (lens.family, lens.radial) == ("fisheye", (0.1, 0.2, 0.3, 0.4))


def test_full_opencv_has_terms_below_the_bar(tmp_path: Path) -> None:
    lens = lens_of(tmp_path, k1=1.0, k2=2.0, k3=3.0, k4=4.0, k5=5.0, k6=6.0, camera_model="FULL_OPENCV")
    assert isinstance(lens, Lens)
    assert (lens.radial, lens.rational) == ((1, 2, 3, 0), (4, 5, 6))


def test_fields_of_view_suit_a_picture_of_any_size(tmp_path: Path) -> None:
    value = {"camera_angle_x": 0.7, "frames": transforms(ring(1))["frames"]}
    lens = read(tmp_path, value).frames[0].lens
    assert lens == Angle(0.7)
    made = Angle(0.7).lens(400, 300)
    assert made.fx == pytest.approx(200 / math.tan(0.35))
    assert (made.cx, made.cy) == (200, 150)
    assert made.fy == made.fx
    assert Angle(0.7, 0.6).lens(400, 300).fy == pytest.approx(150 / math.tan(0.3))


def test_a_field_of_view_with_distortion_needs_a_size(tmp_path: Path) -> None:
    value = {"camera_angle_x": 0.7, "k1": 0.1, "frames": transforms(ring(1))["frames"]}
    with pytest.raises(CorruptError, match="w, h: missing"):
        read(tmp_path, value)
    lens = read(tmp_path, {**value, "w": 40, "h": 30.0}).frames[0].lens
    assert isinstance(lens, Lens)
    assert lens.fx == pytest.approx(20 / math.tan(0.35))


def test_a_pose_of_three_rows(tmp_path: Path) -> None:
    value = transforms(ring(1))
    want = read(tmp_path, value).frames[0].viewmat
    del value["frames"][0]["transform_matrix"][3]
    assert np.array_equal(read(tmp_path, value).frames[0].viewmat, want)


def test_the_split_of_nerfstudio(tmp_path: Path) -> None:
    value = transforms(ring(4), train_filenames=["images/p00.png"], val_filenames=["./images/p02.png"])
    assert [f.split for f in read(tmp_path, value).frames] == ["train", "train", "test", "train"]
    value |= {"test_filenames": ["images/p01.png"]}
    assert [f.split for f in read(tmp_path, value).frames] == ["train", "test", "train", "train"]
    with pytest.raises(CorruptError, match="test_filenames"):
        read(tmp_path, {**value, "test_filenames": [1]})


def test_masks_are_named_per_frame(tmp_path: Path) -> None:
    value = transforms(ring(2))
    value["frames"][1]["mask_path"] = "./masks/a.png"
    assert [f.mask for f in read(tmp_path, value).frames] == [None, "masks/a.png"]


PLY = """ply
format ascii 1.0
element vertex 2
property float x
property float y
property float z
property uchar red
property uchar green
property uchar blue
end_header
1 2 3 255 0 51
4 5 6 0 255 0
"""


def test_points_beside_it(tmp_path: Path) -> None:
    value = transforms(ring(1), ply_file_path="sparse_pc.ply")
    listing = read(tmp_path, value)
    assert listing.points is None
    assert "sparse_pc.ply" in listing.warnings[0]
    (tmp_path / "sparse_pc.ply").write_text(PLY)
    listing = read(tmp_path, value)
    assert listing.points is not None
    assert listing.colors is not None
    assert listing.points.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert np.allclose(listing.colors, np.array([[1, 0, 0.2], [0, 1, 0]]))


def test_blender(tmp_path: Path) -> None:
    cameras = ring(3)
    for split in ("train", "test"):
        frames = [{"file_path": f"./{split}/r_{k}", "transform_matrix": pose(c)} for k, c in enumerate(cameras)]
        name = f"transforms_{split}.json"
        write_transforms(tmp_path, {"camera_angle_x": 0.7, "frames": frames}, 4, name)
        listing = read_blender(tmp_path, Limits())
        assert {f.split for f in listing.frames} == ({"train", "test"} if split == "test" else {None})
    assert [f.name for f in listing.frames if f.split == "test"] == ["test/r_0", "test/r_1", "test/r_2"]


def _changed(**changes: Any) -> dict[str, Any]:
    value = transforms(ring(1))
    value["frames"][0] |= changes
    return value


def _matrix(*entries: tuple[int, int, Any]) -> dict[str, Any]:
    rows = pose(ring(1)[0])
    for i, j, v in entries:
        rows[i][j] = v
    return _changed(transform_matrix=rows)


BAD: list[tuple[Any, type[SplatpackError], str]] = [
    ([], UsageError, "no list of frames"),
    ({"frames": {}}, UsageError, "no list of frames"),
    ({"frames": [3]}, CorruptError, "frame 0: int"),
    (_changed(file_path=None), CorruptError, "file_path"),
    (_changed(file_path=["a"]), CorruptError, "file_path"),
    (_changed(file_path="../../etc/a.png"), CorruptError, "leaves the folder"),
    (_changed(file_path="/etc/a.png"), CorruptError, "leaves the folder"),
    (_changed(mask_path="../m.png"), CorruptError, "leaves the folder"),
    (_changed(mask_path=3), CorruptError, "mask_path"),
    (_changed(transform_matrix=None), CorruptError, "transform_matrix"),
    (_changed(transform_matrix=[[1, 2], [3, 4]]), CorruptError, "4 x 4"),
    (_matrix((0, 0, "1")), CorruptError, "expected a number"),
    (_matrix((0, 3, 1e300)), CorruptError, "beyond 1e9"),
    (_changed(transform_matrix=np.zeros((4, 4)).tolist()), CorruptError, "off a rotation"),
    (_changed(transform_matrix=np.diag([1, 1, 2, 1]).tolist()), CorruptError, "off a rotation"),
    (_changed(transform_matrix=np.diag([1, 1, -1, 1]).tolist()), CorruptError, "mirror"),
    (_changed(fl_x=0), CorruptError, "intrinsics"),
    (_changed(fl_x=True), CorruptError, "expected a number"),
    (_changed(w=-3), CorruptError, "size"),
    (_changed(w=1 << 40), CorruptError, "size"),
    (_changed(h=20.5), CorruptError, "whole number"),
    (_changed(k1="0"), CorruptError, "k1"),
    (_changed(camera_model="EQUIRECTANGULAR"), UnsupportedError, "EQUIRECTANGULAR"),
    (_changed(camera_model=7), UnsupportedError, "camera_model"),
    (_changed(is_equirectangular=True), UnsupportedError, "panorama"),
    ({**transforms(ring(1)), "ply_file_path": 3}, CorruptError, "ply_file_path"),
    ({**transforms(ring(1)), "ply_file_path": "../a.ply"}, CorruptError, "leaves the folder"),
]


@pytest.mark.parametrize(("value", "error", "text"), BAD, ids=[str(k) for k in range(len(BAD))])
def test_hostile_values(tmp_path: Path, value: Any, error: type[SplatpackError], text: str) -> None:
    with pytest.raises(error, match=text) as found:
        read(tmp_path, value)
    assert type(found.value) is error


@pytest.mark.parametrize("text", ["", "{", '{"frames": [NaN]}', "[" * 100_000, "\xff", '{"frames": 1e999}'])
def test_hostile_text(tmp_path: Path, text: str) -> None:
    (tmp_path / "transforms.json").write_bytes(text.encode("latin-1"))
    with pytest.raises((CorruptError, UsageError)):
        read_transforms(tmp_path / "transforms.json", Limits())


def test_too_many_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CAMERAS", 3)
    with pytest.raises(LimitError, match="4 frames"):
        read(tmp_path, transforms(ring(4)))


def test_a_rotation_that_was_rounded_is_made_exact(tmp_path: Path) -> None:
    value = transforms(ring(1))
    rows = np.round(np.array(value["frames"][0]["transform_matrix"]), 3)
    value["frames"][0]["transform_matrix"] = rows.tolist()
    rotation = read(tmp_path, value).frames[0].viewmat[:3, :3]
    assert np.abs(rotation @ rotation.T - np.eye(3)).max() < 1e-12
