"""The server's end of ``splatpack.v1``, without sockets: messages in, events and messages out, the clock injected.

A driver passes what arrives to :meth:`ServerSession.receive` and does what :meth:`ServerSession.poll` says, in a loop:
send bytes, load an item, wait, or close. ``spec/protocol.md`` has the rules; the state table is its section 5.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from splatpack.errors import PeerError
from splatpack.stream import priority, wire
from splatpack.stream.actions import Close, Counters, Load, Send, SessionLimits, Wait
from splatpack.stream.index import SceneIndex, unpack_have
from splatpack.stream.pace import Bucket
from splatpack.stream.scheduler import Scheduler
from splatpack.stream.schema import MALFORMED
from splatpack.stream.wire import ABORTED, FIRST, FRAGMENT_HEADER, FRAGMENT_MIN, LAST, PAGE

TEXT, AUTH, TIMEOUT, VERSION, LIMIT, RATE = 1003, 4401, 4408, 4409, 4413, 4429
"""Close codes beside 4400; all are in section 9."""
REPLIES_MAX = 256
COUNTED = 4096
"""Bytes of a message that count as one more: what it costs to read grows with them."""
FREE_CREDIT = 16 << 10
"""A CREDIT that raises the limit by so many bytes does not count as a message."""


@dataclass
class _Stream:
    scheduler: Scheduler
    pending: wire.View | None = None
    used: float = -1e9


@dataclass
class _Transfer:
    """The item that is being sent."""

    sid: int
    item: int
    data: bytes
    seq: int
    offset: int = 0


class ServerSession:
    """One connection, seen from the server.

    Parameters
    ----------
    lookup : callable
        Scene by name, or None: nothing that comes from the wire touches a path.
    clock : callable
        Seconds, monotonic.
    limits : SessionLimits
    name, session : str
        What WELCOME says.
    """

    def __init__(
        self, lookup: Callable[[str], SceneIndex | None], clock: Callable[[], float],
        limits: SessionLimits | None = None, *, name: str = "splatpack", session: str = "",
    ) -> None:  # fmt: skip
        self.limits = limits or SessionLimits()
        self.counters = Counters()
        self.hello: wire.Hello | None = None
        self.close: Close | None = None
        self.stats = wire.Stats()
        self._lookup, self._clock, self._name, self._session = lookup, clock, name, session
        now = clock()
        self._began = self._heard = now
        self._messages = Bucket(self.limits.messages, 2 * self.limits.messages, now)
        self._views = Bucket(self.limits.views, self.limits.views, now)
        rate = self.limits.bytes_per_second
        self._rate = None if rate is None else Bucket(rate, rate / 4, now)
        self._streams: dict[int, _Stream] = {}
        self._out: deque[bytes] = deque()
        self._limit = self._used = 0
        self._last = -1
        self._loading: Load | None = None
        self._transfer: _Transfer | None = None

    @property
    def streams(self) -> dict[int, str]:
        """Open streams and their scenes."""
        return {sid: s.scheduler.index.name for sid, s in self._streams.items()}

    def receive(self, data: bytes | str) -> wire.Control | None:
        """Take one message. Return it, or None when it was ignored or ended the connection. Never raises."""
        if self.close is not None:
            return None
        now = self._heard = self._clock()
        self.counters.received += 1
        if isinstance(data, str):
            self._end(TEXT, "malformed", "a text message, expected binary ones.")
            return None
        try:
            message = wire.decode(data)
            self._admit(message, len(data), now)
            if message is None:
                return None
            if isinstance(message, wire.Fragment):
                raise PeerError("CHUNK from a client.", MALFORMED)
            self._act(message, now)
        except PeerError as error:
            self._end(error.close_code or MALFORMED, _CODES.get(error.close_code or 0, "malformed"), str(error))
            return None
        return message

    def loaded(self, data: bytes) -> None:
        """Take the bytes of the item that :class:`Load` asked for."""
        load, self._loading = self._loading, None
        if load is None or self.close is not None:
            return
        stream = self._streams.get(load.sid)
        if stream is not None and stream.scheduler.index is load.scene and len(data) == load.length:
            view = stream.scheduler.view
            self._transfer = _Transfer(load.sid, load.item, data, 0 if view is None else view.seq)

    def failed(self, code: str, message: str) -> None:
        """Say that the item cannot be had. A chunk may be asked for again.

        A stream that lacks its prefix or a page ends.
        """
        load, self._loading = self._loading, None
        if load is None or load.sid not in self._streams:
            return
        self.counters.errors += 1
        self._send(wire.Error(code, _cut(message), sid=load.sid, item=load.item))
        if load.item >= PAGE:
            del self._streams[load.sid]
        else:
            self._streams[load.sid].scheduler.mark(load.item)

    def shut(self, code: int, reason: str) -> None:
        """End the connection from the server's side: 1012 for a restart, 1013 for overload."""
        if self.close is None:
            self.close = Close(code, reason)
            self._out.clear()

    def refuse(self) -> None:
        """End the connection because its token is missing or wrong."""
        self._end(AUTH, "auth", "a token is needed, and this one is missing or wrong.")

    def poll(self) -> Send | Load | Wait | Close:
        """Return what to do next."""
        now = self._clock()
        self._tick(now)
        if self._out:
            return Send(self._out.popleft())
        if self.close is not None:
            return self.close
        if self.hello is None or self._loading is not None:
            return Wait(self._deadline(now))
        self._look(now)
        if self._transfer is None:
            load = self._choose()
            if load is not None:
                self._loading = load
                return load
            return Send(self._out.popleft()) if self._out else Wait(self._deadline(now))
        return self._fragment(self._transfer, now) or Wait(self._deadline(now))

    def _tick(self, now: float) -> None:
        if self.close is not None:
            return
        if self.hello is None and now - self._began >= self.limits.hello:
            self._end(TIMEOUT, "timeout", f"no HELLO within {self.limits.hello:g} s.")
        elif now - self._heard >= self.limits.idle:
            self._end(TIMEOUT, "timeout", f"no message for {self.limits.idle:g} s.")
        elif len(self._out) > REPLIES_MAX:
            self._out.clear()
            self._end(LIMIT, "limit", f"more than {REPLIES_MAX} answers wait to be read.")

    def _deadline(self, now: float) -> float:
        due = [self._heard + self.limits.idle]
        if self.hello is None:
            due.append(self._began + self.limits.hello)
        due += [s.used + 1 / self.limits.views_used for s in self._streams.values() if s.pending is not None]
        if self._transfer is not None and self._rate is not None:
            ready = self._rate.ready(now)
            due += [ready] if ready > now else []
        return min(due)

    def _admit(self, message: wire.Message | None, size: int, now: float) -> None:
        """Hold a message to the rates, and to the order of the handshake."""
        if isinstance(message, wire.Credit) and message.limit - self._limit >= FREE_CREDIT:
            pass
        elif not self._messages.take(1 + size // COUNTED, now):
            raise PeerError(f"more than {self.limits.messages:g} messages per second.", RATE)
        if message is not None and isinstance(message, wire.Hello) != (self.hello is None):
            raise PeerError(f"{type(message).__name__}: expected HELLO first and once.", MALFORMED)

    def _act(self, message: wire.Control, now: float) -> None:
        match message:
            case wire.Hello():
                self._greet(message)
            case wire.Open():
                self._open(message)
            case wire.Credit():
                self._limit = max(self._limit, message.limit)
            case wire.View():
                self.counters.views += 1
                if not self._views.take(1, now):
                    raise PeerError(f"more than {self.limits.views:g} VIEW messages per second.", RATE)
                if message.sid in self._streams:
                    self._streams[message.sid].pending = message
            case wire.Want() | wire.Cancel() | wire.Evict():
                self._steer(message)
            case wire.Seek() | wire.Rate():
                self._send(wire.Error("unsupported", "this scene does not move.", sid=message.sid))
            case wire.CloseStream():
                self._abort(message.sid, None)
                self._streams.pop(message.sid, None)
            case wire.Ping():
                self._send(wire.Pong(message.t))
            case wire.Stats():
                self.stats = message
            case wire.Pong() | wire.Error():
                pass
            case _:
                raise PeerError(f"{type(message).__name__} from a client.", MALFORMED)

    def _greet(self, message: wire.Hello) -> None:
        if wire.VERSION not in message.versions:
            raise PeerError(f"versions {list(message.versions)}, expected {wire.VERSION} among them.", VERSION)
        self.hello, self._limit = message, message.credit
        limits = self.limits
        self._send(wire.Welcome(wire.VERSION, self._name, self._session, limits.idle, limits.views, limits.streams))

    def _open(self, message: wire.Open) -> None:
        if message.sid <= self._last:
            raise PeerError(f"OPEN: stream {message.sid} after {self._last}, expected a greater number.", MALFORMED)
        self._last = message.sid
        if len(self._streams) >= self.limits.streams:
            raise PeerError(f"OPEN: more than {self.limits.streams} streams.", LIMIT)
        index = self._lookup(message.scene)
        if index is None:
            self._send(wire.Error("scene", "there is no scene of that name.", sid=message.sid))
            return
        known = message.id == index.id
        chunks, pages = np.zeros(len(index.chunks), np.bool_), np.zeros(len(index.pages), np.bool_)
        if known and message.have is not None:
            chunks, pages = unpack_have(message.have, len(chunks), len(pages))
        self._streams[message.sid] = _Stream(Scheduler(index, chunks, pages, prefix=known))
        self._send(
            wire.Manifest(
                message.sid, index.id, index.root, index.length, index.prefix, len(index.chunks), len(index.pages),
                int(chunks.sum()),
            )
        )  # fmt: skip

    def _steer(self, message: wire.Want | wire.Cancel | wire.Evict) -> None:
        stream = self._streams.get(message.sid)
        if stream is None:
            return
        if isinstance(message, wire.Want):
            stream.scheduler.want(message.ids)
            if stream.scheduler.waiting > self.limits.wanted:
                raise PeerError(f"WANT: more than {self.limits.wanted} items wait.", LIMIT)
        elif isinstance(message, wire.Cancel):
            stream.scheduler.cancel(message.ids)
            self._abort(message.sid, message.ids)
            stream.pending = stream.pending if message.ids is not None else None
        else:
            stream.scheduler.evict(message.ids)

    def _abort(self, sid: int, ids: tuple[int, ...] | None) -> None:
        """Stop the transfer under way, if it is one of these. A prefix or a page always goes through."""
        t = self._transfer
        if t is None or t.sid != sid or (ids is not None and t.item not in ids):
            return
        self._transfer = None
        if t.offset:
            self._out.append(wire.encode(wire.Fragment(ABORTED, sid, t.item, len(t.data), t.offset, t.seq, b"")))

    def _look(self, now: float) -> None:
        """Act on views that waited for their turn: the newest of each stream."""
        for stream in self._streams.values():
            if stream.pending is not None and now - stream.used >= 1 / self.limits.views_used:
                view, stream.pending, stream.used = stream.pending, None, now
                table = stream.scheduler.index.table
                size = float(table.size.mean())
                rtt, goodput = self.stats.rtt or 0.0, self.stats.goodput or 0.0
                ahead = priority.lead(rtt, goodput, size) if goodput else 0.0
                stream.scheduler.look(view, ahead)

    def _choose(self) -> Load | None:
        """Pick the next item of the next stream that has one; say of each stream once that it is idle."""
        for sid, stream in list(self._streams.items()):
            item = stream.scheduler.next()
            if item is not None:
                self._streams[sid] = self._streams.pop(sid)  # its turn comes again after the others
                index = stream.scheduler.index
                return Load(index, sid, item, *index.range_of(item))
            if stream.pending is None and stream.scheduler.finished():
                view = stream.scheduler.view
                self._send(wire.Idle(sid, None if view is None else view.seq))
        return None

    def _fragment(self, t: _Transfer, now: float) -> Send | None:
        if self._rate is not None and self._rate.ready(now) > now:
            return None
        left = len(t.data) - t.offset
        most = FRAGMENT_MIN if self.hello is None else self.hello.max_fragment
        size = min(most, left, self._limit - self._used - FRAGMENT_HEADER)
        if size < min(left, FRAGMENT_MIN):
            return None
        flags = (FIRST if t.offset == 0 else 0) | (LAST if size == left else 0)
        part = memoryview(t.data)[t.offset : t.offset + size]
        data = wire.encode(wire.Fragment(flags, t.sid, t.item, len(t.data), t.offset, t.seq, part))
        self._used += len(data)
        self.counters.bytes += len(data)
        if self._rate is not None:
            self._rate.spend(len(data), now)
        t.offset += size
        if size == left:
            self._transfer = None
            self.counters.chunks += 1
            stream = self._streams.get(t.sid)
            if stream is not None:
                stream.scheduler.mark(t.item)
        return Send(data)

    def _send(self, message: wire.Control) -> None:
        self._out.append(wire.encode(message))

    def _end(self, close: int, code: str, message: str) -> None:
        """Send a fatal ERROR and close."""
        self._send(wire.Error(code, _cut(message), fatal=True))
        self.close = Close(close, _cut(message, 100))
        self._transfer = self._loading = None


_CODES = {MALFORMED: "malformed", VERSION: "version", LIMIT: "limit", RATE: "rate"}


def _cut(message: str, most: int = 1000) -> str:
    """Return text that ERROR may carry, and that a close frame can hold."""
    clean = "".join(c if c.isascii() and c.isprintable() else "?" for c in message)
    return clean[:most]
