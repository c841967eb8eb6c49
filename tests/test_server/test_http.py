from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from splatpack.server.request import BadRequestError, UnsatisfiableError, parse, parse_range
from tests.test_server.harness import Reply, http, raw, read_reply, running


def get(
    folder: Path, path: str, method: str = "GET", settings: Mapping[str, object] | None = None, **headers: str
) -> Reply:
    async def main() -> Reply:
        async with running(folder, **(settings or {})) as server:
            return await http(server, path, method, **headers)

    return asyncio.run(main())


def test_health(folder: Path) -> None:
    reply = get(folder, "/healthz", settings={"tokens": ("long enough",)})
    assert (reply.status, reply.body) == (200, b"ok\n")


def test_scenes_are_listed(folder: Path, scene: bytes) -> None:
    reply = get(folder, "/scenes")
    assert reply.headers["content-type"] == "application/json"
    rows = json.loads(reply.body)["scenes"]
    assert [r["name"] for r in rows] == ["fox", "paged"]
    assert (rows[0]["bytes"], rows[0]["chunks"], rows[1]["chunks"]) == (len(scene), 12, 700)
    assert rows[0]["url"] == "/scenes/fox.spk"


def test_the_landing_page_links_to_the_scenes_and_runs_nothing(folder: Path) -> None:
    reply = get(folder, "/", Host='"><script>')
    text = reply.body.decode()
    assert '<a href="/scenes/fox.spk">fox</a>' in text
    assert "<script" not in text
    assert reply.headers["content-security-policy"].startswith("default-src 'none'")
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_metrics_are_prometheus_text(folder: Path) -> None:
    text = get(folder, "/metrics").body.decode()
    row = re.compile(r'splatpack_\w+\{worker="\d+"(,\w+="[^"]+")?\} [0-9.e+-]+')
    lines = text.splitlines()
    assert all(row.fullmatch(line) or line.startswith("# TYPE splatpack_") for line in lines)
    assert any(line.startswith("splatpack_requests_total{") and line.endswith(" 1") for line in lines)
    assert 'le="+Inf"' in text


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=-10", -10, None),
        ("bytes=5-", 5, None),
        ("bytes=7-99999999999", 7, None),
    ],
)
def test_ranges(folder: Path, scene: bytes, asked: str, start: int, stop: int | None) -> None:
    reply = get(folder, "/scenes/fox.spk", Range=asked)
    part = scene[start:stop]
    first = start % len(scene)
    assert reply.status == 206
    assert reply.body == part
    assert reply.headers["content-range"] == f"bytes {first}-{first + len(part) - 1}/{len(scene)}"
    assert reply.headers["accept-ranges"] == "bytes"


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,3-4", "bytes=a-b", "lines=0-1", "bytes=", "bytes=5-2", "bytes 0-1", "bytes=-"]
)
def test_a_range_that_cannot_be_read_is_ignored(folder: Path, scene: bytes, asked: str) -> None:
    reply = get(folder, "/scenes/fox.spk", Range=asked)
    assert (reply.status, reply.body) == (200, scene)


@pytest.mark.parametrize("asked", ["bytes={n}-", "bytes={n}-{n}", "bytes=-0"])
def test_a_range_behind_the_end_is_416(folder: Path, scene: bytes, asked: str) -> None:
    reply = get(folder, "/scenes/fox.spk", Range=asked.format(n=len(scene)))
    assert (reply.status, reply.body) == (416, b"")
    assert reply.headers["content-range"] == f"bytes */{len(scene)}"


def test_head_if_range_and_if_none_match(folder: Path, scene: bytes) -> None:
    head = get(folder, "/scenes/fox.spk", "HEAD")
    assert (head.status, head.headers["content-length"], head.body) == (200, str(len(scene)), b"")
    tag = head.headers["etag"]
    assert get(folder, "/scenes/fox.spk", Range="bytes=0-9", If_Range=tag).status == 206
    assert get(folder, "/scenes/fox.spk", Range="bytes=0-9", If_Range='"other"').body == scene
    assert get(folder, "/scenes/fox.spk", If_None_Match=f'"x", {tag}').status == 304


NAMES = [
    "/../secret.txt", "/scenes/../secret.txt", "/scenes/%2e%2e/secret.txt", "/scenes/secret.txt", "/scenes/fox.spk/",
    "/scenes/..%2ffox.spk", "/scenes//fox.spk", "//etc/passwd", "/etc/passwd", "/scenes/fox.spk%00", "/scenes/FOX.spk",
    "/scenes/fox", "/scenes/\\..\\secret.txt", "http://elsewhere/scenes/fox.spk",
]  # fmt: skip


@pytest.mark.parametrize("path", NAMES)
def test_names_are_keys_and_never_paths(folder: Path, path: str) -> None:
    assert get(folder, path).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "TRACE"])
def test_other_methods(folder: Path, method: str) -> None:
    reply = get(folder, "/scenes/fox.spk", method)
    assert reply.status == 405
    assert "GET" in reply.headers["allow"]


