"""PSNR and SSIM against their definitions and scikit-image, and the report of a comparison."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from skimage import metrics

from splatpack.errors import UsageError
from splatpack.render.compare import compare, psnr, ssim
from splatpack.render.cpu import render
from splatpack.render.views import evaluation_cameras
from tests import synth

skimage_ssim: Any = metrics.structural_similarity


def pictures(height: int, width: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    a = (
        0.5
        + 0.4 * np.sin(np.stack([x * 0.3, y * 0.2, x * 0.1 + y * 0.15], axis=-1))
        + rng.normal(0, 0.02, (height, width, 3))
    )
    b = a + rng.normal(0, noise, a.shape)
    return a.clip(0, 1).astype(np.float32), b.clip(0, 1).astype(np.float32)


@pytest.mark.parametrize("shape", [(11, 11), (11, 30), (40, 57)])
@pytest.mark.parametrize("noise", [0.0, 0.003, 0.05, 0.5])
def test_ssim_is_that_of_scikit_image(shape: tuple[int, int], noise: float) -> None:
    a, b = pictures(*shape, noise)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
    oracle = skimage_ssim(a.astype(np.float64), b.astype(np.float64), channel_axis=-1, **options)
    assert ssim(a, b) == pytest.approx(oracle, abs=1e-6)
    grey = skimage_ssim(a[..., 0].astype(np.float64), b[..., 0].astype(np.float64), **options)
    assert ssim(a[..., 0], b[..., 0]) == pytest.approx(grey, abs=1e-6)


def test_ssim_of_equal_and_of_small_pictures() -> None:
    a, b = pictures(3, 20, 0.1)
    assert ssim(a, a) == pytest.approx(1.0, abs=1e-12)
    assert 0 < ssim(a, b) < 1
    assert ssim(a[:1, :1], a[:1, :1]) == pytest.approx(1.0, abs=1e-12)
    assert ssim(np.zeros((20, 20, 3), np.float32), np.ones((20, 20, 3), np.float32)) < 1e-3


def test_psnr() -> None:
    a = np.zeros((4, 5, 3), np.float32)
    assert psnr(a, a) == 100.0
    assert psnr(a, a + np.float32(0.1)) == pytest.approx(20.0, abs=1e-5)
    assert psnr(a, a + np.float32(1e-7)) == 100.0


def test_pictures_of_other_shapes_are_refused() -> None:
    a = np.zeros((12, 12, 3), np.float32)
    for measure in (psnr, ssim):
        with pytest.raises(UsageError, match="expected the same"):
            measure(a, a[:-1])
    with pytest.raises(UsageError, match="not empty"):
        ssim(a[:0], a[:0])


def test_compare_reports_each_view() -> None:
    scene = synth.scene(2000, 2)
    worse = replace(scene, sh0=scene.sh0 + np.float32(0.1))
    cameras = evaluation_cameras(scene, 48, 36)
    report = compare(scene, worse, cameras, threads=2, background=(0.2, 0.3, 0.4))
    assert report.views == 12
    assert report.names == [c.name for c in cameras]
    assert report.psnr_min == min(report.psnr) < report.psnr_mean == pytest.approx(np.mean(report.psnr))
    assert report.ssim_mean == pytest.approx(np.mean(report.ssim))
    pair = [render(s, cameras[3], background=(0.2, 0.3, 0.4)).color for s in (scene, worse)]
    assert report.psnr[3] == psnr(*pair)
    assert report.ssim[3] == ssim(*pair)
    assert json.loads(json.dumps(report.as_dict()))["psnr_mean"] == report.psnr_mean
    assert compare(scene, worse, cameras, threads=1, background=(0.2, 0.3, 0.4)) == report


def test_compare_with_itself_and_with_nothing() -> None:
    scene = synth.scene(500, 0)
    report = compare(scene, scene)
    assert report.psnr == [100.0] * 12
    assert report.ssim_mean == pytest.approx(1.0)
    assert compare(scene, synth.scene(0)).psnr_min < 60
    with pytest.raises(UsageError, match="no cameras"):
        compare(scene, scene, [])
    nameless = [replace(c, name="") for c in evaluation_cameras(scene, 16, 12)[:2]]
    assert compare(scene, scene, nameless).names == ["view-00", "view-01"]
