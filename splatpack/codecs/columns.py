"""Transforms and serializers for single columns: lossless and error-bounded modes (``spec/codecs/columns.md``).

A column of n rows and k components goes ``ordered`` or ``quantised`` -> (``delta``) -> ``byte-planes`` -> ``planes`` or
``raw``, -> (``zstd``).
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from splatpack.codecs.base import Array, Codec, Serializer, Transform
from splatpack.codecs.kernels import rans as kernels
from splatpack.codecs.model import Model, count, fit
from splatpack.codecs.rans import OVERHEAD, TokenReader, Tokens
from splatpack.errors import CorruptError
from splatpack.limits import Limits

DTYPES = ("<f4", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8")
"""What a column may hold."""


class Ordered(Transform):
    """Numbers to unsigned integers of the same size in the same order, bit-exactly.

    A float's bits are inverted when its sign is set, else its sign bit is set; a signed integer's sign bit is flipped.
    """

    id = "ordered"

    def __init__(self, dtype: str = "<f4") -> None:
        if dtype not in DTYPES:
            raise CorruptError(f"codec 'ordered': dtype {dtype!r}, expected one of {DTYPES}.")
        self.dtype = np.dtype(dtype)
        self._unsigned = np.dtype(f"u{self.dtype.itemsize}")
        self._sign = self._unsigned.type(1 << (8 * self.dtype.itemsize - 1))

    def params(self) -> dict[str, Any]:
        """Return the dtype of the column."""
        return {"dtype": self.dtype.str}

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> Codec:
        """Build from ``{"dtype": ...}``."""
        if set(params) != {"dtype"} or not isinstance(params["dtype"], str):
            raise CorruptError(f"codec 'ordered': parameters {params}, expected a dtype.")
        return cls(params["dtype"])

    def forward(self, array: Array) -> Array:
        """Return unsigned integers, same shape."""
        if array.dtype != self.dtype:
            raise ValueError(f"ordered: dtype {array.dtype}, expected {self.dtype}.")
        bits = np.ascontiguousarray(array).view(self._unsigned)
        if self.dtype.kind == "f":
            return np.where(bits & self._sign, ~bits, bits | self._sign)
        return bits ^ self._sign if self.dtype.kind == "i" else bits

    def inverse(self, array: Array) -> Array:
        """Return the column."""
        if array.dtype != self._unsigned:
            raise CorruptError(f"ordered: {array.dtype} in, expected {self._unsigned}.")
        bits = array
        if self.dtype.kind == "f":
            bits = np.where(array & self._sign, array & ~self._sign, ~array)
        elif self.dtype.kind == "i":
            bits = array ^ self._sign
        return np.ascontiguousarray(bits).view(self.dtype)


class Quantised(Transform):
    """float32 to zigzag integers round(x / step), uint32: within step / 2 of the original, plus float32 rounding."""

    id = "quantised"

    def __init__(self, step: float) -> None:
        if not (isinstance(step, float) and 1e-30 < step < 1e30):
            raise CorruptError(f"codec 'quantised': step {step}, expected a float above 1e-30 and below 1e30.")
        self.step = step

    def params(self) -> dict[str, Any]:
        """Return the step."""
        return {"step": self.step}

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> Codec:
        """Build from ``{"step": ...}``."""
        if set(params) != {"step"}:
            raise CorruptError(f"codec 'quantised': parameters {params}, expected a step.")
        return cls(params["step"])

    def forward(self, array: Array) -> Array:
        """Return uint32, same shape.

        Raises
        ------
        ValueError
            A symbol does not fit 32 bits: the error bound is too small for values so large.
        """
        q = np.rint(array.astype(np.float64) / self.step)
        if q.size and not np.abs(q).max() < 2**31 - 1:
            raise ValueError("quantised: symbols do not fit 32 bits.")
        v = q.astype(np.int64)
        return ((v << 1) ^ (v >> 63)).astype(np.uint32)

    def inverse(self, array: Array) -> Array:
        """Return float32."""
        if array.dtype != np.uint32:
            raise CorruptError(f"quantised: {array.dtype} in, expected uint32.")
        v = array.astype(np.int64)
        with np.errstate(over="ignore"):
            out = (((v >> 1) ^ -(v & 1)) * self.step).astype(np.float32)
        if not np.isfinite(out).all():
            raise CorruptError("quantised: a value outside float32.")
        return out


class Delta(Transform):
    """Differences to the row before, modulo the integer's size, zigzag; the first row is kept."""

    id = "delta"

    def forward(self, array: Array) -> Array:
        """Return unsigned integers, same shape and dtype."""
        d = array.copy()
        d[1:] -= array[:-1]
        top = d >> np.array(8 * d.itemsize - 1, d.dtype)
        out = (d << np.array(1, d.dtype)) ^ (np.zeros((), d.dtype) - top)
        out[:1] = array[:1]
        return np.ascontiguousarray(out)

    def inverse(self, array: Array) -> Array:
        """Undo :meth:`forward`."""
        one = np.array(1, array.dtype)
        d = (array >> one) ^ (np.zeros((), array.dtype) - (array & one))
        d[:1] = array[:1]
        return np.cumsum(d, axis=0, dtype=array.dtype)


