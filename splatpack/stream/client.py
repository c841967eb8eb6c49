"""The Python client: a scene over a WebSocket as an asynchronous iterator of checked chunks."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from splatpack.container.directory import Chunk
from splatpack.errors import LimitError, PeerError, UsageError
from splatpack.limits import Limits
from splatpack.scene.cameras import Camera
from splatpack.stream import wire
from splatpack.stream.clientside import PING_FIRST, ClientSession, Event, Failed, Finished, Opened, Received
from splatpack.stream.mirror import Mirror
from splatpack.stream.wire import FRAGMENT_HEADER, FRAGMENT_MAX, PAGE, SUBPROTOCOL, Quat

BACKOFF_FIRST, BACKOFF_MAX = 0.25, 8.0
"""Seconds before the second attempt to connect, and between later ones at most."""
ATTEMPTS = 8
"""Connections in a row that bring nothing before a stream gives up."""
SILENCE = 10.0
"""Seconds without a message (pings are answered every two) after which a connection counts as lost."""
COME_BACK = frozenset({1000, 1001, 1005, 1006, 1011, 1012, 1013, 1014, 4408, 4429})
"""Close codes after which a client connects again."""


@dataclass(frozen=True, slots=True)
class StreamChunk:
    """A chunk that arrived and was checked.

    Attributes
    ----------
    index : int
        Its number in the file.
    entry : Chunk
        What the directory says: Gaussians, level, box, sections.
    data : bytes
    """

    index: int
    entry: Chunk
    data: bytes


def camera_view(camera: Camera, seq: int = 1, **more: Any) -> wire.View:
    """Return the VIEW of a camera; ``more`` are further fields of :class:`splatpack.stream.wire.View`."""
    fov = 2.0 * math.atan(camera.height / (2.0 * camera.fy))
    x, y, z = (float(v) for v in camera.position)
    size = (float(camera.width), float(camera.height))
    return wire.View(0, seq, (x, y, z), _quat(camera.viewmat[:3, :3].T), fov, size, **more)


def _quat(r: np.ndarray[Any, Any]) -> Quat:
    """Return the unit quaternion (w, x, y, z) of a rotation, by Shepperd's method."""
    trace = float(np.trace(r))
    squares = [trace, float(r[0, 0]), float(r[1, 1]), float(r[2, 2])]
    k = int(np.argmax(squares))
    q = np.empty(4)
    if k == 0:
        q[:] = 1.0 + trace, r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]
    else:
        i, j, m = k - 1, k % 3, (k + 1) % 3
        q[0] = r[m, j] - r[j, m]
        q[1 + i] = 1.0 + r[i, i] - r[j, j] - r[m, m]
        q[1 + j], q[1 + m] = r[j, i] + r[i, j], r[m, i] + r[i, m]
    q /= np.linalg.norm(q)
    return float(q[0]), float(q[1]), float(q[2]), float(q[3])


