"""WebSockets over loopback: who is let in, what closes them, and faults that must not spread."""

from __future__ import annotations

import asyncio
import base64
import struct
import time
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.protocol import State
from websockets.server import ServerProtocol

from splatpack.server import log
from splatpack.server.app import Server
from splatpack.server.cache import ChunkCache
from splatpack.server.metrics import Metrics
from splatpack.server.registry import Registry
from splatpack.server.websocket import Connection
from splatpack.stream import wire
from splatpack.stream.clientside import Failed, Finished, Opened, Received
from splatpack.stream.serverside import ServerSession
from tests.test_server.harness import Talk, closing, http, running, socket
from tests.test_stream.net import view

TOKEN = "a long secret"


def encoded(token: str) -> str:
    return "auth." + base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")


async def whole(server: Server, name: str = "fox") -> list[int]:
    """Stream a scene to its end; return its chunks in the order in which they came."""
    async with socket(server) as ws:
        talk = Talk(ws)
        talk.session.open(name, 0)
        talk.session.send(wire.Want(0))
        events = await talk.until(Finished)
        return [e.item for e in events if isinstance(e, Received) and e.item < wire.PAGE]


@pytest.mark.parametrize(("name", "count"), [("fox", 12), ("paged", 700)])
def test_a_scene_arrives_whole(folder: Path, name: str, count: int) -> None:
    async def main() -> None:
        async with running(folder) as server:
            assert await whole(server, name) == list(range(count))
            assert server.metrics.closes == {1000: 1}

    asyncio.run(main())


def test_a_view_decides_the_order(folder: Path) -> None:
    async def main() -> None:
        async with running(folder) as server, socket(server) as ws:
            talk = Talk(ws)
            talk.session.open("fox", 0)
            talk.session.send(view(x=8.25))
            events = await talk.until(Finished)
            assert [e.item for e in events if isinstance(e, Received)][:3] in ([8, 7, 9], [8, 9, 7])
            assert sum(server.metrics.delays) == 1

    asyncio.run(main())


def test_many_clients_share_one_read(folder: Path) -> None:
    async def main() -> None:
        async with running(folder) as server:
            results = await asyncio.gather(*(whole(server) for _ in range(20)))
            assert all(r == list(range(12)) for r in results)
            assert server.cache.misses == 13

    asyncio.run(main())


@pytest.mark.parametrize(
    ("shown", "code"),
    [
        ({"token": TOKEN}, None),
        ({"subprotocols": [wire.SUBPROTOCOL, encoded(TOKEN)]}, None),
        ({}, 4401),
        ({"token": "wrong secret"}, 4401),
        ({"subprotocols": [wire.SUBPROTOCOL, encoded("wrong")]}, 4401),
        ({"subprotocols": [wire.SUBPROTOCOL, "auth.!!!"]}, 4401),
    ],
)
def test_tokens(folder: Path, shown: dict[str, Any], code: int | None) -> None:
    async def main() -> None:
        async with running(folder, tokens=("another secret", TOKEN)) as server, socket(server, **shown) as ws:
            assert ws.subprotocol == wire.SUBPROTOCOL
            if code is not None:
                assert (await closing(ws))[0] == code
                return
            talk = Talk(ws)
            talk.session.open("fox", 0)
            await talk.until(Opened)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("origin", "listed", "status"),
    [
        (None, (), 101), ("https://evil.example", (), 403), ("https://good.example", ("https://good.example",), 101),
        ("https://good.example.evil.example", ("https://good.example",), 403), ("https://any.example", ("*",), 101),
        ("null", (), 403), ("own", (), 101),
    ],
)  # fmt: skip
def test_origins(folder: Path, origin: str | None, listed: tuple[str, ...], status: int) -> None:
    async def main() -> int:
        async with running(folder, origins=listed) as server:
            shown = f"http://{server.address[0]}:{server.address[1]}" if origin == "own" else origin
            try:
                async with socket(server, origin=shown):
                    return 101
            except InvalidStatus as refused:
                return refused.response.status_code

    assert asyncio.run(main()) == status


