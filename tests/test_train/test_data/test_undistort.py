"""From the photo to the picture of a pinhole camera: geometry, area means, what counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from splatpack.errors import UsageError
from splatpack.train.data.lens import Lens
from splatpack.train.data.photo import FULL, Picture, pack
from splatpack.train.data.undistort import WIDER, develop, pinhole

EYE = np.eye(4)


def smooth(lens: Lens, through: bool = True) -> Picture:
    """A picture of a smooth pattern on the plane at z = 1, as the lens (or, without, a pinhole camera) sees it."""
    columns, rows = np.arange(lens.width) + 0.5, np.arange(lens.height) + 0.5
    u, v = np.meshgrid((columns - lens.cx) / lens.fx, (rows - lens.cy) / lens.fy)
    x, y = lens.undistort(u, v) if through else (u, v)
    return Picture(pack(pattern(np.nan_to_num(x), np.nan_to_num(y))))


def pattern(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    waves = [np.sin(9 * x) * np.cos(7 * y), np.cos(8 * x + 3 * y), np.sin(5 * y)]
    return np.stack([0.5 + 0.4 * wave for wave in waves], axis=2)


def seen(camera: Any) -> NDArray[np.float64]:
    columns, rows = np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5
    x, y = np.meshgrid((columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy)
    return pattern(x, y)


@pytest.mark.parametrize(
    "bent",
    [
        Lens(80, 81, 31, 24.5, 64, 48, radial=(-0.2, 0.05, 0.0, 0.0), tangential=(0.001, -0.002)),
        Lens(80, 81, 31, 24.5, 64, 48, radial=(0.2, 0.0, 0.0, 0.0)),
        Lens(40, 40, 32, 24, 64, 48, family="fisheye", radial=(0.02, -0.01, 0.0, 0.0)),
        Lens(60, 60, 32, 24, 64, 48, family="fov", radial=(0.9, 0.0, 0.0, 0.0)),
    ],
    ids=["barrel", "pincushion", "fisheye", "fov"],
)
def test_undistorted_photo_is_what_a_pinhole_camera_sees(bent: Lens) -> None:
    camera = pinhole(bent, EYE, 1)
    picture = develop(smooth(bent), bent, camera, 1)
    weight = np.ones(picture.pixels.shape[:2]) if picture.weight is None else picture.weight / FULL
    error = np.abs(picture.pixels / FULL - seen(camera))[weight == 1]
    assert (weight == 1).mean() > 0.8
    assert error.max() < 0.02  # bilinear samples of a smooth pattern


def test_barrel_widens_the_picture_and_keeps_the_focal_length() -> None:
    bent = Lens(60, 60, 32, 24, 64, 48, radial=(-0.3, 0.0, 0.0, 0.0))
    camera = pinhole(bent, EYE, 1)
    assert (camera.fx, camera.fy) == (60, 60)
    assert 64 < camera.width <= 64 * WIDER
    assert 48 < camera.height <= 48 * WIDER
    assert develop(smooth(bent), bent, camera, 1).weight is None  # the lens saw all of it


def test_a_fisheye_of_180_degrees_is_widened_within_bounds() -> None:
    wide = Lens(20, 20, 32, 24, 64, 48, family="fisheye")
    camera = pinhole(wide, EYE, 1)
    assert (camera.width, camera.height) == (96, 72)


def test_pincushion_leaves_a_border_that_does_not_count() -> None:
    bent = Lens(80, 80, 32, 24, 64, 48, radial=(0.4, 0.0, 0.0, 0.0))
    camera = pinhole(bent, EYE, 1)
    assert (camera.width, camera.height, camera.cx, camera.cy) == (64, 48, 32, 24)
    weight = develop(smooth(bent), bent, camera, 1).weight
    assert weight is not None
    assert weight[0, 0] == 0
    assert weight[24, 32] == FULL


@pytest.mark.parametrize("downscale", [1, 2, 3])
def test_downscale_takes_area_means_and_moves_no_point(downscale: int) -> None:
    plain = Lens(80, 80, 32.25, 23.5, 64, 48)
    rng = np.random.default_rng(0)
    full = rng.integers(0, FULL + 1, (48, 64, 3)).astype(np.uint16)
    camera = pinhole(plain, EYE, downscale)
    picture = develop(Picture(full), plain, camera, downscale)
    h, w = 48 // downscale, 64 // downscale
    want = full[: h * downscale, : w * downscale].reshape(h, downscale, w, downscale, 3).mean((1, 3))
    assert np.abs(picture.pixels - want).max() <= 0.51
    assert picture.weight is None
    point = np.array([0.1, -0.05])
    assert np.allclose(downscale * (point * camera.fx + (camera.cx, camera.cy)), point * 80 + (32.25, 23.5))


def test_masked_pixels_do_not_bleed_into_their_neighbours() -> None:
    plain = Lens(80, 80, 32, 32, 64, 64)
    pixels = np.zeros((64, 64, 3), np.uint16)
    pixels[:, 32:] = FULL
    weight = np.zeros((64, 64), np.uint16)
    weight[:, :33] = FULL
    camera = pinhole(plain, EYE, 2)
    picture = develop(Picture(pixels, weight), plain, camera, 2)
    assert picture.weight is not None
    assert list(picture.weight[0, 15:18]) == [FULL, 32768, 0]
    assert list(picture.pixels[0, 15:18, 0]) == [0, FULL, 0]


def test_alpha_is_averaged_with_the_colours() -> None:
    plain = Lens(80, 80, 16, 16, 32, 32)
    alpha = np.zeros((32, 32), np.uint16)
    alpha[:, 1::2] = FULL
    picture = develop(Picture(np.zeros((32, 32, 3), np.uint16), None, alpha), plain, pinhole(plain, EYE, 2), 2)
    assert picture.alpha is not None
    assert (picture.alpha == 32768).all()


def test_refuses_what_is_too_small() -> None:
    with pytest.raises(UsageError, match="expected 16 a side"):
        pinhole(Lens(80, 80, 16, 16, 32, 32), EYE, 3, "a.png")


def test_a_centre_outside_of_the_picture() -> None:
    camera = pinhole(Lens(80, 80, -500.5, 16, 32, 32), EYE, 1)
    assert (camera.width, camera.cx) == (32, -500.5)
    bent = pinhole(Lens(80, 80, 1000.0, 16, 32, 32, radial=(0.1, 0.0, 0.0, 0.0)), EYE, 1)
    assert bent.width >= 32
