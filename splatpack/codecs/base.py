"""The three kinds of codec, told apart by type.

A :class:`Transform` maps arrays to arrays, a :class:`Serializer` arrays to bytes, a :class:`Compressor` bytes to bytes.
A pipeline (:mod:`splatpack.codecs.pipeline`) is any number of transforms, exactly one serializer and any number of
compressors. Kernels and bindings are two things: a codec class validates, makes arrays contiguous and of the right
dtype, allocates after :class:`~splatpack.limits.Limits` agreed, calls kernels, and turns a status into an exception.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from numpy.typing import NDArray

from splatpack.errors import CorruptError
from splatpack.limits import Limits

Array = NDArray[Any]


class Codec(ABC):
    """What every codec has: a stable id, and parameters that a file stores as plain integers, floats and strings."""

    id: ClassVar[str]

    def params(self) -> dict[str, Any]:
        """Return what a decoder needs besides the bytes."""
        return {}

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> Codec:
        """Build the codec from stored, untrusted parameters.

        Raises
        ------
        CorruptError
            A parameter is missing, unknown or out of range.
        """
        no_params(cls.id, params)
        return cls()


class Transform(Codec):
    """Array to array."""

    @abstractmethod
    def forward(self, array: Array) -> Array:
        """Encode ``array``."""

    @abstractmethod
    def inverse(self, array: Array) -> Array:
        """Decode ``array``, undoing :meth:`forward`. Safe on untrusted input."""


class Serializer(Codec):
    """Array to bytes."""

    @abstractmethod
    def encode(self, array: Array) -> bytes:
        """Return the bytes of ``array``."""

    @abstractmethod
    def decode(self, data: bytes | memoryview, limits: Limits) -> Array:
        """Return the array of ``data``. Safe on untrusted input."""


class Compressor(Codec):
    """Bytes to bytes."""

    @abstractmethod
    def encode(self, data: bytes) -> bytes:
        """Return ``data`` compressed."""

    @abstractmethod
    def decode(self, data: bytes | memoryview, limits: Limits) -> bytes:
        """Return the bytes that were compressed. Safe on untrusted input."""


def no_params(codec: str, params: dict[str, Any]) -> None:
    """Refuse parameters that a codec does not have.

    Raises
    ------
    CorruptError
        ``params`` is not empty.
    """
    if params:
        raise CorruptError(f"codec {codec!r}: unknown parameters {sorted(params)}.")
