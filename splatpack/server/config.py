"""What a server is told: defaults, then a TOML file, then the environment, then flags."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from splatpack.errors import StorageError, UsageError
from splatpack.stream.actions import SessionLimits

ENVIRONMENT = "SPLATPACK_SERVE_"
"""``SPLATPACK_SERVE_PORT`` and so on; lists are separated by commas."""


@dataclass(frozen=True)
class ServerConfig:
    """All settings of ``splatpack serve``; names are those of the TOML file, flags and environment follow them.

    Attributes
    ----------
    host, port : str, int
        Port 0 takes a free one.
    workers : int
        Processes that share the port (SO_REUSEPORT).
    origins : tuple of str
        Web origins that may connect beside the server's own; ``*`` allows all.
    tokens : tuple of str
        Clients must show one of these; empty: everybody is let in.
    tls_cert, tls_key : str
        PEM files; empty: no TLS.
    cache_bytes : int
        Chunks kept in memory by one worker.
    loads : int
        Items that are read from disk at a time.
    connections, connections_per_ip : int
        Sockets that one worker holds, in all and from one address.
    requests_per_connection : int
        HTTP requests before a connection is closed.
    head_timeout, keep_alive, send_timeout, close_timeout, grace : float
        Seconds for a request's head, between requests, for a client to read what is buffered, for the closing
        handshake, and for what is under way when the server stops.
    hello, idle, views, messages, streams, wanted, bytes_per_second
        As :class:`splatpack.stream.actions.SessionLimits`; ``bytes_per_second`` 0 is no limit.
    log : str
        ``json``, ``text`` or ``off``: lines on stderr.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    origins: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    tls_cert: str = ""
    tls_key: str = ""
    cache_bytes: int = 256 << 20
    loads: int = 16
    connections: int = 4096
    connections_per_ip: int = 1024
    requests_per_connection: int = 1000
    head_timeout: float = 5.0
    keep_alive: float = 15.0
    send_timeout: float = 20.0
    close_timeout: float = 3.0
    grace: float = 10.0
    hello: float = 5.0
    idle: float = 120.0
    views: float = 60.0
    messages: float = 200.0
    streams: int = 16
    wanted: int = 65536
    bytes_per_second: float = 0.0
    log: str = "text"

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, (int, float)) and (value < 0 or value != value):
                raise UsageError(f"{f.name} {value}, expected a number that is not negative.")
        if not 0 <= self.port <= 65535 or self.workers < 1:
            raise UsageError(f"port {self.port}, workers {self.workers}: expected 0 to 65535 and at least 1.")
        if bool(self.tls_cert) != bool(self.tls_key):
            raise UsageError("TLS needs both a certificate and a key.")
        if self.log not in ("json", "text", "off"):
            raise UsageError(f"log {self.log!r}, expected json, text or off.")
        if any(len(token) < 8 for token in self.tokens):
            raise UsageError("a token of less than 8 characters. Use a long random one.")

    @property
    def session(self) -> SessionLimits:
        """What one WebSocket connection may do."""
        return SessionLimits(
            hello=self.hello, idle=self.idle, views=self.views, messages=self.messages, streams=self.streams,
            wanted=self.wanted, bytes_per_second=self.bytes_per_second or None,
        )  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def load(
    file: str | None = None, environment: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
) -> ServerConfig:
    """Return the settings; what is named later wins: TOML file, environment, flags.

    Raises
    ------
    UsageError
        A name that does not exist, or a value of the wrong type.
    StorageError
        The file cannot be read.
    """
    kinds = {f.name: type(f.default) for f in fields(ServerConfig)}
    values: dict[str, Any] = {}
    if file is not None:
        values |= {k: _typed(k, v, kinds, file) for k, v in _toml(file).items()}
    for name, text in (os.environ if environment is None else environment).items():
        if name.startswith(ENVIRONMENT):
            key = name.removeprefix(ENVIRONMENT).lower()
            values[key] = _typed(key, _parse(key, text, kinds), kinds, name)
    values |= {k: v for k, v in (flags or {}).items() if v is not None and v != ()}
    return ServerConfig(**values)


def _toml(file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(file).read_text("utf-8"))
    except OSError as error:
        raise StorageError(f"{file}: {error.strerror or error}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: no TOML: {error}.") from error


def _parse(key: str, text: str, kinds: Mapping[str, type[Any]]) -> Any:
    kind = kinds.get(key, str)
    if kind is tuple:
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return kind(text)
    except ValueError:
        return text


def _typed(key: str, value: Any, kinds: Mapping[str, type[Any]], where: str) -> Any:
    kind = kinds.get(key)
    if kind is None:
        raise UsageError(f"{where}: there is no setting {key!r}. See 'splatpack serve --help'.")
    if kind is tuple and isinstance(value, list) and all(isinstance(v, str) for v in value):
        return tuple(value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise UsageError(f"{where}: {key} {value!r}, expected a {kind.__name__}.")
    return value
