"""``splatpack serve``: scenes to WebSocket clients, browsers and range requests, on one port."""

from __future__ import annotations

import json
from typing import Any

import click

from splatpack.cli import _options
from splatpack.cli._console import Console


@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="0 picks a free one.  [default: 8080]")
@click.option("--workers", type=click.IntRange(1, 256), metavar="N", help="Processes that share the port.")
@click.option("--origin", "origins", multiple=True, metavar="URL", help="A web origin that may connect, or '*'.")
@click.option("--token-file", type=click.Path(dir_okay=False), help="Tokens, one a line; clients must show one.")
@click.option("--tls-cert", metavar="PEM", help="Certificate chain.")
@click.option("--tls-key", metavar="PEM", help="Its private key.")
@click.option("--cache", "cache_bytes", type=_options.Size(), help="Memory for chunks, per worker.  [default: 256MiB]")
@click.option("--rate", "bytes_per_second", type=_options.Size(), help="Bytes per second to one client.")
@click.option("--log", type=click.Choice(["json", "text", "off"]), help="Lines on stderr.  [default: text]")
@click.option("--config", "file", metavar="TOML", help="Settings; SPLATPACK_SERVE_NAME and flags win over it.")
def _run(console: Console, paths: tuple[str, ...], *, token_file: str | None, file: str | None, **flags: Any) -> None:
    """Serve .spk files: websocket streaming, range requests and a page with links, on one port.

    Prints one line of JSON when clients can connect, and ends on SIGTERM or Ctrl-C after telling them.
    """
    from splatpack.server.config import load
    from splatpack.server.run import serve

    flags["tokens"] = _tokens(token_file) if token_file else ()
    flags["bytes_per_second"] = None if flags["bytes_per_second"] is None else float(flags["bytes_per_second"])
    if console.quiet:
        flags["log"] = "off"
    serve(paths, load(file, flags=flags), lambda facts: click.echo(json.dumps(facts)))


def _tokens(path: str) -> tuple[str, ...]:
    """Read tokens from a file: a flag would show them to everybody on the machine."""
    from pathlib import Path

    from splatpack.errors import StorageError, UsageError

    try:
        tokens = tuple(line.strip() for line in Path(path).read_text("utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"{path}: {error}.") from error
    if not tokens:
        raise UsageError(f"{path}: no token in it, expected one a line.")
    return tokens


command = _options.command("serve", example="splatpack serve scene.spk --port 0")(_run)
