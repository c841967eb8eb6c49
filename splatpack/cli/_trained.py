"""The end of ``splatpack train``: the scene is written, and what was written is judged on held-out photos."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from splatpack.cli import _report
from splatpack.cli._console import Console, decibel, size
from splatpack.cli._training import clock

if TYPE_CHECKING:
    from splatpack.pack.presets import Settings
    from splatpack.train.compact import Compact
    from splatpack.train.evaluate import Quality
    from splatpack.train.record import TrainResult
    from splatpack.train.trainer import Trainer
    from splatpack.train.verdict import Verdict


@dataclass(frozen=True)
class Coding:
    """Where and how the scene is written: ``None`` leaves a number to :mod:`splatpack.train.compact`."""

    target: Path
    force: bool
    target_size: int | None
    price: float | None
    quality: float | None
    prune: float | None
    refine: int | None

    def settings(self, trainer: Trainer) -> Settings:
        """Return the codec's settings to begin with."""
        from splatpack.pack.presets import Settings
        from splatpack.train.compact import COARSE, DROPPED

        return Settings(
            q=COARSE if self.quality is None else self.quality,
            prune=DROPPED if self.prune is None else self.prune,
            cameras=tuple(photo.camera for photo in trainer.dataset.train),
            name="train",
        )


@dataclass(frozen=True)
class Trained:
    """What a command knows in the end: the run, the file, and the held-out photos as the file shows them."""

    trainer: Trainer
    result: TrainResult
    output: Path
    made: Compact
    found: list[Verdict]
    quality: Quality | None
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return the values of ``--json``."""
        result, data, coded = self.result, self.trainer.dataset, self.quality
        return {
            "output": str(self.output), "n": len(self.made.scene), "bytes": len(self.made.data),
            "iterations": result.iterations, "seconds": self.seconds, "seconds_training": result.seconds,
            "psnr_test": None if coded is None else coded.psnr_mean,
            "ssim_test": None if coded is None else coded.ssim_mean,
            "psnr_trained": None if result.test is None else result.test.psnr_mean,
            "ssim_trained": None if result.test is None else result.test.ssim_mean,
            "n_trained": len(result.scene), "photos_train": len(data.train), "photos_test": len(data.test),
            "q": self.made.settings.q, "prune": self.made.settings.prune,
            "history": result.as_dict()["history"], "warnings": data.warnings,
        }  # fmt: skip


def finish(
    console: Console, trainer: Trainer, result: TrainResult, how: Coding, page: str | None, start: float
) -> None:
    """Write the scene, judge what was written, and say so."""
    from splatpack.container.atomic import atomic_write
    from splatpack.train.verdict import summed, verdicts

    made = _compact(console, trainer, result, how)
    with atomic_write(how.target, force=how.force) as file:
        file.write(made.data)
    found = verdicts(trainer, made.scene)
    done = Trained(trainer, result, how.target, made, found, summed(found), time.perf_counter() - start)
    if page is not None:
        _write_page(done, page, how)
    console.result(done.as_dict() | ({"report": page} if page else {}))
    _summary(console, done)


def _compact(console: Console, trainer: Trainer, result: TrainResult, how: Coding) -> Compact:
    """Return the file of a trained scene, pulled to the photos on the grid of its quantisers."""
    from splatpack.scene.validate import validate
    from splatpack.train.compact import PRICE, STEPS, Photos, compact
    from splatpack.train.normal import NEAR
    from splatpack.train.views import Views

    scene, _ = validate(result.scene)
    train = trainer.dataset.train
    photos = Photos(
        Views(train, [photo.camera for photo in train]), trainer.background, NEAR * trainer.space.scale,
        trainer.settings, trainer.state.exposures, trainer.backend,
    )  # fmt: skip
    with console.progress() as progress:
        return compact(
            scene, photos, how.settings(trainer), target_size=how.target_size,
            price=PRICE if how.price is None else how.price, steps=STEPS if how.refine is None else how.refine,
            progress=None if progress is None else lambda step, steps: progress("coding", step, steps),
        )  # fmt: skip


def _write_page(done: Trained, path: str, how: Coding) -> None:
    from splatpack.bench.trainpage import Run, page
    from splatpack.container.atomic import atomic_write
    from splatpack.train.verdict import sizes

    data, made = done.trainer.dataset, done.made
    run = Run(
        title=f"{data.name} as {how.target.name}",
        facts=_facts(done),
        command=_report.command_line(),
        bytes=len(made.data),
        gaussians=len(made.scene),
        history=done.result.history,
        verdicts=done.found,
        rates=sizes(done.trainer, done.result.scene, how.settings(done.trainer)),
        sections=_report.stored(str(how.target))[0],
    )
    with atomic_write(path, force=how.force) as file:
        file.write(page(run).encode("utf-8", "backslashreplace"))


def _facts(done: Trained) -> list[tuple[str, str]]:
    from splatpack import __version__

    data, how, result = done.trainer.dataset, done.trainer.settings, done.result
    camera = data.train[0].camera
    rows = [
        ("photos", f"{len(data.train)} trained on, {len(data.test)} held out, {camera.width}x{camera.height} pixels"),
        ("training", f"{result.iterations:,} steps in {clock(result.seconds)}, {how.strategy}, seed {how.seed}, "
                     f"backend {done.trainer.backend.name}"),
        ("scene", f"{len(result.scene):,} Gaussians trained, {len(done.made.scene):,} written, "
                  f"SH degree {result.scene.sh_degree}, frame {data.frame}"),
        ("time", f"{done.seconds:.1f} s with reading, writing and measuring"),
    ]  # fmt: skip
    if result.test is not None:
        rows.append(
            ("as trained", f"{decibel(result.test.psnr_mean)}, SSIM {result.test.ssim_mean:.4f}, before coding")
        )
    rows += [("warning", text) for text in data.warnings]
    return [*rows, ("version", f"splatpack {__version__}")]


def _summary(console: Console, done: Trained) -> None:
    made, result = done.made, done.result
    console.say(f"{done.trainer.dataset.name} -> {click.style(str(done.output), bold=True)}")
    console.say(
        f"  {click.style(size(len(made.data)), bold=True)}, {len(made.scene):,} Gaussians, {result.iterations:,} steps "
        f"in {clock(result.seconds)}"
    )
    if done.quality is not None and result.test is not None:
        quality = f"PSNR {decibel(done.quality.psnr_mean)}"
        console.say(
            f"  held-out photos: {click.style(quality, bold=True)}, SSIM {done.quality.ssim_mean:.4f} "
            f"(before coding {decibel(result.test.psnr_mean)})"
        )
    console.say(f"  {done.seconds:.1f} s")
