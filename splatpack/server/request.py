"""HTTP/1.1 heads: strict parsing of requests without bodies, and the heads of responses."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus

HEAD_MAX = 16 << 10
"""Bytes of a request's head, at most."""
HEADERS_MAX = 100

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(r"[\x21-\x7e]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))")


class BadRequestError(Exception):
    """A request that is answered with an error status, after which the connection is closed."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class UnsatisfiableError(Exception):
    """A range of which nothing is there."""


@dataclass(frozen=True)
class Request:
    """A parsed head. Header names are lower case; repeated headers are joined with commas."""

    method: str
    path: str
    version: str
    headers: dict[str, str] = field(default_factory=dict)

    def tokens(self, name: str) -> set[str]:
        """Return the lower-case elements of a header that lists tokens."""
        return {part.strip().lower() for part in self.headers.get(name, "").split(",")}

    @property
    def keep_alive(self) -> bool:
        """Whether the connection may serve another request."""
        return self.version == "HTTP/1.1" and "close" not in self.tokens("connection")

    @property
    def upgrade(self) -> bool:
        """Whether the client wants a WebSocket."""
        return "websocket" in self.tokens("upgrade")


def parse(head: bytes) -> Request:
    """Read a head that ends in an empty line. Safe on untrusted input.

    Raises
    ------
    BadRequestError
        It is malformed, or announces a body.
    """
    lines = head.decode("latin-1").split("\r\n")
    first = lines[0].split(" ")
    if len(first) != 3 or not _TOKEN.fullmatch(first[0]) or not _TARGET.fullmatch(first[1]):
        raise BadRequestError(400, "malformed request line")
    if first[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise BadRequestError(505, "expected HTTP/1.1")
    headers: dict[str, str] = {}
    rows = lines[1:-2]
    if len(rows) > HEADERS_MAX:
        raise BadRequestError(431, f"more than {HEADERS_MAX} headers")
    for row in rows:
        name, colon, value = row.partition(":")
        if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise BadRequestError(400, "malformed header")
        key, value = name.lower(), value.strip(" \t")
        if key in ("host", "content-length", "authorization", "range", "if-range", "origin") and key in headers:
            raise BadRequestError(400, f"{key} twice")
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    if "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
        raise BadRequestError(413, "no request here has a body")
    if first[2] == "HTTP/1.1" and "host" not in headers:
        raise BadRequestError(400, "Host is missing")
    return Request(first[0], first[1], first[2], headers)


def parse_range(text: str, size: int) -> tuple[int, int] | None:
    """Return what a Range header asks for: (first, one past last), or None where it is to be ignored.

    Several ranges at once are ignored, which RFC 9110 (section 14.2) allows: the answer is the whole file.

    Raises
    ------
    UnsatisfiableError
        Nothing of it is there.
    """
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        n = min(int(suffix), size)
        if not n:
            raise UnsatisfiableError
        return size - n, size
    begin = int(first)
    if last and int(last) < begin:
        return None
    if begin >= size:
        raise UnsatisfiableError
    return begin, min(int(last) + 1, size) if last else size


def response_head(status: int, headers: dict[str, str], *, keep: bool) -> bytes:
    """Return the head of a response, dated."""
    rows = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Date: {formatdate(usegmt=True)}"]
    rows += [f"{name}: {value}" for name, value in headers.items()]
    rows.append("Connection: keep-alive" if keep else "Connection: close")
    return ("\r\n".join(rows) + "\r\n\r\n").encode("latin-1")
