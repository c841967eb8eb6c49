"""Sockets: binding, TLS, buffers that stay small, and closing so that the last words are read."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl

from splatpack.errors import StorageError, UsageError
from splatpack.server.config import ServerConfig
from splatpack.server.request import HEAD_MAX

BUFFER = 64 << 10
"""Bytes that lie between the scheduler and the wire, at most, in the transport and again in the kernel."""
_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25)


async def linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Half-close, then discard what still comes until the client closes or the time is over."""
    with contextlib.suppress(TimeoutError, ConnectionError, OSError):
        async with asyncio.timeout(seconds):
            await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
            while await reader.read(HEAD_MAX):
                pass


def listen(config: ServerConfig, *, shared: bool = False) -> socket.socket:
    """Return a bound socket; ``shared`` lets other processes bind the same port.

    Raises
    ------
    StorageError
    """
    try:
        family, kind, proto, _, place = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, proto)
    except OSError as error:
        raise StorageError(f"{config.host}: no address of this machine: {error.strerror or error}.") from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(place)
    except OSError as error:
        sock.close()
        where = f"{config.host}:{config.port}"
        raise StorageError(
            f"{where}: {error.strerror or error}. Choose another --port, or 0 for a free one."
        ) from error
    sock.setblocking(False)
    return sock


def tls_context(config: ServerConfig) -> ssl.SSLContext | None:
    """Return the TLS settings, or None.

    Raises
    ------
    UsageError
        Certificate and key do not fit.
    """
    if not config.tls_cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(config.tls_cert, config.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"{config.tls_cert}, {config.tls_key}: no certificate and key: {error}.") from error
    return context


def tune(writer: asyncio.StreamWriter) -> None:
    """Keep what lies between the scheduler and the wire small, or a new view waits behind megabytes of the old one."""
    writer.transport.set_write_buffer_limits(BUFFER, BUFFER // 4)
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, BUFFER)


def host_of(address: tuple[str, int]) -> str:
    """Return an address as URLs write it."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
