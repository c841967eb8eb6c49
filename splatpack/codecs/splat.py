"""The splat codec: Gaussians of one spatial chunk to two sections, geometry and spherical harmonics.

The bitstream is ``spec/codecs/splat.md``. A section is coded in two passes: :func:`geometry_tokens` and
:func:`sh_tokens` turn floats into tokens under contexts, a :class:`~splatpack.codecs.model.Model` is fitted to all
chunks of a scene, and ``Tokens.encode`` writes the bytes. Decoding is one pass.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.codecs.kernels import colour as colour_kernels
from splatpack.codecs.kernels import contexts as ctx
from splatpack.codecs.kernels import lattice as lattice_kernels
from splatpack.codecs.kernels import sh as sh_kernels
from splatpack.codecs.kernels import shape as shape_kernels
from splatpack.codecs.model import Model
from splatpack.codecs.rans import TokenReader, Tokens, TokenWriter, zigzag
from splatpack.errors import CorruptError
from splatpack.limits import Limits

Int64 = NDArray[np.int64]
UInt8 = NDArray[np.uint8]
UInt16 = NDArray[np.uint16]
Float32 = NDArray[np.float32]

CLASSES = 8
Q20 = 1 << 20
AXIS_BITS = 19
MAX_COUNT = 1 << 16
"""Gaussians in one chunk, at most."""

GEOMETRY = ("means", "scales", "quats", "opacities", "sh0")
"""Attributes that the geometry section may hold, in decode order of their planes."""

SHAPES: dict[str, tuple[int, ...]] = {"means": (3,), "scales": (3,), "quats": (4,), "opacities": (), "sh0": (1, 3)}
"""Shape of a row of each."""

GEOMETRY_CONTEXTS = 242
GEOMETRY_GROUPS = [(1, 9), (10, 18), (18, 26), (26, 90), (90, 98), (98, 170), (170, 178), (178, 242)]
SH_CONTEXTS = 296
SH_GROUPS = [(0, 8), (8, 296)]
BAND_FIRST = (0, 3, 8)
BAND_COUNT = (3, 5, 7)

SIDES = np.array([int(np.floor(2.0 ** (k / 3) + 1e-9)) for k in range(49)], np.int64)
"""Sub-cells along an axis for fineness k: floor(2^(k / 3))."""

SIZES = np.array([(int(side) ** 3 - 1).bit_length() for side in SIDES], np.int64)
"""Raw bits that hold a number below SIDES[k]^3."""

_LEVEL = np.array([0, 1, 1, 2, 2, 2, 2, 3], np.uint16)
_GEOMETRY_HEAD = struct.Struct("<Q")


@dataclass(frozen=True)
class SplatParams:
    """What a decoder must know about a scene's quantisers. All steps are Q20, one per importance class.

    Attributes
    ----------
    lattice : float64 (4,)
        Corner x0, y0, z0 of the position lattice and the side of its cells, scene units.
    position : int64 (8,)
        20-bit fixed-point ln(cell / step) for a Gaussian whose middle axis has symbol 0 (standard deviation 1).
    slope : int64 (8,)
        20-bit fixed-point growth of ln(step) per symbol of the middle axis.
    scale, rotation, opacity, colour, sh : int64 (8,)
        Steps: log-scale, modified Rodrigues component, logit, ``sh0`` and ``shN`` in luma and chroma.
    scale_offset, opacity_offset : int64 (8,)
        Symbols that are subtracted before coding: the centre of each class.
    attributes : tuple of str
        Which of :data:`GEOMETRY` the geometry section holds.
    """

    lattice: NDArray[np.float64]
    position: Int64
    slope: Int64
    scale: Int64
    rotation: Int64
    opacity: Int64
    colour: Int64
    sh: Int64
    scale_offset: Int64
    opacity_offset: Int64
    attributes: tuple[str, ...] = GEOMETRY

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists for the file's metadata."""
        out: dict[str, Any] = {f.name: getattr(self, f.name).tolist() for f in fields(self) if f.name != "attributes"}
        out["attributes"] = list(self.attributes)
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SplatParams:
        """Check untrusted metadata and build the parameters.

        Raises
        ------
        CorruptError
            A field is missing, unknown, of another type or length, or out of range.
        """
        names = {f.name for f in fields(cls)}
        if set(data) != names:
            raise CorruptError(f"splat parameters: fields {sorted(data)}, expected {sorted(names)}.")
        lattice = data["lattice"]
        if not (isinstance(lattice, list) and len(lattice) == 4 and all(type(v) is float for v in lattice)):
            raise CorruptError("splat parameters: lattice is not four floats.")
        if not (np.abs(lattice) < 1e30).all() or not lattice[3] > 1e-30:
            raise CorruptError(f"splat parameters: lattice {lattice} is not finite or its cell not positive.")
        attributes = data["attributes"]
        if not isinstance(attributes, list) or attributes != [a for a in GEOMETRY if a in attributes]:
            raise CorruptError(
                f"splat parameters: attributes {attributes}, expected some of {list(GEOMETRY)} in order."
            )
        bounds = {
            "position": (-(1 << 31), 1 << 31),
            "slope": (0, 1 << 31),
            "scale_offset": (-65535, 65535),
            "opacity_offset": (-65535, 65535),
        }
        tables = {n: _table(n, data[n], *bounds.get(n, (1, 1 << 31))) for n in names - {"lattice", "attributes"}}
        return cls(lattice=np.array(lattice, np.float64), attributes=tuple(attributes), **tables)


