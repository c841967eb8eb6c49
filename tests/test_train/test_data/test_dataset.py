"""Whole data sets: what is read, what is held out, what is missing, and what cannot be trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from splatpack.errors import CorruptError, LimitError, StorageError, UsageError
from splatpack.limits import Limits
from splatpack.train.data.dataset import Dataset, open_dataset

from .samples import (
    SIDE,
    colmap_binary,
    colmap_text,
    noise,
    pose,
    ring,
    save,
    transforms,
    write_colmap,
    write_transforms,
)

CAMERAS = ring(9)


def names(photos: Any) -> list[str]:
    return [Path(p.name).stem for p in photos]


def plain(folder: Path, **top: Any) -> Path:
    return write_transforms(folder, transforms(CAMERAS, **top))


def test_transforms_folder_and_file(tmp_path: Path) -> None:
    for path in (plain(tmp_path / "fox"), tmp_path / "fox" / "transforms.json"):
        data = open_dataset(path)
        assert (data.name, data.frame, data.background, data.warnings) == ("fox", "z_up", None, [])
        assert (names(data.test), len(data.train)) == (["p00", "p08"], 7)
        photo = data.train[0]
        assert photo.name == "images/p01.png"
        assert np.array_equal(np.rint(photo.pixels() * 255), noise(SIDE + 4, SIDE, 3, 1))
        assert photo.weight() is None
        assert photo.alpha() is None
        assert np.allclose(photo.camera.viewmat, CAMERAS[1].viewmat)
        assert (photo.camera.width, photo.camera.height, photo.camera.fx) == (SIDE + 4, SIDE, CAMERAS[1].fx)


@pytest.mark.parametrize("make", [colmap_binary, colmap_text])
def test_colmap_folder(tmp_path: Path, make: Any) -> None:
    data = open_dataset(write_colmap(tmp_path, make(CAMERAS), CAMERAS))
    assert (data.frame, names(data.test), data.warnings) == ("rdf", ["p00", "p08"], [])
    assert data.points is not None
    assert np.array_equal(np.rint(data.train[0].pixels() * 255), noise(SIDE + 4, SIDE, 3, 1))


def blender(folder: Path) -> Path:
    for split, cameras in (("train", CAMERAS[:5]), ("test", CAMERAS[5:])):
        frames = [{"file_path": f"./{split}/r_{k}", "transform_matrix": pose(c)} for k, c in enumerate(cameras)]
        write_transforms(folder, {"camera_angle_x": 0.7, "frames": frames}, 4, f"transforms_{split}.json")
    return folder


def test_blender_folder_is_composed_on_white(tmp_path: Path) -> None:
    data = open_dataset(blender(tmp_path))
    assert (len(data.train), len(data.test), data.background) == (5, 4, (1.0, 1.0, 1.0))
    raw = noise(SIDE + 4, SIDE, 4, 0) / 255
    alpha = data.train[0].alpha()
    assert alpha is not None
    assert np.allclose(alpha, raw[..., 3], atol=1e-6)
    assert np.allclose(data.train[0].pixels(), raw[..., :3] * raw[..., 3:] + 1 - raw[..., 3:], atol=1e-4)
    black = open_dataset(tmp_path, background=(0.0, 0.0, 0.0))
    assert black.background == (0.0, 0.0, 0.0)
    assert np.allclose(black.train[0].pixels(), raw[..., :3] * raw[..., 3:], atol=1e-4)


@pytest.mark.parametrize(("every", "held"), [(None, ["p00", "p08"]), (4, ["p00", "p04", "p08"]), (0, [])])
def test_what_is_held_out(tmp_path: Path, every: int | None, held: list[str]) -> None:
    data = open_dataset(plain(tmp_path), test_every=every)
    assert names(data.test) == held
    assert len(data.train) == 9 - len(held)


def test_the_order_of_the_file_changes_nothing(tmp_path: Path) -> None:
    value = transforms(CAMERAS)
    value["frames"].reverse()
    assert names(open_dataset(write_transforms(tmp_path, value)).test) == ["p00", "p08"]


def test_the_split_of_the_file_counts_unless_another_is_asked_for(tmp_path: Path) -> None:
    folder = plain(tmp_path, test_filenames=["images/p03.png"])
    assert names(open_dataset(folder).test) == ["p03"]
    assert names(open_dataset(folder, test_every=8).test) == ["p00", "p08"]
    assert names(open_dataset(folder, test_every=0).test) == []


def test_downscale(tmp_path: Path) -> None:
    cameras = ring(9, 65, 48)
    folder = write_transforms(tmp_path, transforms(cameras))
    photo = open_dataset(folder, downscale=3).train[0]
    assert (photo.camera.width, photo.camera.height) == (21, 16)
    assert photo.camera.fx == pytest.approx(cameras[0].fx / 3)
    want = noise(65, 48, 3, 1)[:, :63].reshape(16, 3, 21, 3, 3).mean((1, 3)) / 255
    assert np.abs(photo.pixels() - want).max() < 1e-5


def test_photos_that_are_missing_are_named_and_left_out(tmp_path: Path) -> None:
    folder = plain(tmp_path)
    for k in (0, 1, 2, 5):
        (folder / f"images/p{k:02d}.png").unlink()
    data = open_dataset(folder)
    assert names(data.test) == ["p03"]
    assert names(data.train) == ["p04", "p06", "p07", "p08"]
    assert data.warnings == [
        "4 of 9 photos are missing and left out: images/p00.png, images/p01.png, images/p02.png and 1 more."
    ]


@pytest.mark.parametrize("keep", [0, 200])
def test_photos_that_are_damaged_are_named_and_left_out(tmp_path: Path, keep: int) -> None:
    folder = plain(tmp_path)
    path = folder / "images/p04.png"
    path.write_bytes(path.read_bytes()[:keep])
    data = open_dataset(folder)
    assert "p04" not in names(data.train)
    assert len(data.train) + len(data.test) == 8
    assert "1 of 9 photos can" in data.warnings[0]
    assert "p04.png" in data.warnings[0]


def test_photos_with_another_suffix_are_used(tmp_path: Path) -> None:
    folder = write_colmap(tmp_path, colmap_binary(CAMERAS), CAMERAS)
    path = folder / "images/p03.png"
    save(folder / "images/p03.jpg", noise(SIDE + 4, SIDE))
    path.unlink()
    data = open_dataset(folder)
    assert "p03" in names(data.train)
    assert "p03.png is p03.jpg" in data.warnings[0]


def test_intrinsics_of_another_resolution(tmp_path: Path) -> None:
    large = ring(9, 2 * (SIDE + 4) + 1, 2 * SIDE)
    folder = write_colmap(tmp_path, colmap_binary(large), CAMERAS)
    for camera in (p.camera for p in open_dataset(folder).train):
        assert (camera.width, camera.height) == (SIDE + 4, SIDE)
        assert camera.fy == pytest.approx(large[0].fy / 2)
        assert camera.fx == pytest.approx(large[0].fx * (SIDE + 4) / large[0].width)


def test_a_photo_of_another_shape_is_an_error(tmp_path: Path) -> None:
    folder = plain(tmp_path)
    save(folder / "images/p04.png", noise(SIDE, SIDE))
    with pytest.raises(CorruptError, match=r"p04\.png: 20x20 pixels, expected the shape of its camera, 24x20"):
        open_dataset(folder)


def test_orientation_is_applied_only_where_the_camera_wants_it(tmp_path: Path) -> None:
    folder = plain(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = noise(SIDE, SIDE + 4)
    save(folder / "images/p01.png", lying, exif=exif)  # stored upright, to be turned
    save(folder / "images/p02.png", noise(SIDE + 4, SIDE), exif=exif)  # stored as the camera has it
    data = open_dataset(folder)
    assert np.array_equal(np.rint(data.train[0].pixels() * 255), np.rot90(lying, -1))
    assert np.array_equal(np.rint(data.train[1].pixels() * 255), noise(SIDE + 4, SIDE))


def test_masks_by_name_and_by_path(tmp_path: Path) -> None:
    mask = np.zeros((SIDE, SIDE + 4), np.uint8)
    mask[:, :10] = 255
    folder = write_colmap(tmp_path / "colmap", colmap_binary(CAMERAS), CAMERAS)
    save(folder / "masks/p01.png.png", mask)
    save(folder / "masks/p02.png", mask)
    weights = [p.weight() for p in open_dataset(folder).train[:3]]
    assert weights[2] is None
    for weight in weights[:2]:
        assert weight is not None
        assert np.array_equal(weight, mask / 255)
    value = transforms(CAMERAS)
    value["frames"][1]["mask_path"] = "m/one.png"
    value["frames"][2]["mask_path"] = "m/none.png"
    folder = write_transforms(tmp_path / "nerf", value)
    save(folder / "m/one.png", mask)
    data = open_dataset(folder)
    weight = data.train[0].weight()
    assert weight is not None
    assert np.array_equal(weight, mask / 255)
    assert data.warnings == ["1 of 9 masks are missing; those photos count everywhere: m/none.png."]


def test_a_photo_that_is_masked_everywhere_is_left_out(tmp_path: Path) -> None:
    folder = write_colmap(tmp_path, colmap_binary(CAMERAS), CAMERAS)
    save(folder / "masks/p01.png", np.zeros((SIDE, SIDE + 4), np.uint8))
    data = open_dataset(folder)
    assert "p01" not in names(data.train)
    assert "masked everywhere" in data.warnings[0]


def test_a_mask_of_another_shape_is_an_error(tmp_path: Path) -> None:
    folder = write_colmap(tmp_path, colmap_binary(CAMERAS), CAMERAS)
    save(folder / "masks/p01.png", np.zeros((SIDE, SIDE), np.uint8))
    with pytest.raises(CorruptError, match="expected the shape of its photo"):
        open_dataset(folder)


def test_distorted_photos_have_a_pinhole_camera(tmp_path: Path) -> None:
    data = open_dataset(plain(tmp_path, k1=0.5))
    photo = data.train[0]
    weight = photo.weight()
    assert weight is not None
    assert weight[0, 0] == 0
    assert weight[SIDE // 2, SIDE // 2] == 1
    assert photo.pixels().shape == (photo.camera.height, photo.camera.width, 3)


def test_photos_that_are_listed_twice(tmp_path: Path) -> None:
    value = transforms(CAMERAS)
    value["frames"].append({**value["frames"][3], "fl_x": 99.0})
    data = open_dataset(write_transforms(tmp_path, value))
    assert len(data.train) + len(data.test) == 9
    assert all(p.camera.fx != 99 for p in data.train)
    assert "1 photos are listed more than once" in data.warnings[0]


def test_cameras_at_one_point_are_warned_of(tmp_path: Path) -> None:
    value = transforms(CAMERAS)
    for frame in value["frames"]:
        frame["transform_matrix"] = value["frames"][0]["transform_matrix"]
    assert "one point" in open_dataset(write_transforms(tmp_path, value)).warnings[0]


def test_a_cache_of_nothing_gives_the_same_pixels(tmp_path: Path) -> None:
    folder = plain(tmp_path)
    kept, not_kept = open_dataset(folder), open_dataset(folder, max_bytes=0)
    assert kept.train[0].source() is kept.train[0].source()
    assert not_kept.train[0].source() is not not_kept.train[0].source()
    for a, b in zip(kept.train, not_kept.train, strict=True):
        assert np.array_equal(a.pixels(), b.pixels())


def test_progress_counts_photos(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    open_dataset(plain(tmp_path), progress=lambda *step: seen.append(step), threads=2)
    assert seen == [("photos", k, 9) for k in range(1, 10)]


def test_what_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no such folder"):
        open_dataset(tmp_path / "none")
    with pytest.raises(UsageError, match="no poses"):
        open_dataset(tmp_path)
    (tmp_path / "a.png").touch()
    with pytest.raises(UsageError, match=r"transforms\.json"):
        open_dataset(tmp_path / "a.png")


def test_nothing_is_there(tmp_path: Path) -> None:
    (tmp_path / "transforms.json").write_text(json.dumps(transforms(CAMERAS)))
    with pytest.raises(UsageError, match="none of its 9 photos is there"):
        open_dataset(tmp_path)
    (tmp_path / "transforms.json").write_text(json.dumps({**transforms(CAMERAS), "frames": []}))
    with pytest.raises(UsageError, match="none of its 0 photos"):
        open_dataset(tmp_path)


def test_one_camera_is_too_few(tmp_path: Path) -> None:
    folder = write_transforms(tmp_path, transforms(CAMERAS[:1]))
    with pytest.raises(UsageError, match="1 photos to train on, expected at least 2"):
        open_dataset(folder, test_every=0)


@pytest.mark.parametrize("options", [{"downscale": 0}, {"test_every": 1}, {"test_every": -2}, {"max_bytes": -1}])
def test_options_out_of_range(tmp_path: Path, options: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        open_dataset(plain(tmp_path), **options)  # type: ignore[arg-type]


def test_too_much_downscale(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected 16 a side"):
        open_dataset(plain(tmp_path), downscale=2)


def test_limits(tmp_path: Path) -> None:
    folder = write_transforms(tmp_path, transforms(ring(9, 60, 50)))
    with pytest.raises(LimitError, match=r"p00\.png"):
        open_dataset(folder, limits=Limits(memory=1 << 40, free=1 << 16, ratio=1))


def _real(data_dir: Path, name: str) -> Path:
    folder = data_dir / "photos" / name
    if not folder.is_dir():
        pytest.skip(f"photos/{name} is not here")
    return folder


def _part(source: Path, folder: Path, names: tuple[str, ...], stop: int) -> Path:
    """A data set of the first frames of another one, whose photos it links."""
    folder.mkdir()
    for name in names:
        value = json.loads((source / name).read_text())
        (folder / name).write_text(json.dumps({**value, "frames": value["frames"][:stop]}))
    for photos in (path for path in source.iterdir() if path.is_dir()):
        (folder / photos.name).symlink_to(photos)
    return folder


@pytest.mark.data
def test_fox(data_dir: Path, tmp_path: Path) -> None:
    folder = _real(data_dir, "fox")
    data = open_dataset(_part(folder, tmp_path / "a", ("transforms.json",), 9), downscale=8)
    part = _part(folder, tmp_path / "b", ("transforms_original.json",), 10)
    original = open_dataset(part / "transforms_original.json", downscale=8)
    assert (len(data.train), len(data.test), data.warnings) == (7, 2, [])
    assert "1 of 10 photos are missing" in original.warnings[0]
    for a, b in zip(data.train, original.train, strict=True):
        assert (a.camera.width, a.camera.height) == (67, 120)
        assert a.camera.fx == pytest.approx(b.camera.fx)  # the original's intrinsics are those of files twice the size
        assert np.array_equal(a.pixels(), b.pixels())


@pytest.mark.data
def test_lego(data_dir: Path, tmp_path: Path) -> None:
    names = ("transforms_train.json", "transforms_test.json")
    data = open_dataset(_part(_real(data_dir, "lego"), tmp_path / "lego", names, 5), downscale=4)
    assert (len(data.train), len(data.test), data.background) == (5, 5, (1.0, 1.0, 1.0))
    alpha = data.train[0].alpha()
    assert alpha is not None
    assert np.allclose(data.train[0].pixels()[alpha == 0], 1)


@pytest.mark.data
def test_flame_steak_points_lie_before_the_cameras(data_dir: Path) -> None:
    data: Dataset = open_dataset(_real(data_dir, "flame_steak_f0"), downscale=4)
    assert (len(data.train), len(data.test)) == (18, 3)
    assert "21 of 21 photos have another suffix" in data.warnings[0]
    assert data.points is not None
    for photo in data.train:
        camera = photo.camera
        local = data.points @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
        x = local[:, 0] / local[:, 2] * camera.fx + camera.cx
        y = local[:, 1] / local[:, 2] * camera.fy + camera.cy
        inside = (x > 0) & (x < camera.width) & (y > 0) & (y < camera.height)
        assert (local[:, 2] > 0).mean() > 0.99
        assert inside.mean() > 0.3
