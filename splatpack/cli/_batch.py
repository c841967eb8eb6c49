"""Many files in, a folder out: which files, one progress bar over all of them, a table at the end."""

from __future__ import annotations

import glob
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from splatpack.cli._console import Callback, Console, size
from splatpack.cli._folders import folder_format

Convert = Callable[[str, Path, Callback | None], dict[str, Any]]
_PATTERN = "*?["


def sources_of(words: tuple[str, ...]) -> list[str] | None:
    """Return the files of a batch, sorted, or None where the words are one file (or one folder that is a scene).

    A folder stands for the scenes right inside it, a pattern for what it matches.

    Raises
    ------
    UsageError
        Nothing is there.
    """
    from splatpack.errors import UsageError

    if len(words) == 1 and not _is_pattern(words[0]) and not _is_plain_folder(words[0]):
        return None
    found: list[str] = []
    for word in words:
        if _is_pattern(word):
            found += glob.glob(word)
        elif _is_plain_folder(word):
            found += [str(path) for path in Path(word).iterdir() if _is_scene(path)]
        else:
            found.append(word)
    if not found:
        raise UsageError(f"no scene in {' '.join(words)}, expected files that 'splatpack formats' lists.")
    return sorted(dict.fromkeys(found))


def _is_pattern(word: str) -> bool:
    return any(c in word for c in _PATTERN) and not os.path.exists(word)


def _is_plain_folder(word: str) -> bool:
    """Whether a word is a folder, and not one that is a scene by itself."""
    from splatpack.formats.detect import folder_file

    return os.path.isdir(word) and folder_file(word) is None


def _is_scene(path: Path) -> bool:
    from splatpack.errors import SplatpackError
    from splatpack.formats.detect import detect
    from splatpack.formats.registry import FORMATS

    try:
        kind = detect(path)
    except SplatpackError:
        return False
    return kind == "spk" or (kind in FORMATS and FORMATS[kind].reader is not None)


def targets_of(sources: list[str], folder: Path, extension: str) -> list[Path]:
    """Return one file name for each source, the extension of its format replaced (by none where it is a folder).

    Where that gives two sources one name (``a.ply`` and ``a.spz``), theirs stay whole: ``a.ply.spk``, ``a.spz.spk``.

    Raises
    ------
    UsageError
        Two sources of the same name, from two folders.
    """
    from splatpack.errors import UsageError
    from splatpack.formats.registry import FORMATS

    endings = sorted((e for f in FORMATS.values() for e in f.extensions), key=len, reverse=True)

    def stem(name: str) -> str:
        return name[: len(name) - len(next((e for e in endings if name.lower().endswith(e)), Path(name).suffix))]

    names = [Path(source).name for source in sources]
    shared = Counter(stem(name) for name in names)
    made: dict[Path, str] = {}
    for source, name in zip(sources, names, strict=True):
        target = folder / ((stem(name) if shared[stem(name)] == 1 else name) + extension)
        if target in made:
            raise UsageError(f"{made[target]} and {source} would both become {target}. Convert them one at a time.")
        made[target] = source
    return list(made)


def convert_all(console: Console, sources: list[str], folder: Path, to: str | None, one: Convert) -> None:
    """Convert each source to a file in ``folder``; list what was done and, last, what failed.

    Raises
    ------
    UsageError
        No format was named, or it cannot be written.
    SplatpackError
        At least one file failed; the others are there.
    """
    from splatpack.errors import SplatpackError, StorageError, UsageError
    from splatpack.formats.registry import target_format

    if to is None:
        raise UsageError(f"{len(sources)} files in: name the format of each with --to (.ply, .spz, .spk, ...).")
    extension = "" if folder_format(str(folder), to) else to.lower() if to.startswith(".") else f".{to.lower()}"
    if extension not in ("", ".spk"):
        target_format(extension)
    targets = targets_of(sources, folder, extension)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror or error}. A folder of files needs a folder.") from error
    start, done, failed = time.perf_counter(), [], []
    with console.progress() as progress:
        for i, (source, target) in enumerate(zip(sources, targets, strict=True)):
            if progress:
                progress(f"{i + 1} of {len(sources)}", i, len(sources))
            try:
                done.append(one(source, target, None))
            except SplatpackError as error:
                failed.append({"input": source, "code": error.code, "error": str(error)})
    console.result({
        "output": str(folder), "n": sum(d["n"] for d in done), "bytes_out": sum(d["bytes_out"] for d in done),
        "seconds": time.perf_counter() - start, "files": done, "failures": failed,
        "warnings": [f"{d['input']}: {text}" for d in done for text in d["warnings"]],
    })  # fmt: skip
    _summary(console, done, failed)
    if failed:
        raise SplatpackError(f"{len(failed)} of {len(sources)} files failed, first {failed[0]['input']}. See above.")


def _summary(console: Console, done: list[dict[str, Any]], failed: list[dict[str, str]]) -> None:
    """Draw the table, then the warnings, then the failures."""
    for row in done:
        for text in row["warnings"]:
            console.warn(f"{row['input']}: {text}")
    if not (console.quiet or console.json):
        from rich.markup import escape
        from rich.table import Table

        table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
        table.add_column("file", overflow="fold")
        for name in ("Gaussians", "in", "out", "seconds"):
            table.add_column(name, justify="right")
        for row in done:
            cells = (f"{row['n']:,}", size(row["bytes_in"]), size(row["bytes_out"]), f"{row['seconds']:.2f}")
            table.add_row(escape(Path(row["output"]).name), *cells)
        console.show(table)
    for failure in failed:
        console.say(f"  {click.style('failed', fg='red')} [{failure['code']}]: {failure['error']}")
