"""Damaged conversations of splatpack.v1, both ends: mutated messages, in any order, against live sessions."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from fuzz._common import mutate, run
from splatpack.errors import CorruptError, LimitError, PeerError, UnsupportedError
from splatpack.stream import wire
from splatpack.stream.actions import Close, Load, Send
from tests.test_stream.net import Pair, spk, view

SCENES = {"flat": spk(5, size=2000), "paged": spk(600, size=20)}


def _talk() -> list[bytes]:
    """What a well-behaved client says."""
    messages: list[wire.Control] = [
        wire.Hello((1,), 1 << 18), wire.Open(0, "flat"), wire.Open(1, "paged"), view(0), view(1, 2, 300.0),
        wire.Want(0), wire.Want(1, (599, 3)), wire.Cancel(1, (3,)), wire.Cancel(0), wire.Evict(0, (0, 1)),
        wire.Credit(1 << 20), wire.Ping(1.0), wire.Seek(0, 1.0), wire.Rate(0, 1.0), wire.Stats(0.05, 1e6),
        wire.CloseStream(0),
    ]  # fmt: skip
    return [wire.encode(m) for m in messages]


def _replies() -> list[bytes]:
    """What a well-behaved server says."""
    pair = Pair(SCENES)
    for sid, name in enumerate(SCENES):
        pair.client.open(name, sid)
        pair.client.send(wire.Want(sid, (0, 1)))
    out: list[bytes] = []
    receive = pair.client.receive
    pair.client.receive = lambda data: (out.append(bytes(data)), receive(data))[1]  # type: ignore[method-assign, assignment, arg-type]
    pair.run()
    return out


TALK, REPLIES = _talk(), _replies()


def _server(rng: np.random.Generator, said: list[bytes]) -> None:
    pair = Pair(SCENES)
    for message in said:
        pair.server.receive(message)
        pair.clock.now += float(rng.random()) * 0.1
        for _ in range(20):
            act = pair.server.poll()
            if isinstance(act, Load):
                pair.server.loaded(SCENES[act.scene.name][act.offset : act.offset + act.length])
            elif isinstance(act, Close):
                return
            elif isinstance(act, Send):
                wire.decode(act.data)
            else:
                break


def _client(said: list[bytes]) -> None:
    pair = Pair(SCENES)
    for sid, name in enumerate(SCENES):
        pair.client.open(name, sid)
    for message in said:
        pair.client.receive(message)
        pair.client.data_to_send()


def attempt(rng: np.random.Generator) -> tuple[bytes, Callable[[], object]]:
    """One conversation with a few damaged, dropped, repeated or exchanged messages."""
    source = TALK if rng.integers(2) else REPLIES
    said = list(source)
    for _ in range(int(rng.integers(1, 4))):
        at, kind = int(rng.integers(len(said))), int(rng.integers(4))
        if kind == 0:
            said[at] = mutate(rng, said[at])
        elif kind == 1:
            said.insert(at, said[int(rng.integers(len(said)))])
        elif kind == 2 and len(said) > 1:
            del said[at]
        else:
            said[at] = said[at][:1] + rng.bytes(int(rng.integers(40)))

    def call() -> None:
        if source is TALK:
            _server(rng, said)
            return
        try:
            _client(said)
        except (PeerError, CorruptError, UnsupportedError, LimitError):
            return

    return b"".join(len(m).to_bytes(4, "little") + m for m in said), call


if __name__ == "__main__":
    run(attempt, "protocol")
