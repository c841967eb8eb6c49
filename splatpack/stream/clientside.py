"""The client's end of ``splatpack.v1``, without sockets: messages in, events out, bytes to send, the clock injected."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from splatpack.errors import CorruptError, PeerError
from splatpack.limits import Limits
from splatpack.stream import wire
from splatpack.stream.mirror import Mirror
from splatpack.stream.pace import Window
from splatpack.stream.schema import MALFORMED
from splatpack.stream.wire import ABORTED, FIRST, FRAGMENT_HEADER, LAST, PAGE, PREFIX

RETRIES = 3
"""How often a chunk that arrives damaged is asked for again."""
PING_EVERY, PING_FIRST = 2.0, 0.2
"""Seconds between pings, and before the second one: the window follows the round trip."""
ITEM_MAX = 64 << 20
"""Bytes of one item that a client takes."""


@dataclass(frozen=True, slots=True)
class Welcomed:
    """The server speaks the protocol."""

    welcome: wire.Welcome


@dataclass(frozen=True, slots=True)
class Opened:
    """A scene's prefix is here and checked; chunks follow."""

    sid: int
    mirror: Mirror
    resumed: bool


@dataclass(frozen=True, slots=True)
class Received:
    """A page or a chunk arrived and matches its hash."""

    sid: int
    item: int
    data: bytes
    seq: int


@dataclass(frozen=True, slots=True)
class Finished:
    """Nothing is left for the view ``seq``, or for what was wanted (None)."""

    sid: int
    seq: int | None


@dataclass(frozen=True, slots=True)
class Failed:
    """An item, a stream (``item`` None) or the connection (``sid`` None) cannot be had."""

    sid: int | None
    item: int | None
    code: str
    message: str


Event: TypeAlias = Welcomed | Opened | Received | Finished | Failed


@dataclass
class _Stream:
    scene: str
    mirror: Mirror | None
    manifest: wire.Manifest | None = None


