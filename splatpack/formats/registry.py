"""The table of foreign formats: who reads and writes each. Modules are imported when they are needed, never before."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import PurePath
from typing import Any, BinaryIO

from splatpack.errors import UnsupportedError
from splatpack.formats.detect import detect
from splatpack.limits import Limits
from splatpack.scene.gaussians import Gaussians


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes
    ----------
    name : str
        What :func:`splatpack.formats.detect.detect` returns for it.
    title : str
        What people call it.
    extensions : tuple of str
        Lower case, with the dot; the first is the usual one.
    reader, writer : str or None
        ``module:function``. A reader takes ``(path, *, limits, normalise)``, a writer ``(binary file, scene)``.
    """

    name: str
    title: str
    extensions: tuple[str, ...]
    reader: str | None = None
    writer: str | None = None


FORMATS: dict[str, Format] = {
    f.name: f
    for f in (
        Format("ply", "PLY", (".ply",), "splatpack.formats.ply:read_ply", "splatpack.formats.ply:write_ply"),
        Format("spk", "splatpack", (".spk",)),
        Format("compressed-ply", "PlayCanvas compressed PLY", (".compressed.ply",)),
        Format("spz", "Niantic SPZ", (".spz",)),
        Format("sog", "PlayCanvas SOG", (".sog",)),
        Format("lod-meta", "PlayCanvas streamed SOG", (".json",)),
        Format("splat", "antimatter15 .splat", (".splat",)),
        Format("ksplat", "mkkellogg .ksplat", (".ksplat",)),
        Format("gltf", "glTF", (".glb", ".gltf")),
        Format("usd", "OpenUSD", (".usd", ".usda", ".usdc", ".usdz")),
        Format("rad", "Spark RAD", (".rad", ".radc")),
        Format("splatv", "splaTV", (".splatv",)),
        Format("4dgs", "4DGS container", (".4dgs",)),
        Format("splat4d", "splat4d", (".splat4d",)),
        Format("checkpoint", "PyTorch checkpoint", (".pt", ".pth", ".ckpt")),
        Format("cameras", "list of cameras", (".json",)),
        Format("transforms", "list of posed photos", (".json",)),
    )
}
"""All formats that can be told apart; those without a reader are named in the error."""


def readable() -> list[Format]:
    """Return the formats that :func:`read_scene` reads."""
    return [f for f in FORMATS.values() if f.reader]


def writable() -> list[Format]:
    """Return the formats that :func:`write_scene` writes."""
    return [f for f in FORMATS.values() if f.writer]


def read_scene(path: str | os.PathLike[str], *, limits: Limits | None = None, normalise: bool = True) -> Gaussians:
    """Read a scene from a file of any foreign format, told by its content.

    Parameters
    ----------
    path : path-like
        A regular file.
    limits : Limits, optional
        What the file may make us allocate. Default: ``Limits()``.
    normalise : bool
        False: give the numbers exactly as they are stored (for lossless compression).

    Raises
    ------
    UnsupportedError
        The format is not known or not read here. ``.spk`` is not: that is ``splatpack.read``.
    CorruptError, LimitError, StorageError
        As the reader of the format says.
    """
    name = os.fspath(path)
    found = detect(path)
    if found == "spk":
        raise UnsupportedError(f"{name}: a .spk file, expected a foreign format here. Open it with splatpack.read.")
    entry = FORMATS.get(found)
    if entry is None or entry.reader is None:
        what = f"a file of kind {entry.title!r}" if entry else f"content of kind {found!r}"
        raise UnsupportedError(
            f"{name}: {what}, which this version cannot read; it reads {_titles(readable())} and .spk. "
            "Convert the file first."
        )
    scene: Gaussians = _load(entry.reader)(path, limits=limits, normalise=normalise)
    return scene


def write_scene(file: BinaryIO, scene: Gaussians, extension: str) -> None:
    """Write a scene to an open binary file in the format that ``extension`` names.

    Parameters
    ----------
    file : binary file
        Is written from where it stands, and left open.
    scene : Gaussians
        Any.
    extension : str
        A suffix such as ``.ply``, or a whole file name.

    Raises
    ------
    UnsupportedError
        No format that can be written has this extension, or the format cannot hold the scene.
    """
    wanted = extension.lower()
    wanted = wanted if wanted.startswith(".") else "".join(PurePath(wanted).suffixes[-2:]) or f".{wanted}"
    matches = [(len(e), f) for f in FORMATS.values() for e in f.extensions if wanted.endswith(e)]
    entry = max(matches, key=lambda m: m[0])[1] if matches else None
    if entry is None or entry.writer is None:
        raise UnsupportedError(
            f"cannot write {extension!r}: expected an extension of {_titles(writable())} (or .spk, through "
            "splatpack.write)."
        )
    _load(entry.writer)(file, scene)


def _titles(formats: list[Format]) -> str:
    return ", ".join(f"{f.title} ({f.extensions[0]})" for f in formats)


def _load(target: str) -> Callable[..., Any]:
    module, function = target.split(":")
    loaded: Callable[..., Any] = getattr(import_module(module), function)
    return loaded
