"""The photos of a listing that are there and sound; the others are named, and left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from splatpack.errors import CorruptError, StorageError, UsageError
from splatpack.limits import Limits
from splatpack.parallel import ordered_map
from splatpack.train.data.files import locate
from splatpack.train.data.image import look
from splatpack.train.data.listing import Frame, Listing
from splatpack.train.data.negative import Negative, negative
from splatpack.train.data.photo import Photo, Picture

Progress = Callable[[str, int, int], None]


def once(listing: Listing) -> list[Frame]:
    """Return the frames by name, each once."""
    named = {frame.name: frame for frame in reversed(listing.frames)}
    twice = len(listing.frames) - len(named)
    if twice:
        listing.warnings.append(f"{listing.source}: {twice} photos are listed more than once, the first entry counts.")
    return [named[name] for name in sorted(named)]


def present(listing: Listing, frames: Sequence[Frame], limits: Limits) -> list[tuple[Frame, Negative]]:
    """Return the photos whose files are there; the others are named in the warnings."""
    found: list[tuple[Frame, Negative]] = []
    missing, renamed, damaged, bare = [], [], [], []
    for frame in frames:
        path = locate(listing.photos, frame.name)
        if path is None:
            missing.append(frame.name)
            continue
        if Path(frame.name).suffix and path.name != Path(frame.name).name:
            renamed.append(f"{frame.name} is {path.name}")
        try:
            header = look(path, limits)
        except (CorruptError, StorageError) as error:
            damaged.append(str(error))
            continue
        one = negative(listing, frame, path, header, limits)
        if frame.mask is not None and one.mask is None:
            bare.append(frame.mask)
        found.append((frame, one))
    total = len(frames)
    _note(listing, missing, total, "photos are missing and left out")
    _note(listing, damaged, total, "photos cannot be read and are left out")
    _note(listing, renamed, total, "photos have another suffix than the data set says, and are used")
    _note(listing, bare, total, "masks are missing; those photos count everywhere")
    if not found:
        raise UsageError(
            f"{listing.source}: none of its {total} photos is there, e.g. {', '.join(missing[:3]) or '-'}. Looked in "
            f"{', '.join(str(folder) for folder in listing.photos)}."
        )
    return found


def _note(listing: Listing, names: Sequence[str], total: int, what: str) -> None:
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        listing.warnings.append(f"{len(names)} of {total} {what}: {', '.join(names[:3])}{more}.")


def decoded(listing: Listing, photos: Sequence[Photo], threads: int | None, progress: Progress | None) -> set[str]:
    """Decode every photo; return the names of those that are sound."""

    def attempt(photo: Photo) -> str | None:
        try:
            picture: Picture = photo.source()
        except (CorruptError, StorageError) as error:
            return str(error)
        return None if picture.weight is None or picture.weight.any() else f"{photo.name}: masked everywhere"

    sound, wrong = set(), []
    for number, fault in enumerate(ordered_map(attempt, photos, threads), 1):
        if fault is None:
            sound.add(photos[number - 1].name)
        else:
            wrong.append(fault)
        if progress:
            progress("photos", number, len(photos))
    _note(listing, wrong, len(photos), "photos cannot be used and are left out")
    return sound


def survey(listing: Listing, train: Sequence[Photo]) -> None:
    """Warn of poses from which no depth can be found."""
    places = np.array([photo.camera.position for photo in train])
    spread = float(np.linalg.norm(places - places.mean(axis=0), axis=1).max())
    if spread <= 1e-6 * max(1.0, float(np.abs(places).max())):
        listing.warnings.append("all cameras stand at one point: how far things are away cannot be found.")
