"""Anything that a client can say, in any order: the server stays within its rules (hypothesis)."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from splatpack.stream import wire
from splatpack.stream.actions import Close, Load, Send, SessionLimits, Wait
from splatpack.stream.clientside import Event, Received
from splatpack.stream.serverside import ServerSession
from tests.test_stream.net import Clock, Pair, index, spk, view

SCENES = {"flat": spk(9, size=3000), "paged": spk(600, size=30)}
INDEXES = {name: index(data, name) for name, data in SCENES.items()}
ITEMS = st.one_of(st.integers(0, 8), st.sampled_from([wire.PAGE, wire.PREFIX - 1, 599]))


class Server(RuleBasedStateMachine):
    """A server alone, with a client that obeys the grammar but nothing else."""

    @initialize(credit=st.integers(0, 100_000))
    def greet(self, credit: int) -> None:
        self.clock = Clock()
        self.server = ServerSession(INDEXES.get, self.clock, SessionLimits(streams=3, wanted=50))
        self.granted, self.used, self.closed = credit, 0, False
        self.item: wire.Fragment | None = None
        self.say(wire.Hello((1,), credit))

    def say(self, message: wire.Control) -> None:
        self.server.receive(wire.encode(message))

    @rule(sid=st.integers(0, 4), name=st.sampled_from(["flat", "paged", "none"]))
    def open(self, sid: int, name: str) -> None:
        self.say(wire.Open(sid, name))

    @rule(sid=st.integers(0, 4), ids=st.none() | st.lists(ITEMS, max_size=5).map(tuple))
    def want(self, sid: int, ids: tuple[int, ...] | None) -> None:
        self.say(wire.Want(sid, ids))

    @rule(sid=st.integers(0, 4), ids=st.none() | st.lists(ITEMS, max_size=5).map(tuple))
    def cancel(self, sid: int, ids: tuple[int, ...] | None) -> None:
        self.say(wire.Cancel(sid, ids))

    @rule(sid=st.integers(0, 4), ids=st.lists(ITEMS, max_size=5).map(tuple))
    def evict(self, sid: int, ids: tuple[int, ...]) -> None:
        self.say(wire.Evict(sid, ids))

    @rule(sid=st.integers(0, 4), x=st.floats(-20, 600), budget=st.none() | st.integers(0, 20_000))
    def look(self, sid: int, x: float, budget: int | None) -> None:
        self.say(view(sid, 1, x, budget_bytes=budget))

    @rule(more=st.integers(-5000, 50_000))
    def grant(self, more: int) -> None:
        limit = max(0, self.granted + more)
        self.granted = max(self.granted, limit)
        self.say(wire.Credit(limit))

    @rule(sid=st.integers(0, 4))
    def end(self, sid: int) -> None:
        self.say(wire.CloseStream(sid))

    @rule(junk=st.binary(min_size=1, max_size=30))
    def extension(self, junk: bytes) -> None:
        self.server.receive(b"\xff" + junk)

    @rule(seconds=st.floats(0, 1))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(steps=st.integers(1, 40), works=st.booleans())
    def drive(self, steps: int, works: bool) -> None:
        for _ in range(steps):
            act = self.server.poll()
            if isinstance(act, Load):
                data = SCENES[act.scene.name][act.offset : act.offset + act.length]
                if works:
                    self.server.loaded(data)
                else:
                    self.server.failed("io", "gone")
            elif isinstance(act, Send):
                assert not self.closed
                self.check(act.data)
            elif isinstance(act, Close):
                self.closed = True
            else:
                assert isinstance(act, Wait)
                assert act.until is None or act.until > self.clock.now
                return

    def check(self, data: bytes) -> None:
        message = wire.decode(data)
        if not isinstance(message, wire.Fragment):
            return
        self.used += 0 if message.flags & wire.ABORTED else len(data)
        if message.flags & wire.FIRST:
            assert self.item is None
        else:
            assert self.item is not None
            assert self.item.item == message.item
            assert message.offset == self.item.offset + len(self.item.data)
        over = message.flags & (wire.LAST | wire.ABORTED)
        self.item = None if over else message

    @invariant()
    def credit_is_held(self) -> None:
        if hasattr(self, "granted"):
            assert self.used == self.server.counters.bytes <= self.granted


class Both(RuleBasedStateMachine):
    """A client and a server: whatever is asked for and lost, no chunk comes twice, and all of them come in the end."""

    @initialize()
    def start(self) -> None:
        self.name = "paged"
        self.pair = Pair(SCENES)
        self.pair.client.open(self.name, 0)
        self.events: list[Event] = []
        self.mirror: Any = None

    def note(self, events: list[Event]) -> None:
        self.events += events
        for e in events:
            self.mirror = getattr(e, "mirror", self.mirror)

    @rule(x=st.floats(-20, 600))
    def look(self, x: float) -> None:
        self.pair.clock.now += 0.1
        self.pair.client.send(view(0, 1, x))

    @rule(ids=st.lists(st.integers(0, 599), max_size=9).map(tuple))
    def want(self, ids: tuple[int, ...]) -> None:
        self.pair.client.send(wire.Want(0, ids))

    @rule(steps=st.integers(1, 200))
    def go(self, steps: int) -> None:
        self.note(self.pair.run(steps))

    @rule()
    def lose(self) -> None:
        self.pair = Pair(SCENES, clock=self.pair.clock)
        self.pair.client.open(self.name, 0, self.mirror)

    def teardown(self) -> None:
        if not hasattr(self, "pair"):
            return
        self.pair.clock.now += 1
        self.pair.client.send(wire.Want(0))
        self.note(self.pair.run(100_000))
        items = [e.item for e in self.events if isinstance(e, Received) and e.item < wire.PAGE]
        assert sorted(items) == list(range(600))
        assert self.pair.closed is None


TestServer = Server.TestCase
TestBoth = Both.TestCase
TestServer.settings = TestBoth.settings = settings(stateful_step_count=25, max_examples=40, deadline=None)
