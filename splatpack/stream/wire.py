"""Messages of ``splatpack.v1``: bytes to typed values and back, all of it checked (``spec/protocol.md``, section 4)."""

from __future__ import annotations

import math
import struct
from dataclasses import MISSING, dataclass, field, fields
from importlib.metadata import version
from typing import Annotated, Any, ClassVar, TypeAlias, get_type_hints

import msgpack

from splatpack.errors import PeerError
from splatpack.stream import schema
from splatpack.stream.schema import MALFORMED

SUBPROTOCOL = "splatpack.v1"
VERSION = 1
AGENT = f"splatpack/{version('splatpack')}"
"""What we call ourselves to peers."""
CONTROL_MAX = 64 << 10
"""Bytes of a control message, at most."""
FRAGMENT_MAX = 64 << 10
FRAGMENT_MIN = 1 << 10
"""Bytes of a chunk's fragment: what a client may ask for lies between."""
PREFIX = 0xFFFF_FFFF
"""Item number of a scene's prefix: header, root page, metadata, tables."""
PAGE = 0x8000_0000
"""Item numbers from here on are leaf pages."""
FIRST, LAST, ABORTED = 1, 2, 4
EXTENSION = 128
"""Kinds from here on are ignored by a peer that does not know them."""

_FRAGMENT = struct.Struct("<BBHIIII")
FRAGMENT_HEADER = _FRAGMENT.size

U16, U32, U64 = schema.integer(0, 0xFFFF), schema.integer(0, 0xFFFF_FFFF), schema.integer(0, (1 << 63) - 1)

Vec3: TypeAlias = tuple[float, float, float]
Quat: TypeAlias = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message: what a client speaks and how much it takes."""

    kind: ClassVar[int] = 1
    versions: Annotated[tuple[int, ...], schema.versions]
    credit: Annotated[int, U64]
    client: Annotated[str, schema.text(128)] = ""
    max_fragment: Annotated[int, schema.integer(FRAGMENT_MIN, FRAGMENT_MAX)] = FRAGMENT_MAX


@dataclass(frozen=True, slots=True)
class Welcome:
    """The answer to :class:`Hello`: the version that is spoken and the limits that are held."""

    kind: ClassVar[int] = 2
    version: Annotated[int, schema.integer(1, 1 << 16)]
    server: Annotated[str, schema.text(128)] = ""
    session: Annotated[str, schema.text(64)] = ""
    idle: Annotated[float, schema.number(0.0, 1e9)] = 120.0
    views: Annotated[float, schema.number(0.0, 1e9)] = 60.0
    streams: Annotated[int, schema.integer(1, 1 << 16)] = 16


@dataclass(frozen=True, slots=True)
class Open:
    """Start a stream of one scene; with ``id`` and ``have``, go on where another connection ended."""

    kind: ClassVar[int] = 3
    sid: Annotated[int, U16]
    scene: Annotated[str, schema.text(200)]
    id: Annotated[bytes | None, schema.blob(16, 16)] = None
    have: Annotated[bytes | None, schema.blob(0, CONTROL_MAX)] = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the scene is; its prefix follows unless the client has it."""

    kind: ClassVar[int] = 4
    sid: Annotated[int, U16]
    id: Annotated[bytes, schema.blob(16, 16)]
    root: Annotated[bytes, schema.blob(16, 16)]
    length: Annotated[int, U64]
    prefix: Annotated[int, schema.integer(128, 4 << 20)]
    chunks: Annotated[int, schema.integer(1, PAGE - 1)]
    pages: Annotated[int, schema.integer(0, 1 << 16)]
    held: Annotated[int, U64] = 0


