"""From a photo's entry in a listing to its file: how it lies, what hides parts of it, and how it is developed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from splatpack.errors import CorruptError
from splatpack.limits import Limits
from splatpack.scene.cameras import Camera
from splatpack.train.data.files import locate
from splatpack.train.data.image import Colour, Header, decode, decode_mask, look
from splatpack.train.data.lens import Lens
from splatpack.train.data.listing import Frame, Listing
from splatpack.train.data.photo import Picture
from splatpack.train.data.undistort import develop, pinhole

ROUNDING = 1.0, 0.002
"""By how much the shape of a file may differ from that of its camera: pixels, and a share of the side."""


@dataclass(frozen=True)
class Negative:
    """A photo's file and everything that is needed to develop it.

    Attributes
    ----------
    path : Path
    header : Header
        Of the file, as stored.
    turn : bool
        Whether the EXIF orientation is applied.
    lens : Lens
        At the size of the file, turned.
    mask : (Path, Header, bool) or None
        The mask's file, its header, and whether it is turned.
    """

    path: Path
    header: Header
    turn: bool
    lens: Lens
    mask: tuple[Path, Header, bool] | None = None

    def camera(self, frame: Frame, downscale: int) -> Camera:
        """Return the camera of the developed picture."""
        return pinhole(self.lens, frame.viewmat, downscale, frame.name)

    def develop(self, camera: Camera, downscale: int, background: Colour) -> Picture:
        """Decode the files and return the picture that ``camera`` sees.

        Raises
        ------
        CorruptError, UnsupportedError, StorageError
            A file is damaged or gone.
        """
        picture = decode(self.path, self.header, background, turn=self.turn)
        if self.mask is not None:
            path, header, turn = self.mask
            weight = decode_mask(path, header, (self.lens.width, self.lens.height), turn=turn)
            picture = Picture(picture.pixels, np.ascontiguousarray(weight), picture.alpha)
        if self.lens.straight and downscale == 1:
            return picture
        return develop(picture, self.lens, camera, downscale)


def negative(listing: Listing, frame: Frame, path: Path, header: Header, limits: Limits) -> Negative:
    """Fit a photo's file to its camera and its mask, without decoding them.

    Poses are of pixels as they are stored: COLMAP, nerfstudio and instant-ngp ignore the EXIF orientation. It is
    applied where only the turned picture has the shape of the camera.

    Raises
    ------
    CorruptError
        The photo or its mask has another shape than its camera, or the mask is no picture.
    LimitError, StorageError
    """
    if not isinstance(frame.lens, Lens):
        return _masked(
            listing, frame, Negative(path, header, False, frame.lens.lens(header.width, header.height)), limits
        )
    turn, upright = _lies(header, (frame.lens.width, frame.lens.height), str(path), "its camera")
    lens = frame.lens.resized(upright.width, upright.height)
    return _masked(listing, frame, Negative(path, header, turn, lens), limits)


def _masked(listing: Listing, frame: Frame, found: Negative, limits: Limits) -> Negative:
    path = _mask_of(listing, frame)
    if path is None:
        return found
    header = look(path, limits)
    turn, _ = _lies(header, (found.lens.width, found.lens.height), str(path), "its photo")
    return Negative(found.path, found.header, found.turn, found.lens, (path, header, turn))


def _mask_of(listing: Listing, frame: Frame) -> Path | None:
    """Return the mask that the data set names, or the one beside the photos (``NAME.png`` as COLMAP has it)."""
    if frame.mask is not None:
        return locate(listing.photos, frame.mask, ())
    return locate(listing.masks, frame.name + ".png", ()) or locate(listing.masks, frame.name)


def _lies(header: Header, size: tuple[int, int], where: str, of: str) -> tuple[bool, Header]:
    """Return whether a picture is to be turned to have the shape of ``size``, and its header then."""
    for turn, one in ((False, header), (True, header.turned())):
        if _alike(one.width * size[1] / size[0], one.height) and _alike(one.height * size[0] / size[1], one.width):
            return turn, one
    raise CorruptError(
        f"{where}: {header.width}x{header.height} pixels, expected the shape of {of}, {size[0]}x{size[1]}. It is "
        "another picture, or was cropped."
    )


def _alike(wanted: float, side: int) -> bool:
    return abs(wanted - side) <= ROUNDING[0] + ROUNDING[1] * side
