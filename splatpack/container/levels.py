"""Levels of detail: which chunks of those at hand are drawn (``spec/format.md``, section 5.3)."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from splatpack.container.directory import Chunk
from splatpack.errors import CorruptError


def check(chunks: Sequence[Chunk]) -> None:
    """Check the rules of parents over chunks in file order, from the first one on. Safe on untrusted input.

    Raises
    ------
    CorruptError
        A chunk is coarser than its parent, or more chunks name a stand-in as their parent than shall replace it.
    """
    children = [0] * len(chunks)
    for c in chunks:
        if c.parent < 0:
            continue
        parent = chunks[c.parent]
        children[c.parent] += 1
        if c.level > parent.level:
            raise CorruptError(f"chunk {c.index}: level {c.level}, expected at most its parent's, {parent.level}.")
        if 0 < parent.successors < children[c.parent]:
            raise CorruptError(f"chunk {c.parent}: more than the {parent.successors} successors that it declares.")


def drawn(chunks: Sequence[Chunk], here: Sequence[bool]) -> list[bool]:
    """Return which chunks are drawn when some are at hand.

    Parameters
    ----------
    chunks : sequence of Chunk
        From the first one of the file on.
    here : sequence of bool
        Which of them are at hand.
    """
    full = complete(chunks, here)
    reached = [False] * len(chunks)
    for c, there in zip(chunks, here, strict=True):
        reached[c.index] = there and (c.parent < 0 or (reached[c.parent] and full[c.parent]))
    return [reached[c.index] and not (c.successors and full[c.index]) for c in chunks]


def complete(chunks: Sequence[Chunk], here: Sequence[bool]) -> list[bool]:
    """Return for each chunk whether all its successors are at hand; one that is never replaced needs none."""
    found = [0] * len(chunks)
    for c, there in zip(chunks, here, strict=True):
        if there and c.parent >= 0:
            found[c.parent] += 1
    return [n >= c.successors for c, n in zip(chunks, found, strict=True)]


def within(chunks: Sequence[Chunk], there: Sequence[bool], budget: int) -> list[bool]:
    """Return which of the chunks ``there`` to take so that no more than ``budget`` Gaussians are drawn, if possible.

    From the roots on, what lowers the error of the picture most for each Gaussian that comes in is taken first: a
    stand-in's successors together, other chunks one by one. The roots are taken in any case.
    """
    groups: dict[int, list[list[Chunk]]] = {}
    for c, one in zip(chunks, there, strict=True):
        if one and c.parent >= 0:
            siblings = groups.setdefault(c.parent, [])
            if siblings and chunks[c.parent].successors:
                siblings[0].append(c)
            else:
                siblings.append([c])
    here = [one and c.parent < 0 for c, one in zip(chunks, there, strict=True)]
    room = budget - sum(c.count for c in chunks if here[c.index])
    queue: list[tuple[float, int, list[Chunk]]] = []

    def offer(parent: Chunk) -> None:
        for group in groups.get(parent.index, []):
            if len(group) >= parent.successors:
                gain = sum(c.gain for c in group) / sum(c.count for c in group)
                heapq.heappush(queue, (-gain, group[0].index, group))

    for c in chunks:
        if here[c.index]:
            offer(c)
    while queue:
        _, _, group = heapq.heappop(queue)
        parent = chunks[group[0].parent]
        grown = sum(c.count for c in group) - (parent.count if parent.successors else 0)
        if grown > room:
            continue
        room -= grown
        for c in group:
            here[c.index] = True
            offer(c)
    return here


def closed(chunks: Sequence[Chunk]) -> list[Chunk]:
    """Return those of some chunks, in file order, whose ancestors are all among them: the others cannot be drawn."""
    kept: dict[int, Chunk] = {}
    for c in chunks:
        if c.parent < 0 or c.parent in kept:
            kept[c.index] = c
    return list(kept.values())
