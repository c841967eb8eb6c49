"""``splatpack train``: posed photos to a small ``.spk``."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from splatpack.cli import _options, _report
from splatpack.cli._console import Console
from splatpack.cli._training import Duration, Previews, bar

if TYPE_CHECKING:
    from splatpack.scene.gaussians import Gaussians
    from splatpack.train.data.dataset import Dataset
    from splatpack.train.record import Point, TrainResult
    from splatpack.train.seeds import Seeds
    from splatpack.train.settings import TrainSettings
    from splatpack.train.trainer import Trainer

INITIALISERS = ("auto", "points", "stereo", "random")
RUN = (
    "iterations", "budget", "max_gaussians", "sh_degree", "strategy", "init", "seed", "appearance", "antialiased",
    "background", "backend",
)  # fmt: skip
"""Options that a checkpoint has an answer to."""


class Split(click.ParamType[int | None]):
    """``auto``, ``none``, or every so many-th photo."""

    name = "split"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """Return ``test_every`` of :func:`splatpack.train.data.dataset.open_dataset`."""
        if value is None or isinstance(value, int):
            return value
        if value in ("auto", "none"):
            return None if value == "auto" else 0
        if not str(value).isdigit() or int(value) < 2:
            self.fail(f"{value!r}, expected auto, none, or a whole number from 2", param, ctx)
        return int(value)


class Backdrop(_options.Colour):
    """A colour, or ``random``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return red, green and blue from 0 to 1, or the word."""
        return value if value == "random" else super().convert(value, param, ctx)


def _data(fn: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say which photos, and how large."""
    add = click.option
    keep = "Photos held out for measuring: auto takes what the data set says, else the first of every 8."
    behind = "What transparent photos lie on: a name, #rrggbb, r,g,b, or random. Default: white."
    options = (
        add("--downscale", type=click.IntRange(1), default=1, show_default=True, metavar="N", help="Divides sides."),
        add("--split", type=Split(), default="auto", show_default=True, metavar="auto|none|N", help=keep),
        add("--background", type=Backdrop(), metavar="COLOUR|random", help=behind),
        add("--cache", type=_options.Size(), metavar="SIZE", help="Memory for decoded photos. Default: 2 GiB."),
        _options.max_memory,
    )  # fmt: skip
    for option in reversed(options):
        fn = option(fn)
    return fn