def _table(name: str, value: Any, low: int, high: int) -> Int64:
    if not (isinstance(value, list) and len(value) == CLASSES and all(type(v) is int for v in value)):
        raise CorruptError(f"splat parameters: {name} is not {CLASSES} integers.")
    if min(value) < low or max(value) > high:
        raise CorruptError(f"splat parameters: {name} outside {low} to {high}.")
    return np.array(value, np.int64)


@dataclass(frozen=True)
class Symbols:
    """Integer symbols of one chunk, in the chunk's order, before they become tokens."""

    classes: UInt8
    codes: Int64
    scale: Int64
    opacity: Int64
    rotation: Int64
    colour: Int64


def canonicalise(scales: Float32, quats: Float32) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return equivalent (scales (n, 3) descending, quats (n, 4) with w >= 1/2), float64."""
    n = len(scales)
    s, q = np.empty((n, 3)), np.empty((n, 4))
    shape_kernels.canonical(scales, quats, s, q)
    return s, q


def oriented(scales: Float32, quats: Float32, p: SplatParams) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the (scales (n, 3), quats (n, 4)) that are rounded, float64: canonical where both are coded here."""
    if "scales" in p.attributes and "quats" in p.attributes:
        return canonicalise(scales, quats)
    s, q = scales.astype(np.float64), quats.astype(np.float64)
    q /= np.sqrt((q * q).sum(axis=1, keepdims=True))
    q *= np.where(q[:, :1] < 0, -1.0, 1.0)
    return s, q


def sub_cell_sides(middle: Int64, classes: UInt8, p: SplatParams) -> NDArray[np.float64]:
    """Return the side of the cell on which each mean is rounded, float64 (n,), scene units.

    Parameters
    ----------
    middle : int64 (n,)
        Symbol of the middle axis.
    classes : uint8 (n,)
        Importance classes.
    p : SplatParams
    """
    fineness = np.empty(len(classes), np.int64)
    lattice_kernels.fineness(middle, classes, p.slope, p.position, fineness)
    return np.asarray(p.lattice[3] / SIDES[fineness])


