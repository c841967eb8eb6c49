"""``--report``: what a command knows, handed to the page of :mod:`splatpack.bench.page`."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from splatpack.cli._console import size

if TYPE_CHECKING:
    from splatpack.bench.page import Drawn
    from splatpack.scene.gaussians import Gaussians

option = click.option("--report", "page", metavar="OUT.html", help="Write a self-contained page: pictures, figures.")


def refuse(path: str, force: bool, others: Iterable[str | Path]) -> None:
    """Raise before any work for a page that may not be written: it exists, or is another file of the command."""
    from splatpack.container.atomic import refuse_existing
    from splatpack.errors import UsageError

    if Path(path).suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--report {path}: expected a name ending in .html.")
    if Path(path).resolve() in [Path(other).resolve() for other in others]:
        raise UsageError(f"--report {path}: that is another file of this command. Choose another name.")
    refuse_existing(path, force)


def command_line() -> str:
    """Return the running command with the options that were given, quoted for a shell."""
    ctx = click.get_current_context()
    given = [
        p for p in ctx.command.params if p.name and ctx.get_parameter_source(p.name) == ParameterSource.COMMANDLINE
    ]
    words = ctx.command_path.split()
    for param in sorted(given, key=lambda p: isinstance(p, click.Option)):
        value: Any = ctx.params.get(param.name or "")
        if isinstance(param, click.Option) and param.is_flag:
            words.append(param.opts[-1] if value else param.secondary_opts[-1])
            continue
        for one in value if param.multiple else (value,):
            words += [param.opts[-1]] if isinstance(param, click.Option) else []
            words.append(_word(one, param.type.name))
    return shlex.join(words)


def _word(value: Any, kind: str) -> str:
    """Return a value as it would be typed."""
    if isinstance(value, tuple):
        between = {"WxH": "x", "NAME=VALUE": "="}.get(kind, ",")
        return between.join(f"{v:.6g}" if isinstance(v, float) else str(v) for v in value)
    return repr(value) if isinstance(value, float) else str(value)


def stored(path: str) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return the bytes of each section of a ``.spk``, and what it says of its encoder; nothing for another format."""
    from splatpack.cli._inputs import open_spk
    from splatpack.cli.info import _sections
    from splatpack.pack.api import is_spk

    if not is_spk(path):
        return {}, []
    with open_spk(path) as reader:
        rows, meta = _sections(reader), reader.meta
    sections = {r["name"] + (f" ({', '.join(r['attributes'])})" if r["attributes"] else ""): r["bytes"] for r in rows}
    encoder = meta.get("encoder")
    given = encoder.items() if isinstance(encoder, dict) else ()
    texts = [f"{name} {value}" for name, value in given if value not in ({}, [], None) and name != "n_in"]
    return sections, [("settings", ", ".join(texts)), ("encoder", str(meta.get("generator")))]


def write(
    path: str,
    scenes: Sequence[Gaussians],
    drawn: Drawn,
    files: tuple[str, str],
    facts: Sequence[tuple[str, str]],
    *,
    search: Sequence[Mapping[str, Any]] = (),
    force: bool,
) -> None:
    """Write the page about two scenes and their files, whole or not at all.

    Parameters
    ----------
    path : str
    scenes : (reference, test)
    drawn : Drawn
    files : (reference, test)
    facts : sequence of (str, str)
        What the command adds to the sizes.
    search : sequence of mapping
    force : bool
    """
    from splatpack import __version__
    from splatpack.bench.page import Facts, page
    from splatpack.bench.pairing import attribute_errors
    from splatpack.container.atomic import atomic_write

    sections, encoder = stored(files[1])
    before, after = (Path(f).stat().st_size for f in files)
    rows = [
        ("original", f"{files[0]}, {size(before)} ({before:,} bytes), {len(scenes[0]):,} Gaussians"),
        ("decoded", f"{files[1]}, {size(after)} ({after:,} bytes), {len(scenes[1]):,} Gaussians"),
        ("size", size(after)),
        ("ratio", f"{before / max(after, 1):.3g}x"),
        ("rate", f"{8 * after / max(len(scenes[0]), 1):.1f} bits/G"),
        *encoder,
        *facts,
        ("version", f"splatpack {__version__}"),
    ]
    title = f"{Path(files[0]).name} and {Path(files[1]).name}"
    about = Facts(title, rows, command_line(), sections, search)
    text = page(about, drawn, attribute_errors(*scenes))
    with atomic_write(path, force=force) as file:
        file.write(text.encode("utf-8", "backslashreplace"))
