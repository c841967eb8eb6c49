"""The training loop: it fits, it is reproducible, and it can be broken off anywhere."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splatpack.errors import StorageError, UnsupportedError, UsageError
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians
from splatpack.train.data.dataset import Dataset
from splatpack.train.data.photo import Photo
from splatpack.train.record import Point, TrainResult
from splatpack.train.seeds import Seeds
from splatpack.train.settings import TrainSettings
from splatpack.train.trainer import Trainer
from tests.test_train import photos

SMALL = TrainSettings(iterations=24, max_gaussians=300, init="random", evaluations=2, coarse=0.3)


@pytest.fixture(scope="module")
def tiny() -> Dataset:
    return photos.dataset(5, (32, 24), held_out=(2,))


def bytes_of(result: TrainResult) -> bytes:
    return b"".join(getattr(result.scene, name).tobytes() for name in ATTRIBUTES)


def test_eight_photos_reach_28_db_in_seconds() -> None:
    data = photos.dataset(9, held_out=(4,))
    trainer = Trainer(data, TrainSettings(iterations=300, max_gaussians=1200, sh_degree=1, evaluations=3, speed=6.0))
    result = trainer.run()
    assert len(data.train) == 8
    assert result.test is not None
    assert result.test.psnr_mean > 28
    assert len(result.scene) <= 1500
    assert result.complete
    tested = [point.psnr_test for point in result.history if point.psnr_test is not None]
    assert len(tested) == 3
    assert tested[-1] == result.test.psnr_mean
    assert result.as_dict()["psnr_test"] == result.test.psnr_mean


@pytest.mark.parametrize(
    "changes",
    [{}, {"strategy": "adc", "iterations": 40}, {"exposure": True, "batch": 2}, {"antialiased": True, "ssim": 0.0}],
)
def test_a_break_changes_nothing(tiny: Dataset, tmp_path: Path, changes: dict[str, Any]) -> None:
    settings = SMALL.changed(**changes)
    whole = Trainer(tiny, settings).run()
    path = tmp_path / "run.checkpoint"
    first = Trainer(tiny, settings)
    part = first.run(until=lambda step: step >= 13, checkpoint=path)
    assert not part.complete
    assert part.iterations == 13
    second = Trainer.resumed(tiny, path)
    rest = second.run()
    assert rest.complete
    assert bytes_of(rest) == bytes_of(whole)
    strip = [replace(point, seconds=0.0) for point in rest.history]
    assert strip == [replace(point, seconds=0.0) for point in whole.history]
    if first.state.exposures is not None and second.state.exposures is not None:
        assert np.abs(second.state.exposures.maps - np.eye(3, 4)).max() > 0


def test_threads_change_no_byte(tiny: Dataset) -> None:
    runs = [bytes_of(Trainer(tiny, SMALL.changed(threads=n, init="stereo")).run()) for n in (1, 2, 3)]
    assert runs[0] == runs[1] == runs[2]


def test_a_seed_changes_the_scene(tiny: Dataset) -> None:
    assert bytes_of(Trainer(tiny, SMALL).run()) != bytes_of(Trainer(tiny, SMALL.changed(seed=1)).run())


def test_the_scene_lies_where_the_cameras_are(tiny: Dataset) -> None:
    """A data set a thousand times larger and far from the origin gives the same scene there."""
    result = Trainer(tiny, SMALL).run()
    far, size = np.array([4000.0, -300.0, 50.0]), 1000.0

    def moved(photo: Photo) -> Photo:
        matrix = photo.camera.viewmat.copy()
        matrix[:3, 3] = size * matrix[:3, 3] - matrix[:3, :3] @ far
        return replace(photo, camera=replace(photo.camera, viewmat=matrix))

    there = replace(tiny, train=tuple(map(moved, tiny.train)), test=tuple(map(moved, tiny.test)))
    large = Trainer(there, SMALL).run()
    assert result.test is not None
    assert large.test is not None
    assert large.test.psnr_mean == pytest.approx(result.test.psnr_mean, abs=0.5)
    middle = np.median(large.scene.means.astype(np.float64), axis=0)
    assert np.abs(middle - (size * np.median(result.scene.means, axis=0) + far)).max() < 0.5 * size
    assert large.scene.metadata["trainer"]["normalisation"]["scale"] == pytest.approx(
        size * result.scene.metadata["trainer"]["normalisation"]["scale"]
    )


def test_a_budget_is_kept(tiny: Dataset) -> None:
    seen: list[Point] = []
    result = Trainer(tiny, SMALL.changed(budget=0.4)).run(progress=seen.append)
    assert result.complete
    assert 0.4 <= result.seconds < 3
    assert [p.share for p in seen] == sorted(p.share for p in seen)
    assert seen[0].seconds_left >= 0
    assert seen[-1].share == 1


def test_seeds_and_scenes_to_begin_with(tiny: Dataset) -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (500, 3)).astype(np.float32)
    seeds = Seeds(points, np.full((500, 3), 0.5, np.float32), np.full(500, 0.05, np.float32))
    trainer = Trainer(tiny, SMALL, seeds=seeds)
    assert len(trainer.scene) == 300
    assert np.isin(trainer.scene.means[:, 0].round(3), points[:, 0].round(3)).all()
    assert np.allclose(np.exp(trainer.scene.scales), 0.05, rtol=1e-4)
    scene = trainer.run().scene
    again = Trainer(tiny, SMALL, seeds=scene)
    assert np.allclose(again.scene.means, scene.means, atol=1e-5)
    assert isinstance(again.scene, Gaussians)
    assert again.scene.sh_degree == 0


def test_points_of_the_data_set(tiny: Dataset) -> None:
    points = np.random.default_rng(0).uniform(-1, 1, (50, 3)).astype(np.float32)
    trainer = Trainer(replace(tiny, points=points), SMALL.changed(init="auto"))
    assert len(trainer.scene) == 50
    with pytest.raises(UsageError, match="no sparse points"):
        Trainer(tiny, SMALL.changed(init="points"))


def test_no_photo() -> None:
    with pytest.raises(UsageError, match="no photo"):
        Trainer(Dataset("empty", ()), SMALL)


def test_one_camera_trains(tiny: Dataset) -> None:
    one = replace(tiny, train=tiny.train[:1], test=())
    result = Trainer(one, SMALL.changed(init="stereo")).run()
    assert result.test is None
    assert np.isfinite(result.scene.means).all()
    assert result.as_dict()["psnr_test"] is None


def test_weights_keep_pixels_out(tiny: Dataset) -> None:
    """What is masked may be any colour: the scene does not learn it."""

    def masked(photo: Photo, colour: float) -> Photo:
        weight = np.ones((24, 32), np.float32)
        weight[:, :16] = 0.0
        pixels = photo.pixels()
        pixels[:, :16] = colour
        return Photo.of(photo.name, photo.camera, pixels, weight)

    runs = []
    for colour in (0.0, 1.0):
        data = replace(tiny, train=tuple(masked(p, colour) for p in tiny.train), test=())
        # seeds must not be coloured by what is masked
        seeds = Seeds(
            np.random.default_rng(0).uniform(-1, 1, (200, 3)).astype(np.float32), np.full((200, 3), 0.5, np.float32)
        )
        runs.append(Trainer(data, SMALL.changed(coarse=0.0), seeds=seeds).run())
    assert np.allclose(runs[0].scene.sh0, runs[1].scene.sh0, atol=1e-3)


def test_transparent_photos_stay_empty(tiny: Dataset) -> None:
    alpha = np.zeros((24, 32), np.float32)
    white = [Photo.of(p.name, p.camera, np.ones((24, 32, 3), np.float32), alpha=alpha) for p in tiny.train]
    data = replace(tiny, train=tuple(white), test=(), background=(1.0, 1.0, 1.0))
    trainer = Trainer(data, SMALL.changed(background="random", iterations=80))
    opaque = 1 / (1 + np.exp(-trainer.scene.opacities))
    result = trainer.run()
    assert (1 / (1 + np.exp(-result.scene.opacities))).mean() < 0.5 * opaque.mean()


def test_exposures_explain_photos_of_another_brightness() -> None:
    data = photos.dataset(6, (32, 24))
    dark = [Photo.of(p.name, p.camera, p.pixels() * (0.6 if k % 2 else 1.0)) for k, p in enumerate(data.train)]
    data = replace(data, train=tuple(dark))
    settings = SMALL.changed(iterations=120, max_gaussians=400, speed=5.0)
    plain, mapped = (Trainer(data, settings.changed(exposure=on)).run() for on in (False, True))
    assert mapped.history[-1].psnr_train > plain.history[-1].psnr_train + 0.5


def test_interrupt_waits_for_the_step_and_saves(tiny: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    whole = Trainer(tiny, SMALL).run()
    trainer = Trainer(tiny, SMALL)

    def press(point: Point) -> None:
        if point.iteration == 9:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        trainer.run(progress=press, checkpoint=path)
    assert signal.getsignal(signal.SIGINT) is before
    resumed = Trainer.resumed(tiny, path)
    assert resumed.state.iteration in (9, 10)
    assert bytes_of(resumed.run()) == bytes_of(whole)


def test_outside_the_main_thread_nothing_is_postponed(tiny: Dataset) -> None:
    results: list[TrainResult] = []
    thread = threading.Thread(target=lambda: results.append(Trainer(tiny, SMALL.changed(iterations=3)).run()))
    thread.start()
    thread.join()
    assert results[0].complete


def test_a_full_disk_at_a_checkpoint(tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.checkpoint"
    whole = Trainer(tiny, SMALL).run()
    trainer = Trainer(tiny, SMALL)
    trainer.run(until=lambda step: step >= 5, checkpoint=path)
    old = path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("splatpack.container.atomic.os.fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        trainer.run(checkpoint=path, every=4)
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    warned: list[StorageError] = []
    result = trainer.run(checkpoint=path, every=4, warn=warned.append)
    assert len(warned) == 4
    assert bytes_of(result) == bytes_of(whole)


def test_a_checkpoint_of_other_photos(tiny: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    Trainer(tiny, SMALL).save(path)
    with pytest.raises(UsageError, match="other photos"):
        Trainer.resumed(replace(tiny, train=tiny.train[1:]), path)


def test_gsplat_is_asked_for_where_it_is_not() -> None:
    from splatpack.train.gsplat import missing

    if missing() is None:
        pytest.skip("gsplat and CUDA are here")
    with pytest.raises(UnsupportedError, match="backend gsplat"):
        Trainer(photos.dataset(2, (16, 16)), SMALL.changed(backend="gsplat"))
    assert Trainer(photos.dataset(2, (16, 16)), SMALL.changed(backend="auto")).backend.name == "cpu"
