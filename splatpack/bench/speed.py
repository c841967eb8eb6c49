"""Time and memory of one call: warm, repeated, with its spread."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Timing(Generic[T]):
    """A result, and the wall seconds of every timed call that gave it."""

    result: T
    seconds: list[float]

    @property
    def median(self) -> float:
        """Median seconds."""
        return median(self.seconds)

    @property
    def spread(self) -> float:
        """Slowest over fastest: 1 is steady."""
        return max(self.seconds) / max(min(self.seconds), 1e-9)


def timed(fn: Callable[[], T], repeat: int = 3, *, warm: bool = True) -> Timing[T]:
    """Call ``fn`` once untimed where ``warm`` (kernels compile, caches fill), then ``repeat`` times on the clock."""
    if warm:
        fn()
    seconds: list[float] = []
    for _ in range(max(1, repeat)):
        start = time.perf_counter()
        result = fn()
        seconds.append(time.perf_counter() - start)
    return Timing(result, seconds)


class PeakMemory:
    """The largest resident size of this process inside a ``with`` block.

    Linux lets a process reset its own high-water mark; elsewhere the mark is that of the whole run so far.

    Attributes
    ----------
    bytes : int
        Set when the block ends; the interpreter and all that was loaded before count too.
    """

    def __init__(self) -> None:
        self.bytes = 0

    def __enter__(self) -> PeakMemory:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
        return self

    def __exit__(self, *_: object) -> None:
        self.bytes = _high_water()


def _high_water() -> int:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
