"""Niantic's SPZ, versions 2 to 4: writing."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np

from splatpack.errors import UnsupportedError, UsageError
from splatpack.formats import _zstd, spzcode
from splatpack.formats.blocks import Bytes, rows_outside, turned
from splatpack.formats.losses import Losses, require_within
from splatpack.formats.spzlayout import ANTIALIASED, HEADER, HEADER_V4, MAGIC
from splatpack.formats.spzlayout import Header as SpzHeader
from splatpack.parallel import ordered_map
from splatpack.scene.gaussians import Gaussians

FRACTION = 12
"""Fractional bits of a position that the reference uses: 0.12 mm in metres, within +-2048."""
VERSIONS = (2, 3, 4)
ZSTD_LEVEL, GZIP_LEVEL = 12, 6
"""Those of the reference."""

_GZIP_PART = 1 << 20


def write_spz(file: BinaryIO, scene: Gaussians, losses: Losses, *, frame: str, version: int = 4) -> None:
    """Write ``scene`` as SPZ.

    The positions get as many fractional bits, 12 at most, as their range leaves room for; no coordinate record is
    written, since readers that skip it would show another scene. Memory: the inflated and the packed streams.

    Parameters
    ----------
    file : binary file
        Is written from where it stands, and left open.
    scene : Gaussians
        Without extra columns: they are not written.
    losses : Losses
        Takes the counts of values beyond what a byte spans.
    frame : str
        The frame to turn to; ``rub`` is the documented one.
    version : int
        4 (zstd); 3 (gzip) for older readers; 2 only where nothing else is read, its rotations are up to 10 degrees off.

    Raises
    ------
    UnsupportedError
        The scene is empty, or reaches further than 24 bits with no fraction.
    UsageError
        There is no such version.
    InvalidSceneError
        The scene holds NaN.
    """
    if version not in VERSIONS:
        raise UsageError(f"SPZ version {version}, expected 2, 3 or 4.")
    if not len(scene):
        raise UnsupportedError("0 Gaussians: SPZ cannot hold an empty scene, expected at least 1.")
    if version == 2:
        losses.say("SPZ version 2: rotations of 3 bytes, up to 10 degrees off; version 3 and 4 are within 0.2.")
    fraction = _fraction(scene, losses)
    degree = scene.sh_degree
    header = SpzHeader(version, len(scene), degree, fraction, ANTIALIASED if scene.antialiased else 0, 0)
    streams = _encode(scene, header, losses, frame)
    if version == 4:
        _write_v4(file, header, streams)
    else:
        _write_gzip(file, header, streams)


def _fraction(scene: Gaussians, losses: Losses) -> int:
    """Return how many fractional bits fit into 24 with the scene's range."""
    bound = 2**23 - 1
    require_within(scene.means, bound, "SPZ")
    reach = max(float(np.abs(scene.means).max()), 1e-30)
    bits = min(FRACTION, int(np.floor(np.log2(bound / reach))))
    if bits < FRACTION:
        losses.say(f"positions up to {reach:.6g}: rounded to 1/{2**bits}, where scenes within +-2047 have 1/4096.")
    return bits


def _encode(scene: Gaussians, header: SpzHeader, losses: Losses, frame: str) -> list[Bytes]:
    """Return the streams, each as (N, width)."""
    streams = [np.empty((header.count, width), np.uint8) for width in header.widths]
    for start, part in turned(scene, frame):
        rows, n = slice(start, start + len(part)), len(part)
        losses.count("colour (sh0) beyond +-3.33, clamped", rows_outside(part.sh0, -3.34, 3.34))
        losses.count(
            "log-scale beyond -10..5.94, clamped",
            rows_outside(part.scales, spzcode.SCALE_LOW - 1 / 32, spzcode.SCALE_HIGH + 1 / 32),
        )
        losses.count("SH beyond +-1, clamped", rows_outside(part.shN, -1.0625, 1.0625))
        streams[0][rows] = spzcode.encode_positions(part.means, header.fraction).reshape(n, 9)
        streams[1][rows, 0] = spzcode.encode_alphas(part.opacities)
        streams[2][rows] = spzcode.encode_colours(part.sh0[:, 0])
        streams[3][rows] = spzcode.encode_scales(part.scales)
        streams[4][rows] = spzcode.encode_rotations(part.quats, header.version)
        streams[5][rows] = spzcode.encode_sh(part.shN).reshape(n, -1)
    return streams


def _header(header: SpzHeader, last: int) -> bytes:
    return HEADER.pack(MAGIC, header.version, header.count, header.degree, header.fraction, header.flags, last)


def _write_v4(file: BinaryIO, header: SpzHeader, streams: Sequence[Bytes]) -> None:
    """Header, table of contents, one frame for each stream that is not empty, compressed side by side."""
    full = [s for s in streams if s.size]
    frames = list(ordered_map(lambda s: _zstd.compress(s.data.cast("B"), ZSTD_LEVEL), full))
    start = _header(header, len(full)) + struct.pack("<I", HEADER_V4)
    file.write(start.ljust(HEADER_V4, b"\0"))
    for frame, stream in zip(frames, full, strict=True):
        file.write(struct.pack("<QQ", len(frame), stream.nbytes))
    file.writelines(frames)


def _write_gzip(file: BinaryIO, header: SpzHeader, streams: Sequence[Bytes]) -> None:
    """One gzip member, deflated in parts side by side that end on byte boundaries and make one stream."""
    parts = [(memoryview(_header(header, 0)), zlib.Z_DEFAULT_STRATEGY)]
    for stream in filter(np.size, streams):
        raw, strategy = stream.data.cast("B"), zlib.Z_RLE if stream is streams[-1] else zlib.Z_DEFAULT_STRATEGY
        parts += [(raw[i : i + _GZIP_PART], strategy) for i in range(0, stream.nbytes, _GZIP_PART)]
    crc = length = 0
    file.write(b"\x1f\x8b\x08\0\0\0\0\0\0\xff")
    for (part, _), packed in zip(parts, ordered_map(_deflate, parts), strict=True):
        crc, length = zlib.crc32(part, crc), length + len(part)
        file.write(packed)
    file.write(b"\x03\0" + struct.pack("<II", crc, length & 0xFFFFFFFF))


def _deflate(part: tuple[memoryview, int]) -> bytes:
    """Return raw DEFLATE blocks that another part can follow.

    SH in a few levels is noise around zero: runs are all that repeats, and looking for nothing else is five times as
    fast and, on trained scenes, within 1 % of the size.
    """
    data, strategy = part
    deflate = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, -15, 9, strategy)
    return deflate.compress(data) + deflate.flush(zlib.Z_FULL_FLUSH)
