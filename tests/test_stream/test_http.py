"""Reading over HTTP, from a server that does everything wrong, one thing at a time."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from splatpack.container.reader import ContainerReader
from splatpack.errors import CorruptError, StorageError, TruncatedError, UsageError
from splatpack.stream import http as client
from splatpack.stream.http import FIRST, RETRIES, HttpClient, HttpSource
from splatpack.stream.ranges import RangeReader, open_url
from tests.test_stream.net import spk

DATA = spk(30, size=9000)
Script = Callable[["Host", BaseHTTPRequestHandler, int], bool]


class Quiet(ThreadingHTTPServer):
    """A client that has seen enough may hang up: that is no error of the server."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Host:
    """A server whose answers a test bends: ``script(host, request, number)`` answers, or leaves it to the default."""

    def __init__(self) -> None:
        self.data, self.tag = DATA, '"one"'
        self.script: Script = lambda host, request, number: False
        self.seen: list[dict[str, str]] = []
        host = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                host.seen.append({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}})
                if not host.script(host, self, len(host.seen)):
                    host.answer(self)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/scene.spk"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def send(self, request: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> bool:
        request.send_response(status)
        rows = {
            "Content-Length": str(len(body)),
            "ETag": self.tag,
            **{k.replace("_", "-"): v for k, v in headers.items()},
        }
        for name, value in rows.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)
        return True

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked, same = request.headers.get("Range"), request.headers.get("If-Range", self.tag) == self.tag
        if asked is None or not same:
            self.send(request, 200, self.data)
            return
        first, last = (int(v) for v in asked.removeprefix("bytes=").split("-"))
        if first >= len(self.data):
            self.send(request, 416, Content_Range=f"bytes */{len(self.data)}")
            return
        body = self.data[first : last + 1]
        self.send(request, 206, body, Content_Range=f"bytes {first}-{first + len(body) - 1}/{len(self.data)}")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def host() -> Iterator[Host]:
    made = Host()
    yield made
    made.close()


@pytest.fixture
def pauses() -> list[float]:
    return []


def source(host: Host, pauses: list[float], **options: Any) -> HttpSource:
    return HttpSource(host.url, HttpClient(sleep=pauses.append, rng=random.Random(0), **options))


def test_the_first_request_brings_the_directory(host: Host, pauses: list[float]) -> None:
    with ContainerReader(source(host, pauses)) as reader:
        assert len(reader.chunks) == 30
        assert reader.meta["n"] > 0
        assert len(host.seen) == 1
        last = reader.chunks[-1]
        assert reader.chunk_bytes(last) == DATA[last.offset : last.offset + last.length]
        assert host.seen[1]["range"] == f"bytes={last.offset}-{len(DATA) - 1}"
        assert host.seen[1]["if-range"] == '"one"'
    assert pauses == []


def test_a_server_without_ranges_is_downloaded_once(host: Host, pauses: list[float]) -> None:
    host.script = lambda h, r, n: h.send(r, 200, h.data)
    with ContainerReader(source(host, pauses)) as reader:
        assert all(reader.chunk_bytes(c) for c in reader.chunks)
    assert len(host.seen) == 1


def test_busy_servers_are_asked_again_with_growing_pauses(host: Host, pauses: list[float]) -> None:
    host.script = lambda h, r, n: n < 4 and h.send(r, 503)
    with source(host, pauses) as made:
        assert made.size == len(DATA)
    assert len(pauses) == 3
    assert pauses[2] > pauses[0]


def test_a_server_says_how_long_to_wait(host: Host, pauses: list[float]) -> None:
    host.script = lambda h, r, n: n == 1 and h.send(r, 429, Retry_After="7")
    source(host, pauses).close()
    assert pauses == [7.0]


def test_a_server_that_stays_busy_is_given_up(host: Host, pauses: list[float]) -> None:
    host.script = lambda h, r, n: h.send(r, 500)
    with pytest.raises(StorageError, match="failed 6 times"):
        source(host, pauses)
    assert len(pauses) == RETRIES


