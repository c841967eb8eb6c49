"""A file on an HTTP server as a :class:`ByteSource`: ranges, retries, and the check that it is still the same file."""

from __future__ import annotations

import http.client
import queue
import random
import re
import ssl
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import SplitResult, urljoin, urlsplit

from splatpack.container.source import ByteSource
from splatpack.errors import LimitError, StorageError, UsageError
from splatpack.stream.wire import AGENT

FIRST = 64 << 10
"""Bytes of the first request: header, directory and what follows, in one round trip."""
RETRIES = 5
REDIRECTS = 5
PAUSE, PAUSE_MAX = 0.25, 8.0
DOWNLOAD_MAX = 8 << 30
"""Bytes that are downloaded whole from a server that has no ranges, at most."""

_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


class _TryAgainError(Exception):
    """A failure that another attempt may mend."""

    def __init__(self, why: str, after: float = 0.0) -> None:
        super().__init__(why)
        self.after = after


@dataclass(frozen=True)
class Reply:
    """What a server answered; ``body`` is what was read of it."""

    status: int
    headers: dict[str, str]
    body: bytes


class HttpClient:
    """GET with retries, redirects and kept connections, from several threads at once.

    Parameters
    ----------
    token : str or None
        A bearer token; it goes to the first host only, never to one that a redirect names.
    timeout : float
        Seconds for each wait.
    sleep, rng
        For tests.
    """

    def __init__(
        self, token: str | None = None, *, timeout: float = 20.0, tls: ssl.SSLContext | None = None,
        sleep: Callable[[float], None] = time.sleep, rng: random.Random | None = None,
    ) -> None:  # fmt: skip
        self._token, self._timeout, self._tls = token, timeout, tls
        self._sleep, self._rng = sleep, rng or random.Random()
        self._idle: dict[tuple[str, str], queue.LifoQueue[http.client.HTTPConnection]] = {}
        self._lock = threading.Lock()
        self._home = ""
        self.requests = 0

    def get(self, url: str, headers: dict[str, str], take: Callable[[http.client.HTTPResponse], bytes]) -> Reply:
        """Make a request until it succeeds; ``take`` reads the body and raises OSError when it is short.

        Raises
        ------
        StorageError
            The server refuses, cannot be reached, or redirects in a circle.
        """
        why = ""
        for attempt in range(RETRIES + 1):
            try:
                return self._follow(url, headers, take)
            except _TryAgainError as error:
                why, after = str(error), error.after
            except (OSError, http.client.HTTPException) as error:
                if isinstance(error, (StorageError, ssl.SSLCertVerificationError)):
                    raise StorageError(f"{url}: {error}") from error
                why, after = f"{type(error).__name__}: {error}", 0.0
            if attempt < RETRIES:
                self._sleep(max(after, min(PAUSE_MAX, PAUSE * 2**attempt) * self._rng.uniform(0.5, 1.0)))
        raise StorageError(f"{url}: failed {RETRIES + 1} times, at last with {why}. Try again later.")

    def _follow(self, url: str, headers: dict[str, str], take: Callable[[http.client.HTTPResponse], bytes]) -> Reply:
        for _ in range(REDIRECTS + 1):
            reply = self._once(url, headers, take)
            place = reply.headers.get("location")
            if reply.status not in (301, 302, 303, 307, 308) or place is None:
                return reply
            before, url = url, urljoin(url, place)
            if urlsplit(before).scheme == "https" and urlsplit(url).scheme != "https":
                raise StorageError(f"redirected from https to {url}, which is refused.")
        raise StorageError(f"more than {REDIRECTS} redirects.")

    def _once(self, url: str, headers: dict[str, str], take: Callable[[http.client.HTTPResponse], bytes]) -> Reply:
        parts = check_url(url)
        self._home = self._home or parts.netloc
        send = {"User-Agent": AGENT, "Accept-Encoding": "identity", **headers}
        if self._token and parts.netloc == self._home:
            send["Authorization"] = f"Bearer {self._token}"
        connection = self._connection(parts)
        try:
            self.requests += 1
            connection.request("GET", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), headers=send)
            response = connection.getresponse()
            found = {k.lower(): v for k, v in response.getheaders()}
            if response.status in _AGAIN:
                wait = found.get("retry-after", "")
                after = min(PAUSE_MAX, float(wait)) if wait.isdigit() else 0.0
                raise _TryAgainError(f"HTTP status {response.status}", after)
            coding = found.get("content-encoding", "identity")
            if coding != "identity":
                raise StorageError(f"the server compresses it ({coding}), expected the bytes as they are.")
            body = take(response) if response.status in (200, 206) else response.read(1 << 16)
        except BaseException:
            connection.close()
            raise
        if response.isclosed():
            self._idle[parts.scheme, parts.netloc].put(connection)
        else:
            connection.close()
        return Reply(response.status, found, body)

    def _connection(self, parts: SplitResult) -> http.client.HTTPConnection:
        with self._lock:
            pool = self._idle.setdefault((parts.scheme, parts.netloc), queue.LifoQueue())
        try:
            return pool.get_nowait()
        except queue.Empty:
            pass
        if parts.scheme == "https":
            context = self._tls or ssl.create_default_context()
            return http.client.HTTPSConnection(parts.netloc, timeout=self._timeout, context=context)
        return http.client.HTTPConnection(parts.netloc, timeout=self._timeout)

    def close(self) -> None:
        """Close what is kept."""
        for pool in self._idle.values():
            while not pool.empty():
                pool.get_nowait().close()


