"""Speed of the rasteriser, of importance and of the comparison of pictures, warm.

``pytest benchmarks/bench_render.py --benchmark-enable``; the rate stands under ``extra_info`` and in the JSON.
"""

from __future__ import annotations

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from splatpack.fit.importance import importance
from splatpack.render.compare import ssim
from splatpack.render.cpu import render
from splatpack.render.project import project
from splatpack.render.views import orbit_cameras
from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import Gaussians
from tests import synth

COUNT = 150_000


@pytest.fixture(scope="module")
def scene() -> Gaussians:
    return synth.scene(COUNT)


@pytest.fixture(scope="module")
def camera(scene: Gaussians) -> Camera:
    return orbit_cameras(scene, 1, 640, 480)[0]


@pytest.mark.parametrize("threads", [1, None])
def test_render(benchmark: BenchmarkFixture, scene: Gaussians, camera: Camera, threads: int | None) -> None:
    result = benchmark(render, scene, camera, threads=threads)
    assert result.color.shape == (480, 640, 3)
    assert 0.3 < result.alpha.mean() < 1


@pytest.mark.parametrize("colour", [False, True])
def test_project(benchmark: BenchmarkFixture, scene: Gaussians, camera: Camera, colour: bool) -> None:
    view = benchmark(project, scene, camera, colour=colour, threads=1)
    assert COUNT // 2 < len(view.order) <= COUNT


@pytest.mark.parametrize("threads", [1, None])
def test_importance(benchmark: BenchmarkFixture, scene: Gaussians, threads: int | None) -> None:
    weights = benchmark(importance, scene, threads=threads)
    assert weights.shape == (COUNT,)
    assert weights.min() > 0
    if benchmark.stats is not None:
        benchmark.extra_info["Mgaussian_views_per_s"] = round(16 * COUNT / benchmark.stats.stats.median / 1e6, 2)


def test_ssim(benchmark: BenchmarkFixture) -> None:
    rng = np.random.default_rng(0)
    a = rng.random((240, 320, 3)).astype(np.float32)
    b = (0.9 * a + 0.05).astype(np.float32)
    assert 0.9 < benchmark(ssim, a, b) < 1
