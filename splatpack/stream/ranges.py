"""Many ranges of one source: neighbours in one request, several requests at a time."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from splatpack.container.reader import ContainerReader
from splatpack.container.source import ByteSource
from splatpack.limits import Limits
from splatpack.parallel import ordered_map
from splatpack.stream.http import HttpClient, HttpSource
from splatpack.stream.objectstore import ObjectStoreSource, is_object

GAP, MOST, REQUESTS = 16 << 10, 512 << 10, 6
"""Bytes that are read in vain to save a request; bytes of a joined request, at most; requests at a time."""

Range = tuple[int, int]


@dataclass(frozen=True)
class Run:
    """One request, and which of the wanted ranges lie in it."""

    offset: int
    length: int
    members: tuple[int, ...]


def plan(ranges: Iterable[Range], gap: int = GAP, most: int = MOST) -> list[Run]:
    """Join ranges (offset, length) that are near each other into runs, in file order.

    A range that is longer than ``most`` stays one run; no run is made longer than ``most`` by joining.
    """
    rows = sorted((offset, length, i) for i, (offset, length) in enumerate(ranges))
    runs: list[Run] = []
    for offset, length, i in rows:
        last = runs[-1] if runs else None
        if last is not None:
            end = max(last.offset + last.length, offset + length)
            if offset - (last.offset + last.length) < gap and end - last.offset <= max(most, last.length):
                runs[-1] = Run(last.offset, end - last.offset, (*last.members, i))
                continue
        runs.append(Run(offset, length, (i,)))
    return runs


class RangeReader(ByteSource):
    """A source that is read in planned, joined, concurrent requests.

    It is a source itself: what :meth:`prefetch` brought is given out from memory, anything else is read as it comes.

    Parameters
    ----------
    source : ByteSource
        A local file, an :class:`~splatpack.stream.http.HttpSource`, or objects.
    gap, most, requests : int
        See :data:`GAP`, :data:`MOST`, :data:`REQUESTS`.
    """

    def __init__(self, source: ByteSource, *, gap: int = GAP, most: int = MOST, requests: int = REQUESTS) -> None:
        self.source, self.name, self.size = source, source.name, source.size
        self._gap, self._most, self._requests = gap, most, requests
        self._starts: list[int] = []
        self._pieces: list[bytes] = []

    def read_many(self, ranges: Iterable[Range]) -> Iterator[bytes]:
        """Yield the bytes of each range, in the order of ``ranges``. Results that wait for their turn are kept.

        Raises
        ------
        TruncatedError, StorageError
            As the source does.
        """
        wanted = list(ranges)
        ready: dict[int, bytes] = {}
        turn = 0
        for run, data in self._runs(wanted):
            for i in run.members:
                offset, length = wanted[i]
                ready[i] = data[offset - run.offset : offset - run.offset + length]
            while turn in ready:
                yield ready.pop(turn)
                turn += 1

    def prefetch(self, ranges: Iterable[Range]) -> None:
        """Bring ranges into memory, where later reads find them. What was there before is dropped.

        Raises
        ------
        TruncatedError, StorageError
            As the source does.
        """
        found = [(run.offset, data) for run, data in self._runs(list(ranges))]
        self._starts = [offset for offset, _ in found]
        self._pieces = [data for _, data in found]

    def _runs(self, wanted: list[Range]) -> Iterator[tuple[Run, bytes]]:
        runs = plan(wanted, self._gap, self._most)
        blocks = ordered_map(lambda run: self.source.read(run.offset, run.length), runs, self._requests)
        return zip(runs, blocks, strict=True)

    def _read(self, offset: int, length: int) -> bytes:
        at = bisect.bisect_right(self._starts, offset) - 1
        if at >= 0:
            begin = offset - self._starts[at]
            if begin + length <= len(self._pieces[at]):
                return self._pieces[at][begin : begin + length]
        return self.source.read(offset, length)

    def close(self) -> None:
        """Close the source."""
        self.source.close()


def open_url(
    url: str, limits: Limits | None = None, *, partial: bool = False, token: str | None = None,
    client: HttpClient | None = None,
) -> ContainerReader:  # fmt: skip
    """Open a ``.spk`` on an HTTP server or in an object store, or the ``.spkm`` of an exploded one on an HTTP server.

    Only what is asked for is read.

    Raises
    ------
    UsageError, StorageError
        The address cannot be read.
    CorruptError, TruncatedError, ChecksumError, UnsupportedError, LimitError
        As the bytes deserve.
    """
    from splatpack.stream.explode import SUFFIX, open_exploded

    source: ByteSource
    if is_object(url):
        source = ObjectStoreSource(url)
    elif url.partition("?")[0].endswith(SUFFIX):
        source = open_exploded(url, client or HttpClient(token))
    else:
        source = HttpSource(url, client or HttpClient(token))
    try:
        return ContainerReader(RangeReader(source), limits, partial=partial)
    except BaseException:
        source.close()
        raise
