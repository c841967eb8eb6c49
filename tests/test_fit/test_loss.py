"""Losses: values against plain formulas, gradients against central differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from splatpack.errors import UsageError
from splatpack.fit.loss import Loss, dssim, l1, l2, photometric
from splatpack.render.compare import ssim

Image = NDArray[np.float32]


def pictures(height: int = 23, width: int = 19, seed: int = 0) -> tuple[Image, Image]:
    rng = np.random.default_rng(seed)
    target = rng.random((height, width, 3))
    picture = np.clip(0.8 * target + 0.1 + rng.normal(scale=0.1, size=target.shape), 0, 1)
    picture[:4, :5] = 0.25
    return picture.astype(np.float32), target.astype(np.float32)


def plain_dssim(picture: Any, target: Any) -> float:
    """Mean over all windows, each summed as it stands."""
    offsets = np.arange(-5, 6)
    bell = np.exp(-0.5 * (offsets / 1.5) ** 2)
    window = np.outer(bell, bell) / bell.sum() ** 2
    views = [np.lib.stride_tricks.sliding_window_view(image, (11, 11), axis=(0, 1)) for image in (picture, target)]
    a, b = views

    def mean(x: Any) -> Any:
        return np.einsum("yxcij,ij->yxc", x, window)

    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    value = (2 * ma * mb + 1e-4) * (2 * cov + 9e-4) / ((ma * ma + mb * mb + 1e-4) * (va + vb + 9e-4))
    return float(1 - value.mean())


PLAIN: list[tuple[Callable[..., Loss], Callable[[Any, Any], float]]] = [
    (l2, lambda a, b: float(((a - b) ** 2).mean())),
    (l1, lambda a, b: float(np.abs(a - b).mean())),
    (dssim, plain_dssim),
    (photometric, lambda a, b: 0.8 * float(np.abs(a - b).mean()) + 0.2 * plain_dssim(a, b)),
]


@pytest.mark.parametrize(("loss", "plain"), PLAIN)
@pytest.mark.parametrize("size", [(23, 19), (11, 40), (50, 11)])
def test_values_and_gradients(
    loss: Callable[..., Loss], plain: Callable[[Any, Any], float], size: tuple[int, int]
) -> None:
    picture, target = pictures(*size)
    result = loss(picture, target)
    exact, goal = picture.astype(np.float64), target.astype(np.float64)
    assert result.value == pytest.approx(plain(exact, goal), rel=1e-6)
    assert result.grad.shape == picture.shape
    assert result.grad.dtype == np.float32
    rng = np.random.default_rng(1)
    edges = np.array([0, 1, picture.size - 1, picture.size // 2])
    picks = np.concatenate([edges, rng.permutation(picture.size)[:40]])
    want = np.empty(len(picks))
    for k, pick in enumerate(picks):
        sides = []
        for way in (1e-6, -1e-6):
            moved = exact.copy()
            moved.reshape(-1)[pick] += way
            sides.append(plain(moved, goal))
        want[k] = (sides[0] - sides[1]) / 2e-6
    got = result.grad.reshape(-1)[picks]
    assert np.linalg.norm(got - want) <= 1e-4 * np.linalg.norm(want)


def test_dssim_is_that_of_compare() -> None:
    picture, target = pictures(60, 45)
    assert dssim(picture, target).value == pytest.approx(1 - ssim(picture, target), abs=1e-12)


def test_equal_pictures_pull_nowhere() -> None:
    picture, _ = pictures()
    for loss in (l2, l1, dssim, photometric):
        result = loss(picture, picture)
        assert abs(result.value) < 1e-12
        assert np.abs(result.grad).max() < 1e-9


def test_threads_change_no_byte() -> None:
    picture, target = pictures(100, 31)
    runs = [dssim(picture, target, threads=threads) for threads in (1, 2, 3)]
    assert len({run.grad.tobytes() for run in runs}) == 1
    assert len({run.value for run in runs}) == 1


def test_strided_pictures_are_taken() -> None:
    picture, target = pictures()
    turned = np.asfortranarray(picture)
    for loss in (l2, l1, dssim, photometric):
        assert (loss(turned, target).grad == loss(picture, target).grad).all()


def test_what_is_no_picture() -> None:
    picture, target = pictures()
    for loss in (l2, l1, dssim):
        wrongs: list[Any] = [target[:-1], target[..., :2], target.astype(np.float64), target[:0]]
        for wrong in wrongs:
            with pytest.raises(UsageError, match="expected"):
                loss(picture, wrong)
    with pytest.raises(UsageError, match="11 pixels"):
        dssim(picture[:10], target[:10])