@pytest.mark.parametrize(
    ("path", "subprotocols", "status"),
    [("/nothing", None, 404), ("/..%2f", None, 404), ("", ["chat"], 400), ("", [], 400)],
)
def test_handshakes_that_are_refused(folder: Path, path: str, subprotocols: list[str] | None, status: int) -> None:
    async def main() -> None:
        async with running(folder) as server:
            with pytest.raises(InvalidStatus) as refused:
                async with socket(server, path=path, subprotocols=subprotocols):
                    pass
            assert refused.value.response.status_code == status

    asyncio.run(main())


HELLO = wire.encode(wire.Hello((1,), 1 << 20))


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        (["hello"], 1003),
        ([b"\x00"], 4400),
        ([HELLO, b"\x06junk"], 4400),
        ([wire.encode(wire.Hello((9,), 0))], 4409),
        ([HELLO, b"\x05" + bytes(70_000)], 1009),
        ([HELLO, *[wire.encode(view(seq=i)) for i in range(70)]], 4429),
        ([HELLO, *[wire.encode(wire.Stats())] * 500], 4429),
        ([HELLO, *[wire.encode(wire.Open(i, "fox")) for i in range(17)]], 4413),
        ([], 4408),
    ],
    ids=["text", "kind 0", "junk", "version", "oversized", "flood of views", "flood", "streams", "silence"],
)
def test_each_offence_closes_with_its_code_and_harms_nobody(folder: Path, messages: list[Any], code: int) -> None:
    async def main() -> None:
        async with running(folder, hello=0.3 if not messages else 5.0) as server, socket(server) as ws:
            for message in messages:
                await ws.send(message)
            assert (await closing(ws))[0] == code
            assert await whole(server) == list(range(12))
            assert server.metrics.closes == {code: 1, 1000: 1}

    asyncio.run(main())


def test_a_client_that_goes_silent_is_closed(folder: Path) -> None:
    async def main() -> None:
        async with running(folder, idle=0.3) as server, socket(server) as ws:
            await ws.send(HELLO)
            assert (await closing(ws))[0] == 4408

    asyncio.run(main())


