"""The static entropy model: which table codes which context, and how tables are stored.

Contexts with like statistics share a table (as context maps do in Brotli and JPEG XL), so that a codec may name many
contexts and a small scene still pays for few tables. A table keeps the cost of each token in quarter bits, 0 to 48, and
49 for a token that does not occur; frequencies that sum to 4096 are derived by the integer rule of
``spec/codecs/rans.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.codecs.bits import BitWriter
from splatpack.codecs.kernels.model import expand_tables, histogram, merge_contexts, parse_model
from splatpack.codecs.kernels.rans import PROB
from splatpack.errors import CorruptError

ABSENT = 49
"""The cost that stands for "this token does not occur"."""

WEIGHTS = tuple(int(2.0 ** (16 - c / 4) + 0.5) for c in range(ABSENT))
"""Weight of a token that costs c / 4 bits: round(2^(16 - c / 4))."""

MAX_TABLES = 64
MAX_CONTEXTS = 4096


_WEIGHTS = np.array([*WEIGHTS, 0], np.int64)


@dataclass(frozen=True)
class Model:
    """Context map and tables of one section.

    Attributes
    ----------
    context_map : uint8 (C,)
        Table of each context.
    costs : tuple of tuple of int
        Per table, the cost in quarter bits of tokens 0, 1, ...; :data:`ABSENT` where a token does not occur.
    """

    context_map: NDArray[np.uint8]
    costs: tuple[tuple[int, ...], ...]

    @cached_property
    def _expanded(self) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
        """Ranges and slots: ``spec/codecs/rans.md``, section 4."""
        n = len(self.costs)
        costs = np.full((n, 256), ABSENT, np.int64)
        for t, table in enumerate(self.costs):
            costs[t, : len(table)] = table
        ranges, slots = np.empty(n * 256, np.uint32), np.empty(n * PROB, np.uint8)
        expand_tables(costs, _WEIGHTS, ranges, slots)
        return ranges, slots

    @property
    def ranges(self) -> NDArray[np.uint32]:
        """What coders need of each token, uint32 (T * 256,): frequency | start << 16."""
        return self._expanded[0]

    @property
    def slots(self) -> NDArray[np.uint8]:
        """The token of each slot, uint8 (T * 4096,)."""
        return self._expanded[1]

    @property
    def freqs(self) -> NDArray[np.uint32]:
        """Frequencies, uint32 (T, 256), each row summing to 4096.

        A present token gets max(1, floor(4096 w / sum w)); what is missing or too much goes to the most frequent token,
        the first one on ties, which keeps at least 1 (and then to the next).
        """
        return self.ranges.reshape(-1, 256) & np.uint32(0xFFFF)

    @property
    def starts(self) -> NDArray[np.uint32]:
        """Cumulative frequencies before each token, uint32 (T, 256)."""
        return self.ranges.reshape(-1, 256) >> np.uint32(16)

    def to_bytes(self) -> bytes:
        """Serialise: number of tables, context map, tables (``spec/codecs/rans.md``, section 4)."""
        out = BitWriter()
        out.put(len(self.costs), 8)
        previous = 0
        for t in self.context_map.tolist():
            out.put_signed(t - previous, 0)
            previous = t
        for table in self.costs:
            out.put(len(table) - 1, 8)
            previous = 0
            for c in table:
                out.put_signed(c - previous, 1)
                previous = c
        return out.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes | memoryview, contexts: int) -> Model:
        """Read what :meth:`to_bytes` wrote for ``contexts`` contexts. Safe on untrusted input.

        Raises
        ------
        CorruptError
            A table number, a cost or a length is out of range, or bits are missing or left over.
        """
        bits = np.zeros(len(data) + 16, np.uint8)
        bits[: len(data)] = np.frombuffer(data, np.uint8)
        context_map = np.zeros(contexts, np.uint8)
        sizes, costs = np.zeros(MAX_TABLES, np.int64), np.zeros((MAX_TABLES, 256), np.uint8)
        found = parse_model(bits, 8 * len(data), MAX_TABLES, context_map, sizes, costs)
        if found < 0:
            raise CorruptError(f"entropy model: {_PROBLEMS[found]}.")
        return cls(context_map, tuple(tuple(costs[t, : sizes[t]].tolist()) for t in range(found)))


_PROBLEMS = {
    -1: "its bits end early or are left over",
    -2: f"a number of tables outside 1 to {MAX_TABLES}",
    -3: "a context that names a table that does not exist",
    -4: f"a cost outside 0 to {ABSENT}",
    -5: "a table without tokens",
}


def count(tokens: NDArray[np.uint8], contexts: NDArray[np.uint16], counts: NDArray[np.int64]) -> None:
    """Add tokens under their contexts to ``counts``, int64 (C, 256)."""
    histogram(tokens, contexts, counts)


def entropy(tokens: NDArray[np.uint8], contexts: NDArray[np.uint16], number: int) -> float:
    """Return the bits of an ideal coder that knows how often each token occurs under each of ``number`` contexts."""
    counts = np.zeros((number, 256), np.int64)
    histogram(tokens, contexts, counts)
    total = counts.sum(axis=1, keepdims=True)
    present = counts > 0
    return float((counts * np.log2(np.where(present, total / np.maximum(counts, 1), 1.0))).sum())


def fit(counts: NDArray[Any], groups: Sequence[tuple[int, int]] | None = None, most: int = MAX_TABLES) -> Model:
    """Return the model for token counts int64 (C, 256): like contexts merged, at most ``most`` tables.

    Parameters
    ----------
    counts : int64 (C, 256)
        Tokens seen under each context.
    groups : sequence of (first, stop)
        Ranges of contexts among which merging is looked for first; all of them together when None.
    most : int
        Tables allowed.
    """
    contexts = len(counts)
    owner = np.arange(contexts, dtype=np.int64)
    merged = np.array(counts, np.int64)
    width = max(1, int(np.max(np.nonzero(merged.sum(axis=0))[0], initial=0)) + 1)
    merged = np.ascontiguousarray(merged[:, :width])
    for first, stop in groups or ():
        _merge(merged, owner, np.arange(first, stop), most)
    _merge(merged, owner, np.unique(owner), most)
    used = [int(o) for o in dict.fromkeys(owner.tolist()) if merged[o].any()] or [0]
    number = {o: i for i, o in enumerate(used)}
    context_map = np.zeros(contexts, np.uint8)
    previous = 0
    for i, o in enumerate(owner.tolist()):
        previous = number[o] if merged[o].any() else previous
        context_map[i] = previous
    return Model(context_map, tuple(_costs(merged[o]) for o in used))


def _merge(counts: NDArray[np.int64], owner: NDArray[np.int64], members: NDArray[np.int64], most: int) -> None:
    """Merge rows ``members`` of ``counts`` in place and update ``owner``."""
    rows = np.ascontiguousarray(counts[members])
    c = len(members)
    local = np.empty(c, np.int64)
    merge_contexts(rows, local, np.empty(c), np.zeros((c, c)), most)
    counts[members] = rows
    target = np.arange(len(owner), dtype=np.int64)
    target[members] = members[local]
    for i, m in enumerate(members):
        if local[i] != i:
            counts[m] = 0
    owner[:] = target[owner]


def _costs(row: NDArray[np.int64]) -> tuple[int, ...]:
    """Quarter-bit costs of a histogram, trailing absent tokens cut."""
    total = int(row.sum())
    if total == 0:
        return (0,)
    last = int(np.nonzero(row)[0][-1])
    p = row[: last + 1] / total
    with np.errstate(divide="ignore"):
        costs = np.where(p > 0, np.clip(np.rint(-4.0 * np.log2(np.where(p > 0, p, 1.0))), 0, ABSENT - 1), ABSENT)
    return tuple(int(c) for c in costs)