class BytePlanes(Transform):
    """Unsigned integers (n, k) to planes uint8 (k * size, n): by component, most significant byte first."""

    id = "byte-planes"

    def __init__(self, size: int, components: int) -> None:
        if size not in (1, 2, 4, 8) or not 1 <= components <= 256:
            raise CorruptError(f"codec 'byte-planes': size {size}, components {components}.")
        self.size, self.components = size, components

    def params(self) -> dict[str, Any]:
        """Return size and number of components."""
        return {"size": self.size, "components": self.components}

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> Codec:
        """Build from ``{"size": ..., "components": ...}``."""
        if set(params) != {"size", "components"} or not all(type(v) is int for v in params.values()):
            raise CorruptError(f"codec 'byte-planes': parameters {params}, expected size and components.")
        return cls(**params)

    def forward(self, array: Array) -> Array:
        """Return the planes."""
        n = len(array)
        big = np.ascontiguousarray(array.reshape(n, self.components)).astype(f">u{self.size}")
        return np.ascontiguousarray(big.view(np.uint8).reshape(n, -1).T)

    def inverse(self, array: Array) -> Array:
        """Return unsigned integers (n, components)."""
        if array.dtype != np.uint8 or len(array) != self.size * self.components:
            raise CorruptError(f"byte-planes: {len(array)} planes, expected {self.size * self.components}.")
        rows = np.ascontiguousarray(array.T)
        return rows.view(f">u{self.size}").astype(f"u{self.size}")


_HEAD = struct.Struct("<HII")
RAW, CODED = 0, 1


class RawPlanes(Serializer):
    """Byte planes as they are: u16 planes, u32 rows, then the planes."""

    id = "raw"

    def encode(self, array: Array) -> bytes:
        """Return the bytes of uint8 (planes, n)."""
        return _HEAD.pack(len(array), array.shape[1], 0) + array.tobytes()

    def decode(self, data: bytes | memoryview, limits: Limits) -> Array:
        """Return uint8 (planes, n)."""
        planes, n, zero = _head(data)
        if zero or _HEAD.size + planes * n != len(data):
            raise CorruptError(f"raw planes: {planes} planes of {n} do not fill {len(data)} bytes.")
        limits.debit(planes * n, "raw planes")
        return np.frombuffer(data, np.uint8, planes * n, _HEAD.size).reshape(planes, n)


class CodedPlanes(Serializer):
    """Byte planes by rANS, a context per plane; planes that rANS does not shorten are stored as they are.

    Layout: u16 planes, u32 rows, u32 length of the model, one mode byte per plane (0 raw, 1 coded), the model (absent
    when no plane is coded), the raw planes, the token stream of the coded ones (absent likewise).
    """

    id = "planes"

    def encode(self, array: Array) -> bytes:
        """Return the bytes of uint8 (planes, n)."""
        planes, n = array.shape
        modes = [CODED if _shortens(array[j]) else RAW for j in range(planes)]
        coded = [j for j in range(planes) if modes[j] == CODED]
        raw = b"".join(array[j].tobytes() for j in range(planes) if modes[j] == RAW)
        model, stream = b"", b""
        if coded:
            tokens = np.ascontiguousarray(array[coded]).reshape(-1)
            contexts = np.repeat(np.arange(len(coded), dtype=np.uint16), n)
            counts = np.zeros((len(coded), 256), np.int64)
            count(tokens, contexts, counts)
            fitted = fit(counts)
            starts = np.arange(len(coded) + 1, dtype=np.int64) * n
            model, stream = fitted.to_bytes(), Tokens(tokens, contexts, starts, b"").encode(fitted)
        return _HEAD.pack(planes, n, len(model)) + bytes(modes) + model + raw + stream

    def decode(self, data: bytes | memoryview, limits: Limits) -> Array:
        """Return uint8 (planes, n)."""
        planes, n, model_len = _head(data)
        at = _HEAD.size + planes
        modes = bytes(data[_HEAD.size : at])
        coded = modes.count(CODED)
        raw = modes.count(RAW)
        if len(modes) != planes or coded + raw != planes or at + model_len + raw * n > len(data):
            raise CorruptError(f"planes: {planes} planes of {n} do not fit {len(data)} bytes.")
        limits.debit(planes * n + 3 * n, "planes")
        out = np.empty((planes, n), np.uint8)
        body = memoryview(data)[at + model_len :]
        stored = np.frombuffer(body, np.uint8, raw * n).reshape(raw, n)
        out[[j for j in range(planes) if modes[j] == RAW]] = stored
        if coded:
            model = Model.from_bytes(memoryview(data)[at : at + model_len], coded)
            self._coded(out, modes, TokenReader(body[raw * n :], model, limits, "planes"))
        elif model_len or len(body) != raw * n:
            raise CorruptError("planes: bytes are left over.")
        return out

    def _coded(self, out: Array, modes: bytes, reader: TokenReader) -> None:
        zeros = np.zeros(out.shape[1], np.uint8)
        context = 0
        for j, mode in enumerate(modes):
            if mode == CODED:
                reader.tokens(context, zeros, out[j])
                context += 1
        reader.finish()


def _head(data: bytes | memoryview) -> tuple[int, int, int]:
    if len(data) < _HEAD.size:
        raise CorruptError(f"planes: {len(data)} bytes, expected at least {_HEAD.size}.")
    planes, n, extra = _HEAD.unpack_from(data)
    if n > kernels.LOWER or planes > 2048:
        raise CorruptError(f"planes: {planes} planes of {n} rows, expected at most 2048 of 65536.")
    return planes, n, extra


def _shortens(plane: Array) -> bool:
    """Whether an ideal order-0 coder with its table saves at least 1/64 of a plane."""
    n = len(plane)
    counts = np.bincount(plane, minlength=256)
    used = counts[counts > 0]
    bits = float((used * np.log2(n / used)).sum()) + 5.0 * len(used) + 8 * OVERHEAD / 8
    return bits < 8 * n * (1 - 1 / 64)