def quantise(
    arrays: Mapping[str, Any], codes: Int64, classes: UInt8, weights: NDArray[np.float64], p: SplatParams, beta: float
) -> Symbols:
    """Quantise one chunk.

    Parameters
    ----------
    arrays : mapping
        ``scales``, ``quats``, ``opacities``, ``sh0`` of the chunk's Gaussians in coding order, float32.
    codes : int64 (n,)
        Morton codes, ascending.
    classes : uint8 (n,)
        Importance classes, 0 the most important.
    weights : float64 (n,)
        Square root of the importance, positive: how errors are passed on.
    p : SplatParams
    beta : float
        Share of a colour error that goes to the next Gaussian; 0 turns diffusion off.
    """
    n = len(codes)
    s, q = oriented(np.asarray(arrays["scales"]), np.asarray(arrays["quats"]), p)
    opacities = np.clip(arrays["opacities"], OPACITY_RANGE[0], OPACITY_RANGE[1])
    scale, opacity, rotation = np.empty((3, n), np.int64), np.empty(n, np.int64), np.empty((3, n), np.int64)
    steps = np.stack([p.scale, p.rotation, p.opacity])
    shape_kernels.quantise_shape(s, q, np.ascontiguousarray(opacities), classes, steps, scale, opacity, rotation)
    colour = np.empty((3, n), np.int64)
    colour_kernels.quantise_colour(arrays["sh0"].reshape(n, 3), classes, p.colour, weights, beta, colour)
    return Symbols(classes, codes, scale, opacity, rotation, colour)


OPACITY_RANGE = (-6.0, 8.0)
"""Logits outside are clamped: below alpha 1/404 nothing is drawn, above 2980/2981 nothing changes."""


