"""``splatpack compare``: two scenes drawn from the same cameras."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from splatpack.cli import _options, _report
from splatpack.cli._console import Console, decibel, size

if TYPE_CHECKING:
    from splatpack.render.compare import CompareReport
    from splatpack.scene.cameras import Camera
    from splatpack.scene.gaussians import Gaussians

GAIN = 10.0
"""How much a strip amplifies errors."""
SHOWN = 4
"""Views in a strip."""


@click.argument("reference", metavar="REF")
@click.argument("test", metavar="TEST")
@click.option("--cameras", metavar="FILE.json", help="Compare from these cameras instead of seeded ones.")
@click.option("--size", "dimensions", type=_options.Dimensions(), help="Default: the cameras' own, else 320x240.")
@click.option(
    "--level", type=click.IntRange(0, 31), metavar="L", help="Of TEST, this level of detail or coarser (.spk)."
)
@_options.background
@click.option("--min-psnr", type=float, metavar="DB", help="Exit with status 1 when the mean PSNR is below.")
@click.option("--strip", metavar="OUT.png", help="Write a picture: reference, test, error x10, for a few views.")
@_report.option
@_options.force
@_options.max_memory
def _run(
    console: Console,
    reference: str,
    test: str,
    *,
    level: int | None,
    background: tuple[float, float, float],
    min_psnr: float | None,
    strip: str | None,
    page: str | None,
    force: bool,
    max_memory: int | None,
    **views: Any,
) -> None:
    """Render two scenes from the same cameras and compare the pictures.

    The cameras are seeded, around the reference and inside it, or those of --cameras.
    """
    from splatpack.errors import UsageError
    from splatpack.pack.api import read
    from splatpack.render.compare import compare

    if strip is not None:
        from splatpack.cli._pictures import refuse

        if Path(strip).suffix.lower() != ".png":
            raise UsageError(f"--strip {strip}: expected a name ending in .png.")
        refuse([Path(strip)], force)
    if page is not None:
        _report.refuse(page, force, (reference, test))
    with console.progress() as progress:
        wanted = ((reference, None), (test, level))
        budget, threads = _options.limits(max_memory), console.threads
        scenes = [read(path, level=which, limits=budget, threads=threads) for path, which in wanted]
        cameras = _cameras(scenes[0], **views)
        if progress:
            progress("rendering", 0, 1)
        if page is None:
            report = compare(scenes[0], scenes[1], cameras, background=background, threads=console.threads)
        else:
            from splatpack.bench.page import draw

            drawn = draw(scenes[0], scenes[1], cameras, background=background, threads=console.threads)
            report = drawn.report
            _report.write(page, scenes, drawn, (reference, test), _facts(report, cameras), force=force)
        if strip is not None:
            _strip(console, Path(strip), scenes, cameras, background, report, force)
    values = _values(report, (reference, test), scenes)
    console.result(values | ({"strip": strip} if strip else {}) | ({"report": page} if page else {}))
    _summary(console, values)
    if min_psnr is not None and not report.psnr_mean >= min_psnr:
        console.say(f"  below --min-psnr {min_psnr:g}")
        raise click.exceptions.Exit(1)


def _cameras(scene: Gaussians, cameras: str | None, dimensions: tuple[int, int] | None) -> list[Camera]:
    from splatpack.render.views import evaluation_cameras
    from splatpack.scene.readcameras import read_cameras

    if cameras is None:
        return evaluation_cameras(scene, *(dimensions or (320, 240)))
    return [c.resized(*dimensions) if dimensions else c for c in read_cameras(cameras)]


def _facts(report: CompareReport, cameras: list[Camera]) -> list[tuple[str, str]]:
    sizes = dict.fromkeys(f"{c.width}x{c.height}" for c in cameras)
    return [("views", f"{report.views}, {', '.join(sizes)} pixels")]


def _values(report: CompareReport, paths: tuple[str, str], scenes: list[Gaussians]) -> dict[str, Any]:
    sizes = [Path(p).stat().st_size for p in paths]
    shared = report.as_dict()
    rows = zip(shared.pop("names"), shared.pop("psnr"), shared.pop("ssim"), strict=True)
    return {
        **shared,
        "per_view": [{"name": name, "psnr": psnr, "ssim": ssim} for name, psnr, ssim in rows],
        "reference": paths[0],
        "test": paths[1],
        "n_ref": len(scenes[0]),
        "n_test": len(scenes[1]),
        "bytes_ref": sizes[0],
        "bytes_test": sizes[1],
    }


def _strip(
    console: Console,
    path: Path,
    scenes: list[Gaussians],
    cameras: list[Camera],
    background: tuple[float, float, float],
    report: CompareReport,
    force: bool,
) -> None:
    """Draw a few views, the worst one among them, of reference, test and amplified error."""
    from splatpack.cli._pictures import error_picture, save, strip
    from splatpack.render.cpu import render
    from splatpack.render.views import stage

    near = stage(scenes[0]).near
    shown = _shown(report)
    first = cameras[shown[0]]
    rows, notes = [], []
    for i in shown:
        view = cameras[i].resized(first.width, first.height)
        pair = [render(s, view, background=background, near=near, threads=console.threads).color for s in scenes]
        rows.append([*pair, error_picture(pair[0], pair[1], GAIN)])
        notes.append(f"{report.names[i]}  {report.psnr[i]:.2f} dB  SSIM {report.ssim[i]:.4f}")
    titles = ("reference", "test", f"absolute error x{GAIN:g}")
    save(path, strip(rows, titles, notes), force=force)


def _shown(report: CompareReport) -> list[int]:
    """Return the worst view and others spread over the rest, ascending."""
    worst = min(range(report.views), key=lambda i: report.psnr[i])
    spread = [round(k * (report.views - 1) / max(SHOWN - 1, 1)) for k in range(SHOWN)]
    return sorted(dict.fromkeys([worst, *spread]))[: SHOWN + 1]


def _summary(console: Console, values: dict[str, Any]) -> None:
    console.say(f"{values['reference']} and {values['test']}: {values['views']} views")
    quality = f"{decibel(values['psnr_mean'])} mean, {decibel(values['psnr_min'])} worst view"
    console.say(f"  PSNR {click.style(quality, bold=True)}, SSIM {values['ssim_mean']:.4f}")
    console.say(
        f"  {values['n_ref']:,} and {values['n_test']:,} Gaussians, "
        f"{size(values['bytes_ref'])} and {size(values['bytes_test'])}"
    )


command = _options.command("compare", example="splatpack compare scene.ply scene.spk --min-psnr 35")(_run)
