from __future__ import annotations

import threading

import numpy as np
import pytest

from splatpack.errors import UsageError
from splatpack.parallel import ordered_map
from splatpack.train.data.cache import Cache
from splatpack.train.data.photo import Picture


def picture(number: int, side: int = 10) -> Picture:
    return Picture(np.full((side, side, 3), number, np.uint16))


class Loads:
    """Counts what is loaded."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def __call__(self, number: int, side: int = 10) -> Picture:
        self.seen.append(number)
        return picture(number, side)


def test_keeps_what_was_used_last_within_its_bytes() -> None:
    cache, loads = Cache(2 * 600), Loads()
    for number in (0, 1, 0, 2, 0, 1):
        assert cache.get(number, lambda n=number: loads(n)).pixels[0, 0, 0] == number  # type: ignore[misc]
        assert cache.nbytes <= 1200
    assert loads.seen == [0, 1, 2, 1]


def test_never_keeps_what_is_larger_than_all() -> None:
    cache, loads = Cache(700), Loads()
    cache.get(0, lambda: loads(0))
    cache.get(1, lambda: loads(1, 20))
    cache.get(0, lambda: loads(0))
    assert loads.seen == [0, 1]
    assert cache.nbytes == 600


def test_a_cache_of_nothing_loads_each_time() -> None:
    cache, loads = Cache(0), Loads()
    for _ in range(3):
        cache.get(0, lambda: loads(0))
    assert len(loads.seen) == 3
    with pytest.raises(UsageError):
        Cache(-1)


def test_threads_share_it() -> None:
    cache = Cache(5 * 600)
    gate = threading.Barrier(2, timeout=10)

    def load(number: int) -> Picture:
        if number < 2:
            gate.wait()  # both load at once: no lock is held
        return picture(number)

    numbers = [0, 1, *([2, 3, 4, 5, 6, 7] * 20)]
    got = list(ordered_map(lambda n: cache.get(n, lambda: load(n)), numbers, 2))
    assert [int(p.pixels[0, 0, 0]) for p in got] == numbers
    assert cache.nbytes <= 3000
