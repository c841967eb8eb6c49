"""``splatpack fetch``: a scene from a streaming server to a file, as a viewer would get it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from splatpack.cli import _options
from splatpack.cli._console import Console, size

if TYPE_CHECKING:
    from splatpack.scene.cameras import Camera


@click.argument("url", metavar="ws://HOST:PORT/SCENE")
@click.option("-o", "--output", required=True, metavar="OUT.spk", help="Where it goes; OUT.spk.part on the way.")
@_options.force
@click.option("--view", metavar="CAM.json", help="A camera: what is near and in sight comes first.")
@click.option("--budget", type=_options.Size(), help="Stop after so many bytes; what came is a valid .spk.")
@click.option("--token", envvar="SPLATPACK_TOKEN", help="For servers that ask for one. Also $SPLATPACK_TOKEN.")
@_options.max_memory
def _run(
    console: Console, url: str, output: str, *, force: bool, view: str | None, budget: int | None, token: str | None,
    max_memory: int | None,
) -> None:  # fmt: skip
    """Fetch a scene from a splatpack server: reconnects, resumes, and checks every chunk.

    Run again after an interruption, it goes on where it was.
    """
    from splatpack.stream.fetch import fetch

    with console.progress() as progress:
        done = fetch(
            url, output, camera=_camera(view), budget=budget, token=token, force=force,
            limits=_options.limits(max_memory), progress=progress,
        )  # fmt: skip
    console.result(asdict(done))
    console.say(f"{url} -> {click.style(output, bold=True)}")
    what = "complete" if done.complete else "in part"
    console.say(
        f"  {done.chunks_out:,} chunks, {size(done.bytes_out)}, {what}; {size(done.bytes)} received in "
        f"{done.seconds:.1f} s" + (f", resumed {done.resumed} times" if done.resumed else "")
    )


def _camera(path: str | None) -> Camera | None:
    """Return the first camera of a file."""
    if path is None:
        return None
    from splatpack.scene.readcameras import read_cameras

    return read_cameras(path)[0]


command = _options.command("fetch", example="splatpack fetch ws://127.0.0.1:8080/scene -o copy.spk")(_run)
