"""Reading and writing scenes of any foreign format. Modules are imported when they are needed, never before."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path, PurePath
from typing import Any, BinaryIO

from splatpack.errors import UnsupportedError, UsageError
from splatpack.formats.detect import detect
from splatpack.formats.losses import Losses, fit_to
from splatpack.formats.table import FORMATS, Format, readable, titles, writable
from splatpack.limits import Limits
from splatpack.scene.gaussians import FRAMES, Gaussians

__all__ = ["FORMATS", "Format", "read_scene", "readable", "target_format", "writable", "write_folder", "write_scene"]


def read_scene(
    path: str | os.PathLike[str], *, limits: Limits | None = None, normalise: bool = True, frame: str | None = None,
    time: float | None = None, level: int | None = None,
) -> Gaussians:  # fmt: skip
    """Read a scene from a file (or folder) of any foreign format, told by its content.

    Parameters
    ----------
    path : path-like
        A regular file, or a folder where the format is one.
    limits : Limits, optional
        What the file may make us allocate. Default: ``Limits()``.
    normalise : bool
        False: give the numbers exactly as they are stored (for lossless compression).
    frame : str, optional
        The frame that the numbers of the file are in, when the convention of its format does not hold. Nothing is
        turned: this is what the scene is said to be in.
    time : float, optional
        Which frame of a moving scene. Default: the first.
    level : int, optional
        Which level of detail; 0 is the finest, and the default.

    Returns
    -------
    Gaussians
        ``metadata["source"]`` says where it came from; its ``notes`` are what the reader could not keep.

    Raises
    ------
    UnsupportedError
        The format is not known or not read here. ``.spk`` is not: that is ``splatpack.read``.
    UsageError
        There is no such frame or level, or a time was given for a scene that does not move, or a level for one that
        has none.
    CorruptError, LimitError, StorageError
        As the reader of the format says.
    """
    name = os.fspath(path)
    _check_frame(frame)
    found = detect(path)
    if found == "spk":
        raise UnsupportedError(f"{name}: a .spk file, expected a foreign format here. Open it with splatpack.read.")
    entry = FORMATS.get(found)
    if entry is None or entry.reader is None:
        what = f"a file of kind {entry.title!r}" if entry else f"content of kind {found!r}"
        raise UnsupportedError(
            f"{name}: {what}, which this version cannot read; it reads {titles(readable())} and .spk. "
            "Convert the file first."
        )
    if time is not None and not entry.moving:
        raise UsageError(f"{name}: time {time:g}, but a {entry.title} scene does not move.")
    if level is not None and not entry.levels:
        raise UsageError(f"{name}: level {level}, but a {entry.title} scene has no levels of detail.")
    which = {key: value for key, value in (("time", time), ("level", level)) if value is not None}
    scene: Gaussians = _load(entry.reader)(path, limits=limits, normalise=normalise, **which)
    return scene if frame is None else replace(scene, frame=frame)


def write_scene(
    file: BinaryIO, scene: Gaussians, extension: str, *, frame: str | None = None, **settings: Any
) -> list[str]:
    """Write a scene to an open binary file in the format that ``extension`` names.

    Parameters
    ----------
    file : binary file
        Is written from where it stands, and left open.
    scene : Gaussians
        Any. It is turned to the frame that the format has by convention.
    extension : str
        A suffix such as ``.ply``, or a whole file name.
    frame : str, optional
        Another frame to turn the numbers to. Nothing in most files says so.
    **settings
        The writer's own, such as ``version`` of SPZ.

    Returns
    -------
    list of str
        What the format could not hold, in a sentence each.

    Raises
    ------
    UnsupportedError
        No format that can be written has this extension, or the format cannot hold the scene.
    InvalidSceneError
        The scene holds NaN or infinite positions, for which most formats have no bits.
    UsageError
        There is no such frame or setting.
    """
    entry = target_format(extension)
    if entry.folder:
        raise UsageError(f"{entry.title} is a folder, expected the name of a file. Use write_folder.")
    return _write(entry, file, scene, frame, settings)


def write_folder(
    folder: str | os.PathLike[str], scene: Gaussians, name: str, *, frame: str | None = None, **settings: Any
) -> list[str]:
    """Write a scene to an empty folder in the format ``name`` of :data:`FORMATS`; else as :func:`write_scene`."""
    entry = FORMATS.get(name)
    if entry is None or not (entry.folder and entry.writer):
        known = ", ".join(f.name for f in writable() if f.folder) or "none"
        raise UnsupportedError(f"cannot write {name!r} to a folder, expected one of: {known}.")
    return _write(entry, Path(folder), scene, frame, settings)


def target_format(extension: str) -> Format:
    """Return the format that a suffix, or the end of a file name, stands for.

    Raises
    ------
    UnsupportedError
        None that can be written.
    """
    wanted = extension.lower()
    wanted = wanted if wanted.startswith(".") else "".join(PurePath(wanted).suffixes[-2:]) or f".{wanted}"
    matches = [(len(e), f) for f in FORMATS.values() for e in f.extensions if wanted.endswith(e)]
    entry = max(matches, key=lambda m: m[0])[1] if matches else None
    if entry is None or entry.writer is None:
        raise UnsupportedError(
            f"cannot write {extension!r}: expected an extension of {titles(writable())} (or .spk, through "
            "splatpack.write)."
        )
    return entry


def _write(
    entry: Format, target: BinaryIO | Path, scene: Gaussians, frame: str | None, settings: dict[str, Any]
) -> list[str]:
    _check_frame(frame, known=FRAMES[:-1])
    unknown = sorted(set(settings) - set(entry.settings))
    if unknown:
        raise UsageError(
            f"{entry.title} has no setting {unknown[0]!r}, expected one of: {', '.join(entry.settings) or 'none'}."
        )
    goal = frame or (scene.frame if scene.frame in entry.frames else entry.frames[0])
    losses = Losses(len(scene))
    _load(entry.writer)(target, fit_to(scene, entry, losses, goal), losses, frame=goal, **settings)
    return losses.sentences


def _check_frame(frame: str | None, known: tuple[str, ...] = FRAMES) -> None:
    if frame is not None and frame not in known:
        raise UsageError(f"frame {frame!r}, expected one of {', '.join(known)}.")


def _load(target: str | None) -> Callable[..., Any]:
    module, function = (target or "").split(":")
    loaded: Callable[..., Any] = getattr(import_module(module), function)
    return loaded