def _blocks(classes: UInt8) -> Int64:
    """Rounded mean class of each run of 32 Gaussians."""
    n = len(classes)
    edges = np.arange(0, n, 32)
    total = np.add.reduceat(classes.astype(np.int64), edges)
    size = np.diff(np.append(edges, n))
    return np.asarray((2 * total + size) // (2 * size))


def _shape(scale1: Int64, scale2: Int64) -> UInt16:
    """0 for equal axes, 1 for a needle (s0 - s1 > s1 - s2), 2 for a disc."""
    return np.where((scale1 == 0) & (scale2 == 0), 0, np.where(scale1 > scale2, 1, 2)).astype(np.uint16)


def _level(v: Int64) -> UInt16:
    """Magnitude level of a zigzag residual: 0, 1 to 2, 3 to 6, 7 and more."""
    return _LEVEL[np.minimum(v, 7)]


def geometry_tokens(sym: Symbols, means: Float32, p: SplatParams) -> tuple[Tokens, int]:
    """Return the tokens of a geometry section and the first Morton code. ``means`` are the chunk's, in order."""
    n = len(sym.classes)
    cls = sym.classes.astype(np.uint16)
    blocks = _blocks(sym.classes)
    out = TokenWriter(13 * n + len(blocks), 64 * n)
    out.plane(blocks, np.full(len(blocks), ctx.BLOCK, np.uint16))
    out.plane(sym.classes.astype(np.int64), ctx.CLASS + np.repeat(blocks, 32)[:n].astype(np.uint16))
    first = int(sym.codes[0]) if "means" in p.attributes else 0
    if "means" in p.attributes:
        out.plane(np.diff(sym.codes, prepend=sym.codes[:1]), np.full(n, ctx.DELTA, np.uint16))
    shape = np.zeros(n, np.uint16)
    scale = np.zeros_like(sym.scale)
    if "scales" in p.attributes:
        scale = sym.scale
        s0, s1, s2 = scale
        out.plane(zigzag(s0 - p.scale_offset[sym.classes]), ctx.SCALE0 + cls)
        v1, v2 = (s1, s2) if "quats" in p.attributes else (zigzag(s1), zigzag(s2))
        out.plane(v1, ctx.SCALE1 + cls)
        out.plane(v2, ctx.SCALE2 + 8 * np.minimum(v1, 7).astype(np.uint16) + cls)
        shape = _shape(s1, s2)
    if "opacities" in p.attributes:
        out.plane(zigzag(sym.opacity - p.opacity_offset[sym.classes]), ctx.OPACITY + cls)
    if "quats" in p.attributes:
        for k in range(3):
            out.plane(zigzag(sym.rotation[k]), ctx.ROTATION + np.uint16(24 * k) + 3 * cls + shape)
    if "sh0" in p.attributes:
        _put_colour(out, sym, p, cls)
    if "means" in p.attributes:
        values, widths = np.empty(n, np.int64), np.empty(n, np.int64)
        lattice_kernels.quantise_positions(
            means, sym.codes, scale, sym.classes, p.slope, p.position, SIDES, SIZES, p.lattice, values, widths
        )
        out.raw(values, widths)
    return out.finish(), first


def _put_colour(out: TokenWriter, sym: Symbols, p: SplatParams, cls: UInt16) -> None:
    scratch = np.empty(len(cls), np.int64)
    v = []
    for k in range(3):
        residual = sym.colour[k].copy()
        colour_kernels.predict_colour(residual, sym.classes, p.colour, scratch)
        v.append(zigzag(residual))
    out.plane(v[0], ctx.LUMA + cls)
    out.plane(v[1], ctx.CHROMA1 + 4 * cls + _level(v[0]))
    out.plane(v[2], ctx.CHROMA2 + 4 * cls + _level(np.maximum(v[0], v[1])))


def geometry_bytes(tokens: Tokens, first: int, model: Model) -> bytes:
    """Return a geometry section: the first Morton code, then the stream."""
    return _GEOMETRY_HEAD.pack(first) + tokens.encode(model)


def sh_tokens(shN: Float32, classes: UInt8, p: SplatParams) -> Tokens:
    """Return the tokens of an SH section for ``shN`` float32 (n, K, 3) in the chunk's order."""
    n, k, _ = shN.shape
    symbols, masks = np.empty((3, k, n), np.int16), np.empty(n, np.uint8)
    sh_kernels.quantise_sh(shN, classes, p.sh, symbols, masks)
    head = TokenWriter(n * (3 * k + 1), 16)
    head.plane(masks.astype(np.int64), ctx.MASK + classes.astype(np.uint16))
    tokens, contexts, starts = head._tokens, head._contexts, head._starts
    bits = np.zeros(2 * 3 * k * n + 64, np.uint8)
    picked, runs = np.empty(n, np.int32), np.empty(n, np.uint8)
    bit, planes = 0, 1
    for band in range(p_degree(k)):
        bit = sh_kernels.put_sh_band(
            symbols, masks, classes, band, BAND_FIRST[band], BAND_COUNT[band], ctx.BANDS + 96 * band,
            picked, runs, tokens, contexts, starts, planes, bits, bit,
        )  # fmt: skip
        planes += 3 * BAND_COUNT[band]
    m = int(starts[planes])
    return Tokens(tokens[:m].copy(), contexts[:m].copy(), starts[: planes + 1].copy(), bits[: (bit + 7) // 8].tobytes())


def p_degree(coefficients: int) -> int:
    """Return the SH degree of 0, 3, 8 or 15 coefficients."""
    return {0: 0, 3: 1, 8: 2, 15: 3}[coefficients]


def decode_geometry(
    data: memoryview, n: int, p: SplatParams, model: Model, limits: Limits, out: Mapping[str, Float32] | None = None
) -> tuple[dict[str, Float32], UInt8]:
    """Decode a geometry section of ``n`` Gaussians: attributes (means (n, 3), scales, quats, opacities, sh0), classes.

    The attributes are written to ``out``, C-contiguous, where it has them; the others get new arrays. Safe on
    untrusted input.

    Raises
    ------
    CorruptError, TruncatedError, LimitError
        The bytes break a rule of the bitstream, or want too much memory.
    """
    what = "geometry section"
    if not 1 <= n <= MAX_COUNT:
        raise CorruptError(f"{what}: {n} Gaussians in a chunk, expected 1 to {MAX_COUNT}.")
    if len(data) < _GEOMETRY_HEAD.size:
        raise CorruptError(f"{what}: {len(data)} bytes, expected at least {_GEOMETRY_HEAD.size}.")
    limits.debit(n * 120, what)
    (first,) = _GEOMETRY_HEAD.unpack_from(data)
    reader = TokenReader(data[_GEOMETRY_HEAD.size :], model, limits, what)
    out = out or {}
    arrays = {name: out[name] if name in out else np.empty((n, *SHAPES[name]), np.float32) for name in p.attributes}
    room = _Room(n)
    classes = _decode_classes(reader, n, room)
    codes = _decode_codes(reader, first, n, room) if "means" in arrays else None
    if codes is None and first:
        raise CorruptError(f"{what}: a Morton code in a section without positions.")
    stream, tokens, contexts, symbols = reader.stream, room.tokens, room.contexts, room.symbols
    middle = np.zeros(n, np.int32)
    np.multiply(classes, 3, out=contexts)
    if "scales" in arrays:
        reader.check(shape_kernels.decode_scales(
            stream, classes, p.scale_offset, p.scale, int("quats" not in arrays), contexts, tokens, symbols, middle,
            arrays["scales"],
        ))  # fmt: skip
    if "opacities" in arrays:
        reader.check(shape_kernels.decode_opacities(
            stream, classes, p.opacity_offset, p.opacity, tokens, symbols[0], arrays["opacities"]
        ))  # fmt: skip
    if "quats" in arrays:
        reader.check(shape_kernels.decode_quats(
            stream, contexts, classes, p.rotation, tokens, symbols, arrays["quats"]
        ))  # fmt: skip
    if "sh0" in arrays:
        reader.check(colour_kernels.decode_colour(
            stream, classes, p.colour, contexts, tokens, symbols, arrays["sh0"].reshape(n, 3)
        ))  # fmt: skip
    if codes is not None:
        reader.check(lattice_kernels.decode_positions(
            stream, codes, middle, classes, p.slope, p.position, SIDES, SIZES, p.lattice, arrays["means"]
        ))  # fmt: skip
    reader.finish()
    return arrays, classes


class _Room:
    """Scratch of a chunk of ``n`` Gaussians: small enough for a core's cache, and used again by every attribute."""

    def __init__(self, n: int) -> None:
        self.tokens = np.empty(n, np.uint8)
        self.contexts = np.zeros(n, np.uint8)
        self.symbols = np.empty((3, n), np.int64)


def _decode_classes(reader: TokenReader, n: int, room: _Room) -> UInt8:
    blocks = (n + 31) // 32
    levels = reader.tokens(ctx.BLOCK, room.contexts[:blocks], room.tokens[:blocks])
    if int(levels.max()) >= CLASSES:
        raise CorruptError(f"geometry section: a block class above {CLASSES - 1}.")
    classes = reader.tokens(ctx.CLASS, np.repeat(levels, 32)[:n], np.empty(n, np.uint8))
    if int(classes.max()) >= CLASSES:
        raise CorruptError(f"geometry section: a class above {CLASSES - 1}.")
    return classes


def _decode_codes(reader: TokenReader, first: int, n: int, room: _Room) -> Int64:
    codes = np.empty(n, np.int64)
    status = lattice_kernels.decode_codes(reader.stream, min(first, 1 << 62), room.contexts, room.tokens, codes)
    if status == -3:
        raise CorruptError("geometry section: a Morton code outside the lattice.")
    reader.check(status)
    return codes


def decode_sh(
    data: memoryview, classes: UInt8, coefficients: int, p: SplatParams, model: Model, limits: Limits,
    out: Float32 | None = None,
) -> Float32:  # fmt: skip
    """Decode an SH section: ``shN`` float32 (n, coefficients, 3). ``classes`` come from the geometry section.

    It is written to ``out``, which holds zeros and may have more coefficients, where that is given. Safe on untrusted
    input; raises as :func:`decode_geometry`.
    """
    what = "SH section"
    n = len(classes)
    limits.debit(n * (coefficients * 18 + 8), what)
    reader = TokenReader(data, model, limits, what)
    degree = p_degree(coefficients)
    if out is None:
        out = np.zeros((n, coefficients, 3), np.float32)
    scratch, picked = np.empty((4, n), np.uint8), np.empty(n, np.int32)
    symbols = np.empty(3 * (2 * degree + 1) * n, np.int16)
    reader.check(sh_kernels.decode_sh(reader.stream, classes, p.sh, degree, scratch, picked, symbols, out))
    reader.finish()
    return out
