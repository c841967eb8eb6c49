"""Pipelines: any number of transforms, exactly one serializer, any number of compressors."""

from __future__ import annotations

from typing import Any

import numpy as np

from splatpack.codecs.base import Array, Codec, Compressor, Serializer, Transform
from splatpack.codecs.columns import BytePlanes, Delta, Ordered, Quantised
from splatpack.codecs.floats import Floats
from splatpack.codecs.registry import build
from splatpack.errors import CorruptError
from splatpack.limits import Limits

MAX_CODECS = 8


class Pipeline:
    """A checked chain of codecs between a column and bytes.

    Raises
    ------
    CorruptError
        The codecs are not transforms, then one serializer, then compressors, or there are more than eight.
    """

    def __init__(self, codecs: list[Codec]) -> None:
        kinds = "".join("T" if isinstance(c, Transform) else "S" if isinstance(c, Serializer) else "C" for c in codecs)
        if kinds != "T" * kinds.count("T") + "S" + "C" * kinds.count("C") or len(codecs) > MAX_CODECS:
            raise CorruptError(
                f"pipeline {[c.id for c in codecs]}: expected transforms, then one serializer, then compressors."
            )
        self.codecs = codecs
        self.transforms = [c for c in codecs if isinstance(c, Transform)]
        self.serializer = next(c for c in codecs if isinstance(c, Serializer))
        self.compressors = [c for c in codecs if isinstance(c, Compressor)]

    @classmethod
    def from_spec(cls, spec: Any) -> Pipeline:
        """Build a pipeline from untrusted metadata: a list of codec maps."""
        if not isinstance(spec, list) or not 1 <= len(spec) <= MAX_CODECS:
            raise CorruptError(f"pipeline {spec!r}: expected a list of 1 to {MAX_CODECS} codecs.")
        return cls([build(item) for item in spec])

    def check_column(self, dtype: np.dtype[Any], components: int) -> None:
        """Check that this is a chain for a column (``spec/codecs/columns.md``).

        That is: ordered or quantised, maybe delta, byte-planes, planes or raw, maybe zstd; or floats alone.

        Parameters
        ----------
        dtype : dtype
            Of the column.
        components : int
            Numbers in one row.

        Raises
        ------
        CorruptError
            Another chain, or codecs that do not fit the column.
        """
        if len(self.codecs) == 1 and isinstance(self.serializer, Floats) and dtype == np.float32:
            return
        ids = [c.id for c in self.codecs if not isinstance(c, Delta)]
        first, planes = self.codecs[0], self.codecs[len(self.transforms) - 1]
        fits = isinstance(planes, BytePlanes) and planes.components == components
        if isinstance(first, Quantised):
            fits = fits and dtype == np.float32 and isinstance(planes, BytePlanes) and planes.size == 4
        elif isinstance(first, Ordered):
            fits = fits and first.dtype == dtype and isinstance(planes, BytePlanes) and planes.size == dtype.itemsize
        else:
            fits = False
        delta = [i for i, c in enumerate(self.codecs) if isinstance(c, Delta)]
        if (
            not fits
            or delta not in ([], [1])
            or len(ids) > 4
            or isinstance(self.serializer, Floats)
            or ids[1] != BytePlanes.id
            or len(self.transforms) != 2 + len(delta)
        ):
            raise CorruptError(
                f"pipeline {[c.id for c in self.codecs]} does not fit {components} components of {dtype}."
            )

    @property
    def spec(self) -> list[dict[str, Any]]:
        """What :meth:`from_spec` reads."""
        return [{"id": c.id, **c.params()} for c in self.codecs]

    def encode(self, array: Array) -> bytes:
        """Return the bytes of a column."""
        for t in self.transforms:
            array = t.forward(array)
        data = self.serializer.encode(array)
        for c in self.compressors:
            data = c.encode(data)
        return data

    def decode(self, data: bytes | memoryview, limits: Limits) -> Array:
        """Return the column of untrusted bytes."""
        for c in reversed(self.compressors):
            data = c.decode(data, limits)
        array = self.serializer.decode(data, limits)
        for t in reversed(self.transforms):
            limits.debit(2 * array.nbytes, t.id)
            array = t.inverse(array)
        return array