def _training(fn: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say how to train."""
    add = click.option
    clock_ = "Train for this time instead of a count of steps: 10m, 90s, 1h30m. Not reproducible."
    grow = "mcmc: a fixed number of Gaussians, relocated. classic: clone, split, prune, reset."
    begin = (
        "Where the first Gaussians come from: the sparse points, depth that photos agree on, or a file of either kind."
    )
    options = (
        add("--iterations", type=click.IntRange(1), metavar="N", help="Steps, one photo each. Default: 3000."),
        add("--budget", type=Duration(), metavar="TIME", help=clock_),
        add("--max-gaussians", type=click.IntRange(1), metavar="N", help="Never more than this. Default: 50000."),
        add("--sh-degree", type=click.IntRange(0, 3), metavar="N", help="Of the finished scene. Default: 3."),
        add("--strategy", type=click.Choice(("mcmc", "classic")), help=grow + " Default: mcmc."),
        add("--init", metavar="auto|points|stereo|random|FILE", help=begin + " Default: auto."),
        add("--seed", type=click.IntRange(0), metavar="N", help="Default: 0."),
        add("--appearance", is_flag=True, default=None, help="Learn each photo's exposure and white balance."),
        add("--antialiased", is_flag=True, default=None, help="Train for renderers that compensate opacity."),
        add("--backend", type=click.Choice(("auto", "cpu", "gsplat")), help="Default: auto, gsplat where it runs."),
    )
    for option in reversed(options):
        fn = option(fn)
    return fn


def _coding(fn: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say how small the file is to be."""
    add = click.option
    fits = "As good as fits in, e.g. 500kB. Never above."
    price = "What a bit adds to the loss while the scene is pulled to the photos as the file has it. Default: 3e-8."
    steps = "Factor on the quantisers' steps: smaller is finer. Default: 2."
    pull = "Steps towards the photos on the grid of the file's quantisers. Default: 800."
    drop = "Share that is dropped, the least seen first. Default: 0.6."
    options = (
        add("--target-size", type=_options.Size(), metavar="SIZE", help=fits),
        add("--lambda", "price", type=click.FloatRange(0, 1), metavar="L", help=price),
        add("--quality", type=click.FloatRange(0, 64, min_open=True), metavar="Q", help=steps),
        add("--prune", type=click.FloatRange(0, 1, max_open=True), metavar="SHARE", help=drop),
        add("--refine", type=click.IntRange(0), metavar="N", help=pull),
    )
    for option in reversed(options):
        fn = option(fn)
    return fn


@click.argument("data", metavar="DATA")
@click.option("-o", "--output", required=True, metavar="OUT.spk", help="The scene.")
@_options.force
@_data
@_training
@_coding
@click.option(
    "--checkpoint-every", type=click.IntRange(1), default=500, show_default=True, metavar="N", help="In steps."
)
@click.option("--resume", is_flag=True, help="Go on from the checkpoint of a run that was broken off.")
@click.option("--preview", metavar="DIR", help="Write photos beside what the scene shows of them, while it trains.")
@_report.option
def _run(
    console: Console, data: str, output: str, *, force: bool, downscale: int, split: int | None, background: Any,
    cache: int | None, max_memory: int | None, target_size: int | None, price: float | None, quality: float | None,
    prune: float | None, refine: int | None, checkpoint_every: int,
    resume: bool, preview: str | None, page: str | None, **options: Any,
) -> None:  # fmt: skip
    """Train a scene on a folder of posed photos (COLMAP, transforms.json, Blender), and write it compressed.

    The figures at the end are those of the written file, on photos that were held out. Ctrl-C writes a checkpoint
    beside the output; --resume goes on there, with the same result as without the break.
    """
    start = time.perf_counter()
    target, saved = _targets(data, output, page, force)
    from splatpack.cli._trained import Coding, finish
    from splatpack.errors import StorageError
    from splatpack.train.data.dataset import CACHE_BYTES, open_dataset

    options["background"] = "random" if background == "random" else None
    settings = None if resume else _settings(console.threads, **options)
    _refuse_with_resume(resume, saved, options)
    with console.progress() as progress:
        dataset = open_dataset(
            data, downscale=downscale, test_every=split, background=None if background == "random" else background,
            max_bytes=CACHE_BYTES if cache is None else cache, limits=_options.limits(max_memory),
            threads=console.threads, progress=progress,
        )  # fmt: skip
    _introduce(console, dataset)
    trainer = _trainer(dataset, settings, saved, options["init"], max_memory)
    result = _train(console, trainer, saved, checkpoint_every, preview)
    with suppress(StorageError):
        trainer.save(saved)
    how = Coding(target, force, target_size, price, quality, prune, refine)
    finish(console, trainer, result, how, page, start)
    with suppress(OSError):
        saved.unlink()


def _targets(data: str, output: str, page: str | None, force: bool) -> tuple[Path, Path]:
    """Return the output and the checkpoint beside it; refuse what could not be written in the end."""
    from splatpack.container.atomic import refuse_existing
    from splatpack.errors import UsageError

    target = Path(output)
    if target.suffix.lower() != ".spk":
        raise UsageError(f"{target}: train writes .spk files, expected an output ending in .spk.")
    refuse_existing(target, force)
    saved = target.with_suffix(".checkpoint")
    if page is not None:
        _report.refuse(page, force, (data, target, saved))
    return target, saved


def _settings(threads: int | None, **options: Any) -> TrainSettings:
    """Return the settings of a new run."""
    from splatpack.errors import UsageError
    from splatpack.train.settings import TrainSettings

    if options["iterations"] is not None and options["budget"] is not None:
        raise UsageError("--iterations and --budget both say when to end. Choose one.")
    names = {"appearance": "exposure"}
    given = {names.get(k, k): v for k, v in options.items() if v is not None}
    if given.get("strategy") == "classic":
        given["strategy"] = "adc"
    if given.get("init") not in (None, *INITIALISERS):
        given["init"] = "auto"
    return TrainSettings(threads=threads, **given)


def _refuse_with_resume(resume: bool, saved: Path, options: dict[str, Any]) -> None:
    """Refuse options that a checkpoint answers, and a run that would overwrite a checkpoint."""
    from splatpack.errors import StorageError, TargetExistsError, UsageError

    given = [f"--{k.replace('_', '-')}" for k in RUN if options[k] is not None]
    if resume and given:
        raise UsageError(f"--resume goes on with the settings of then: leave out {', '.join(given)}.")
    if resume and not saved.is_file():
        raise StorageError(f"{saved}: no such file, expected the checkpoint of a run that was broken off.")
    if not resume and saved.exists():
        raise TargetExistsError(f"{saved}: a run that was broken off. Go on with --resume, or remove it to begin anew.")


def _introduce(console: Console, dataset: Dataset) -> None:
    for warning in dataset.warnings:
        console.warn(warning)
    camera = dataset.train[0].camera
    points = "" if dataset.points is None else f", {len(dataset.points):,} sparse points"
    console.say(
        f"{dataset.name}: {len(dataset.train)} photos to train on, {len(dataset.test)} held out, "
        f"{camera.width}x{camera.height}{points}"
    )


def _trainer(
    dataset: Dataset, settings: TrainSettings | None, saved: Path, init: str | None, max_memory: int | None
) -> Trainer:
    """Return a trainer at the start of a run, or where a checkpoint was written."""
    from splatpack.train.trainer import Trainer

    if settings is None:
        return Trainer.resumed(dataset, saved, _options.limits(max_memory))
    seeds = None if init in (None, *INITIALISERS) else _seeds(Path(str(init)), max_memory)
    return Trainer(dataset, settings, seeds=seeds)


def _seeds(path: Path, max_memory: int | None) -> Seeds | Gaussians:
    """Return what a file holds to begin with: points or a scene."""
    import numpy as np

    from splatpack.scene.gaussians import Gaussians
    from splatpack.train.data.points import read_start
    from splatpack.train.seeds import Seeds

    found = read_start(path, _options.limits(max_memory))
    if isinstance(found, Gaussians):
        return found
    points, colors = found
    return Seeds(points, np.full(points.shape, 0.5, np.float32) if colors is None else colors)


def _train(console: Console, trainer: Trainer, saved: Path, every: int, preview: str | None) -> TrainResult:
    """Run to the end, or to a checkpoint."""
    previews = None if preview is None else Previews(preview, trainer, console)
    with bar(console) as move:

        def follow(point: Point) -> None:
            if move is not None:
                move(point)
            if previews is not None:
                previews(point)

        try:
            return trainer.run(
                progress=follow, checkpoint=saved, every=every, warn=lambda error: console.warn(str(error))
            )
        except KeyboardInterrupt:
            console.say(f"{saved} holds the run at step {trainer.state.iteration:,}. Go on with --resume.")
            raise


command = _options.command("train", example="splatpack train photos/ -o scene.spk --budget 10m --report page.html")(
    _run
)