class SceneStream:
    """A scene that arrives. Iterate over it once; :meth:`look` may be called meanwhile.

    Parameters
    ----------
    url, camera, token, budget, follow, tls
        As ``splatpack.stream`` takes them.
    mirror : Mirror or None
        What an earlier stream got: it is not sent again.
    limits : Limits or None
        The budget of the scene's directory.
    clock, sleep, rng
        For tests.

    Attributes
    ----------
    mirror : Mirror or None
        The scene's prefix, directory and have-set, once the prefix has come.
    received : int
        Bytes of items that came, pages and prefix included.
    resumed : int
        How often the stream went on where another connection had ended.

    Raises
    ------
    UsageError
        The URL is none of a WebSocket server.
    PeerError
        While iterating: the server refuses, breaks the protocol, or cannot be reached any more.
    CorruptError, LimitError, UnsupportedError
        While iterating: the scene is damaged, too large for the budget, or of a future version.
    """

    def __init__(
        self, url: str, *, camera: Camera | None = None, token: str | None = None, budget: int | None = None,
        follow: bool = False, tls: ssl.SSLContext | None = None, mirror: Mirror | None = None,
        limits: Limits | None = None, clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep, rng: random.Random | None = None,
    ) -> None:  # fmt: skip
        parts = urlsplit(url)
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise UsageError(f"{url}: expected ws://HOST:PORT/SCENE or wss://...")
        self.url, self.scene = url, parts.path.strip("/")
        self.mirror, self.received, self.resumed = mirror, 0, 0
        self.finished = False
        self._camera, self._token, self._budget, self._follow, self._tls = camera, token, budget, follow, tls
        self._limits, self._clock, self._sleep, self._rng = limits, clock, sleep, rng or random.Random()
        self._seq = 0
        self._session: ClientSession | None = None
        self._kick = asyncio.Event()

    def look(self, camera: Camera) -> None:
        """Move the camera: what it needs comes next."""
        self._camera = camera
        if self._session is not None and self.mirror is not None:
            self._ask(self._session, self.mirror)

    def __aiter__(self) -> AsyncIterator[StreamChunk]:
        return self._chunks()

    async def _chunks(self) -> AsyncIterator[StreamChunk]:
        idle = 0
        while True:
            before = self.received
            try:
                async for chunk in self._once():
                    yield chunk
                break
            except (ConnectionClosed, InvalidHandshake, InvalidURI, OSError, TimeoutError) as error:
                if isinstance(error, PeerError):
                    raise
                idle = 0 if self.received > before else idle + 1
                _worth_another(error, self.url, idle)
                pause = min(BACKOFF_MAX, BACKOFF_FIRST * 2 ** max(0, idle - 1)) * self._rng.uniform(0.5, 1.0)
            await self._sleep(pause)
        if self.mirror is not None and not self.mirror.have.any():
            raise LimitError(
                f"{self.url}: no chunk fits into a budget of {self._budget or 0:,} bytes, of which the prefix takes "
                f"{len(self.mirror.prefix):,}. Ask for more."
            )

    async def _once(self) -> AsyncIterator[StreamChunk]:
        """Run one connection to its end."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else None
        options: dict[str, Any] = {} if self._tls is None else {"ssl": self._tls}
        async with connect(
            self.url, subprotocols=[Subprotocol(SUBPROTOCOL)], additional_headers=headers, compression=None,
            max_size=FRAGMENT_MAX + FRAGMENT_HEADER, ping_interval=None, close_timeout=2, max_queue=None,
            user_agent_header=wire.AGENT, **options,
        ) as ws:  # fmt: skip
            session = ClientSession(self._clock, name=wire.AGENT, limits=self._limits)
            session.open(self.scene, 0, self.mirror)
            self._session = session
            sender = asyncio.create_task(self._send(ws, session))
            try:
                async for chunk in self._receive(ws, session):
                    yield chunk
            except PeerError as error:
                await ws.close(error.close_code or 1000, str(error)[:100])
                raise
            finally:
                self._session = None
                sender.cancel()
                with contextlib.suppress(asyncio.CancelledError, ConnectionClosed):
                    await sender

    async def _send(self, ws: ClientConnection, session: ClientSession) -> None:
        """Send what the session has to say, when it is kicked and for its pings."""
        while True:
            self._kick.clear()
            await _flush(ws, session)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PING_FIRST):
                    await self._kick.wait()

    async def _receive(self, ws: ClientConnection, session: ClientSession) -> AsyncIterator[StreamChunk]:
        while not self.finished:
            async with asyncio.timeout(SILENCE):
                message = await ws.recv()
            for event in session.receive(message):
                chunk = self._take(session, event)
                if chunk is not None:
                    yield chunk
            await _flush(ws, session)

    def _take(self, session: ClientSession, event: Event) -> StreamChunk | None:
        """Act on an event; return the chunk that it brought, if it did."""
        if isinstance(event, Opened):
            self.resumed += event.resumed
            self.received += 0 if event.resumed else len(event.mirror.prefix)
            self.mirror = event.mirror
            self.finished = event.mirror.complete
            if not self.finished:
                self._ask(session, event.mirror)
        elif isinstance(event, Received):
            return self._arrived(event)
        elif isinstance(event, Finished):
            self._idle(event)
        elif isinstance(event, Failed):
            what = "" if event.item is None else f", item {event.item}"
            raise PeerError(f"{self.url}{what}: the server says [{event.code}] {event.message}", None)
        return None

    def _arrived(self, event: Received) -> StreamChunk | None:
        mirror = self.mirror
        if mirror is None:
            raise AssertionError("a chunk before its scene")
        if self._budget is not None and self.received + len(event.data) > self._budget:
            self.finished = True  # of what was under way when the limit was reached
            mirror.drop(event.item)
            return None
        self.received += len(event.data)
        self.finished = mirror.complete and not self._follow
        if event.item >= PAGE:
            return None
        return StreamChunk(event.item, mirror.entry(event.item), event.data)

    def _idle(self, event: Finished) -> None:
        current = self._camera is None or event.seq == self._seq
        self.finished = current and not self._follow

    def _ask(self, session: ClientSession, mirror: Mirror) -> None:
        """Say what should come: by camera, or everything."""
        if self._camera is None:
            session.send(wire.Want(0))
        else:
            self._seq += 1
            room = None if self._budget is None else max(0, self._budget - len(mirror.prefix))
            session.send(camera_view(self._camera, self._seq, budget_bytes=room))
        self._kick.set()


async def _flush(ws: ClientConnection, session: ClientSession) -> None:
    for message in session.data_to_send():
        await ws.send(message)


def _worth_another(error: Exception, url: str, idle: int) -> None:
    """Raise what a broken connection means, unless another attempt may help."""
    if isinstance(error, ConnectionClosed):
        code, reason = (error.rcvd.code, error.rcvd.reason) if error.rcvd else (1006, "")
        if code not in COME_BACK:
            raise PeerError(f"{url}: the server closed with {code}: {reason or 'no reason given'}", code) from error
    elif isinstance(error, InvalidStatus):
        status = error.response.status_code
        if status not in (429, 502, 503, 504):
            said = (error.response.body or b"").decode("latin-1", "replace").strip()[:200]
            raise PeerError(f"{url}: HTTP status {status}, expected a WebSocket. The server says: {said}") from error
    elif isinstance(error, (InvalidHandshake, InvalidURI)) and not isinstance(error.__cause__, EOFError):
        raise PeerError(f"{url}: no splatpack server: {error}.") from error
    elif isinstance(error, ssl.SSLCertVerificationError):
        raise PeerError(f"{url}: its certificate is not trusted: {error.verify_message}.") from error
    if idle >= ATTEMPTS:
        raise PeerError(f"{url}: cannot be reached ({type(error).__name__}: {error}) after {idle} attempts.") from error