@dataclass(frozen=True, slots=True)
class View:
    """Where the camera is: what is sent next follows from it, newest wins."""

    kind: ClassVar[int] = 5
    sid: Annotated[int, U16]
    seq: Annotated[int, U32]
    pos: Annotated[Vec3, schema.vector(3)]
    quat: Annotated[Quat, schema.unit_quat]
    fov_y: Annotated[float, schema.number(1e-3, math.pi - 1e-3)]
    viewport: Annotated[tuple[float, float], schema.viewport]
    vel: Annotated[Vec3, schema.vector(3)] = (0.0, 0.0, 0.0)
    angvel: Annotated[Vec3, schema.vector(3)] = (0.0, 0.0, 0.0)
    tau: Annotated[float, schema.number(0.0, 1e6)] = 1.0
    budget_bytes: Annotated[int | None, U64] = None
    budget_gaussians: Annotated[int | None, U64] = None


@dataclass(frozen=True, slots=True)
class Credit:
    """CHUNK bytes that the server may have sent in all since the connection began."""

    kind: ClassVar[int] = 6
    limit: Annotated[int, U64]


@dataclass(frozen=True, slots=True)
class Want:
    """Items to send before anything else; without ``ids`` everything, in file order."""

    kind: ClassVar[int] = 7
    sid: Annotated[int, U16]
    ids: Annotated[tuple[int, ...] | None, schema.identifiers] = None


@dataclass(frozen=True, slots=True)
class Cancel:
    """Items that are no longer wanted; without ``ids`` all of them, the view included."""

    kind: ClassVar[int] = 8
    sid: Annotated[int, U16]
    ids: Annotated[tuple[int, ...] | None, schema.identifiers] = None


@dataclass(frozen=True, slots=True)
class Evict:
    """Chunks that the client dropped: they count as never sent."""

    kind: ClassVar[int] = 9
    sid: Annotated[int, U16]
    ids: Annotated[tuple[int, ...], schema.identifiers]


@dataclass(frozen=True, slots=True)
class Fragment:
    """Part of an item. Not msgpack: a header of 20 bytes, then the bytes."""

    kind: ClassVar[int] = 10
    flags: int
    sid: int
    item: int
    total: int
    offset: int
    seq: int
    data: bytes | memoryview = field(repr=False)


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing is left to send for this view, or (without ``seq``) for what was wanted."""

    kind: ClassVar[int] = 11
    sid: Annotated[int, U16]
    seq: Annotated[int | None, U32] = None


@dataclass(frozen=True, slots=True)
class Seek:
    """Reserved for scenes that move: go to a time."""

    kind: ClassVar[int] = 12
    sid: Annotated[int, U16]
    t: Annotated[float, schema.number(-1e12, 1e12)]


@dataclass(frozen=True, slots=True)
class Rate:
    """Reserved for scenes that move: how fast time runs."""

    kind: ClassVar[int] = 13
    sid: Annotated[int, U16]
    rate: Annotated[float, schema.number(-1e3, 1e3)]
    loop: Annotated[bool, schema.boolean] = False


@dataclass(frozen=True, slots=True)
class Stats:
    """What one end measured: round trip in seconds, goodput in bytes per second."""

    kind: ClassVar[int] = 14
    rtt: Annotated[float | None, schema.number(0.0, 1e6)] = None
    goodput: Annotated[float | None, schema.number(0.0, 1e15)] = None
    resident: Annotated[int | None, U64] = None


@dataclass(frozen=True, slots=True)
class Ping:
    """Answered by :class:`Pong` with the same ``t``."""

    kind: ClassVar[int] = 15
    t: Annotated[float, schema.number(-1e15, 1e15)]


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to :class:`Ping`."""

    kind: ClassVar[int] = 16
    t: Annotated[float, schema.number(-1e15, 1e15)]


@dataclass(frozen=True, slots=True)
class Error:
    """Something failed. After a fatal one the connection closes."""

    kind: ClassVar[int] = 17
    code: Annotated[str, schema.text(64)]
    message: Annotated[str, schema.text(1024)] = ""
    fatal: Annotated[bool, schema.boolean] = False
    sid: Annotated[int | None, U16] = None
    item: Annotated[int | None, U32] = None


