"""Photos at a size, colours under maps, figures of quality, coordinates and schedules."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from splatpack.errors import UsageError
from splatpack.render.compare import psnr
from splatpack.scene.cameras import Camera
from splatpack.train import schedule
from splatpack.train.data.photo import Photo
from splatpack.train.evaluate import judge, psnr_of
from splatpack.train.exposure import Exposures, fitted, mapped
from splatpack.train.normal import Normalisation
from splatpack.train.settings import TrainSettings
from splatpack.train.views import View, Views, reduced
from tests import synth
from tests.test_train import photos

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    """Each test draws the same numbers, in whatever order tests run."""
    RNG.bit_generator.state = np.random.default_rng(0).bit_generator.state


def view(width: int = 45, height: int = 33, **planes: Any) -> View:
    camera = photos.camera(0, size=(width, height))
    return View(camera, RNG.random((height, width, 3)).astype(np.float32), planes.get("weight"), planes.get("alpha"))


def test_reduced_photos_keep_their_mean_and_their_field_of_view() -> None:
    whole = view()
    half = reduced(whole, 2)
    assert (half.camera.width, half.camera.height) == (22, 16)
    assert half.pixels.shape == (16, 22, 3)
    assert half.pixels.mean() == pytest.approx(whole.pixels.mean(), abs=1e-5)
    for big, small in ((whole.camera, half.camera),):
        assert small.width / small.fx == pytest.approx(big.width / big.fx)
        assert small.cy / small.height == pytest.approx(big.cy / big.height)
    even = reduced(view(32, 32), 2)
    assert even.pixels.shape == (16, 16, 3)
    assert reduced(whole, 1) is whole
    assert reduced(view(20, 14), 8).pixels.shape == (14, 16, 3)  # no side below 16


def test_reduction_is_the_mean_of_squares_and_weighs() -> None:
    weight = RNG.integers(0, 2, (32, 32)).astype(np.float32)
    whole = view(32, 32, weight=weight, alpha=weight)
    half = reduced(whole, 2)
    assert half.weight is not None
    assert half.alpha is not None
    blocks = weight.reshape(16, 2, 16, 2)
    assert np.allclose(half.weight, blocks.mean(axis=(1, 3)), atol=1e-6)
    want = (whole.pixels * weight[..., None]).reshape(16, 2, 16, 2, 3).sum(axis=(1, 3))
    known = half.weight > 0
    assert np.allclose(half.pixels[known], want[known] / (4 * half.weight[known][:, None]), atol=1e-5)


def test_the_cache_lets_go_of_what_was_not_used() -> None:
    asked: list[int] = []
    plain = photos.dataset(3, (20, 20)).train

    def counted(k: int) -> Photo:
        def source() -> Any:
            asked.append(k)
            return plain[k].source()

        return replace(plain[k], source=source)

    one = 20 * 20 * 3 * 4
    views = Views([counted(k) for k in range(3)], [p.camera for p in plain], room=2 * one)
    for k in (0, 1, 0, 2, 0, 1):
        assert views.at(k).pixels.shape == (20, 20, 3)
    read = [k for n, k in enumerate(asked) if n == 0 or asked[n - 1] != k]  # weight and alpha ask once more
    assert read == [0, 1, 2, 1]
    assert len(views) == 3


def test_transparent_photos_on_another_background() -> None:
    alpha = RNG.random((33, 45)).astype(np.float32)
    here = view(alpha=alpha)
    there = here.on((1.0, 0.5, 0.0), (0.0, 0.0, 0.0))
    assert np.allclose(there.pixels - here.pixels, (1 - alpha[..., None]) * (1.0, 0.5, 0.0), atol=1e-6)
    assert here.on((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)) is here
    assert view().on((1.0, 1.0, 1.0), (0.0, 0.0, 0.0)).alpha is None


def test_gradients_through_a_map_are_finite_differences() -> None:
    maps = Exposures(1)
    maps.maps[0] += 0.1 * RNG.normal(size=(3, 4))
    colours = (0.3 + 0.3 * RNG.random((5, 4, 3))).astype(np.float32)
    pull = RNG.normal(size=(5, 4, 3)).astype(np.float32)
    affine = maps.maps[0].copy()
    shown = maps.apply(0, colours)
    assert 0 < shown.min() < shown.max() < 1
    back = maps.back(0, colours, shown, pull)
    step = np.zeros_like(colours)
    step[2, 1, 0] = 1e-2
    up, down = (float((mapped(colours + s * step, affine) * pull).sum()) for s in (1, -1))
    assert back[2, 1, 0] == pytest.approx((up - down) / 2e-2, rel=1e-2)
    assert maps.steps[0] == 1
    assert np.abs(maps.maps[0] - affine).max() > 0


def test_a_clipped_colour_passes_only_what_leads_back() -> None:
    maps = Exposures(1)
    maps.maps[0, :, 3] = 2.0
    colours = np.full((2, 2, 3), 0.5, np.float32)
    shown = maps.apply(0, colours)
    assert (shown == 1).all()
    assert not maps.back(0, colours, shown, -np.ones_like(colours)).any()
    assert maps.back(0, colours, shown, np.ones_like(colours)).any()


def test_a_fitted_map_and_what_is_judged() -> None:
    colours = RNG.random((24, 32, 3)).astype(np.float32)
    true = np.array([[0.8, 0.1, 0, 0.02], [0, 0.7, 0, 0.1], [0.05, 0, 0.6, 0.05]])
    target = mapped(colours, true)
    assert np.allclose(fitted(colours, target), true, atol=1e-2)  # it is held towards no change a little
    photo = View(photos.camera(0, size=(32, 24)), target, None, None)
    plain, alike = judge(colours, photo)
    fair, same = judge(colours, photo, exposure=True)
    assert fair > plain + 15
    assert same > alike


def test_psnr_with_weights() -> None:
    a, b = (RNG.random((12, 12, 3)).astype(np.float32) for _ in range(2))
    assert psnr_of(a, b) == pytest.approx(psnr(a, b), abs=1e-6)
    weight = np.zeros((12, 12), np.float32)
    weight[:6] = 1
    assert psnr_of(a, b, weight) == pytest.approx(psnr(a[:6], b[:6]), abs=1e-5)
    assert psnr_of(a, a) == 100


def test_coordinates_go_there_and_back() -> None:
    cameras = [photos.camera(k) for k in range(8)]
    space = Normalisation.of(cameras)
    inside = [space.camera(camera) for camera in cameras]
    assert np.abs(np.mean([camera.position for camera in inside], axis=0)).max() < 1e-12
    assert max(np.linalg.norm(camera.position) for camera in inside) == pytest.approx(1 / 1.1)
    scene = synth.scene(20, 1)
    back = space.outward(space.inward(scene))
    assert np.allclose(back.means, scene.means, atol=1e-5)
    assert np.allclose(back.scales, scene.scales, atol=1e-5)
    assert Normalisation.of(cameras[:1]).scale == 1
    with pytest.raises(UsageError, match="no photo"):
        Normalisation.of([])
    far = np.eye(4)
    far[0, 3] = 1e14
    with pytest.raises(UsageError, match="below 1e12"):
        Normalisation.of([Camera(far, 10, 10, 5, 5, 10, 10), cameras[0]])


def test_schedules() -> None:
    settings = TrainSettings(batch=3)
    assert schedule.rates(settings, 0.0)["means"] == settings.rate("means")
    assert schedule.rates(settings, 1.0)["means"] == pytest.approx(0.01 * settings.rate("means"))
    assert schedule.rates(settings, 0.5)["sh0"] == settings.rate("sh0")
    assert schedule.rates(settings, 1.0)["sh0"] == pytest.approx(0.1 * settings.rate("sh0"))
    assert [schedule.degree(settings, s) for s in (0.0, 0.13, 0.25, 0.4, 1.0)] == [0, 1, 2, 3, 3]
    assert [schedule.reduction(settings, s) for s in (0.0, 0.19, 0.2, 1.0)] == [2, 2, 1, 1]
    drawn = [k for step in range(4) for k in schedule.photos(settings, step, 6)]
    assert sorted(drawn[:6]) == sorted(drawn[6:]) == list(range(6))
    assert drawn[:6] != drawn[6:]


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"strategy": "none"}, "strategy"),
        ({"iterations": 0}, "iterations"),
        ({"iterations": 1.5}, "iterations"),
        ({"max_gaussians": True}, "max_gaussians"),
        ({"ssim": 2.0}, "ssim"),
        ({"ssim": math.nan}, "ssim"),
        ({"budget": 0.0}, "budget"),
        ({"rates": {"colour": 1.0}}, "rates"),
        ({"rates": {"means": math.inf}}, "rates"),
    ],
)
def test_settings_that_are_refused(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        TrainSettings(**changes)
