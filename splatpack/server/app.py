"""The server: one port for WebSockets, files by range, and small pages; every wait has an end."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import time

from websockets.http11 import Request as WebSocketRequest
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from splatpack.errors import SplatpackError
from splatpack.server import auth, http, log
from splatpack.server.cache import ChunkCache
from splatpack.server.config import ServerConfig
from splatpack.server.metrics import Metrics
from splatpack.server.registry import Registry
from splatpack.server.request import HEAD_MAX, BadRequestError, Request, parse, response_head
from splatpack.server.sockets import host_of, linger, listen, tls_context, tune
from splatpack.server.websocket import Connection
from splatpack.stream.serverside import ServerSession
from splatpack.stream.wire import AGENT, CONTROL_MAX, SUBPROTOCOL

RESTART = 1012
LINGER = 1.0
"""Seconds for a client that is refused to read why: closing over what it still sends would reset the connection."""
LEAVING_MAX = 64
_QUIET = logging.getLogger("splatpack.server.websockets")
_QUIET.setLevel(logging.WARNING)


class Server:
    """Serves a registry of scenes.

    Parameters
    ----------
    registry : Registry
    config : ServerConfig
    """

    def __init__(self, registry: Registry, config: ServerConfig) -> None:
        self.registry, self.config = registry, config
        self.metrics = Metrics()
        self.cache = ChunkCache(config.cache_bytes, config.loads)
        self.address: tuple[str, int] = ("", 0)
        self._gate = auth.Gate(config.connections, config.connections_per_ip)
        self._site = http.Site(registry, config, self.metrics, self._gauges)
        self._tasks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._sockets: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._stopping = False
        self._leaving = 0

    @property
    def url(self) -> str:
        """Where WebSocket clients connect; a scene's name may follow after a slash."""
        return f"{'wss' if self.config.tls_cert else 'ws'}://{host_of(self.address)}"

    @property
    def viewer(self) -> str:
        """Where browsers go."""
        return f"{'https' if self.config.tls_cert else 'http'}://{host_of(self.address)}/"

    async def start(self, listener: socket.socket | None = None) -> None:
        """Listen.

        Raises
        ------
        StorageError
            The port is in use, or the address is not this machine's.
        UsageError
            The TLS files do not fit.
        """
        tls = tls_context(self.config)
        sock = listener if listener is not None else listen(self.config)
        self.address = sock.getsockname()[:2]
        self._server = await asyncio.start_server(
            self._accept, sock=sock, limit=HEAD_MAX, ssl=tls, backlog=1024,
            ssl_handshake_timeout=self.config.head_timeout if tls else None,
        )  # fmt: skip

    async def stop(self) -> None:
        """Stop accepting, tell every client to come back (1012), wait for what is under way, then cut."""
        self._stopping = True
        if self._server is not None:
            self._server.close()
        for connection in self._sockets:
            connection.shut(RESTART, "the server restarts")
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=self.config.grace)
        for task, writer in list(self._tasks.items()):
            writer.transport.abort()
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks))
        await self.cache.close()
        log.event("stopped", connections=self.metrics.connections_total)

    def _gauges(self) -> dict[str, float]:
        return {
            "scenes": len(self.registry), "cache_bytes": self.cache.bytes, "cache_items": len(self.cache),
            "cache_hits_total": self.cache.hits, "cache_misses_total": self.cache.misses,
            "cache_failures_total": self.cache.failures,
        }  # fmt: skip

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Own a socket from its first byte to its last."""
        task = asyncio.current_task()
        peer = writer.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else ""
        if task is None or not self._gate.enter(address):
            await self._turn_away(reader, writer)
            return
        self._tasks[task] = writer
        self.metrics.connections += 1
        self.metrics.connections_total += 1
        tune(writer)
        try:
            await self._serve(reader, writer, address)
        except (TimeoutError, OSError, asyncio.IncompleteReadError, SplatpackError):
            writer.transport.abort()  # nothing that could be said would be read
        except asyncio.CancelledError:
            writer.transport.abort()
        except Exception:
            log.LOGGER.exception("a connection failed")
            writer.transport.abort()
        finally:
            self._gate.leave(address)
            self.metrics.connections -= 1
            del self._tasks[task]
            writer.close()

    async def _turn_away(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Say that there is no room; when many are told so at once, cut the rest."""
        self.metrics.refused_total += 1
        if self._leaving >= LEAVING_MAX:
            writer.transport.abort()
            return
        self._leaving += 1
        try:
            writer.write(response_head(503, {"Retry-After": "1", "Content-Length": "0"}, keep=False))
            await linger(reader, writer, LINGER)
        finally:
            self._leaving -= 1
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str) -> None:
        """Answer requests until one asks for a WebSocket or for the end."""
        timeout = self.config.head_timeout
        for number in range(1, self.config.requests_per_connection + 1):
            try:
                async with asyncio.timeout(timeout):
                    head = await reader.readuntil(b"\r\n\r\n")
                request = parse(head)
            except asyncio.LimitOverrunError:
                await self._refuse(reader, writer, BadRequestError(431, "the head is too long"))
                return
            except BadRequestError as error:
                await self._refuse(reader, writer, error)
                return
            self.metrics.requests_total += 1
            if request.upgrade:
                await self._upgrade(request, head, reader, writer, address)
                return
            answer = self._site.answer(request)
            keep = request.keep_alive and number < self.config.requests_per_connection and not self._stopping
            sent = await http.write(writer, request, answer, keep=keep, timeout=self.config.send_timeout)
            self.metrics.http_bytes_total += sent
            log.event(
                "request", ip=address, method=request.method, path=request.path[:200], status=answer.status, bytes=sent
            )
            if not keep:
                return
            timeout = self.config.keep_alive

    async def _refuse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, error: BadRequestError) -> None:
        self.metrics.refused_total += 1
        body = f"{error}\n".encode("latin-1", "replace")
        writer.write(response_head(error.status, {"Content-Length": str(len(body))}, keep=False) + body)
        await linger(reader, writer, LINGER)

    async def _upgrade(
        self, request: Request, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str
    ) -> None:
        """Shake hands, then run the session."""
        name = request.path.partition("?")[0].removeprefix("/")
        if not auth.origin_allowed(request, self.config.origins):
            await self._refuse(reader, writer, BadRequestError(403, "this origin is not allowed"))
            return
        if name and self.registry.get(name) is None:
            await self._refuse(reader, writer, BadRequestError(404, "there is no such scene"))
            return
        if self._stopping:
            await self._refuse(reader, writer, BadRequestError(503, "the server restarts"))
            return
        ws = ServerProtocol(subprotocols=[Subprotocol(SUBPROTOCOL)], max_size=CONTROL_MAX, logger=_QUIET)
        ws.receive_data(head)
        asked = next((e for e in ws.events_received() if isinstance(e, WebSocketRequest)), None)
        if asked is None:
            await self._refuse(reader, writer, BadRequestError(400, "malformed handshake"))
            return
        response = ws.accept(asked)
        ws.send_response(response)
        for data in ws.data_to_send():
            writer.write(data)
        if response.status_code != 101:
            self.metrics.refused_total += 1
            return
        await self._session(request, reader, writer, ws, address)

    async def _session(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ws: ServerProtocol,
        address: str,
    ) -> None:  # fmt: skip
        config, begin, ident = self.config, time.monotonic(), secrets.token_hex(6)
        session = ServerSession(
            self.registry.lookup, time.monotonic, config.session, name=AGENT, session=ident
        )  # fmt: skip
        if not auth.allowed(request, config.tokens):
            session.refuse()
        connection = Connection(
            reader, writer, ws, session, self.registry, self.cache, self.metrics,
            send_timeout=config.send_timeout, close_timeout=config.close_timeout,
        )  # fmt: skip
        self._sockets.add(connection)
        self.metrics.websockets += 1
        self.metrics.websockets_total += 1
        log.event("connect", ip=address, session=ident, origin=request.headers.get("origin"))
        try:
            await connection.run()
        finally:
            self._sockets.discard(connection)
            self.metrics.websockets -= 1
            self.metrics.closed(connection.code or 1006)
            log.event(
                "disconnect", ip=address, session=ident, code=connection.code, chunks=session.counters.chunks,
                bytes=session.counters.bytes, seconds=round(time.monotonic() - begin, 3),
                reason=session.close.reason if session.close else "",
            )  # fmt: skip
