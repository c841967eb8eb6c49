from __future__ import annotations

import numpy as np
import pytest

from splatpack.errors import UsageError
from splatpack.scene.cameras import Camera
from splatpack.train.data.photo import Photo, Picture, pack, unpack

CAMERA = Camera(np.eye(4), 10, 10, 4, 3, 8, 6)


def test_eight_bit_values_are_exact() -> None:
    eight = np.arange(256, dtype=np.float32) / np.float32(255)
    assert np.array_equal(pack(eight), np.arange(256) * 257)
    assert np.abs(unpack(pack(eight)) - eight).max() < 1e-7


def test_values_outside_are_clipped() -> None:
    assert list(pack(np.array([-1.0, 2.0]))) == [0, 65535]


def test_a_photo_in_memory() -> None:
    pixels = np.random.default_rng(0).random((6, 8, 3), np.float32)
    photo = Photo.of("a", CAMERA, pixels, weight=np.ones((6, 8), np.float32))
    assert np.abs(photo.pixels() - pixels).max() < 1e-5
    assert photo.pixels().dtype == np.float32
    weight = photo.weight()
    assert weight is not None
    assert (weight == 1).all()
    assert photo.alpha() is None


def test_refuses_arrays_of_another_shape() -> None:
    with pytest.raises(UsageError, match=r"\(6, 8, 3\)"):
        Photo.of("a", CAMERA, np.zeros((8, 6, 3), np.float32))
    with pytest.raises(UsageError, match=r"\(6, 8\)"):
        Photo.of("a", CAMERA, np.zeros((6, 8, 3), np.float32), alpha=np.zeros((6, 7), np.float32))


def test_counts_its_bytes() -> None:
    plane = np.zeros((6, 8), np.uint16)
    assert Picture(np.zeros((6, 8, 3), np.uint16), plane).nbytes == 6 * 8 * 8