def _cut(h: Host, r: BaseHTTPRequestHandler, n: int) -> bool:
    """Every second answer ends early."""
    if n % 2:
        return False
    first, last = (int(v) for v in r.headers["Range"].removeprefix("bytes=").split("-"))
    r.send_response(206)
    r.send_header("Content-Length", str(last + 1 - first))
    r.send_header("Content-Range", f"bytes {first}-{last}/{len(h.data)}")
    r.end_headers()
    r.wfile.write(h.data[first : first + 10])
    r.close_connection = True
    return True


def test_short_bodies_are_asked_for_again(host: Host, pauses: list[float]) -> None:
    host.script = _cut
    with source(host, pauses) as made:
        for at in (100_000, 150_000):
            assert made.read(at, 1000) == DATA[at : at + 1000]
    assert len(pauses) == 2


def test_a_file_that_changes_is_not_mixed(host: Host, pauses: list[float]) -> None:
    with source(host, pauses) as made:
        host.tag, host.data = '"two"', spk(30, size=9000, seed=5)
        assert made.read(0, 100) == DATA[:100]
        with pytest.raises(StorageError, match="has changed"):
            made.read(FIRST + 5, 100)


def test_a_file_without_a_tag_that_changes_its_size_is_found_out(host: Host, pauses: list[float]) -> None:
    host.tag = 'W/"weak"'
    with source(host, pauses) as made:
        host.data = DATA + b"more"
        with pytest.raises(StorageError, match="another size"):
            made.read(FIRST + 5, 100)
        assert "if-range" not in host.seen[-1]
        host.data = DATA[: FIRST + 1]
        with pytest.raises(StorageError, match="has changed"):
            made.read(FIRST + 50, 100)


def test_reading_past_the_end_needs_no_request(host: Host, pauses: list[float]) -> None:
    with source(host, pauses) as made, pytest.raises(TruncatedError):
        made.read(len(DATA) - 1, 2)
    assert len(host.seen) == 1


def test_an_empty_file_is_no_scene(host: Host, pauses: list[float]) -> None:
    host.data = b""
    with pytest.raises(CorruptError):
        open_url(host.url, client=HttpClient(sleep=pauses.append))


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (lambda h, r, n: h.send(r, 404), "404"),
        (lambda h, r, n: h.send(r, 401), "token"),
        (lambda h, r, n: h.send(r, 206, h.data[:FIRST], Content_Range="bytes 5-9/10"), "the server sent"),
        (lambda h, r, n: h.send(r, 206, h.data[:FIRST]), "no Content-Range"),
        (lambda h, r, n: h.send(r, 200, h.data, Content_Encoding="gzip"), "compresses"),
        (lambda h, r, n: h.send(r, 302, Location="/again"), "redirects"),
        (lambda h, r, n: h.send(r, 302, Location="file:///etc/passwd"), "expected http"),
    ],
)
def test_answers_that_end_it(host: Host, pauses: list[float], script: Script, why: str) -> None:
    host.script = script
    with pytest.raises((StorageError, UsageError), match=why):
        source(host, pauses)
    assert pauses == []


def test_redirects_are_followed_without_the_token(host: Host, pauses: list[float]) -> None:
    other = Host()
    host.script = lambda h, r, n: h.send(r, 307, Location=other.url)
    with source(host, pauses, token="secret") as made:
        assert made.size == len(DATA)
    assert host.seen[0]["authorization"] == "Bearer secret"
    assert "authorization" not in other.seen[0]
    other.close()


def test_nobody_there(pauses: list[float]) -> None:
    with pytest.raises(StorageError, match="failed 6 times"):
        HttpSource("http://127.0.0.1:9/x", HttpClient(sleep=pauses.append))
    for url in ("ftp://x/y", "http:///x", "x.spk"):
        with pytest.raises(UsageError):
            client.check_url(url)


def test_a_prefetch_joins_and_shares_out(host: Host, pauses: list[float]) -> None:
    with open_url(host.url, client=HttpClient(sleep=pauses.append)) as reader:
        assert isinstance(reader.source, RangeReader)
        reader.source.prefetch((c.offset, c.length) for c in reader.chunks)
        count = len(host.seen)
        assert count <= 1 + -(-len(DATA) // (512 << 10)) + 1
        assert all(reader.chunk_bytes(c) for c in reader.chunks)
        assert len(host.seen) == count
