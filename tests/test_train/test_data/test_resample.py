"""The kernel against numpy, on inputs that are small enough for plain Python."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from splatpack.train.data.kernels.resample import resample


def run(
    source: NDArray[np.uint16], x: NDArray[np.float64], y: NDArray[np.float64], square: int, weighed: int
) -> tuple[int, NDArray[np.float32]]:
    planes = source.shape[2] - weighed + 1
    out = np.full((x.shape[0] // square, x.shape[1] // square, planes), -1, np.float32)
    return resample(source, x, y, square, weighed, np.empty(planes), out), out


def test_whole_pixels_are_copied_and_outside_is_nothing() -> None:
    source = np.random.default_rng(0).integers(0, 65536, (3, 4, 2)).astype(np.uint16)
    x, y = np.meshgrid(np.array([-1.5, 0.5, 3.5, 4.5, np.nan]), np.array([0.5, 2.5, 9.0]))
    empty, out = run(source, x, y, 1, 0)
    assert empty == 5 + 2 * 3
    assert np.array_equal(out[:2, 1:3, :2], source[[0, 2]][:, [0, 3]])
    assert (out[..., 2] == np.array([[0, 65535, 65535, 0, 0]] * 2 + [[0] * 5])).all()
    assert (out[:, [0, 3, 4], :2] == 0).all()


def test_between_pixels_is_bilinear_and_the_border_holds() -> None:
    source = np.array([[[0], [100]], [[200], [300]]], np.uint16)
    x, y = np.array([[1.0, 0.0, 2.0, 1.25]]), np.array([[1.0, 0.0, 2.0, 0.5]])
    _, out = run(source, x, y, 1, 0)
    assert list(out[0, :, 0]) == [150, 0, 300, 75]


def test_squares_are_means_over_what_counts() -> None:
    source = np.zeros((2, 2, 2), np.uint16)
    source[..., 0] = [[10, 20], [30, 40]]
    source[..., 1] = [[65535, 0], [0, 65535]]
    x, y = np.meshgrid(np.array([0.5, 1.5]), np.array([0.5, 1.5]))
    empty, out = run(source, x, y, 2, 1)
    assert empty == 0
    assert list(out[0, 0]) == [25, 32767.5]
    source[..., 1] = 0
    empty, out = run(source, x, y, 2, 1)
    assert empty == 1
    assert list(out[0, 0]) == [0, 0]
