from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from splatpack.parallel import ordered_map, thread_count


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_results_come_in_the_order_of_the_inputs(threads: int) -> None:
    later = threading.Event()

    def work(i: int) -> int:
        if threads > 1 and i == 0:
            assert later.wait(60), "the second item never ran beside the first"
        if i == 1:
            later.set()
        return i * i

    assert list(ordered_map(work, range(40), threads)) == [i * i for i in range(40)]


@pytest.mark.parametrize("threads", [1, 4])
def test_empty(threads: int) -> None:
    assert list(ordered_map(str, [], threads)) == []


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_inputs_are_taken_a_window_ahead_at_most(threads: int) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for i in range(100):
            taken += 1
            yield i

    results = ordered_map(str, items(), threads)
    assert taken == 0, "nothing runs before the first result is asked for"
    for used in range(1, 101):
        next(results)
        assert taken <= used + threads


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_exception_stops_the_rest(threads: int) -> None:
    done: list[int] = []

    def work(i: int) -> int:
        if i == 2:
            raise ValueError("item 2")
        done.append(i)
        return i

    results = ordered_map(work, range(1000), threads)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="item 2"):
        next(results)
    assert len(done) <= 2 + threads


def test_an_exception_of_the_inputs_arrives_and_ends_the_pool() -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise RuntimeError("source")

    with pytest.raises(RuntimeError, match="source"):
        list(ordered_map(str, items(), 2))
    assert not [t for t in threading.enumerate() if t.name.startswith("splatpack")]


def test_a_consumer_that_leaves_ends_the_pool() -> None:
    results = ordered_map(str, range(100), 3)
    assert next(results) == "0"
    results.close()  # type: ignore[attr-defined]
    assert not [t for t in threading.enumerate() if t.name.startswith("splatpack")]


def test_one_thread_runs_in_the_caller() -> None:
    assert set(ordered_map(lambda _: threading.get_ident(), range(3), 1)) == {threading.get_ident()}


def test_thread_count(monkeypatch: pytest.MonkeyPatch) -> None:
    assert thread_count(3) == 3
    for threads in (0, -1):
        with pytest.raises(ValueError, match=f"threads: {threads}, expected at least 1"):
            thread_count(threads)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3}, raising=False)
    assert thread_count() == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    assert thread_count() == (os.cpu_count() or 1)
