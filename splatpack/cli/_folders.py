"""Scenes that are folders: what OUT and --to name, the levels of a streamed one, and the save itself."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splatpack.cli._console import Callback

if TYPE_CHECKING:
    from splatpack.formats.table import Format
    from splatpack.scene.gaussians import Gaussians

FACTOR = 0.25
"""Gaussians of a level for one of the next finer level."""
FEWEST, MOST_LEVELS = 8192, 6
"""A level of fewer Gaussians gets no coarser one; levels, at most, where their number was not asked for."""


def folder_format(output: str, to: str | None) -> tuple[Format, Path] | None:
    """Return the format and the folder where ``--to`` names a folder format, or OUT ends in the index of one."""
    from splatpack.formats.detect import FOLDER_FILE, LOD_FILE
    from splatpack.formats.table import FORMATS

    entry = FORMATS.get((to or "").lower())
    if entry is not None and entry.folder and entry.writer:
        return entry, Path(output)
    name = {FOLDER_FILE: "sog-folder", LOD_FILE: "lod-meta"}.get(Path(output).name)
    return (FORMATS[name], Path(output).parent) if name and to is None else None


def levels_of(scene: Gaussians, count: int | None, progress: Callback | None) -> list[Gaussians]:
    """Return coarser versions of a scene, each of a quarter of the Gaussians of the one before."""
    from splatpack.edit.simplification import simplify

    levels = [scene]
    most = MOST_LEVELS if count is None else count
    while len(levels) < most and len(levels[-1]) > (FEWEST if count is None else 1):
        if progress:
            progress("levels", len(levels) - 1, most)
        levels.append(simplify(levels[-1], FACTOR))
    return levels[1:]


def save(
    folder: Path, scene: Gaussians, entry: Format, *, force: bool, output_frame: str | None, levels: int | None,
    progress: Callback | None,
) -> list[str]:  # fmt: skip
    """Write a scene to a folder in one stroke; return what the format could not hold.

    Raises
    ------
    TargetExistsError, StorageError, UnsupportedError, UsageError, InvalidSceneError
    """
    from splatpack.formats.registry import write_folder

    settings: dict[str, Any] = {"progress": progress} if progress else {}
    if entry.levels:
        settings["levels"] = levels_of(scene, levels, progress)
    with atomic_folder(folder, force=force) as temporary:
        return write_folder(temporary, scene, entry.name, frame=output_frame, **settings)


def refuse_folder(folder: Path, force: bool) -> None:
    """Refuse a target that is there, unless it is an empty folder, or ``force`` is on and it is a scene.

    Raises
    ------
    TargetExistsError
        It is something else: nothing but a scene is ever replaced by one.
    """
    from splatpack.errors import TargetExistsError
    from splatpack.formats.detect import folder_file

    if not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not force:
        raise TargetExistsError(f"{folder} exists already. Use -f/--force to replace it.")
    if folder.is_symlink() or folder_file(folder) is None:
        raise TargetExistsError(f"{folder} exists already and is no folder of a scene: it is not replaced.")


@contextmanager
def atomic_folder(folder: Path, *, force: bool) -> Iterator[Path]:
    """Yield an empty folder that takes the place of ``folder`` when the block ends without an exception.

    Raises
    ------
    TargetExistsError
        As :func:`refuse_folder` says, before or after the block.
    StorageError
        The file system refused.
    """
    from splatpack.errors import SplatpackError, StorageError

    folder = folder.resolve()
    refuse_folder(folder, force)
    mark = secrets.token_hex(6)
    temporary, old = (folder.with_name(f".{folder.name}.{mark}.{end}") for end in ("tmp", "old"))
    try:
        temporary.mkdir()
        yield temporary
        refuse_folder(folder, force)
        if folder.exists():
            folder.rename(old)
        temporary.rename(folder)
    except SplatpackError:
        raise
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written: {error.strerror or error}. Nothing was replaced.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
