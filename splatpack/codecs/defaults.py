"""Models by parts: some parts coded with default models, the others with tables of the file.

The specification ships default models (``spec/codecs/defaults.txt``; the package holds the same bytes), so that a
small scene need not pay for tables of its own: ``spec/codecs/rans.md``, section 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from splatpack.codecs import model
from splatpack.codecs.kernels.rans import PROB
from splatpack.codecs.model import Model
from splatpack.codecs.splat import GEOMETRY_CONTEXTS, GEOMETRY_GROUPS, SH_CONTEXTS, SH_GROUPS
from splatpack.errors import CorruptError, UnsupportedError

_BIT = 1 << 16
_BITS = np.array([1 << 36, *(np.floor(_BIT * (12.0 - np.log2(np.arange(1, PROB + 1))) + 0.5))], np.int64)
"""What a token of frequency 0 to 4096 costs, in 1/65536 bit; more than any stream has for 0."""


@dataclass(frozen=True)
class Kind:
    """The contexts of a section and the parts into which they fall.

    Attributes
    ----------
    name : str
        As in ``defaults.txt``.
    starts : tuple of int
        First context of each part, and the number of contexts at the end.
    groups : tuple of (first, stop)
        Ranges of contexts among which tables are shared first.
    """

    name: str
    starts: tuple[int, ...]
    groups: tuple[tuple[int, int], ...]

    @property
    def contexts(self) -> int:
        """Number of contexts."""
        return self.starts[-1]

    @property
    def parts(self) -> list[tuple[int, int]]:
        """First context and the one behind the last, of each part."""
        return list(zip(self.starts[:-1], self.starts[1:], strict=True))


GEOMETRY = Kind("geometry", (0, 1, 9, 10, 18, 26, 90, 98, 170, 178, 210, GEOMETRY_CONTEXTS), tuple(GEOMETRY_GROUPS))
SH = Kind("sh", (0, *range(8, SH_CONTEXTS + 1, 48)), tuple(SH_GROUPS))


@dataclass(frozen=True)
class PartedModel(Model):
    """A model some of whose parts are defaults. Made by :func:`assemble`.

    Attributes
    ----------
    choices : tuple of int
        The number of each part's default model, 0 where its contexts are in ``own``.
    own : Model or None
        The model of the contexts of all parts that are 0, in order; None when there are none.
    """

    choices: tuple[int, ...] = ()
    own: Model | None = None

    def to_bytes(self) -> bytes:
        """Serialise: a zero, the choices at 4 bits each, the own model."""
        nibbles = sum(choice << 4 * part for part, choice in enumerate(self.choices))
        head = b"\0" + nibbles.to_bytes((len(self.choices) + 1) // 2, "little")
        return head + (self.own.to_bytes() if self.own is not None else b"")


@cache
def _shipped() -> dict[tuple[str, int, int], bytes]:
    """Bytes of each default model by kind, part and number."""
    lines = files("splatpack.codecs").joinpath("defaults.txt").read_text("ascii").splitlines()
    rows = [line.split() for line in lines]
    return {(kind, int(part), int(number)): bytes.fromhex(data) for kind, part, number, data in rows}


@cache
def number_of(kind: Kind, part: int) -> int:
    """Return how many default models a part has; they are numbered from 1."""
    return sum((name, p) == (kind.name, part) for name, p, _ in _shipped())


@cache
def default(kind: Kind, part: int, number: int) -> Model:
    """Return a default model.

    Raises
    ------
    UnsupportedError
        There is none of this number.
    """
    data = _shipped().get((kind.name, part, number))
    if data is None:
        raise UnsupportedError(
            f"entropy model: default {number} of {kind.name} part {part}, {number_of(kind, part)} are known here. "
            "Update splatpack."
        )
    first, stop = kind.parts[part]
    return Model.from_bytes(data, stop - first)


def assemble(kind: Kind, choices: tuple[int, ...], own: Model | None) -> PartedModel:
    """Put default models and the own model together.

    Raises
    ------
    UnsupportedError
        A choice is not known.
    """
    context_map = np.zeros(kind.contexts, np.uint8)
    costs = list(own.costs) if own is not None else []
    at = 0
    for part, ((first, stop), choice) in enumerate(zip(kind.parts, choices, strict=True)):
        if choice:
            shipped = default(kind, part, choice)
            context_map[first:stop] = shipped.context_map + len(costs)
            costs += shipped.costs
        elif own is not None:
            context_map[first:stop] = own.context_map[at : at + stop - first]
            at += stop - first
    return PartedModel(context_map, tuple(costs), choices, own)


def parse(data: bytes | memoryview, kind: Kind, parted: bool) -> Model:
    """Read a model of a section. Safe on untrusted input.

    Parameters
    ----------
    data : bytes
    kind : Kind
    parted : bool
        Whether the file may hold models by parts.

    Raises
    ------
    CorruptError, UnsupportedError
        As the bytes deserve.
    """
    if not parted or len(data) == 0 or data[0] != 0:
        return Model.from_bytes(data, kind.contexts)
    size = 1 + len(kind.parts) // 2 + len(kind.parts) % 2
    nibbles = int.from_bytes(data[1:size], "little")
    if len(data) < size or nibbles >> 4 * len(kind.parts):
        raise CorruptError(f"entropy model by parts: {len(data)} bytes, or padding that is not zero.")
    choices = tuple(nibbles >> 4 * part & 15 for part in range(len(kind.parts)))
    contexts = sum(stop - first for (first, stop), choice in zip(kind.parts, choices, strict=True) if choice == 0)
    if contexts == 0 and len(data) > size:
        raise CorruptError(f"entropy model by parts: {len(data) - size} bytes behind the choices, expected none.")
    return assemble(kind, choices, Model.from_bytes(data[size:], contexts) if contexts else None)


def spent(fitted: Model, counts: NDArray[np.int64]) -> int:
    """Return what tokens cost under a model, in 1/65536 bit.

    Parameters
    ----------
    fitted : Model
    counts : int64 (C, 256)
        Tokens under each context.
    """
    return int((counts * _BITS[fitted.freqs[fitted.context_map]]).sum())


def fit(counts: NDArray[np.int64], kind: Kind) -> Model:
    """Return the model with which tokens and tables take fewest bits, for token counts int64 (C, 256)."""
    whole = model.fit(counts, kind.groups)
    choices = tuple(_choice(counts[a:b], kind, part) for part, (a, b) in enumerate(kind.parts))
    rows: list[int] = []
    groups: list[tuple[int, int]] = []
    for (first, stop), choice in zip(kind.parts, choices, strict=True):
        if choice == 0:
            groups.append((len(rows), len(rows) + stop - first))
            rows += range(first, stop)
    if len(rows) == kind.contexts:
        return whole
    own = model.fit(counts[rows], groups) if rows else None
    return min(whole, assemble(kind, choices, own), key=lambda m: _size(m, counts))


def _choice(counts: NDArray[np.int64], kind: Kind, part: int) -> int:
    """The number of the default that suits a part best; 0 when tables of its own pay."""
    width = int(np.max(np.nonzero(counts.any(axis=0))[0], initial=0)) + 1
    shipped = np.einsum("kct,ct->k", _prices(kind, part)[:, :, :width], counts[:, :width])
    return int(np.argmin([_size(model.fit(counts), counts), *shipped.tolist()]))


@cache
def _prices(kind: Kind, part: int) -> NDArray[np.int64]:
    """What each token costs under each default of a part, int64 (defaults, contexts, 256)."""
    models = [default(kind, part, k) for k in range(1, number_of(kind, part) + 1)]
    return np.stack([_BITS[m.freqs[m.context_map]] for m in models])


def _size(fitted: Model, counts: NDArray[np.int64]) -> int:
    return spent(fitted, counts) + 8 * _BIT * len(fitted.to_bytes())