def test_cors_is_for_origins_on_the_list(folder: Path) -> None:
    listed = {"origins": ("https://viewer.example",)}
    ours = get(folder, "/scenes/fox.spk", "OPTIONS", listed, Origin="https://viewer.example")
    assert ours.status == 204
    assert ours.headers["access-control-allow-origin"] == "https://viewer.example"
    assert "Range" in ours.headers["access-control-allow-headers"]
    assert "Content-Range" in ours.headers["access-control-expose-headers"]
    other = get(folder, "/scenes/fox.spk", "GET", listed, Origin="https://evil.example")
    assert "access-control-allow-origin" not in other.headers
    assert other.headers["vary"] == "Origin"


def test_files_need_the_token_where_there_is_one(folder: Path) -> None:
    settings = {"tokens": ("correct horse", "battery staple")}
    for path in ("/scenes/fox.spk", "/scenes", "/metrics", "/"):
        assert get(folder, path, "GET", settings).status == 401
        assert get(folder, path, "GET", settings, Authorization="Bearer correct").status == 401
        assert get(folder, path, "GET", settings, Authorization="Bearer battery staple").status == 200


def test_a_connection_serves_several_requests_in_order(folder: Path, scene: bytes) -> None:
    async def main() -> None:
        async with running(folder, requests_per_connection=4) as server:
            reader, writer = await asyncio.open_connection(*server.address)
            one = b"GET /scenes/fox.spk HTTP/1.1\r\nHost: x\r\nRange: bytes=%d-%d\r\n\r\n"
            writer.write(one % (0, 9) + one % (10, 19))
            for i in range(2):
                assert (await read_reply(reader)).body == scene[10 * i : 10 * i + 10]
            writer.write(b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await read_reply(reader, "HEAD")).headers["connection"] == "keep-alive"
            writer.write(one % (0, 0))
            assert (await read_reply(reader)).headers["connection"] == "close"
            assert await reader.read() == b""
            writer.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"\r\n\r\n", 400),
        (b"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 413),
        (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 101 + b"\r\n", 431),
        (b"GET /" + b"a" * 40_000, 431),
    ],
    ids=range(14),
)
def test_malformed_requests_are_answered_once(folder: Path, data: bytes, status: int) -> None:
    async def main() -> bytes:
        async with running(folder, keep_alive=0.05) as server:
            return await raw(server, data)

    answer = asyncio.run(main())
    assert answer.split(b" ")[1] == str(status).encode()
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("data", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_half_open_request_is_gone_after_its_time(folder: Path, data: bytes) -> None:
    async def main() -> bytes:
        async with running(folder, head_timeout=0.05) as server:
            return await raw(server, data)

    assert asyncio.run(main()) == b""


def test_a_download_that_nobody_reads_is_cut_and_others_go_on(tmp_path: Path) -> None:
    from tests.test_stream.net import spk

    (tmp_path / "big.spk").write_bytes(spk(60, size=400_000))

    async def main() -> None:
        async with running(tmp_path, send_timeout=1.0) as server:
            reader, writer = await asyncio.open_connection(*server.address, limit=1024)
            writer.write(b"GET /scenes/big.spk HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readexactly(100)
            async with asyncio.timeout(10):
                while server.metrics.connections:
                    assert (await http(server, "/healthz")).status == 200
                    if server.metrics.connections_total > 1 and server.metrics.connections == 1:
                        await asyncio.wait(list(server._tasks), timeout=0.05)
            writer.transport.abort()

    asyncio.run(main())


@pytest.mark.parametrize("settings", [{"connections": 1}, {"connections_per_ip": 1}])
def test_too_many_connections_are_told_to_come_back(folder: Path, settings: dict[str, object]) -> None:
    async def main() -> None:
        async with running(folder, **settings) as server:
            reader, writer = await asyncio.open_connection(*server.address)
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await read_reply(reader)).status == 200
            refused = await http(server, "/healthz")
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            writer.close()
            await asyncio.wait(list(server._tasks), timeout=5)
            assert (await http(server, "/healthz")).status == 200

    asyncio.run(main())


def test_a_file_that_shrinks_while_it_is_served_is_a_short_body(folder: Path, scene: bytes) -> None:
    async def main() -> None:
        async with running(folder) as server:
            with (folder / "fox.spk").open("r+b") as file:
                file.truncate(len(scene) // 2)
            reader, writer = await asyncio.open_connection(*server.address)
            writer.write(b"GET /scenes/fox.spk HTTP/1.1\r\nHost: x\r\n\r\n")
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await read_reply(reader)
            writer.close()

    asyncio.run(main())


def test_a_file_that_is_replaced_is_served_as_it_was(folder: Path, scene: bytes) -> None:
    async def main() -> None:
        async with running(folder) as server:
            other = folder / "new"
            other.write_bytes(b"something else")
            other.replace(folder / "fox.spk")
            assert (await http(server, "/scenes/fox.spk")).body == scene

    asyncio.run(main())


def test_parsing_alone() -> None:
    request = parse(b"GET /x HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n")
    assert request.upgrade
    assert request.keep_alive
    with pytest.raises(BadRequestError):
        parse(b"x\r\n\r\n")
    assert parse_range("bytes=0-4", 10) == (0, 5)
    with pytest.raises(UnsatisfiableError):
        parse_range("bytes=0-4", 0)
