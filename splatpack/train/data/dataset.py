"""A folder of posed photos as a trainer sees it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import StorageError, UsageError
from splatpack.limits import MIB, Limits
from splatpack.train.data.cache import Cache
from splatpack.train.data.colmap import PLACES, find_model, read_colmap
from splatpack.train.data.gather import Progress, decoded, once, present, survey
from splatpack.train.data.image import Colour
from splatpack.train.data.listing import Frame, Listing
from splatpack.train.data.photo import Photo
from splatpack.train.data.transforms import read_blender, read_transforms

__all__ = ["Dataset", "Photo", "open_dataset"]

EVERY = 8
"""Of a set that does not say which photos are held out, the first and then every so many-th is."""
WHITE: Colour = (1.0, 1.0, 1.0)
LEAST = 2
"""Photos that can be trained on."""
CACHE_BYTES = 2048 * MIB


@dataclass(frozen=True)
class Dataset:
    """Posed photos, split into those that are trained on and those that are held out.

    Attributes
    ----------
    name : str
        What to call it: the folder's name.
    train, test : tuple of Photo
    points : float32 (P, 3) or None
        A sparse reconstruction, in the frame of the cameras.
    colors : float32 (P, 3) or None
        Its colours, from 0 to 1.
    background : (float, float, float) or None
        The colour that transparent pictures are composed on; None when all are opaque.
    frame : str
        ``rdf``, ``rub``, ``luf``, ``z_up`` or ``unknown``.
    warnings : list of str
        What is missing or was repaired.
    """

    name: str
    train: tuple[Photo, ...]
    test: tuple[Photo, ...] = ()
    points: NDArray[np.float32] | None = None
    colors: NDArray[np.float32] | None = None
    background: Colour | None = None
    frame: str = "unknown"
    warnings: list[str] = field(default_factory=list)


def open_dataset(
    path: str | os.PathLike[str],
    *,
    downscale: int = 1,
    test_every: int | None = None,
    background: Colour | None = None,
    max_bytes: int = CACHE_BYTES,
    limits: Limits | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Read a data set, and decode each of its photos once, so that a damaged one is found now. Safe on untrusted input.

    Parameters
    ----------
    path : path-like
        A folder with ``transforms.json``, ``transforms_train.json`` or a COLMAP model, or a ``transforms.json``.
    downscale : int
        Pixels a side that become one.
    test_every : int or None
        Hold out the first photo by name and then every so many-th; 0 holds out none. Default: what the data set says,
        else 8.
    background : (float, float, float) or None
        What shows through transparent photos. Default: white, as published figures have it.
    max_bytes : int
        What pictures may take in memory; more are decoded again when they are asked for.
    limits : Limits or None
        The budget of each file.
    threads : int or None
    progress : callable or None

    Raises
    ------
    UsageError
        There is no data set, or less than 2 photos to train on.
    CorruptError, UnsupportedError, LimitError, StorageError
        As the files deserve. A photo that is missing or damaged is left out, and named in ``warnings``.
    """
    if downscale < 1 or (test_every is not None and (test_every < 0 or test_every == 1)):
        raise UsageError(f"downscale {downscale}, test_every {test_every}: expected 1 or more, and 0 or 2 or more.")
    budget = limits or Limits()
    listing = _listing(Path(path), budget)
    frames = once(listing)
    found = present(listing, frames, budget)
    colour = None
    if any(one.header.transparent for _, one in found):
        colour = WHITE if background is None else background
    cache, photos = Cache(max_bytes), []
    for number, (frame, one) in enumerate(found):
        camera = one.camera(frame, downscale)
        make = partial(one.develop, camera, downscale, colour or WHITE)
        photos.append(Photo(frame.name, camera, partial(cache.get, number, make)))
    sound = decoded(listing, photos, threads, progress)
    train, test = _split([(frame, p) for (frame, _), p in zip(found, photos, strict=True)], test_every)
    train, test = (tuple(p for p in part if p.name in sound) for part in (train, test))
    if len(train) < LEAST:
        raise UsageError(
            f"{path}: {len(train)} photos to train on, expected at least {LEAST}. {' '.join(listing.warnings)}".rstrip()
        )
    survey(listing, train)
    return Dataset(
        _name(Path(path)), train, test, listing.points, listing.colors, colour, listing.frame, listing.warnings
    )


def _listing(path: Path, limits: Limits) -> Listing:
    """Read whatever lists the photos."""
    if path.is_file():
        if path.suffix.lower() != ".json":
            raise UsageError(f"{path}: expected a folder of posed photos, or a transforms.json.")
        return read_transforms(path, limits)
    if not path.is_dir():
        raise StorageError(f"{path}: no such folder, expected posed photos.")
    if (path / "transforms.json").is_file():
        return read_transforms(path / "transforms.json", limits)
    if (path / "transforms_train.json").is_file():
        return read_blender(path, limits)
    model = find_model(path)
    if model is None:
        raise UsageError(
            f"{path}: no poses, expected transforms.json, transforms_train.json, or a COLMAP model (cameras.bin and "
            f"images.bin, or .txt) in {', '.join(PLACES[:-1])}. Photos alone need COLMAP first."
        )
    return read_colmap(path, model, limits)


def _split(
    photos: Sequence[tuple[Frame, Photo]], test_every: int | None
) -> tuple[tuple[Photo, ...], tuple[Photo, ...]]:
    """Return the photos to train on and those to hold out."""
    if test_every is None and any(frame.split is not None for frame, _ in photos):
        aside = [frame.split == "test" for frame, _ in photos]
    else:
        every = EVERY if test_every is None else test_every
        aside = [every > 0 and k % every == 0 for k in range(len(photos))]
    train = tuple(p for (_, p), out in zip(photos, aside, strict=True) if not out)
    return train, tuple(p for (_, p), out in zip(photos, aside, strict=True) if out)


def _name(path: Path) -> str:
    """Return what to call a data set: its folder's name."""
    full = path.resolve()
    return (full.parent if full.is_file() else full).name
