"""``splatpack render``: pictures of a scene, single, in a folder, or as an animation."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from splatpack.cli import _options
from splatpack.cli._console import Callback, Console, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from splatpack.cli._pictures import Frame
    from splatpack.scene.cameras import Camera
    from splatpack.scene.gaussians import Gaussians

ANIMATIONS = (".gif", ".webp")


@click.argument("source", metavar="F")
@click.option("-o", "--output", required=True, metavar="OUT", help="OUT.png, OUT.gif, OUT.webp, or a folder.")
@_options.force
@click.option("--camera", metavar="CAM.json", help="Draw the first camera of this file.")
@click.option("--cameras", metavar="FILE.json", help="Draw all cameras of a transforms.json or cameras.json.")
@click.option("--orbit", type=click.IntRange(1, 10_000), metavar="N", help="Draw N views around the scene.")
@click.option("--size", "dimensions", type=_options.Dimensions(), help="Default: the camera's own, else 640x480.")
@_options.background
@click.option("--device", type=click.Choice(("auto", "cpu", "cuda")), default="auto", show_default=True)
@click.option("--level", type=click.IntRange(0, 31), metavar="L", help="This level of detail or coarser (.spk).")
@click.option(
    "--budget", type=click.IntRange(1), metavar="N", help="Draw at most N Gaussians: a coarser cut, else the largest."
)
@click.option("--depth", metavar="OUT.png", help="Also write the depth of a single view: near is bright.")
@click.option("--alpha", metavar="OUT.png", help="Also write the coverage of a single view.")
@click.option("--fps", type=click.FloatRange(0.1, 60), default=15, show_default=True, help="Speed of an animation.")
@_options.max_memory
def _run(
    console: Console,
    source: str,
    output: str,
    *,
    force: bool,
    background: tuple[float, float, float],
    fps: float,
    depth: str | None,
    alpha: str | None,
    **options: Any,
) -> None:
    """Render a scene of any readable format.

    One camera gives a PNG; several give a folder of PNGs, or an animation where OUT ends in .gif or .webp. Without a
    camera the first view of an orbit is drawn.
    """
    from splatpack.cli._pictures import refuse, save_extra, save_frames

    _check_device(options["device"])
    several = options["cameras"] is not None or (options["orbit"] or 1) > 1
    extras = {name: Path(path) for name, path in (("depth", depth), ("alpha", alpha)) if path is not None}
    _check_outputs(Path(output), several, extras)
    refuse((Path(output), *extras.values()), force)
    with console.progress() as progress:
        scene = _read(console, source, options)
        views = _views(scene, options)
        spent: list[float] = []
        frames = _frames(console, scene, views, background, progress, spent)
        last = save_frames(Path(output), frames, force=force, fps=fps)
        for name, path in extras.items():
            save_extra(path, name, last, force=force)
    values = {"input": source, "output": output, "width": views[0].width, "height": views[0].height, "device": "cpu"}
    values |= {"frames": len(views), "n": len(scene), "seconds_per_frame": sum(spent) / len(spent)}
    console.result(values)
    _summary(console, values)


def _check_device(device: str) -> None:
    from splatpack.errors import UnsupportedError

    if device == "cuda":
        raise UnsupportedError("--device cuda: this version renders on the CPU only. Use --device cpu or auto.")


def _check_outputs(output: Path, several: bool, extras: dict[str, Path]) -> None:
    """Refuse outputs that do not fit the number of views, before anything is drawn."""
    from splatpack.errors import UnsupportedError, UsageError

    suffix = output.suffix.lower()
    if suffix == ".mp4":
        raise UnsupportedError(f"{output}: writing .mp4 will need the 'video' extra. Use .gif, .webp or a folder.")
    if suffix == ".png" and several:
        raise UsageError(f"{output}: several views do not fit one .png. Name a folder, a .gif or a .webp.")
    if suffix not in ("", ".png", *ANIMATIONS) and not output.is_dir():
        raise UsageError(f"{output}: expected .png, .gif, .webp or a folder without a suffix.")
    for name, path in extras.items():
        if several:
            raise UsageError(f"--{name} goes with a single view.")
        if path.suffix.lower() != ".png":
            raise UsageError(f"--{name} {path}: expected a name ending in .png.")


def _read(console: Console, source: str, options: dict[str, Any]) -> Gaussians:
    from splatpack.pack.api import largest, read

    limits = _options.limits(options["max_memory"])
    level, budget = options["level"], options["budget"]
    scene = read(source, level=level, budget=budget, limits=limits, threads=console.threads)
    return scene if budget is None else largest(scene, budget)


def _views(scene: Gaussians, options: dict[str, Any]) -> list[Camera]:
    """Return the cameras that the options name; those of a file keep their size unless --size is given."""
    from splatpack.errors import UsageError
    from splatpack.render.views import orbit_cameras
    from splatpack.scene.readcameras import read_cameras

    given = [name for name in ("camera", "cameras", "orbit") if options[name] is not None]
    if len(given) > 1:
        raise UsageError(f"--{' and --'.join(given)} do not go together. Choose one.")
    width, height = options["dimensions"] or (640, 480)
    if given in ([], ["orbit"]):
        return orbit_cameras(scene, options["orbit"] or 1, width, height)
    views = read_cameras(options[given[0]])
    views = views[:1] if given == ["camera"] else views
    return [v.resized(width, height) for v in views] if options["dimensions"] else views


def _frames(
    console: Console,
    scene: Gaussians,
    views: list[Camera],
    background: tuple[float, float, float],
    progress: Callback | None,
    spent: list[float],
) -> Iterator[Frame]:
    """Draw one view after the other, so that a long orbit is never in memory at once."""
    from splatpack.cli._pictures import Frame
    from splatpack.render.cpu import render
    from splatpack.render.views import stage

    near = stage(scene).near
    for i, view in enumerate(views):
        if progress:
            progress("rendering", i, len(views))
        start = time.perf_counter()
        drawn = render(scene, view, background=background, near=near, threads=console.threads)
        spent.append(time.perf_counter() - start)
        yield Frame(view.name or f"view_{i:04d}", drawn)


def _summary(console: Console, values: dict[str, Any]) -> None:
    path = Path(values["output"])
    bytes_out = path.stat().st_size if path.is_file() else sum(p.stat().st_size for p in path.glob("*.png"))
    console.say(f"{values['input']} -> {click.style(str(path), bold=True)}")
    views = f"{values['frames']} view{'s' if values['frames'] > 1 else ''}"
    console.say(
        f"  {views} of {values['n']:,} Gaussians, {values['width']}x{values['height']}, {size(bytes_out)}, "
        f"{1000 * values['seconds_per_frame']:.0f} ms each on the CPU"
    )


command = _options.command("render", example="splatpack render scene.spk -o scene.png --size 640x480")(_run)
