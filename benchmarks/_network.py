"""A network in simulated time: rate, round trip, and stalls by loss. Every run of one seed is the same, to the bit."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from splatpack.stream import wire
from splatpack.stream.actions import Load, Send, SessionLimits, Wait
from splatpack.stream.clientside import ClientSession, Event
from splatpack.stream.index import SceneIndex
from splatpack.stream.serverside import ServerSession

PACKET = 1460
KERNEL = 128 << 10
"""Bytes that a server may have written and the link has not taken: the transport's 64 KiB and the kernel's."""


@dataclass(frozen=True)
class Path:
    """One TCP connection's way: bits per second, seconds there and back, and the share of packets that are lost.

    A lost packet stalls everything behind it for a round trip, which is what an ordered stream does.
    """

    rate: float
    rtt: float
    loss: float = 0.0


@dataclass
class Arrival:
    """What a client got: when, after how many bytes, and what."""

    time: float
    bytes: int
    event: Event


@dataclass
class Simulation:
    """A client and a server of one scene over a path.

    Parameters
    ----------
    path : Path
    index : SceneIndex
    data : bytes
        The file.
    seed : int
    """

    path: Path
    index: SceneIndex
    data: bytes
    seed: int = 0
    now: float = 0.0
    arrivals: list[Arrival] = field(default_factory=list)
    fragments: list[tuple[float, wire.Fragment]] = field(default_factory=list)

    def __post_init__(self) -> None:
        def clock() -> float:
            return self.now

        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._rng = random.Random(self.seed)
        self._free = self._last = 0.0
        self._wake: float | None = None
        self.bytes = 0
        self.server = ServerSession({"scene": self.index}.get, clock, SessionLimits(idle=1e9))
        self.client = ClientSession(clock)
        self.client.open("scene", 0)
        self.at(0.0, self.flush)

    def at(self, when: float, act: Callable[[], None]) -> None:
        """Do something at a time."""
        heapq.heappush(self._events, (when, next(self._order), act))

    def flush(self) -> None:
        """Send what the client has to say; it is there half a round trip later."""
        for message in self.client.data_to_send():
            self.at(self.now + self.path.rtt / 2, lambda m=message: self._heard(m))

    def run(self, until: float = 1e9, stop: Callable[[], bool] = lambda: False) -> None:
        """Let time pass."""
        while self._events and self._events[0][0] <= until and not stop():
            self.now, _, act = heapq.heappop(self._events)
            act()

    def _heard(self, message: bytes) -> None:
        self.server.receive(message)
        self._serve()

    def _serve(self) -> None:
        """Write as long as the transport takes it."""
        while True:
            backlog = max(0.0, self._free - self.now) * self.path.rate / 8
            if backlog > KERNEL:
                self.at(self.now + (backlog - KERNEL / 2) * 8 / self.path.rate, self._serve)
                return
            act = self.server.poll()
            if isinstance(act, Load):
                self.server.loaded(self.data[act.offset : act.offset + act.length])
            elif isinstance(act, Send):
                self._transmit(act.data)
            else:
                if isinstance(act, Wait) and act.until is not None and act.until < 1e8 and act.until != self._wake:
                    self._wake = act.until
                    self.at(act.until + 1e-9, self._serve)
                return

    def _transmit(self, data: bytes) -> None:
        begin = max(self.now, self._free)
        self._free = begin + len(data) * 8 / self.path.rate
        lost = (
            any(self._rng.random() < self.path.loss for _ in range(-(-len(data) // PACKET)))
            if self.path.loss
            else False
        )
        there = self._free + self.path.rtt / 2 + (self.path.rtt if lost else 0.0)
        self._last = max(self._last, there)  # in order: what is behind a lost packet waits for it
        self.at(self._last, lambda: self._arrive(data))

    def _arrive(self, data: bytes) -> None:
        self.bytes += len(data)
        message = wire.decode(data)
        if isinstance(message, wire.Fragment):
            self.fragments.append((self.now, message))
        for event in self.client.receive(data):
            self.arrivals.append(Arrival(self.now, self.bytes, event))
        self.flush()
