"""Time of one call: warm, repeated, with its spread; and the memory of a process."""

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

SLOW = 30.0
"""Seconds from which the first call is the figure: warming up saves little then, and calling again costs much."""


@dataclass(frozen=True)
class Timing(Generic[T]):
    """A result, and the wall and processor seconds of every timed call that gave it."""

    result: T
    seconds: list[float]
    cpu: list[float]

    @property
    def median(self) -> float:
        """Median wall seconds."""
        return median(self.seconds)

    @property
    def spread(self) -> float:
        """Slowest over fastest: 1 is steady."""
        return max(self.seconds) / max(min(self.seconds), 1e-9)


def timed(fn: Callable[[], T], repeat: int = 3, *, slow: float = SLOW) -> Timing[T]:
    """Call ``fn`` once (kernels compile, caches fill), then ``repeat`` times on the clock.

    A first call of more than ``slow`` seconds stays the only one, and is the figure.
    """
    first = _once(fn)
    calls = [first] if first[1] >= slow else [_once(fn) for _ in range(max(1, repeat))]
    return Timing(calls[-1][0], [c[1] for c in calls], [c[2] for c in calls])


def _once(fn: Callable[[], T]) -> tuple[T, float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    result = fn()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def peak_memory() -> int:
    """Return the largest resident size of this process so far, bytes; 0 where the system does not say.

    ``ru_maxrss`` would not do on Linux: a new process starts with that of its parent.
    """
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text("utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