@dataclass(frozen=True, slots=True)
class CloseStream:
    """End one stream; its number may be opened again."""

    kind: ClassVar[int] = 18
    sid: Annotated[int, U16]


Control: TypeAlias = (
    Hello | Welcome | Open | Manifest | View | Credit | Want | Cancel | Evict | Idle | Seek | Rate | Stats | Ping
    | Pong | Error | CloseStream
)  # fmt: skip
Message: TypeAlias = Control | Fragment

CONTROLS: dict[int, type[Any]] = {
    c.kind: c
    for c in (
        Hello, Welcome, Open, Manifest, View, Credit, Want, Cancel, Evict, Idle, Seek, Rate, Stats, Ping, Pong, Error,
        CloseStream,
    )
}  # fmt: skip


def _checks(cls: type[Any]) -> list[tuple[str, schema.Check, bool]]:
    """Return name, check and whether it is required of each field: the annotations are the schema."""
    hints = get_type_hints(cls, include_extras=True)
    return [(f.name, hints[f.name].__metadata__[0], f.default is MISSING) for f in fields(cls)]


_FIELDS = {kind: _checks(cls) for kind, cls in CONTROLS.items()}


def encode(message: Message) -> bytes:
    """Return the bytes of a message; a field that is None is left out."""
    if isinstance(message, Fragment):
        head = _FRAGMENT.pack(
            message.kind, message.flags, message.sid, message.item, message.total, message.offset, message.seq
        )
        return head + message.data
    body = {name: getattr(message, name) for name, _, _ in _FIELDS[message.kind]}
    packed = msgpack.packb({k: v for k, v in body.items() if v is not None}, use_bin_type=True)
    return bytes([message.kind]) + bytes(packed)


def decode(data: bytes) -> Message | None:
    """Check and read a message. Safe on untrusted input. None: an extension that may be ignored.

    Raises
    ------
    PeerError
        With close code 4400: a rule of section 4 is broken.
    """
    if not data:
        raise PeerError("an empty message, expected a kind in its first byte.", MALFORMED)
    kind = data[0]
    if kind == Fragment.kind:
        return _fragment(data)
    if kind >= EXTENSION:
        return None
    if kind not in CONTROLS:
        raise PeerError(f"message of kind {kind}, expected 1 to {max(CONTROLS)}.", MALFORMED)
    if len(data) > CONTROL_MAX:
        raise PeerError(f"a control message of {len(data):,} bytes, expected at most {CONTROL_MAX:,}.", MALFORMED)
    body = schema.unpack(data[1:])
    values = {}
    for name, check, needed in _FIELDS[kind]:
        if name in body:
            values[name] = check(body[name], f"{CONTROLS[kind].__name__}.{name}")
        elif needed:
            raise PeerError(f"{CONTROLS[kind].__name__}: {name} is missing.", MALFORMED)
    made: Control = CONTROLS[kind](**values)
    return made


def _fragment(data: bytes) -> Fragment:
    if len(data) < FRAGMENT_HEADER:
        raise PeerError(f"a fragment of {len(data)} bytes, expected at least {FRAGMENT_HEADER}.", MALFORMED)
    _, flags, sid, item, total, offset, seq = _FRAGMENT.unpack_from(data)
    body = memoryview(data)[FRAGMENT_HEADER:]
    if flags & ~(FIRST | LAST | ABORTED) or len(body) > FRAGMENT_MAX or offset + len(body) > total:
        raise PeerError(f"fragment: flags {flags}, {len(body)} bytes at {offset} of {total}.", MALFORMED)
    ends = offset + len(body) == total
    if flags & ABORTED:
        if len(body) or flags & (FIRST | LAST):
            raise PeerError("fragment: aborted, yet first, last or carrying bytes.", MALFORMED)
    elif not len(body) or bool(flags & FIRST) != (offset == 0) or bool(flags & LAST) != ends:
        raise PeerError(f"fragment: flags {flags} at {offset} with {len(body)} of {total} bytes.", MALFORMED)
    return Fragment(flags, sid, item, total, offset, seq, body)
