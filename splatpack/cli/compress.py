"""``splatpack compress``: any readable scene to a ``.spk``."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from splatpack.cli import _options, _report
from splatpack.cli._console import Console, decibel, size

if TYPE_CHECKING:
    from splatpack.pack.api import WriteReport
    from splatpack.pack.presets import Settings

PRESETS = ("near-lossless", "high", "medium", "small")
ATTRIBUTES = ("means", "scales", "quats", "opacities", "sh0", "shN")
STEPS = ("scale", "rotation", "opacity", "colour", "sh", "position")


class AutoOff(click.ParamType[str | float]):
    """``auto``, ``off``, or a number."""

    def __init__(self, name: str, what: str, below: float) -> None:
        self.name, self._what, self._below = name, what, below

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | float:
        """Return the word or the number."""
        if value in ("auto", "off"):
            return str(value)
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not 0 <= number < self._below:
            self.fail(f"{value!r}, expected auto, off, or {self._what}", param, ctx)
        return number


def _quality(fn: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say how a scene is coded."""
    unit = click.FloatRange(0, 64, min_open=True)
    pair = _options.Setting()
    prune = AutoOff("prune", "a share of at least 0 and below 1", 1.0)
    refine = AutoOff("refine", "seconds", 1e6)
    drop = "Share of the least important Gaussians that is dropped; auto: what suits the quality."
    refit = "Refit what is left to renders of the original; auto: with medium and small. Seconds: not reproducible."
    stand = AutoOff("lod-refine", "seconds", 1e6)
    pull = "Refit what stands for the scene at coarse levels. Seconds: not reproducible."
    add = click.option
    options = (
        add("--preset", type=click.Choice(PRESETS), default="high", show_default=True, help="The quality to reach."),
        add("--quality", type=unit, metavar="Q", help="Take these steps, no search: smaller is finer."),
        add("--step", "steps", type=pair, multiple=True, help=f"One step: {', '.join(STEPS)}. Repeatable."),
        add("--prune", type=prune, default="auto", metavar="auto|off|FRACTION", show_default=True, help=drop),
        add("--refine", type=refine, default="auto", metavar="auto|off|SECONDS", show_default=True, help=refit),
        add("--lod/--no-lod", default=False, help="Write levels of detail, coarse ones first. Default: off."),
        add("--lod-refine", type=stand, metavar="auto|off|SECONDS", default="auto", show_default=True, help=pull),
        add("--sh-degree", type=click.IntRange(0, 3), metavar="N", help="Drop spherical harmonics above this degree."),
        add("--lossless", is_flag=True, help="Bit-exact floats, exactly as they are stored."),
        add("--keep-order", is_flag=True, help="Keep the order of the rows (with --lossless)."),
        add("--exact", type=click.Choice(ATTRIBUTES), multiple=True, help="Keep an attribute bit-exact. Repeatable."),
        add("--max-error", type=pair, multiple=True, help="Bound the error of an attribute. Repeatable."),
        add("--cameras", metavar="FILE.json", help="The scene's own cameras: what they see is coded with more care."),
    )
    for option in reversed(options):
        fn = option(fn)
    return fn


@click.argument("source", metavar="IN")
@click.option("-o", "--output", metavar="OUT.spk", help="Default: IN with the suffix .spk.")
@_options.force
@_quality
@click.option("--target-size", type=_options.Size(), metavar="SIZE", help="As good as fits in, e.g. 8MB. Never above.")
@click.option("--target-psnr", type=click.FloatRange(10, 99), metavar="DB", help="As small as reaches this mean PSNR.")
@click.option("--verify", is_flag=True, help="Decode and check the written file.")
@click.option("--measure/--no-measure", default=True, help="Render the written file for its PSNR. Default: on.")
@_report.option
@_options.max_memory
def _run(
    console: Console,
    source: str,
    output: str | None,
    *,
    force: bool,
    target_size: int | None,
    target_psnr: float | None,
    verify: bool,
    measure: bool,
    page: str | None,
    max_memory: int | None,
    **quality: Any,
) -> None:
    """Compress a scene of any readable format to a .spk.

    What was written is rendered and compared with the input, so that the summary's PSNR is that of the file.
    """
    target = _target(source, output)
    how = _settings(**quality)
    from splatpack.errors import UsageError

    if page is not None:
        _report.refuse(page, force, (source, target))
        if Path(source).resolve() == target.resolve():
            raise UsageError(f"--report needs the input afterwards, and {target} replaces it. Choose another output.")
    from splatpack.pack.api import compress

    limits = _options.limits(max_memory)
    with console.progress() as progress:
        report = compress(
            source,
            target,
            how,
            target_size=target_size,
            target_psnr=target_psnr,
            force=force,
            measure=measure,
            exact=quality["lossless"],
            limits=limits,
            threads=console.threads,
            progress=progress,
        )
        if verify:
            seconds = _verify(target, console.threads)
            report.stages.append(("verify", seconds))
            report.seconds += seconds
        if page is not None:
            _page(console, page, report, max_memory, exact=quality["lossless"], force=force)
    for warning in report.warnings:
        console.warn(f"{source}: {warning}")
    more = ({"verified": True} if verify else {}) | ({"report": page} if page else {})
    console.result(report.as_dict() | more)
    _summary(console, report, verify)


