"""Speed of the differentiable rasteriser, warm: 50,000 Gaussians at 200x150, picture and gradients.

``pytest benchmarks/bench_backward.py --benchmark-enable``; the aim is 60 ms for both ways on two cores.
"""

from __future__ import annotations

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from splatpack.render.backward import Gradients, backward, forward
from splatpack.render.views import orbit_cameras
from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import Gaussians
from tests import synth

COUNT = 50_000


@pytest.fixture(scope="module")
def scene() -> Gaussians:
    return synth.scene(COUNT)


@pytest.fixture(scope="module")
def camera(scene: Gaussians) -> Camera:
    return orbit_cameras(scene, 1, 200, 150)[0]


def both(scene: Gaussians, camera: Camera, threads: int | None) -> Gradients:
    result, tape = forward(scene, camera, threads=threads)
    return backward(tape, (result.color - np.float32(0.5)) / np.float32(result.color.size), threads=threads)


@pytest.mark.parametrize("threads", [1, None])
def test_forward_and_backward(
    benchmark: BenchmarkFixture, scene: Gaussians, camera: Camera, threads: int | None
) -> None:
    grads = benchmark(both, scene, camera, threads)
    assert (np.abs(grads.means).max(axis=1) > 0).sum() > COUNT // 4
    if benchmark.stats is not None:
        benchmark.extra_info["Mgaussian_views_per_s"] = round(COUNT / benchmark.stats.stats.median / 1e6, 2)


@pytest.mark.parametrize("threads", [1, None])
def test_backward(benchmark: BenchmarkFixture, scene: Gaussians, camera: Camera, threads: int | None) -> None:
    result, tape = forward(scene, camera, threads=threads)
    pull = (result.color - np.float32(0.5)) / np.float32(result.color.size)
    grads = benchmark(backward, tape, pull, threads=threads)
    assert np.isfinite(grads.means).all()
