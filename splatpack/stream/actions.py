"""What a server session tells its driver to do, what it allows, and what it counts."""

from __future__ import annotations

from dataclasses import dataclass

from splatpack.stream.index import SceneIndex


@dataclass(frozen=True)
class SessionLimits:
    """What one connection may do.

    Attributes
    ----------
    hello, idle : float
        Seconds until HELLO must have come, and without any message at all.
    views, views_used : float
        VIEW messages per second that are accepted, and that are acted on.
    messages : float
        Control messages per second; twice as many at once.
    streams, wanted : int
        Open streams, and items that may wait in WANT.
    bytes_per_second : float or None
        CHUNK bytes to one client.
    """

    hello: float = 5.0
    idle: float = 120.0
    views: float = 60.0
    views_used: float = 20.0
    messages: float = 200.0
    streams: int = 16
    wanted: int = 65536
    bytes_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """Send one message."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Load:
    """Fetch an item's bytes, which hash to ``digest``, then call ``loaded`` or ``failed``."""

    scene: SceneIndex
    sid: int
    item: int
    offset: int
    length: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before ``until`` (None: before something is received)."""

    until: float | None


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection."""

    code: int
    reason: str


@dataclass
class Counters:
    """What a session did, for metrics and logs."""

    received: int = 0
    views: int = 0
    chunks: int = 0
    bytes: int = 0
    errors: int = 0
