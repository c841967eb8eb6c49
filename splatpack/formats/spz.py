"""Niantic's SPZ, versions 1 to 4: reading. Writing is in ``spzwrite``.

The documented frame is ``rub``. Many tools (splat-transform, gsply, Niantic's own ``ply_to_spz``) store whatever frame
their input had, and nothing in the bytes tells the two apart: callers who know better say so with ``frame``.
"""

from __future__ import annotations

import os
import struct
from dataclasses import replace
from typing import Any

from splatpack.errors import CorruptError, TruncatedError
from splatpack.formats import spzcode
from splatpack.formats.blocks import empty_scene_arrays, row_bytes
from splatpack.formats.files import open_regular
from splatpack.formats.spzlayout import (
    ANTIALIASED,
    COORDINATES,
    SAFE_ORBIT,
    Gzip,
    Header,
    Streams,
    extension_records,
    open_streams,
)
from splatpack.formats.spzwrite import write_spz
from splatpack.limits import Limits
from splatpack.scene.gaussians import SH_COEFFICIENTS, Gaussians
from splatpack.scene.transform import flip
from splatpack.scene.validate import normalise_quats

__all__ = ["read_spz", "write_spz"]

_KNOWN_FRAMES = {4: "rub", 6: "rdf", 7: "luf", 12: "z_up"}


def read_spz(path: str | os.PathLike[str], *, limits: Limits | None = None, normalise: bool = True) -> Gaussians:
    """Read an SPZ file. Safe on untrusted input.

    Memory: the file, the columns once, and one inflated stream, which is less than a fifth of the columns.

    Parameters
    ----------
    path : path-like
        A regular file.
    limits : Limits, optional
        What the file may make us allocate. Default: ``Limits()``.
    normalise : bool
        Make the quats unit length. False leaves them as decoded, which is unit length up to rounding.

    Returns
    -------
    Gaussians
        In frame ``rub``, or in the one that a coordinate record names; a mirrored frame is flipped to ``rub``. SH of
        degree 4 lose band 4. Both are in the ``notes`` of ``metadata["source"]``.

    Raises
    ------
    CorruptError, TruncatedError
        The file breaks a rule of the format, or its counts do not fit its size.
    UnsupportedError
        A future version, or a file with Spark's level-of-detail tree.
    LimitError
        The file asks for more memory or Gaussians than ``limits`` has.
    StorageError
        The file cannot be read.
    """
    limits = limits or Limits()
    with open_regular(path) as (file, size):
        budget = limits.start(size)
        budget.debit(size, "SPZ file")
        data = file.read(size)
    return decode_spz(data, budget, normalise=normalise)


def decode_spz(data: bytes, budget: Limits, *, normalise: bool = True) -> Gaussians:
    """Return the scene in the bytes of an SPZ file, as :func:`read_spz` does; ``budget`` is one that was started."""
    header, streams = open_streams(data, budget)
    degree = min(header.degree, len(SH_COEFFICIENTS) - 1)
    budget.debit(header.count * row_bytes(degree), f"SPZ scene of {header.count:,} Gaussians")
    arrays = empty_scene_arrays(header.count, degree)
    _decode(streams, header, arrays)
    if normalise:
        normalise_quats(arrays["quats"])
    notes = ["SH band 4 left out: 0 to 3 are kept."] if header.degree > degree else []
    source: dict[str, Any] = {"format": "spz", "version": header.version}
    scene = Gaussians(**arrays, frame="rub", antialiased=bool(header.flags & ANTIALIASED))
    scene = _apply_extensions(scene, streams.finish(), source, notes)
    if notes:
        source["notes"] = notes
    return replace(scene, metadata={"source": source})


def _decode(streams: Streams, header: Header, arrays: dict[str, Any]) -> None:
    """Take the six streams in order."""
    _, alphas, colours, scales, rotations, sh = (width * header.count for width in header.widths)
    if header.version == 1:
        _decode_v1(streams, header, arrays)
        return
    spzcode.decode_positions(streams.take(9 * header.count, "positions"), header.fraction, arrays["means"])
    spzcode.decode_alphas(streams.take(alphas, "alphas"), arrays["opacities"])
    spzcode.decode_colours(streams.take(colours, "colours"), arrays["sh0"])
    spzcode.decode_scales(streams.take(scales, "scales"), arrays["scales"])
    spzcode.decode_rotations(streams.take(rotations, "rotations"), header.version, arrays["quats"])
    spzcode.decode_sh(streams.take(sh, "SH"), header.degree, arrays["shN"])


def _decode_v1(streams: Streams, header: Header, arrays: dict[str, Any]) -> None:
    """Version 1 has float16 positions; the reference also wrote it with 24-bit ones, which only the length tells."""
    n, rest = header.count, sum(header.widths[1:])
    if not isinstance(streams, Gzip):
        raise CorruptError("SPZ version 1 outside gzip.")
    body = streams.read(n * (9 + rest))
    if len(body) not in (n * (6 + rest), n * (9 + rest)):
        raise TruncatedError(
            f"SPZ version 1: {len(body):,} bytes for {n:,} Gaussians, expected {n * (6 + rest):,} or "
            f"{n * (9 + rest):,}."
        )
    at = len(body) - n * rest
    if at == 6 * n:
        spzcode.decode_half_positions(body[:at], arrays["means"])
    else:
        spzcode.decode_positions(body[:at], header.fraction, arrays["means"])
    parts = []
    for width in header.widths[1:]:
        parts.append(body[at : at + width * n])
        at += width * n
    spzcode.decode_alphas(parts[0], arrays["opacities"])
    spzcode.decode_colours(parts[1], arrays["sh0"])
    spzcode.decode_scales(parts[2], arrays["scales"])
    spzcode.decode_rotations(parts[3], 1, arrays["quats"])
    spzcode.decode_sh(parts[4], header.degree, arrays["shN"])


def _apply_extensions(scene: Gaussians, data: bytes, source: dict[str, Any], notes: list[str]) -> Gaussians:
    """Heed the extension records: a coordinate system changes what the numbers mean."""
    for kind, payload in extension_records(data):
        if kind == SAFE_ORBIT and len(payload) == 12:
            source["safe_orbit"] = [float(v) for v in struct.unpack("<3f", payload)]
        elif kind == COORDINATES and len(payload) == 4:
            (code,) = struct.unpack("<I", payload)
            if code > 16:
                raise CorruptError(f"SPZ coordinate system {code}, expected 0 to 16.")
            scene = _in_known_frame(scene, code, notes) if code else scene
        else:
            notes.append(f"extension {kind:#x} of {len(payload)} bytes ignored.")
    return scene


def _in_known_frame(scene: Gaussians, code: int, notes: list[str]) -> Gaussians:
    """Name the frame of a coordinate code, or flip axes to the nearest frame that has a name.

    After minus 1, bit 0 is X right, bit 1 Y up, bit 2 Z front; from 9 on, bit 1 is Z up and bit 2 Y back.
    """
    if code in _KNOWN_FRAMES:
        return replace(scene, frame=_KNOWN_FRAMES[code])
    goal = 4 if code <= 8 else 12
    differs = (code - 1) ^ (goal - 1)
    signs = [-1 if differs >> bit & 1 else 1 for bit in ((0, 1, 2) if code <= 8 else (0, 2, 1))]
    notes.append(f"coordinate system {code}: axes flipped to {_KNOWN_FRAMES[goal]}.")
    return replace(flip(scene, (signs[0], signs[1], signs[2])), frame=_KNOWN_FRAMES[goal])
