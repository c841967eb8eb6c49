"""The six streams of an SPZ file, to and from columns, block by block.

Formulas: ``nianticlabs/spz``, ``load-spz.cc`` and ``splat-types.h`` (MIT). Order of rotation components: x, y, z, w.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.formats.blocks import ROWS, Bytes, alpha_u8, logit_table, to_u8
from splatpack.formats.quats import drop_largest, restore_largest
from splatpack.formats.spzlayout import SH_PER_CHANNEL
from splatpack.scene.gaussians import FloatArray

COLOUR = 0.15
SH_STEPS = (8, 16)
"""Steps of SH band 1 and of the higher bands, in units of 1/128 (5 and 4 bits of 8)."""
DC_REACH = 0.5 / COLOUR
SCALE_LOW, SCALE_HIGH = -10.0, 255 / 16 - 10.0
SH_LOW, SH_HIGH = -1.0, 127 / 128

_SQRT_HALF = np.float32(np.sqrt(0.5))
_10, _20, _30, _1023 = (np.uint32(v) for v in (10, 20, 30, 1023))


def _affine(data: bytes, out: FloatArray, scale: float, offset: float) -> None:
    """Write ``scale * byte + offset`` to ``out``, whatever its shape."""
    source, flat = np.frombuffer(data, np.uint8), out.reshape(-1)
    step = ROWS * 8
    for i in range(0, len(source), step):
        part = flat[i : i + step]
        np.multiply(source[i : i + step], np.float32(scale), out=part, dtype=np.float32, casting="unsafe")
        part += np.float32(offset)


def decode_positions(data: bytes, fraction: int, out: FloatArray) -> None:
    """Signed 24-bit integers, little-endian, in units of ``2^-fraction``.

    Each is read as the upper three bytes of a 32-bit integer that starts one byte before it.
    """
    padded = np.frombuffer(b"\0" + data, np.uint8)
    flat = out.reshape(-1)
    words = np.ndarray((len(flat),), "<i4", padded, strides=(3,))
    scale = np.float32(2.0**-fraction)
    for i in range(0, len(flat), ROWS):
        np.multiply(words[i : i + ROWS] >> 8, scale, out=flat[i : i + ROWS], dtype=np.float32, casting="unsafe")


def decode_half_positions(data: bytes, out: FloatArray) -> None:
    """Version 1: float16."""
    out[:] = np.frombuffer(data, "<f2").reshape(out.shape)


def decode_alphas(data: bytes, out: FloatArray) -> None:
    """Alpha bytes to logits."""
    table, source = logit_table(), np.frombuffer(data, np.uint8)
    for i in range(0, len(out), ROWS):
        out[i : i + ROWS] = table[source[i : i + ROWS]]


def decode_colours(data: bytes, out: FloatArray) -> None:
    """SH constants in steps of 1 / (255 * 0.15)."""
    _affine(data, out, 1 / (255 * COLOUR), -DC_REACH)


def decode_scales(data: bytes, out: FloatArray) -> None:
    """Log-scales in steps of 1/16."""
    _affine(data, out, 1 / 16, SCALE_LOW)


def decode_rotations(data: bytes, version: int, out: FloatArray) -> None:
    """Smallest three of 10 bits (version 3 on), or x, y, z of 8 bits with w from the rest."""
    if version < 3:
        xyz = np.frombuffer(data, np.uint8).reshape(-1, 3)
        for i in range(0, len(out), ROWS):
            v = xyz[i : i + ROWS].astype(np.float32) / np.float32(127.5) - np.float32(1)
            out[i : i + ROWS, 1:] = v
            rest = np.float32(1) - np.einsum("ij,ij->i", v, v)
            out[i : i + ROWS, 0] = np.sqrt(np.maximum(rest, np.float32(0)))
        return
    table = _smallest_table()
    words = np.frombuffer(data, "<u4")
    for i in range(0, len(out), ROWS):
        word = words[i : i + ROWS]
        three = (table[word >> _20 & _1023], table[word >> _10 & _1023], table[word & _1023])
        xyzw = restore_largest(word >> _30, three)
        out[i : i + ROWS, 0] = xyzw[:, 3]
        out[i : i + ROWS, 1:] = xyzw[:, :3]


def _smallest_table() -> FloatArray:
    """What 10 bits mean: sign and 9 bits of magnitude, up to sqrt(1/2)."""
    code = np.arange(1024)
    value = (code & 511) / 511 * np.sqrt(0.5)
    return np.asarray(np.where(code & 512, -value, value), np.float32)


def decode_sh(data: bytes, degree: int, out: FloatArray) -> None:
    """SH of degree up to 4, of which ``out`` (N, K, 3) takes the bands it has room for."""
    stored = SH_PER_CHANNEL[degree]
    if out.shape[1] == stored:
        _affine(data, out, 1 / 128, -1.0)
        return
    source = np.frombuffer(data, np.uint8).reshape(-1, stored, 3)
    for i in range(0, len(out), ROWS):
        part = source[i : i + ROWS, : out.shape[1]].astype(np.float32)
        out[i : i + ROWS] = (part - np.float32(128)) / np.float32(128)


def encode_positions(means: FloatArray, fraction: int) -> Bytes:
    """Round to ``2^-fraction``; the caller has checked the range."""
    fixed = np.floor(means.astype(np.float64) * 2.0**fraction + 0.5).astype("<i4")
    return fixed.reshape(-1, 1).view(np.uint8)[:, :3]


def encode_alphas(logits: FloatArray) -> Bytes:
    """Alpha as a byte."""
    return alpha_u8(logits)


def encode_colours(sh0: FloatArray) -> Bytes:
    """SH constants as bytes."""
    return to_u8(sh0 * np.float32(COLOUR * 255) + np.float32(127.5))


def encode_scales(scales: FloatArray) -> Bytes:
    """Log-scales as bytes."""
    return to_u8((scales + np.float32(10)) * np.float32(16))


def encode_rotations(quats: FloatArray, version: int) -> NDArray[Any]:
    """Unit quats (w, x, y, z) as in :func:`decode_rotations`."""
    if version < 3:
        sign = np.where(quats[:, :1] < 0, np.float32(-127.5), np.float32(127.5))
        return to_u8(quats[:, 1:] * sign + np.float32(127.5))
    which, three = drop_largest(quats[:, (1, 2, 3, 0)])
    word = which << _30
    for value, shift in zip(three, (20, 10, 0), strict=True):
        size = np.minimum(np.abs(value) * (np.float32(511) / _SQRT_HALF) + np.float32(0.5), np.float32(511))
        word |= (size.astype(np.uint32) | ((value < 0).astype(np.uint32) << 9)) << shift
    return word.astype("<u4").reshape(-1, 1).view(np.uint8)


def encode_sh(shn: FloatArray) -> Bytes:
    """SH coefficients, rounded to the middle of their band's steps as the reference does."""
    out = np.empty(shn.shape, np.uint8)
    level = np.floor(np.clip(shn, -2, 2) * np.float32(128) + np.float32(0.5)) + np.float32(128)
    for bands, step in ((slice(0, 3), SH_STEPS[0]), (slice(3, None), SH_STEPS[1])):
        middle = np.floor((level[:, bands] + np.float32(step // 2)) / np.float32(step)) * np.float32(step)
        out[:, bands] = np.clip(middle, 0, 255)
    return out