class HttpSource(ByteSource):
    """A file at an ``http://`` or ``https://`` URL.

    The first request asks for 64 KiB and learns size and ETag. Later ones carry ``If-Range``: when the file has changed
    meanwhile, reading fails instead of mixing two files. From a server without ranges the file is downloaded once.

    Parameters
    ----------
    url : str
    client : HttpClient or None

    Raises
    ------
    UsageError
        No such URL.
    StorageError
        The server refuses or cannot be reached.
    LimitError
        A server without ranges has more than 8 GiB.
    """

    def __init__(self, url: str, client: HttpClient | None = None) -> None:
        check_url(url)
        self.name = self._url = url
        self._client = client or HttpClient()
        self._whole: BinaryIO | None = None
        self._lock = threading.Lock()
        self._begin = b""
        self._tag: str | None = None
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    @property
    def requests(self) -> int:
        """HTTP requests that were made."""
        return self._client.requests

    def _open(self) -> None:
        reply = self._client.get(self._url, {"Range": f"bytes=0-{FIRST - 1}"}, self._take_first)
        tag = reply.headers.get("etag", "")
        self._tag = tag if tag and not tag.startswith("W/") else None
        if reply.status == 206:
            self._begin = reply.body
            self.size = _matches(reply, 0, len(reply.body))
        elif reply.status == 200:
            pass  # taken to a file, size included
        elif reply.status == 416:
            self.size = 0
        else:
            raise StorageError(f"{self._url}: HTTP status {reply.status}, expected 206 or 200. {_hint(reply.status)}")

    def _take_first(self, response: http.client.HTTPResponse) -> bytes:
        return response.read(FIRST) if response.status == 206 else self._download(response)

    def _download(self, response: http.client.HTTPResponse) -> bytes:
        """Keep a whole body: the server has no ranges."""
        length = response.length
        if length is not None and length > DOWNLOAD_MAX:
            raise LimitError(f"{self._url}: {length:,} bytes without ranges, expected at most {DOWNLOAD_MAX:,}.")
        if self._whole is not None:
            self._whole.close()
        self._whole, self.size = tempfile.TemporaryFile(), 0  # noqa: SIM115  closed by close()
        while block := response.read(1 << 20):
            self._whole.write(block)
            self.size += len(block)
            if self.size > DOWNLOAD_MAX:
                raise LimitError(f"{self._url}: more than {DOWNLOAD_MAX:,} bytes, from a server without ranges.")
        if length is not None and self.size != length:
            raise OSError(f"{self.size:,} of {length:,} bytes came")
        return b""

    def _read(self, offset: int, length: int) -> bytes:
        if self._whole is not None:
            with self._lock:
                self._whole.seek(offset)
                return self._whole.read(length)
        if length == 0 or offset + length <= len(self._begin):
            return self._begin[offset : offset + length]
        headers = {"Range": f"bytes={offset}-{offset + length - 1}"}
        if self._tag is not None:
            headers["If-Range"] = self._tag

        def take(response: http.client.HTTPResponse) -> bytes:
            if response.status == 200:
                return b""  # not what was asked for: the connection is closed on it
            body = response.read(length + 1)
            if len(body) != length:
                raise OSError(f"{len(body):,} of {length:,} bytes came")
            return body

        reply = self._client.get(self._url, headers, take)
        if reply.status in (200, 416):
            raise StorageError(f"{self._url}: the file has changed while it was read. Open it again.")
        if reply.status != 206:
            raise StorageError(f"{self._url}: HTTP status {reply.status}, expected 206. {_hint(reply.status)}")
        if _matches(reply, offset, length) != self.size:
            raise StorageError(f"{self._url}: the file has another size than before. Open it again.")
        return reply.body

    def close(self) -> None:
        """Close connections and the temporary file."""
        self._client.close()
        if self._whole is not None:
            self._whole.close()


def check_url(url: str) -> SplitResult:
    """Return the parts of an ``http`` or ``https`` URL.

    Raises
    ------
    UsageError
        It is none.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{url}: expected http://HOST/PATH or https://HOST/PATH.")
    return parts


def is_url(path: object) -> bool:
    """Whether a name is an ``http`` or ``https`` URL rather than a path."""
    return isinstance(path, str) and path.startswith(("http://", "https://"))


def _matches(reply: Reply, offset: int, length: int) -> int:
    """Return the size of the file that a Content-Range names, which must be about these bytes."""
    match = _RANGE.fullmatch(reply.headers.get("content-range", ""))
    if match is None or (int(match[1]), int(match[2]) + 1) != (offset, offset + length):
        got = reply.headers.get("content-range", "no Content-Range")
        raise StorageError(f"bytes {offset:,} to {offset + length:,} asked for, the server sent {got!r}.")
    return int(match[3])


def _hint(status: int) -> str:
    return {401: "It needs a token.", 403: "It is not public.", 404: "Check the address."}.get(status, "")
