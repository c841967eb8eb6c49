"""Files that are pulled to the photos: better than coding alone, smaller where bits cost, and as large as asked for."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from splatpack.errors import UsageError
from splatpack.pack.api import read
from splatpack.pack.presets import Settings
from splatpack.render.compare import psnr
from splatpack.render.cpu import render
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians
from splatpack.train.compact import contributions
from splatpack.train.settings import TrainSettings
from splatpack.train.trainer import Trainer
from tests import synth
from tests.test_train import photos

DATA = photos.dataset(6, (48, 36))


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    settings = TrainSettings(iterations=150, max_gaussians=600, sh_degree=1, evaluations=0, speed=6.0)
    trainer = Trainer(DATA, settings)
    trainer.run()
    return trainer


def quality(scene: Gaussians) -> float:
    near = 0.01
    return float(np.mean([psnr(render(scene, p.camera, near=near).color, p.pixels()) for p in DATA.train]))


def test_photos_win_back_what_coding_loses(trainer: Trainer) -> None:
    how = Settings(q=3.0, prune=0.3)
    plain, pulled, cheap = (trainer.compact(how, steps=n, price=p) for n, p in ((0, 0.0), (120, 0.0), (120, 3e-6)))
    assert quality(pulled.scene) > quality(plain.scene) + 1.0
    assert len(cheap.data) < 0.95 * len(pulled.data)
    assert np.abs(cheap.scene.shN).sum() < np.abs(pulled.scene.shN).sum()
    assert len(pulled.scene) == len(plain.scene) == 420
    assert pulled.settings == how
    assert pulled.steps == 120


def test_the_file_is_what_was_drawn(trainer: Trainer, tmp_path: Path) -> None:
    made = trainer.compact(Settings(q=2.0, prune=0.2), steps=10)
    path = tmp_path / "scene.spk"
    path.write_bytes(made.data)
    scene = read(path)
    for name in ATTRIBUTES:
        assert (getattr(scene, name) == getattr(made.scene, name)).all()
    assert scene.metadata["trainer"]["iterations"] == 150


def test_a_target_size_is_met(trainer: Trainer) -> None:
    for target in (6_000, 9_000):
        made = trainer.compact(target_size=target, steps=12)
        assert 0.85 * target <= len(made.data) <= target
    with pytest.raises(UsageError, match="smallest file"):
        trainer.compact(target_size=200, steps=2)


def test_the_same_bytes_again(trainer: Trainer) -> None:
    how = Settings(q=2.0, prune=0.2)
    assert trainer.compact(how, steps=8).data == trainer.compact(how, steps=8).data


def test_contributions_are_the_squared_weights() -> None:
    scene = synth.scene(40, 0)
    cameras = [photos.camera(k) for k in (0, 3)]
    found = contributions(scene, cameras, 0.05)
    assert found.shape == (40,)
    assert (found >= 0).all()
    hidden = scene.take(np.arange(40))
    hidden.opacities[:] = math.log(1e-6)
    assert not contributions(hidden, cameras, 0.05).any()
