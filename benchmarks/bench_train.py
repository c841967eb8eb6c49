"""Speed of a training step, warm: drawing, loss, gradients, optimiser and noise, and the plane sweep before it.

``pytest benchmarks/bench_train.py --benchmark-enable``; the aim is 60 ms for 50,000 Gaussians at 200x150 on two cores.
"""

from __future__ import annotations

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from splatpack.render.cpu import render
from splatpack.render.views import orbit_cameras
from splatpack.train.data.dataset import Dataset
from splatpack.train.data.photo import Photo
from splatpack.train.settings import TrainSettings
from splatpack.train.stereo import stereo
from splatpack.train.trainer import Trainer
from splatpack.train.views import View
from tests import synth

COUNT = 50_000
SETTINGS = TrainSettings(iterations=1_000_000, max_gaussians=COUNT, coarse=0.0, sh_degree=3, evaluations=0)


@pytest.fixture(scope="module")
def data() -> Dataset:
    scene = synth.scene(COUNT)
    cameras = orbit_cameras(scene, 4, 200, 150)
    return Dataset("synth", tuple(Photo.of(f"{k}", c, render(scene, c).color) for k, c in enumerate(cameras)))


@pytest.mark.parametrize("threads", [1, None])
def test_step(benchmark: BenchmarkFixture, data: Dataset, threads: int | None) -> None:
    trainer = Trainer(data, SETTINGS.changed(threads=threads), seeds=synth.scene(COUNT, seed=1))
    trainer.state.adam.replant(trainer.space.inward(synth.scene(COUNT)), np.arange(COUNT))  # SH of degree 3
    benchmark(trainer._timed_step)
    assert trainer.state.iteration >= 1
    assert len(trainer.state.adam.scene) == COUNT
    if benchmark.stats is not None:
        benchmark.extra_info["Mgaussian_views_per_s"] = round(COUNT / benchmark.stats.stats.median / 1e6, 2)


def test_stereo(benchmark: BenchmarkFixture, data: Dataset) -> None:
    views = [View(photo.camera, photo.pixels()[::2, ::2].copy(), None, None) for photo in data.train]
    views = [View(v.camera.resized(100, 75), v.pixels, None, None) for v in views]
    seeds = benchmark.pedantic(stereo, (views,), rounds=1)
    assert np.isfinite(seeds.points).all()
