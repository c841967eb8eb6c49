"""Client and server sessions against each other, and each against what only a hostile peer would say."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import msgpack
import numpy as np
import pytest

from splatpack.container.reader import ContainerReader
from splatpack.container.source import MemorySource
from splatpack.errors import CorruptError, PeerError
from splatpack.stream import wire
from splatpack.stream.actions import Close, Load, Send, SessionLimits, Wait
from splatpack.stream.clientside import RETRIES, ClientSession, Failed, Finished, Opened, Received, Welcomed
from splatpack.stream.index import pack_have
from splatpack.stream.mirror import Mirror
from splatpack.stream.pace import WINDOW_MAX, WINDOW_MIN, Bucket, Window
from splatpack.stream.serverside import REPLIES_MAX, ServerSession
from tests.test_stream.net import Clock, Pair, chunks, index, spk, view

SCENE = spk()
PAGED = spk(700, size=40)


def started(data: bytes = SCENE, **options: object) -> Pair:
    pair = Pair({"scene": data}, **options)  # type: ignore[arg-type]
    pair.client.open("scene", 0)
    return pair


def hello(server: ServerSession, credit: int = 1 << 20) -> None:
    server.receive(wire.encode(wire.Hello((1,), credit)))


def alone(**limits: object) -> tuple[ServerSession, Clock]:
    clock = Clock()
    scenes = {"scene": index(SCENE)}
    return ServerSession(scenes.get, clock, replace(SessionLimits(), **limits)), clock  # type: ignore[arg-type]


def outcome(server: ServerSession) -> Close:
    """Drain what a server still sends, and return how it closes."""
    for _ in range(REPLIES_MAX + 10):
        act = server.poll()
        if isinstance(act, Close):
            return act
        assert isinstance(act, Send)
    raise AssertionError("the server does not close")


@pytest.mark.parametrize("data", [SCENE, PAGED], ids=["root page", "leaf pages"])
def test_everything_arrives_once_and_is_the_file(data: bytes) -> None:
    pair = started(data)
    pair.client.send(wire.Want(0))
    events = pair.run()
    assert isinstance(events[0], Welcomed)
    opened = next(e for e in events if isinstance(e, Opened))
    assert chunks(events) == list(range(len(opened.mirror)))
    assert isinstance(events[-1], Finished)
    assert opened.mirror.complete
    whole = bytearray(len(data))
    whole[: len(opened.mirror.prefix)] = opened.mirror.prefix
    for e in events:
        if isinstance(e, Received):
            at = opened.mirror.offset(e.item)
            whole[at : at + len(e.data)] = e.data
    assert bytes(whole) == data
    assert pair.client.duplicates == 0


def test_a_view_brings_the_near_chunks_first_and_a_new_one_turns_the_order() -> None:
    pair = started(spk(40))
    pair.client.send(view(x=20.25))
    got: list[int] = []
    while len(got) < 3:
        got += chunks(pair.step())
    assert sorted(got) == [19, 20, 21]
    pair.clock.now += 1
    pair.client.send(view(seq=2, x=35.25))
    rest = chunks(pair.run())
    assert 35 in rest[:2]  # the item under way goes through
    assert sorted(got + rest) == list(range(40))


def test_fragments_of_an_item_are_together_and_within_what_the_client_takes() -> None:
    pair = started(max_fragment=1500)
    pair.client.send(wire.Want(0))
    pair.run()
    parts = [m for m in pair.sent if isinstance(m, wire.Fragment)]
    assert max(len(p.data) for p in parts) == 1500
    runs = [p.item for p in parts]
    assert len(set(runs)) == 1 + sum(a != b for a, b in pairwise(runs))


def test_the_server_never_passes_the_credit() -> None:
    server, _ = alone()
    hello(server, credit=9000)
    server.receive(wire.encode(wire.Open(0, "scene")))
    server.receive(wire.encode(wire.Want(0)))
    sent = 0

    def drain() -> int:
        total = 0
        while not isinstance(act := server.poll(), Wait):
            if isinstance(act, Load):
                server.loaded(SCENE[act.offset : act.offset + act.length])
            elif isinstance(act, Send) and act.data[0] == wire.Fragment.kind:
                total += len(act.data)
        return total

    sent = drain()
    assert 9000 - 1044 < sent <= 9000
    server.receive(wire.encode(wire.Credit(100)))
    assert drain() == 0
    server.receive(wire.encode(wire.Credit(12_000)))
    assert 12_000 - 1044 < sent + drain() <= 12_000


def test_a_client_refuses_bytes_that_it_did_not_grant() -> None:
    pair = started()
    pair.run(until=Opened)
    pair.client.window.granted = pair.client.window.received + 10
    pair.client.window.size = 1
    pair.client.send(wire.Want(0))
    with pytest.raises(PeerError) as caught:
        pair.run()
    assert caught.value.close_code == 4413


def test_resume_sends_only_what_is_missing_on_any_server() -> None:
    for data in (SCENE, PAGED):
        first = started(data)
        first.client.send(wire.Want(0))
        got: list[int] = []
        mirror: Mirror | None = None
        while len(got) < 3:
            for e in first.step():
                mirror = e.mirror if isinstance(e, Opened) else mirror
                got += chunks([e])
        second = Pair({"scene": data})
        second.client.open("scene", 0, mirror)
        second.client.send(wire.Want(0))
        events = second.run()
        opened = next(e for e in events if isinstance(e, Opened))
        assert opened.resumed
        assert opened.mirror is mirror
        assert sorted(got + chunks(events)) == list(range(len(opened.mirror)))
        assert wire.PREFIX not in second.loads
        manifest = next(m for m in second.sent if isinstance(m, wire.Manifest))
        assert manifest.held == 3


def test_a_have_set_of_another_file_is_ignored() -> None:
    first = started()
    first.client.send(wire.Want(0))
    mirror = next(e for e in first.run() if isinstance(e, Opened)).mirror
    second = Pair({"scene": spk(seed=9)})
    second.client.open("scene", 0, mirror)
    second.client.send(wire.Want(0))
    events = second.run()
    assert not next(e for e in events if isinstance(e, Opened)).resumed
    assert len(chunks(events)) == 6


NONE = np.ones(0, np.bool_)


@pytest.mark.parametrize(
    "have", [b"", b"junk", pack_have(np.ones(7, np.bool_), NONE), pack_have(np.ones(8 * 10**7, np.bool_), NONE)]
)
def test_a_have_set_that_does_not_fit_is_refused(have: bytes) -> None:
    server, _ = alone()
    hello(server)
    server.receive(wire.encode(wire.Open(0, "scene", index(SCENE).id, have)))
    assert outcome(server).code == 4400


def test_a_damaged_chunk_is_asked_for_again_and_never_shown() -> None:
    seen: list[int] = []

    def once(item: int, data: bytes) -> bytes:
        seen.append(item)
        return data[:-1] + bytes([data[-1] ^ 1]) if item == 2 and seen.count(2) == 1 else data

    pair = started(damage=once)
    pair.client.send(wire.Want(0))
    events = pair.run()
    assert sorted(chunks(events)) == list(range(6))
    assert pair.client.damaged == 1
    assert seen.count(2) == 2


def test_a_chunk_that_stays_damaged_fails_alone() -> None:
    for broken in (b"", None):
        pair = started(
            damage=lambda item, data, b=broken: data if item != 2 else (b if b is None else bytes(len(data)))
        )
        pair.client.send(wire.Want(0))
        events = pair.run()
        failed = [e for e in events if isinstance(e, Failed)]
        assert [(f.item, f.code) for f in failed] == [(2, "io" if broken is None else "checksum")]
        assert sorted(chunks(events)) == [0, 1, 3, 4, 5]
        assert pair.loads.count(2) == 1 + RETRIES


def test_a_stream_without_its_prefix_ends_and_others_go_on() -> None:
    pair = Pair({"a": SCENE, "b": SCENE}, damage=lambda i, d: None if i == wire.PREFIX and len(pair.loads) == 1 else d)
    for sid, name in enumerate("ab"):
        pair.client.open(name, sid)
        pair.client.send(wire.Want(sid))
    events = pair.run()
    assert [(e.sid, e.item) for e in events if isinstance(e, Failed)] == [(0, None)]
    assert len(chunks(events)) == 6


def test_a_scene_that_is_not_there_is_an_error_of_its_stream() -> None:
    pair = Pair({"scene": SCENE})
    pair.client.open("../../etc/passwd", 0)
    pair.client.open("scene", 1)
    events = pair.run()
    assert [(e.sid, e.code) for e in events if isinstance(e, Failed)] == [(0, "scene")]
    assert any(isinstance(e, Opened) and e.sid == 1 for e in events)


def test_cancel_aborts_what_is_under_way() -> None:
    pair = started()
    pair.client.send(wire.Want(0))
    while not any(isinstance(m, wire.Fragment) and m.item == 0 for m in pair.sent):
        pair.step()
    pair.client.send(wire.Cancel(0))
    pair.run()
    last = [m for m in pair.sent if isinstance(m, wire.Fragment)][-1]
    assert last.flags == wire.ABORTED
    assert (last.item, len(last.data)) == (0, 0)
    pair.client.send(wire.Want(0, (0,)))
    assert chunks(pair.run()) == [0]


def test_closing_a_stream_leaves_the_others() -> None:
    pair = Pair({"scene": SCENE})
    for sid in (0, 1):
        pair.client.open("scene", sid)
        pair.client.send(wire.Want(sid))
    pair.run(until=Received)
    pair.client.close(0)
    assert {e.sid for e in pair.run() if isinstance(e, Received)} == {1}
    assert pair.server.streams == {1: "scene"}


def test_streams_take_turns() -> None:
    pair = Pair({"scene": SCENE})
    for sid in (0, 1):
        pair.client.open("scene", sid)
        pair.client.send(wire.Want(sid))
    events = [e for e in pair.run() if isinstance(e, Received)]
    assert [e.sid for e in events] == [0, 1] * 6


def test_evicted_chunks_come_again_with_a_view() -> None:
    pair = started()
    pair.client.send(view())
    assert sorted(chunks(pair.run())) == list(range(6))
    pair.clock.now += 1
    next(iter(pair.client._streams.values())).mirror.have[3] = False  # type: ignore[union-attr]
    pair.client.send(wire.Evict(0, (3,)))
    pair.client.send(view(seq=2))
    assert chunks(pair.run()) == [3]


def test_idle_is_said_once_for_each_view() -> None:
    pair = started()
    for seq in (1, 2, 3):
        pair.clock.now += 1
        pair.client.send(view(seq=seq))
        assert [e.seq for e in pair.run() if isinstance(e, Finished)] == [seq]


def test_seek_is_reserved() -> None:
    pair = started()
    pair.run(until=Opened)
    pair.client.send(wire.Seek(0, 1.0))
    pair.client.send(wire.Rate(0, 1.0))
    pair.run()
    assert [m.code for m in pair.sent if isinstance(m, wire.Error)] == ["unsupported"] * 2
    assert pair.closed is None


def test_of_many_views_at_once_the_newest_is_used() -> None:
    pair = started(spk(40))
    pair.client.send(view(seq=1, x=1.0))
    pair.run(until=Opened)
    pair.step()
    for seq in range(2, 40):
        pair.client.send(view(seq=seq, x=float(seq)))
    pair.step()
    scheduler = pair.server._streams[0].scheduler
    assert scheduler.view is not None
    assert scheduler.view.seq == 1
    wait = pair.server._deadline(pair.clock.now)
    assert wait == pytest.approx(pair.clock.now + 0.05)
    pair.clock.now = wait + 1e-9
    pair.step()
    assert scheduler.view is not None
    assert scheduler.view.seq == 39


@pytest.mark.parametrize(
    ("limits", "messages", "code"),
    [
        ({}, ["text"], 1003),
        ({}, [b""], 4400),
        ({}, [wire.encode(wire.Ping(1.0))], 4400),
        ({}, [wire.encode(wire.Hello((2, 3), 0))], 4409),
        ({}, ["hello", wire.encode(wire.Hello((1,), 0))], 4400),
        ({}, ["hello", wire.encode(wire.Welcome(1))], 4400),
        ({}, ["hello", wire.encode(wire.Idle(0))], 4400),
        ({}, ["hello", wire.encode(wire.Fragment(3, 0, 0, 1, 0, 0, b"x"))], 4400),
        ({}, ["hello", bytes([19])], 4400),
        ({}, ["hello", wire.encode(wire.Open(5, "scene")), wire.encode(wire.Open(5, "scene"))], 4400),
        ({"streams": 2}, ["hello", *(wire.encode(wire.Open(i, "scene")) for i in range(3))], 4413),
        ({"wanted": 2}, ["hello", wire.encode(wire.Open(0, "scene")), wire.encode(wire.Want(0, (0, 1, 2)))], 4413),
        ({}, ["hello", wire.encode(wire.Open(0, "scene")), wire.encode(wire.Want(0, (6,)))], 4400),
        ({}, ["hello", wire.encode(wire.Open(0, "scene")), wire.encode(wire.Want(0, (wire.PAGE,)))], 4400),
        ({}, ["hello", wire.encode(wire.Stats()) + bytes(70_000)], 4400),
        ({"views": 5}, ["hello", *(wire.encode(view(seq=i)) for i in range(6))], 4429),
        ({"messages": 10}, ["hello", *(wire.encode(wire.Stats()) for _ in range(20))], 4429),
        ({"messages": 10}, ["hello", *(wire.encode(wire.Credit(i)) for i in range(20))], 4429),
        ({"messages": 10}, ["hello", *[wire.encode(wire.Evict(0, tuple([70_000] * 8000)))] * 2], 4429),
        ({"messages": 1000}, ["hello", *(wire.encode(wire.Ping(1.0)) for _ in range(REPLIES_MAX + 1))], 4413),
    ],
)  # fmt: skip
def test_each_limit_has_its_close_code(limits: dict[str, float], messages: list[bytes | str], code: int) -> None:
    server, _ = alone(**limits)
    for message in messages:
        if message == "hello":
            hello(server)
        else:
            server.receive(message)
    closed = outcome(server)
    assert closed.code == code
    assert closed.reason
    assert server.receive(wire.encode(wire.Ping(1.0))) is None
    assert server.poll() == closed


def test_large_grants_do_not_count_as_messages() -> None:
    server, _ = alone(messages=10)
    hello(server)
    for i in range(1, 1000):
        server.receive(wire.encode(wire.Credit((1 << 20) + i * 16384)))
    assert server.close is None


@pytest.mark.parametrize(("greeted", "after"), [(False, 5.0), (True, 120.0)])
def test_silence_closes(greeted: bool, after: float) -> None:
    server, clock = alone()
    if greeted:
        hello(server)
        assert isinstance(server.poll(), Send)
    act = server.poll()
    assert isinstance(act, Wait)
    assert act.until == clock.now + after
    clock.now += after
    assert outcome(server).code == 4408


def test_the_rate_of_a_client_is_held() -> None:
    server, clock = alone(bytes_per_second=10_000.0)
    hello(server)
    server.receive(wire.encode(wire.Open(0, "scene")))
    server.receive(wire.encode(wire.Want(0)))
    begin, total = clock.now, 0
    while total < 30_000:
        act = server.poll()
        if isinstance(act, Load):
            server.loaded(SCENE[act.offset : act.offset + act.length])
        elif isinstance(act, Wait):
            assert act.until is not None
            assert act.until > clock.now
            clock.now = act.until
        elif isinstance(act, Send) and act.data[0] == wire.Fragment.kind:
            total += len(act.data)
    assert 2.0 < clock.now - begin < 3.2


def test_shutting_down_says_why() -> None:
    server, _ = alone()
    hello(server)
    server.shut(1012, "restart")
    assert server.poll() == Close(1012, "restart")


# What a hostile server may say


def greeted() -> ClientSession:
    client = ClientSession(Clock())
    client.receive(wire.encode(wire.Welcome(1)))
    client.open("scene", 0)
    return client


def manifest(data: bytes = SCENE, **changes: object) -> bytes:
    i = index(data)
    fields = {
        "sid": 0, "id": i.id, "root": i.root, "length": i.length, "prefix": i.prefix, "chunks": len(i.chunks),
        "pages": 0, **changes,
    }  # fmt: skip
    return bytes([4]) + bytes(msgpack.packb(fields))


def part(item: int, total: int, offset: int, body: bytes, flags: int) -> bytes:
    return wire.encode(wire.Fragment(flags, 0, item, total, offset, 0, body))


PREFIX_LENGTH = index(SCENE).prefix


@pytest.mark.parametrize(
    "messages",
    [
        ["text"],
        [wire.encode(wire.Welcome(1))],
        [wire.encode(wire.Open(0, "x"))],
        [manifest(sid=1)],
        [manifest(), manifest()],
        [part(0, 4, 0, b"abcd", 3)],
        [manifest(), part(0, 4, 0, b"abcd", 3)],
        [manifest(), part(wire.PREFIX, 4, 0, b"abcd", 3)],
        [manifest(), part(wire.PREFIX, PREFIX_LENGTH, 5, b"abcd", 0)],
        [manifest(), *[part(wire.PREFIX, PREFIX_LENGTH, 0, b"abcd", 1)] * 2],
        [manifest(), part(wire.PREFIX, PREFIX_LENGTH, 0, b"ab", 1), part(wire.PREFIX, PREFIX_LENGTH, 1, b"b", 0)],
        [manifest(), part(wire.PREFIX, PREFIX_LENGTH, 0, SCENE[:PREFIX_LENGTH], 3), part(99, 4, 0, b"abcd", 3)],
        [manifest(), part(wire.PREFIX, PREFIX_LENGTH, 0, SCENE[:PREFIX_LENGTH], 3), part(1, 4, 0, b"abcd", 3)],
        [manifest(), part(wire.PREFIX, PREFIX_LENGTH, 0, SCENE[:PREFIX_LENGTH], 3), part(wire.PAGE, 4, 0, b"abcd", 3)],
        [manifest(id=bytes(16)), part(wire.PREFIX, PREFIX_LENGTH, 0, SCENE[:PREFIX_LENGTH], 3)],
        [manifest(chunks=7), part(wire.PREFIX, PREFIX_LENGTH, 0, SCENE[:PREFIX_LENGTH], 3)],
        [manifest(), part(wire.PREFIX, PREFIX_LENGTH, 0, bytes(PREFIX_LENGTH), 3)],
    ],
)  # fmt: skip
def test_a_client_refuses_a_server_that_breaks_the_rules(messages: list[bytes | str]) -> None:
    client = greeted()
    *before, last = messages
    for message in before:
        client.receive(message)
    with pytest.raises((PeerError, CorruptError)):
        client.receive(last)


def test_a_client_wants_welcome_first() -> None:
    with pytest.raises(PeerError, match="WELCOME"):
        ClientSession(Clock()).receive(wire.encode(wire.Idle(0)))


def test_a_fatal_error_is_an_event() -> None:
    (event,) = greeted().receive(wire.encode(wire.Error("auth", "no", fatal=True)))
    assert event == Failed(None, None, "auth", "no")


def test_pings_measure_the_round_trip() -> None:
    clock = Clock()
    client = ClientSession(clock)
    client.receive(wire.encode(wire.Welcome(1)))
    ping = next(m for d in client.data_to_send() if isinstance(m := wire.decode(d), wire.Ping))
    clock.now += 0.25
    client.receive(wire.encode(wire.Pong(ping.t)))
    assert client.window.rtt == client.window.rtt_min == 0.25
    client.receive(wire.encode(wire.Ping(3.0)))
    assert wire.Pong(3.0) in [wire.decode(d) for d in client.data_to_send()]


def test_mirror_recovers_what_a_file_holds() -> None:
    for data in (SCENE, PAGED):
        reader = ContainerReader(MemorySource(data))
        broken = bytearray(data)
        broken[reader.chunks[1].offset] ^= 1
        mirror = Mirror(data[: reader.header.data_offset])
        assert mirror.recover(MemorySource(bytes(broken))) == len(reader.chunks) - 1
        assert not mirror.have[1]
        assert Mirror(data[: reader.header.data_offset]).recover(MemorySource(data[: reader.chunks[1].offset])) == 1


def test_the_window_follows_the_path() -> None:
    window, now = Window(), 0.0
    window.measured(0.05)
    for _ in range(200):
        now += 0.01
        window.arrived(100_000, now)
    assert window.goodput == pytest.approx(1e7, rel=0.1)
    assert window.size == pytest.approx(1.5 * 1e7 * 0.05, rel=0.1)
    before = window.size
    window.measured(0.5)
    assert window.size == before // 2
    for _ in range(20):
        window.measured(0.5)
    assert window.size == WINDOW_MIN
    window.goodput = 1e12
    window.measured(0.05)
    assert window.size == WINDOW_MAX


def test_a_bucket_fills_with_time() -> None:
    bucket = Bucket(10.0, 5.0, 0.0)
    assert all(bucket.take(1, 0.0) for _ in range(5))
    assert not bucket.take(1, 0.05)
    assert bucket.take(1, 0.1)
    bucket.spend(20, 0.1)
    assert bucket.ready(0.1) == pytest.approx(2.1, abs=1e-3)
