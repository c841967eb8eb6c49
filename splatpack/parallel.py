"""The one place that owns threads.

Kernels are serial and release the GIL; work is split over chunks, tiles or views here. Results always come back in the
order of the inputs, so nothing that is computed depends on the number of threads.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def thread_count(threads: int | None = None) -> int:
    """Return ``threads``, or the number of cores this process may use when it is None.

    Raises
    ------
    ValueError
        ``threads`` is below 1.
    """
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads < 1:
        raise ValueError(f"threads: {threads}, expected at least 1.")
    return threads


def ordered_map(fn: Callable[[T], R], items: Iterable[T], threads: int | None = None) -> Iterator[R]:
    """Yield ``fn(item)`` in the order of ``items``, computing at most ``threads + 1`` of them ahead.

    The window bounds memory: at most ``threads + 1`` results wait for the consumer. The first exception stops the rest.
    """
    n = thread_count(threads)
    if n == 1:
        for item in items:
            yield fn(item)
        return
    with ThreadPoolExecutor(n, thread_name_prefix="splatpack") as pool:
        window: deque[Future[R]] = deque()
        try:
            for item in items:
                window.append(pool.submit(fn, item))
                if len(window) > n:
                    yield window.popleft().result()
            while window:
                yield window.popleft().result()
        finally:
            for future in window:
                future.cancel()
