"""Textures of SOG: lossless WebP, whose size is looked at before anything is decoded."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image
from PIL.WebPImagePlugin import WebPImageFile

from splatpack.errors import CorruptError, TruncatedError, UnsupportedError
from splatpack.formats.blocks import Bytes

MAX_PIXELS = 178_956_970
"""More than this Pillow decodes of no picture."""

METHOD, QUALITY = 3, 50
"""On noise, which most of SOG is, libwebp's default (4, 70) takes four times as long for no fewer bytes."""

_LOSSLESS_MARK = 0x2F
_ANIMATED = 0x02
_DAMAGE = (OSError, ValueError, SyntaxError, RuntimeError)


def encode_texture(pixels: Bytes) -> bytes:
    """Return an image as lossless WebP that keeps the colour of pixels with alpha 0.

    Parameters
    ----------
    pixels : uint8 (H, W, 3) or (H, W, 4)
    """
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "WEBP", lossless=True, exact=True, method=METHOD, quality=QUALITY)
    return out.getvalue()


def texture_size(data: bytes, name: str) -> tuple[int, int]:
    """Return width and height from the header of a WebP file. Safe on untrusted input.

    Raises
    ------
    TruncatedError, CorruptError
        Cut off, or no WebP, or bytes follow it.
    UnsupportedError
        It is lossy or moves, in which no number of a scene survives.
    """
    if len(data) < 30:
        raise TruncatedError(f"{name}: {len(data)} bytes, expected a WebP image.")
    riff, size, webp, kind = struct.unpack_from("<4sI4s4s", data)
    if riff != b"RIFF" or webp != b"WEBP":
        raise CorruptError(f"{name}: starts with {data[:12]!r}, expected a WebP image.")
    if size + 8 != len(data):
        wrong = TruncatedError if size + 8 > len(data) else CorruptError
        raise wrong(f"{name}: {len(data):,} bytes, the header says {size + 8:,}.")
    if kind == b"VP8L" and data[20] == _LOSSLESS_MARK:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X" and not data[20] & _ANIMATED and b"VP8 " not in data[30:4096]:
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    raise UnsupportedError(f"{name}: a WebP of kind {kind!r}, expected one lossless picture (VP8L).")


def decode_texture(data: bytes, name: str, size: tuple[int, int]) -> Bytes:
    """Return the pixels as uint8 (W * H, 4). Safe on untrusted input.

    The size was checked before; so the 89 million pixels that Pillow takes of a picture of unknown size do not count.

    Parameters
    ----------
    data : bytes
        The file.
    name : str
        For messages.
    size : tuple of int
        Width and height that :func:`texture_size` gave. The caller has accepted them and debited a budget for the
        result and two more pictures.

    Raises
    ------
    CorruptError
        The image is damaged.
    """
    try:
        with WebPImageFile(io.BytesIO(data)) as image:
            if image.size != size:
                raise CorruptError(f"{name}: {image.size[0]} x {image.size[1]}, the header says {size[0]} x {size[1]}.")
            return np.asarray(image.convert("RGBA"), np.uint8).reshape(-1, 4)
    except CorruptError:
        raise
    except _DAMAGE as error:
        raise CorruptError(f"{name}: no readable WebP ({str(error)[:80]}).") from None
