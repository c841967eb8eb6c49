"""What to send next on one stream: wanted items first, then chunks by priority, each once."""

from __future__ import annotations

import heapq
from collections import deque
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from splatpack.stream import priority
from splatpack.stream.index import SceneIndex
from splatpack.stream.wire import PAGE, PREFIX, View

BATCH = 1024
"""Chunks that are ordered at a time: a client's queue stays at 12 KiB, however large the scene is."""


class Scheduler:
    """The queue of one stream. It holds numbers, never bytes.

    Parameters
    ----------
    index : SceneIndex
    chunks, pages : bool (n,), or None
        What the client has already.
    prefix : bool
        Whether the client has the prefix.
    """

    def __init__(
        self, index: SceneIndex, chunks: NDArray[np.bool_] | None = None, pages: NDArray[np.bool_] | None = None,
        *, prefix: bool = False,
    ) -> None:  # fmt: skip
        self.index = index
        self.sent = np.zeros(len(index.chunks), np.bool_) if chunks is None else chunks
        self.pages = np.zeros(len(index.pages), np.bool_) if pages is None else pages
        self.prefix = prefix
        self.view: View | None = None
        self.sent_bytes = int(index.table.size[self.sent].sum())
        self.sent_count = int(index.table.count[self.sent].sum())
        self._wanted: deque[int] = deque()
        self._everything: int | None = None
        self._order: NDArray[np.int64] = np.empty(0, np.int64)
        self._score: NDArray[np.float64] = np.empty(0)
        self._at = 0
        self._more = False
        self._late: list[tuple[float, int]] = []
        self._ahead = 0.0
        self._told = True

    def look(self, view: View, ahead: float = 0.0) -> None:
        """Order by a new view."""
        self.view, self._ahead, self._told = view, ahead, False
        self._rank()

    def want(self, ids: tuple[int, ...] | None) -> None:
        """Put items before everything else, sent or not; None: everything that was not sent, in file order."""
        self._told = False
        if ids is None:
            self._everything = 0
        else:
            for item in ids:
                self.index.range_of(item)
            self._wanted = deque(dict.fromkeys(chain(self._wanted, ids)))

    @property
    def waiting(self) -> int:
        """Items that were wanted one by one and not sent yet."""
        return len(self._wanted)

    def cancel(self, ids: tuple[int, ...] | None) -> None:
        """Forget wanted items; None: all of them and the view."""
        if ids is None:
            self._wanted.clear()
            self._everything, self.view = None, None
            self._order, self._late, self._more = self._order[:0], [], False
        else:
            gone = set(ids)
            self._wanted = deque(i for i in self._wanted if i not in gone)

    def evict(self, ids: tuple[int, ...]) -> None:
        """Count chunks as never sent: the client dropped them. A view sends them again only when it is renewed."""
        for item in ids:
            if item < len(self.sent) and self.sent[item]:
                self.unmark(item)

    def next(self) -> int | None:
        """Return the item to send now, or None. It stays the next one until :meth:`mark` is called."""
        if not self.prefix:
            return PREFIX
        item = self._next()
        if item is None or item >= PAGE or not len(self.pages):
            return item
        page = int(self.index.page_of[item])
        return item if self.pages[page] else PAGE + page

    def mark(self, item: int) -> None:
        """Note that an item was sent, or given up."""
        if self._wanted and self._wanted[0] == item:
            self._wanted.popleft()
        if item == PREFIX:
            self.prefix = True
        elif item >= PAGE:
            self.pages[item - PAGE] = True
        elif not self.sent[item]:
            self.sent[item] = True
            self.sent_bytes += int(self.index.table.size[item])
            self.sent_count += int(self.index.table.count[item])
            self._admit(item)

    def unmark(self, item: int) -> None:
        """Count one chunk as never sent."""
        self.sent[item] = False
        self.sent_bytes -= int(self.index.table.size[item])
        self.sent_count -= int(self.index.table.count[item])

    def finished(self) -> bool:
        """Whether there was work, and none is left. True once until there is new work."""
        if self._told or self.next() is not None:
            return False
        self._told = True
        self._everything = None
        return True

    def _next(self) -> int | None:
        if self._wanted:
            return self._wanted[0]
        if self._everything is not None:
            self._everything = self._unsent(self._everything)
            if self._everything < len(self.sent):
                return self._everything
        return None if self.view is None else self._fits(self._best())

    def _unsent(self, at: int) -> int:
        """Return the first chunk from ``at`` on that was not sent, or how many there are."""
        while at < len(self.sent) and self.sent[at]:
            block = self.sent[at : at + 4096]
            first = int(block.argmin())
            at += len(block) if block[first] else first
        return at

    def _fits(self, item: int | None) -> int | None:
        view, table = self.view, self.index.table
        if item is None or view is None:
            return None
        if view.budget_bytes is not None and self.sent_bytes + table.size[item] > view.budget_bytes:
            return None
        if view.budget_gaussians is not None and self.sent_count + table.count[item] > view.budget_gaussians:
            return None
        return item

    def _best(self) -> int | None:
        while True:
            while self._at < len(self._order) and self.sent[self._order[self._at]]:
                self._at += 1
            while self._late and self.sent[self._late[0][1]]:
                heapq.heappop(self._late)
            if self._at < len(self._order):
                if self._late and self._late[0] < (-float(self._score[self._at]), int(self._order[self._at])):
                    return self._late[0][1]
                return int(self._order[self._at])
            if self._late and not self._more:
                return self._late[0][1]
            if not self._more:
                return None
            self._rank()

    def _rank(self) -> None:
        """Order the best chunks that are not sent and whose parents are there and not good enough."""
        if self.view is None:
            return
        table = self.index.table
        value = priority.scores(table, self.view, self._ahead)
        ready = ~self.sent
        if table.children:
            missing = np.bincount(table.group + 1, ~self.sent)
            missing[0] = 0.0
            whole = self.sent & (missing[table.group + 1] == 0)
            coarse = priority.error_pixels(table, self.view) > self.view.tau
            has = table.parent >= 0
            ready[has] &= (whole & coarse)[table.parent[has]]
        ids = np.nonzero(ready)[0]
        order = ids[np.lexsort((ids, -value[ids]))]
        self._more = len(order) > BATCH
        self._order = order[:BATCH].copy()
        self._score = value[self._order]
        self._at, self._late = 0, []

    def _admit(self, item: int) -> None:
        """Queue the children of a chunk that was sent; of a group, when its last chunk was sent."""
        table, view = self.index.table, self.view
        if not table.children or view is None:
            return
        group = int(table.group[item])
        sent = table.children[group] if group >= 0 else [item]
        if not self.sent[sent].all():
            return
        pixels = priority.error_pixels(table.take(np.array(sent)), view)
        coarse = [i for i, error in zip(sent, pixels.tolist(), strict=True) if error > view.tau]
        rows = [child for i in coarse for child in table.children.get(i, ())]
        if not rows:
            return
        value = priority.scores(table.take(np.array(rows)), view, self._ahead)
        for score, child in zip(value.tolist(), rows, strict=True):
            if not self.sent[child]:
                heapq.heappush(self._late, (-score, child))