def _target(source: str, output: str | None) -> Path:
    """Return the output path: given, or the input's with ``.spk``."""
    from splatpack.errors import UsageError

    target = Path(output) if output is not None else Path(source).with_suffix(".spk")
    if output is None and target == Path(source):
        raise UsageError(f"{source} ends in .spk already. Name the output with -o OUT.spk.")
    if target.suffix.lower() != ".spk":
        raise UsageError(f"{target}: compress writes .spk files, expected an output ending in .spk.")
    return target


def _settings(
    *, preset: str, quality: float | None, steps: tuple[tuple[str, float], ...], prune: str | float,
    sh_degree: int | None, lossless: bool, keep_order: bool, exact: tuple[str, ...],
    max_error: tuple[tuple[str, float], ...], cameras: str | None, refine: str | float, lod: bool,
    lod_refine: str | float,
) -> Settings:  # fmt: skip
    """Return the encoder's settings, refusing options that contradict each other."""
    from dataclasses import replace

    from splatpack.errors import UsageError
    from splatpack.pack.presets import settings

    if lossless:
        if quality is not None or steps or max_error or sh_degree is not None or isinstance(prune, float) or cameras:
            raise UsageError(
                "--lossless goes with no --quality, --step, --prune, --sh-degree, --max-error or --cameras."
            )
        how = settings("near-lossless", exact=ATTRIBUTES, keep_order=keep_order, goal=None, name="lossless")
        return replace(how, lod=lod, **_lod_refine(lod_refine))
    changes: dict[str, Any] = {
        "lod": lod,
        **_lod_refine(lod_refine),
        "steps": dict(steps),
        "exact": exact,
        "max_error": dict(max_error),
        "sh_degree": sh_degree,
        "keep_order": keep_order,
    }
    if cameras is not None:
        from splatpack.scene.readcameras import read_cameras

        changes["cameras"] = tuple(read_cameras(cameras))
    if quality is not None:
        changes["q"] = quality
    if quality is not None or steps or exact or max_error:
        changes["goal"] = None
    if prune != "auto":
        changes["prune"] = 0.0 if prune == "off" else float(prune)
    if refine != "auto":
        changes["refine"], changes["refine_seconds"] = 0, 0.0 if refine == "off" else float(refine)
    both = set(exact) & set(changes["max_error"])
    if both:
        raise UsageError(f"--exact and --max-error both name {', '.join(sorted(both))}. Choose one.")
    return settings(preset, **changes)


def _lod_refine(value: str | float) -> dict[str, Any]:
    """Return the settings that ``--lod-refine`` changes."""
    return {} if value == "auto" else {"lod_refine": 0, "lod_seconds": 0.0 if value == "off" else float(value)}


def _verify(path: Path, threads: int | None) -> float:
    """Check the written file; return seconds, or raise its first error."""
    from splatpack.container.reader import ContainerReader
    from splatpack.pack.verify import verify

    start = time.perf_counter()
    with ContainerReader.open(path) as reader:
        found = verify(reader, threads=threads)
    if found.errors:
        raise found.errors[0]
    return time.perf_counter() - start


def _page(
    console: Console, path: str, report: WriteReport, max_memory: int | None, *, exact: bool, force: bool
) -> None:
    """Draw both files from the cameras of the measurement, and write the page."""
    from splatpack.bench.page import draw
    from splatpack.pack.api import read

    budget, threads = _options.limits(max_memory), console.threads
    scenes = (
        read(report.input, exact=exact, limits=budget, threads=threads),
        read(report.output, threads=threads),
    )
    facts = [("preset", report.preset)]
    facts += [("stages", ", ".join(f"{name} {seconds:.1f} s" for name, seconds in report.stages))]
    facts += [("warning", text) for text in report.warnings]
    drawn = draw(*scenes, threads=threads)
    search = report.search
    _report.write(path, scenes, drawn, (report.input, report.output), facts, search=search, force=force)


def _summary(console: Console, report: WriteReport, verified: bool) -> None:
    console.say(f"{report.input} -> {click.style(report.output, bold=True)}")
    rows = f"{report.n_in:,} Gaussians" + (f", {report.n_out:,} kept" if report.n_out != report.n_in else "")
    console.say(
        f"  {size(report.bytes_in)} -> {click.style(size(report.bytes_out), bold=True)}, {report.ratio:.1f}x smaller, "
        f"{report.bits_per_gaussian:.1f} bits per Gaussian ({rows}, {report.preset})"
    )
    if report.psnr_mean is not None and report.psnr_min is not None:
        quality = f"{decibel(report.psnr_mean)} mean, {decibel(report.psnr_min)} worst view"
        console.say(f"  rendered: PSNR {click.style(quality, bold=True)}, SSIM {report.ssim_mean:.4f}")
    console.say(f"  {'verified, ' if verified else ''}{report.seconds:.1f} s")


command = _options.command("compress", example="splatpack compress scene.ply -o scene.spk --preset high")(_run)
