"""One WebSocket: websockets' sans-I/O protocol on asyncio streams, driving a :class:`ServerSession`.

Nothing queues here beside one fragment: a message is made when the client has read the one before, down to the 64 KiB
that the transport and the kernel may hold (``set_write_buffer_limits``, ``TCP_NOTSENT_LOWAT``).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from splatpack.errors import SplatpackError
from splatpack.server.cache import ChunkCache
from splatpack.server.metrics import Metrics
from splatpack.server.registry import Registry
from splatpack.stream import wire
from splatpack.stream.actions import Close, Load, Send, Wait
from splatpack.stream.serverside import ServerSession

READ = 16 << 10


class Connection:
    """A client after the upgrade.

    Parameters
    ----------
    reader, writer : asyncio streams
    ws : ServerProtocol
        Open.
    session : ServerSession
    registry : Registry
    cache : ChunkCache
    metrics : Metrics
    send_timeout, close_timeout : float
        Seconds for the client to read what is buffered, and to answer a close frame.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ws: ServerProtocol, session: ServerSession,
        registry: Registry, cache: ChunkCache, metrics: Metrics, *, send_timeout: float, close_timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._reader, self._writer, self._ws, self.session = reader, writer, ws, session
        self._registry, self._cache, self._metrics = registry, cache, metrics
        self._send_timeout, self._close_timeout, self._clock = send_timeout, close_timeout, clock
        self._wake = asyncio.Event()
        self._parts: list[bytes] = []
        self._opcode: Opcode | None = None
        self._viewed: float | None = None
        self.code: int | None = None

    async def run(self) -> None:
        """Serve until one side ends it. Only cancellation comes out."""
        reading = asyncio.create_task(self._read())
        try:
            await self._write(reading)
        except (TimeoutError, OSError):
            self._metrics.slow_clients_total += 1
            self.code = self.code or 1006
            self._writer.transport.abort()
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await reading

    def shut(self, code: int, reason: str) -> None:
        """End the connection from outside."""
        self.session.shut(code, reason)
        self._wake.set()

    async def _read(self) -> None:
        """Feed what arrives to the WebSocket, and its messages to the session, until the client is gone."""
        ws = self._ws
        while True:
            self._take()
            if ws.state is not State.OPEN:
                break
            try:
                data = await self._reader.read(READ)
            except OSError:
                data = b""
            if data:
                ws.receive_data(data)
            else:
                ws.receive_eof()
        self._wake.set()

    def _take(self) -> None:
        for event in self._ws.events_received():
            if isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self._frame(event)
        self._flush()

    def _frame(self, frame: Frame) -> None:
        if frame.opcode is not Opcode.CONT:
            self._opcode = frame.opcode
        self._parts.append(bytes(frame.data))
        if not frame.fin:
            return
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts = []
        self._metrics.messages_total += 1
        message = self.session.receive("" if self._opcode is Opcode.TEXT else data)
        if isinstance(message, wire.View):
            self._metrics.views_total += 1
            self._viewed = self._clock()
        self._wake.set()

    def _flush(self) -> None:
        for data in self._ws.data_to_send():
            if data:
                self._writer.write(data)
            elif self._writer.can_write_eof():
                with contextlib.suppress(OSError):  # the client has reset the connection meanwhile
                    self._writer.write_eof()

    async def _write(self, reading: asyncio.Task[None]) -> None:
        """Do what the session says."""
        while self._ws.state is State.OPEN:
            self._wake.clear()
            act = self.session.poll()
            if isinstance(act, Send):
                await self._send(act.data)
            elif isinstance(act, Load):
                await self._load(act)
            elif isinstance(act, Wait):
                await self._wait(act.until)
            else:
                await self._close(act, reading)
        await self._finish(reading)

    async def _send(self, data: bytes) -> None:
        self._ws.send_binary(data)
        self._flush()
        if data[0] == wire.Fragment.kind:
            self._metrics.chunk_bytes_total += len(data)
            if self._viewed is not None:
                self._metrics.delayed(self._clock() - self._viewed)
                self._viewed = None
        async with asyncio.timeout(self._send_timeout):
            await self._writer.drain()

    async def _load(self, load: Load) -> None:
        data = self._cache.peek(load.digest)
        if data is None:
            scene = self._registry.get(load.scene.name)
            if scene is None:
                raise AssertionError("a session of a scene that the registry does not have")
            try:
                data = await self._cache.get(scene.reader.source, load.offset, load.length, load.digest)
            except SplatpackError as error:
                self._metrics.item_errors_total += 1
                self.session.failed(error.code, "the file on the server is damaged or cannot be read.")
                return
        else:
            await asyncio.sleep(0)  # the others' turn
        self._metrics.chunks_total += 1
        self.session.loaded(data)

    async def _wait(self, until: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if until is None else max(0.0, until - self._clock())):
                await self._wake.wait()

    async def _close(self, act: Close, reading: asyncio.Task[None]) -> None:
        self.code = act.code
        self._ws.send_close(act.code, act.reason)
        self._flush()
        await asyncio.wait([reading], timeout=self._close_timeout)

    async def _finish(self, reading: asyncio.Task[None]) -> None:
        """Send what the closing handshake still needs."""
        self._flush()
        if self.code is None:
            frame = self._ws.close_sent or self._ws.close_rcvd
            self.code = 1006 if frame is None else frame.code
        async with asyncio.timeout(self._close_timeout):
            await self._writer.drain()
