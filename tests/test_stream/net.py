"""Scenes, and a wire between the two machines with time that only the test moves."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from splatpack.container.reader import ContainerReader
from splatpack.container.source import MemorySource
from splatpack.container.writer import ContainerWriter
from splatpack.stream import wire
from splatpack.stream.actions import Close, Load, Send, SessionLimits, Wait
from splatpack.stream.clientside import ClientSession, Event, Received
from splatpack.stream.index import SceneIndex
from splatpack.stream.serverside import ServerSession


class Clock:
    """Seconds that a test moves."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def spk(chunks: int = 6, size: int = 5000, seed: int = 0, levels: int = 1) -> bytes:
    """Return a container of ``chunks`` chunks of random bytes on a line along x."""
    rng, out = np.random.default_rng(seed), io.BytesIO()
    with ContainerWriter() as writer:
        for i in range(chunks):
            writer.add(
                [(0, rng.bytes(size)), (1, rng.bytes(size // 10))], count=10 + i, low=(float(i), 0.0, 0.0),
                high=(i + 0.5, 1.0, 1.0), reach=0.1, level=i % levels,
            )  # fmt: skip
        count = sum(10 + i for i in range(chunks))
        writer.finish({"n": count, "quality": {"views": 1}}, b"tables", out)
    return out.getvalue()


@functools.lru_cache(maxsize=64)
def index(data: bytes, name: str = "scene") -> SceneIndex:
    return SceneIndex.of(ContainerReader(MemorySource(data)), name)


def view(sid: int = 0, seq: int = 1, x: float = 0.0, **more: object) -> wire.View:
    """Return a camera in front of the line, at ``x``, that looks along +z."""
    fields: dict[str, object] = {
        "pos": (x, 0.5, -3.0), "quat": (1.0, 0.0, 0.0, 0.0), "fov_y": 0.9, "viewport": (640.0, 480.0), **more,
    }  # fmt: skip
    return wire.View(sid, seq, **fields)  # type: ignore[arg-type]


@dataclass
class Pair:
    """A client and a server without latency; bytes come from memory."""

    scenes: dict[str, bytes]
    clock: Clock = field(default_factory=Clock)
    limits: SessionLimits = field(default_factory=SessionLimits)
    damage: Callable[[int, bytes], bytes | None] = lambda item, data: data
    max_fragment: int = 2048

    def __post_init__(self) -> None:
        self.indexes = {name: index(data, name) for name, data in self.scenes.items()}
        self.server = ServerSession(self.indexes.get, self.clock, self.limits)
        self.client = ClientSession(self.clock, max_fragment=self.max_fragment)
        self.closed: Close | None = None
        self.loads: list[int] = []
        self.sent: list[wire.Message | None] = []

    def step(self) -> list[Event]:
        """Deliver what the client says, then one action of the server."""
        for message in self.client.data_to_send():
            self.server.receive(message)
        act = self.server.poll()
        if isinstance(act, Load):
            self.loads.append(act.item)
            stored = self.scenes[act.scene.name][act.offset : act.offset + act.length]
            data = self.damage(act.item, stored)
            if data is None:
                self.server.failed("io", "cannot be read")
            else:
                self.server.loaded(data)
        elif isinstance(act, Send):
            self.sent.append(wire.decode(act.data))
            return self.client.receive(act.data)
        elif isinstance(act, Close):
            self.closed = act
        else:
            assert isinstance(act, Wait)
        return []

    def run(self, steps: int = 10_000, until: type[Event] | None = None) -> list[Event]:
        """Run until nothing happens any more, or an event of one kind came."""
        events: list[Event] = []
        quiet = 0
        for _ in range(steps):
            before = (len(self.sent), len(self.loads))
            new = self.step()
            events += new
            if until is not None and any(isinstance(e, until) for e in new):
                break
            quiet = quiet + 1 if (len(self.sent), len(self.loads)) == before else 0
            if quiet > 2 or self.closed is not None:
                break
        return events


def chunks(events: list[Event]) -> list[int]:
    return [e.item for e in events if isinstance(e, Received) and e.item < wire.PAGE]
