"""``splatpack view``: a scene in the browser, from a server of its own or as one page."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from splatpack.cli import _options
from splatpack.cli._console import Console, size

FINE = 0.25
"""Steps of a scene that is not a .spk yet, so that it is seen as it is: nothing is searched for, nothing pruned."""


@click.argument("source", metavar="F")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Default: a free one.")
@click.option("--no-open", is_flag=True, help="Only say where the viewer is; open no browser.")
@click.option("--export", "target", metavar="OUT.html", help="Write one page that holds scene and viewer instead.")
@_options.force
@_options.max_memory
def _run(
    console: Console, source: str, *, port: int, no_open: bool, target: str | None, force: bool, max_memory: int | None
) -> None:
    """Look at a scene in a browser.

    A server on this machine streams it to the viewer until Ctrl-C. With --export, one HTML page is written that needs
    no server and asks nobody for anything. A scene of another format is compressed finely first.
    """
    with _packed(console, source, max_memory) as path:
        if target is not None:
            _export(console, path, Path(source).stem, Path(target), force=force)
        else:
            _serve(console, path, port, show=not no_open)


@contextlib.contextmanager
def _packed(console: Console, source: str, max_memory: int | None) -> Iterator[Path]:
    """Yield a .spk: the file itself, or a temporary one made of it."""
    from splatpack.pack.api import compress, is_spk
    from splatpack.pack.presets import settings

    if is_spk(source):
        yield Path(source)
        return
    how = settings("near-lossless", q=FINE, goal=None, prune=0.0, refine=0, importance_views=0)
    with tempfile.TemporaryDirectory(prefix="splatpack-view-") as folder:
        path = Path(folder) / f"{_name(source)}.spk"
        with console.progress() as progress:
            report = compress(
                source, path, how, limits=_options.limits(max_memory), threads=console.threads, progress=progress
            )
        for warning in report.warnings:
            console.warn(warning)
        yield path


def _name(source: str) -> str:
    """Return a name that a server can give to a scene."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in Path(source).stem)
    return kept.lstrip("._-")[:120] or "scene"


def _export(console: Console, path: Path, name: str, target: Path, *, force: bool) -> None:
    from splatpack.container.atomic import atomic_write, refuse_existing
    from splatpack.container.reader import ContainerReader
    from splatpack.server.export import page

    refuse_existing(target, force)
    with ContainerReader.open(path) as reader:  # a damaged file is found here, not in the browser
        scene = reader.source.read(0, reader.header.file_len)
    html = page(scene, name)
    with atomic_write(target, force=force) as file:
        file.write(html)
    console.result(
        {"input": str(path), "output": str(target), "url": target.resolve().as_uri(), "bytes_out": len(html)}
    )
    console.say(f"{name} -> {click.style(str(target), bold=True)}")
    console.say(
        f"  {size(len(html))}: the scene {size(len(scene))}, as text {size(len(scene) * 4 // 3)}, and the viewer"
    )


def _serve(console: Console, path: Path, port: int, *, show: bool) -> None:
    import webbrowser

    from splatpack.server.config import ServerConfig
    from splatpack.server.run import serve

    def ready(facts: dict[str, Any]) -> None:
        url = f"{facts['viewer']}viewer/?scene={facts['scenes'][0]}"
        console.result({"event": "listening", "url": url, "stream": f"{facts['url']}/{facts['scenes'][0]}"})
        if not console.json:
            click.echo(url)
        console.say("Ctrl-C ends it.")
        if show and not webbrowser.open(url):
            console.warn("no browser opened: open the address above in one.")

    serve([str(path)], ServerConfig(port=port, log="off"), ready)


command = _options.command("view", example="splatpack view scene.spk --export scene.html")(_run)