class ClientSession:
    """One connection, seen from the client.

    Parameters
    ----------
    clock : callable
        Seconds, monotonic.
    name : str
        What HELLO says.
    max_fragment : int
        Bytes of a fragment, at most.
    limits : Limits or None
        The budget for each scene's directory.
    """

    def __init__(
        self, clock: Callable[[], float], *, name: str = "splatpack", max_fragment: int = wire.FRAGMENT_MAX,
        limits: Limits | None = None,
    ) -> None:  # fmt: skip
        self.window = Window()
        self.welcome: wire.Welcome | None = None
        self.duplicates = self.damaged = 0
        self._clock, self._limits = clock, limits
        self._streams: dict[int, _Stream] = {}
        self._retries: dict[tuple[int, int], int] = {}
        self._buffer = bytearray()
        self._under_way: wire.Fragment | None = None
        self._ping, self._pings = clock(), 0
        hello = wire.Hello((wire.VERSION,), self.window.granted, name, max_fragment)
        self._out: deque[bytes] = deque([wire.encode(hello)])

    def open(self, scene: str, sid: int, mirror: Mirror | None = None) -> None:
        """Open a stream; with a mirror, go on where another connection ended."""
        self._streams[sid] = _Stream(scene, mirror)
        known = (mirror.id, mirror.have_set()) if mirror is not None else (None, None)
        self.send(wire.Open(sid, scene, *known))

    def close(self, sid: int) -> None:
        """End a stream. Its number is not used again."""
        del self._streams[sid]
        self.send(wire.CloseStream(sid))

    def send(self, message: wire.Control) -> None:
        """Queue a message, such as a View or a Want."""
        self._out.append(wire.encode(message))

    def data_to_send(self) -> list[bytes]:
        """Return the queued messages; a ping and measured figures are among them when they are due."""
        now = self._clock()
        if self.welcome is not None and now >= self._ping:
            self.send(wire.Ping(now))
            self._pings += 1
            self._ping = now + (PING_FIRST if self._pings < 3 else PING_EVERY)
            if self.window.goodput > 0:
                self.send(wire.Stats(self.window.rtt, self.window.goodput))
        out = list(self._out)
        self._out.clear()
        return out

    def receive(self, data: bytes | str) -> list[Event]:
        """Take one message. Safe on untrusted input.

        Raises
        ------
        PeerError
            The server breaks the protocol: close the connection with the error's code.
        CorruptError, UnsupportedError, LimitError
            The scene's prefix or directory cannot be read.
        """
        if isinstance(data, str):
            raise PeerError("a text message, expected binary ones.", 1003)
        message = wire.decode(data)
        if message is None:
            return []
        if isinstance(message, wire.Error):
            return self._error(message)
        if isinstance(message, wire.Welcome) != (self.welcome is None):
            raise PeerError(f"{type(message).__name__}: expected WELCOME first and once.", MALFORMED)
        match message:
            case wire.Welcome():
                self.welcome = message
                return [Welcomed(message)]
            case wire.Manifest():
                return self._manifest(message)
            case wire.Fragment():
                return self._fragment(message)
            case wire.Idle():
                return [Finished(message.sid, message.seq)] if message.sid in self._streams else []
            case wire.Ping():
                self.send(wire.Pong(message.t))
            case wire.Pong():
                self.window.measured(max(0.0, self._clock() - message.t))
            case wire.Stats():
                pass
            case _:
                raise PeerError(f"{type(message).__name__} from a server.", MALFORMED)
        return []

    def _error(self, message: wire.Error) -> list[Event]:
        sid, item = message.sid, message.item
        if message.fatal:
            return [Failed(None, None, message.code, message.message)]
        if sid is None or sid not in self._streams:
            return []
        if item is not None and item < PAGE:
            return self._again(sid, item, message.code, message.message)
        del self._streams[sid]
        return [Failed(sid, None, message.code, message.message)]

    def _again(self, sid: int, item: int, code: str, why: str) -> list[Event]:
        """Ask for a chunk again, or give it up."""
        self.damaged += 1
        tries = self._retries[sid, item] = self._retries.get((sid, item), 0) + 1
        if tries > RETRIES:
            return [Failed(sid, item, code, why)]
        self.send(wire.Want(sid, (item,)))
        return []

    def _manifest(self, message: wire.Manifest) -> list[Event]:
        stream = self._streams.get(message.sid)
        if stream is None or stream.manifest is not None:
            raise PeerError(f"MANIFEST for stream {message.sid}, which waits for none.", MALFORMED)
        stream.manifest = message
        if stream.mirror is not None and stream.mirror.id == message.id:
            return [Opened(message.sid, stream.mirror, True)]
        stream.mirror = None
        return []

    def _fragment(self, f: wire.Fragment) -> list[Event]:
        granted = self.window.granted
        size = 0 if f.flags & ABORTED else FRAGMENT_HEADER + len(f.data)
        grant = self.window.arrived(size, self._clock())
        if grant is not None:
            self.send(wire.Credit(grant))
        if self.window.received > granted:
            raise PeerError(f"{self.window.received:,} CHUNK bytes, {granted:,} were granted.", 4413)
        stream = self._streams.get(f.sid)
        if stream is None:
            return []  # it was closed here; what was under way may still come
        self._collect(f, stream)
        if not f.flags & LAST:
            return []
        data, self._under_way = bytes(self._buffer), None
        self._buffer = bytearray()
        return self._item(f, stream, data)

    def _collect(self, f: wire.Fragment, stream: _Stream) -> None:
        """Hold a fragment to the rule that the fragments of an item come in order and without others between."""
        if f.flags & FIRST:
            if self._under_way is not None and self._under_way.sid in self._streams:
                raise PeerError(f"CHUNK: item {f.item} begins inside item {self._under_way.item}.", MALFORMED)
            self._buffer = bytearray()
            want = self._length(f, stream)
            if f.total != want or want > ITEM_MAX:
                raise PeerError(f"CHUNK: item {f.item} of {f.total:,} bytes, expected {want:,}.", MALFORMED)
        else:
            last = self._under_way
            if last is None or (last.sid, last.item, last.total) != (f.sid, f.item, f.total):
                raise PeerError(f"CHUNK: a fragment of item {f.item} that did not begin.", MALFORMED)
        if f.offset != len(self._buffer):
            raise PeerError(f"CHUNK: item {f.item} at {f.offset:,}, expected {len(self._buffer):,}.", MALFORMED)
        self._under_way = None if f.flags & ABORTED else f
        self._buffer += f.data

    def _length(self, f: wire.Fragment, stream: _Stream) -> int:
        if stream.manifest is None:
            raise PeerError("CHUNK before MANIFEST.", MALFORMED)
        if f.item == PREFIX:
            return stream.manifest.prefix
        if stream.mirror is None:
            raise PeerError("CHUNK before the prefix.", MALFORMED)
        try:
            return stream.mirror.length(f.item)
        except CorruptError as error:
            raise PeerError(str(error), MALFORMED) from error

    def _item(self, f: wire.Fragment, stream: _Stream, data: bytes) -> list[Event]:
        if f.item == PREFIX:
            return [self._prefix(f.sid, stream, data)]
        mirror = stream.mirror
        if mirror is None:
            raise PeerError("CHUNK before the prefix.", MALFORMED)
        again = f.item < PAGE and bool(mirror.have[f.item])
        try:
            mirror.accept(f.item, data)
        except CorruptError as error:
            if f.item >= PAGE:
                raise
            return self._again(f.sid, f.item, error.code, str(error))
        self._retries.pop((f.sid, f.item), None)
        if again:
            self.duplicates += 1
            return []
        return [Received(f.sid, f.item, data, f.seq)]

    def _prefix(self, sid: int, stream: _Stream, data: bytes) -> Opened:
        manifest = stream.manifest
        mirror = Mirror(data, stream.scene, self._limits)
        if manifest is None or (
            mirror.id, mirror.reader.header.root_hash, mirror.reader.header.file_len, len(mirror), len(mirror.pages)
        ) != (manifest.id, manifest.root, manifest.length, manifest.chunks, manifest.pages):  # fmt: skip
            raise PeerError(f"scene {stream.scene}: its prefix is not what MANIFEST says.", MALFORMED)
        stream.mirror = mirror
        return Opened(sid, mirror, False)