def test_a_client_that_never_reads_is_gone_in_time_and_nothing_queues(tmp_path: Path) -> None:
    from tests.test_stream.net import spk

    (tmp_path / "fox.spk").write_bytes(spk(60, size=400_000))

    async def main() -> None:
        async with running(tmp_path, send_timeout=1.0) as server:
            reader, writer = await asyncio.open_connection(*server.address, limit=1024)
            writer.write(
                b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Protocol: splatpack.v1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            await reader.readuntil(b"\r\n\r\n")
            for message in (wire.Hello((1,), 1 << 40), wire.Open(0, "fox"), wire.Want(0)):
                data = wire.encode(message)
                writer.write(bytes([0x82, 0x80 | len(data)]) + bytes(4) + data)
            async with asyncio.timeout(10):
                while not server.metrics.slow_clients_total:
                    for task_writer in server._tasks.values():
                        assert task_writer.transport.get_write_buffer_size() < 128 << 10
                    assert (await http(server, "/healthz")).status == 200
            assert server.metrics.chunk_bytes_total < 8 << 20
            assert len(await whole(server)) == 60
            writer.transport.abort()

    asyncio.run(main())


def test_a_chunk_damaged_on_disk_fails_alone_and_can_be_had_again(folder: Path, scene: bytes) -> None:
    async def main() -> None:
        async with running(folder) as server, socket(server) as ws:
            talk = Talk(ws)
            talk.session.open("fox", 0)
            (opened,) = [e for e in await talk.until(Opened) if isinstance(e, Opened)]
            at = opened.mirror.entry(5).offset
            with (folder / "fox.spk").open("r+b") as file:
                file.seek(at)
                file.write(bytes([scene[at] ^ 1]))
            talk.session.send(wire.Want(0))
            events = await talk.until(Failed)
            (failed,) = [e for e in events if isinstance(e, Failed)]
            assert (failed.item, failed.code) == (5, "checksum")
            with (folder / "fox.spk").open("r+b") as file:
                file.seek(at)
                file.write(scene[at : at + 1])
            talk.session.send(wire.Want(0, (5,)))
            while not opened.mirror.complete:
                events += await talk.until(Received)
            got = [e.item for e in events if isinstance(e, Received)]
            assert sorted(got) == list(range(12))
            assert server.metrics.item_errors_total == 4

    asyncio.run(main())


def test_a_file_truncated_while_it_is_served(folder: Path, scene: bytes) -> None:
    async def main() -> None:
        async with running(folder) as server, socket(server) as ws:
            talk = Talk(ws)
            talk.session.open("fox", 0)
            (opened,) = [e for e in await talk.until(Opened) if isinstance(e, Opened)]
            with (folder / "fox.spk").open("r+b") as file:
                file.truncate(opened.mirror.entry(10).offset + 1)
            talk.session.send(wire.Want(0))
            events = await talk.until(Failed, 2)
            assert {e.code for e in events if isinstance(e, Failed)} == {"truncated"}
            assert sorted(e.item for e in events if isinstance(e, Received)) == list(range(10))

    asyncio.run(main())


def test_a_stop_tells_every_client_to_come_back(folder: Path) -> None:
    async def main() -> list[tuple[int, str]]:
        async with running(folder) as server, socket(server) as one, socket(server) as two:
            talk = Talk(one)
            talk.session.open("fox", 0)
            await talk.until(Opened)
            ends = asyncio.gather(closing(one), closing(two))
            await server.stop()
            return list(await ends)

    assert [code for code, _ in asyncio.run(main())] == [1012, 1012]


def test_the_rate_of_one_client_is_held(folder: Path) -> None:
    async def main() -> float:
        async with running(folder, bytes_per_second=200_000.0) as server:
            begin = asyncio.get_running_loop().time()
            await whole(server)
            return asyncio.get_running_loop().time() - begin

    assert asyncio.run(main()) > 0.7


def test_the_cache_is_bounded(folder: Path) -> None:
    async def main() -> None:
        async with running(folder, cache_bytes=60_000) as server:
            for _ in range(2):
                assert await whole(server) == list(range(12))
            assert server.cache.bytes <= 60_000
            assert len(server.cache) <= 2
            assert server.cache.misses > 13

    asyncio.run(main())


class Reset:
    """A writer whose peer has reset the connection."""

    def write(self, data: bytes) -> None:
        pass

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        raise OSError(107, "Transport endpoint is not connected")


def test_a_reset_while_the_end_is_sent_is_no_failure(folder: Path) -> None:
    async def main() -> None:
        registry, ws = Registry([str(folder / "fox.spk")]), ServerProtocol(state=State.OPEN)
        session = ServerSession(registry.lookup, time.monotonic)
        connection = Connection(
            asyncio.StreamReader(), Reset(), ws, session, registry, ChunkCache(0), Metrics(),  # type: ignore[arg-type]
            send_timeout=1.0, close_timeout=1.0,
        )  # fmt: skip
        ws.receive_eof()
        connection._flush()
        registry.close()

    asyncio.run(main())


def test_clients_that_reset_their_connections_leave_no_trace(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[object] = []
    monkeypatch.setattr(log.LOGGER, "exception", lambda *args: failures.append(args))

    async def rude(server: Server, step: int) -> None:
        async with socket(server) as ws:
            talk = Talk(ws)
            talk.session.open("fox", 0)
            talk.session.send(wire.Want(0))
            await talk.until([Opened, Received][step % 2])
            sock = ws.transport.get_extra_info("socket")
            sock.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
            ws.transport.abort()

    async def main() -> None:
        async with running(folder) as server:
            await asyncio.gather(*(rude(server, i) for i in range(20)))
            assert await whole(server) == list(range(12))

    asyncio.run(main())
    assert failures == []
