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
    from splatpack.pack.api import WriteReport
    from splatpack.train.evaluate import Quality
    from splatpack.train.record import TrainResult
    from splatpack.train.trainer import Trainer
    from splatpack.train.verdict import Verdict


@dataclass(frozen=True)
class Coding:
    """Where and how the scene is written."""

    target: Path
    preset: str
    target_size: int | None
    force: bool


@dataclass(frozen=True)
class Trained:
    """What a command knows in the end: the run, the file, and the held-out photos as the file shows them."""

    trainer: Trainer
    result: TrainResult
    report: WriteReport
    found: list[Verdict]
    quality: Quality | None
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return the values of ``--json``."""
        result, data = self.result, self.trainer.dataset
        coded = result.test
        return {
            "output": self.report.output, "n": self.report.n_out, "bytes": self.report.bytes_out,
            "iterations": result.iterations, "seconds": self.seconds, "seconds_training": result.seconds,
            "psnr_test": None if self.quality is None else self.quality.psnr_mean,
            "ssim_test": None if self.quality is None else self.quality.ssim_mean,
            "psnr_uncoded": None if coded is None else coded.psnr_mean,
            "ssim_uncoded": None if coded is None else coded.ssim_mean,
            "n_trained": len(result.scene), "photos_train": len(data.train), "photos_test": len(data.test),
            "preset": self.report.preset, "history": result.as_dict()["history"],
            "warnings": [*data.warnings, *self.report.warnings],
        }  # fmt: skip


def finish(
    console: Console, trainer: Trainer, result: TrainResult, how: Coding, page: str | None, start: float
) -> None:
    """Write the scene, judge what was written, and say so."""
    from splatpack.pack.api import read, write
    from splatpack.scene.validate import validate
    from splatpack.train.verdict import summed, verdicts

    scene, _ = validate(result.scene)
    cameras = tuple(photo.camera for photo in trainer.dataset.train)
    with console.progress() as progress:
        report = write(
            how.target, scene, how.preset, target_size=how.target_size, force=how.force, threads=console.threads,
            progress=progress, cameras=cameras,
        )  # fmt: skip
    found = verdicts(trainer, read(how.target, threads=console.threads))
    done = Trained(trainer, result, report, found, summed(found), time.perf_counter() - start)
    if page is not None:
        _write_page(console, done, page, how)
    for warning in report.warnings:
        console.warn(warning)
    console.result(done.as_dict() | ({"report": page} if page else {}))
    _summary(console, done)


def _write_page(console: Console, done: Trained, path: str, how: Coding) -> None:
    from splatpack.bench.trainpage import Run, page
    from splatpack.container.atomic import atomic_write
    from splatpack.pack.presets import settings
    from splatpack.train.verdict import sizes

    data, report = done.trainer.dataset, done.report
    cameras = tuple(photo.camera for photo in data.train)
    rates = sizes(done.trainer, done.result.scene, settings(how.preset, cameras=cameras))
    run = Run(
        title=f"{data.name} as {how.target.name}",
        facts=_facts(done),
        command=_report.command_line(),
        bytes=report.bytes_out,
        gaussians=report.n_out,
        history=done.result.history,
        verdicts=done.found,
        rates=rates,
        sections=report.sections,
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
        ("scene", f"{len(result.scene):,} Gaussians trained, {done.report.n_out:,} written, "
                  f"SH degree {result.scene.sh_degree}, frame {data.frame}"),
        ("time", f"{done.seconds:.1f} s with reading, writing and measuring"),
    ]  # fmt: skip
    if result.test is not None:
        rows.append(("uncoded", f"{decibel(result.test.psnr_mean)}, SSIM {result.test.ssim_mean:.4f} as trained"))
    rows += [("warning", text) for text in (*data.warnings, *done.report.warnings)]
    return [*rows, ("version", f"splatpack {__version__}")]


def _summary(console: Console, done: Trained) -> None:
    report, result = done.report, done.result
    console.say(f"{done.trainer.dataset.name} -> {click.style(report.output, bold=True)}")
    console.say(
        f"  {click.style(size(report.bytes_out), bold=True)}, {report.n_out:,} Gaussians, {result.iterations:,} steps "
        f"in {clock(result.seconds)}"
    )
    if done.quality is not None and result.test is not None:
        quality = f"PSNR {decibel(done.quality.psnr_mean)}"
        console.say(
            f"  held-out photos: {click.style(quality, bold=True)}, SSIM {done.quality.ssim_mean:.4f} "
            f"(before coding {decibel(result.test.psnr_mean)})"
        )
    console.say(f"  {done.seconds:.1f} s")
