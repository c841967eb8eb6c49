"""A server in the test's own event loop, on a free port of the loopback, and clients of every manner."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin, Subprotocol

from splatpack.server.app import Server
from splatpack.server.config import ServerConfig
from splatpack.server.registry import Registry
from splatpack.stream import wire
from splatpack.stream.clientside import ClientSession, Event

SUBPROTOCOLS = [Subprotocol(wire.SUBPROTOCOL)]


@contextlib.asynccontextmanager
async def running(folder: Path, **settings: Any) -> AsyncIterator[Server]:
    """Serve the ``.spk`` files of a folder."""
    registry = Registry([str(folder)])
    server = Server(registry, ServerConfig(**{"port": 0, "log": "off", "grace": 2.0, **settings}))
    try:
        await server.start()
        yield server
        await server.stop()
        assert server.metrics.connections == server.metrics.websockets == 0
    finally:
        registry.close()


@dataclass
class Reply:
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes


async def read_reply(reader: asyncio.StreamReader, method: str = "GET") -> Reply:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *rows = head.rstrip("\r\n").split("\r\n")
    headers = {k.lower(): v.strip() for k, _, v in (row.partition(":") for row in rows)}
    length = 0 if method == "HEAD" else int(headers.get("content-length", "0"))
    return Reply(int(first.split()[1]), headers, await reader.readexactly(length))


async def http(server: Server, path: str, method: str = "GET", **headers: str) -> Reply:
    """Make one request; underscores in header names stand for dashes."""
    reader, writer = await asyncio.open_connection(*server.address)
    rows = {"Host": f"{server.address[0]}:{server.address[1]}", "Connection": "close", **headers}
    text = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in rows.items())
    writer.write(f"{method} {path} HTTP/1.1\r\n{text}\r\n".encode())
    reply = await read_reply(reader, method)
    assert await reader.read() == b""
    writer.close()
    return reply


async def raw(server: Server, data: bytes) -> bytes:
    """Send bytes and return everything that comes until the server closes."""
    reader, writer = await asyncio.open_connection(*server.address)
    writer.write(data)
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


@contextlib.asynccontextmanager
async def socket(
    server: Server, *, token: str | None = None, origin: str | None = None, subprotocols: list[str] | None = None,
    path: str = "", **more: Any,
) -> AsyncIterator[ClientConnection]:  # fmt: skip
    """Open a WebSocket by hand."""
    offered = SUBPROTOCOLS if subprotocols is None else [Subprotocol(s) for s in subprotocols]
    headers = {"Authorization": f"Bearer {token}"} if token else None
    async with connect(
        server.url + path, subprotocols=offered, compression=None, additional_headers=headers, ping_interval=None,
        origin=Origin(origin) if origin else None, proxy=None, close_timeout=1, **more,
    ) as ws:  # fmt: skip
        yield ws


async def closing(ws: ClientConnection) -> tuple[int, str]:
    """Read until the server closes; return code and reason."""
    try:
        async with asyncio.timeout(10):
            while True:
                await ws.recv()
    except ConnectionClosed as closed:
        return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")


@dataclass
class Talk:
    """A well-behaved client on an open socket, step by step."""

    ws: ClientConnection
    session: ClientSession = field(default_factory=lambda: ClientSession(time.monotonic))
    events: list[Event] = field(default_factory=list)

    async def flush(self) -> None:
        for message in self.session.data_to_send():
            await self.ws.send(message)

    async def until(self, kind: type[Event], count: int = 1) -> list[Event]:
        """Go on until ``count`` events of a kind have come since the call."""
        got: list[Event] = []
        async with asyncio.timeout(20):
            while sum(isinstance(e, kind) for e in got) < count:
                await self.flush()
                got += self.session.receive(await self.ws.recv())
        self.events += got
        return got
