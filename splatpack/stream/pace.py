"""Rates, and how much may be under way: a token bucket, and the client's credit window."""

from __future__ import annotations

from dataclasses import dataclass, field

WINDOW_START, WINDOW_MIN, WINDOW_MAX = 256 << 10, 128 << 10, 4 << 20
"""Bytes that may be under way to a client: at first, at least, at most."""
HELD, GRANT = 1.5, 4
"""The window in bandwidth-delay products, and the part of it after which more is granted: what is under way never falls
below 1.1 of them, so the path stays full, and a new view waits behind little."""
BIN = 0.25
"""Seconds over which goodput is counted before it enters the average."""
_KEEP = 0.7


class Bucket:
    """Tokens that come at ``rate`` a second, ``burst`` of them at most.

    Parameters
    ----------
    rate, burst : float
    now : float
        Seconds, on the clock that all calls use.
    """

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate, self.burst = rate, burst
        self._level, self._then = burst, now

    def take(self, amount: float, now: float) -> bool:
        """Take tokens if there are so many."""
        self._fill(now)
        if amount > self._level:
            return False
        self._level -= amount
        return True

    def spend(self, amount: float, now: float) -> None:
        """Take tokens even where that leaves a debt."""
        self._fill(now)
        self._level -= amount

    def ready(self, now: float) -> float:
        """Return when the bucket is out of debt: ``now``, or later."""
        self._fill(now)
        return now if self._level > 0 else now + (1e-6 - self._level) / self.rate

    def _fill(self, now: float) -> None:
        self._level = min(self.burst, self._level + (now - self._then) * self.rate)
        self._then = now


@dataclass
class Window:
    """How much credit a client grants: little more than the path holds, so that the newest view is never far behind.

    Attributes
    ----------
    size : int
        Bytes under way, at most.
    received : int
        CHUNK bytes that came.
    granted : int
        The absolute limit that was last granted.
    goodput : float
        Bytes per second, averaged over bins in which bytes came.
    rtt, rtt_min : float or None
        The last and the least round trip, seconds.
    """

    size: int = WINDOW_START
    received: int = 0
    granted: int = WINDOW_START
    goodput: float = 0.0
    rtt: float | None = None
    rtt_min: float | None = None
    _bin: int = field(default=0, repr=False)
    _since: float | None = field(default=None, repr=False)

    def arrived(self, nbytes: int, now: float) -> int | None:
        """Count bytes. Return a new absolute limit where one should be granted."""
        self.received += nbytes
        if self._since is None or now - self._since > 4 * BIN:
            self._since, self._bin = now, 0
        else:
            self._bin += nbytes
            if now - self._since >= BIN:
                rate = self._bin / (now - self._since)
                self.goodput = rate if self.goodput == 0.0 else _KEEP * self.goodput + (1 - _KEEP) * rate
                self._since, self._bin = now, 0
                self._resize()
        if self.granted - self.received > self.size - self.size // GRANT:
            return None
        self.granted = self.received + self.size
        return self.granted

    def measured(self, rtt: float) -> None:
        """Take a round trip. One of more than twice the least means queues: the window is halved."""
        self.rtt = rtt
        self.rtt_min = rtt if self.rtt_min is None else min(self.rtt_min, rtt)
        if rtt > 2 * self.rtt_min + 0.01:
            self.size = max(WINDOW_MIN, self.size // 2)
        else:
            self._resize()

    def _resize(self) -> None:
        if self.goodput > 0 and self.rtt_min is not None:
            self.size = int(min(max(HELD * self.goodput * self.rtt_min, WINDOW_MIN), WINDOW_MAX))
