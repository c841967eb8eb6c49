"""The server over loopback: chunks per second and core, memory per connection, and how soon a view is served.

``python benchmarks/bench_server.py`` prints the figures of docs/streaming.md. The server is a process of its own, whose
CPU time is read from /proc; the clients are thin and share another core. As plain tests the cases are small.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pytest

from splatpack.stream import wire
from tests.test_stream.net import spk, view

CHUNK = 59_578
"""Two sections of this and a tenth: a chunk of 64 KiB."""
KEY = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" + (
    b"Sec-WebSocket-Protocol: splatpack.v1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_TICK = os.sysconf("SC_CLK_TCK")


def frame(message: wire.Control) -> bytes:
    """Return a message as a masked WebSocket frame; a mask of zeros leaves the bytes as they are."""
    data = wire.encode(message)
    size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack(">H", len(data))
    return b"\x82" + size + bytes(4) + data


class Client(asyncio.Protocol):
    """Counts bytes and notes when the first fragment after a view comes; reads nothing else out of them."""

    def __init__(self) -> None:
        self.bytes, self.viewed, self.delays = 0, 0.0, list[float]()
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(KEY)

    def data_received(self, data: bytes) -> None:
        self.bytes += len(data)
        if self.viewed and len(data) > 500:  # no small answer, but bytes of a chunk
            self.delays.append(time.perf_counter() - self.viewed)
            self.viewed = 0.0

    def connection_lost(self, error: Exception | None) -> None:
        self.closed.set_result(None)

    def say(self, *messages: wire.Control) -> None:
        self.transport.write(b"".join(map(frame, messages)))


@dataclass
class Process:
    """A server, with its CPU seconds and resident bytes."""

    process: subprocess.Popen[str]
    address: tuple[str, int]
    began: float = field(default_factory=time.perf_counter)

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def resident(self) -> int:
        rows = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(row.split()[1]) * 1024 for row in rows if row.startswith("VmRSS:"))


@contextlib.contextmanager
def serving(chunks: int, size: int = CHUNK) -> Iterator[Process]:
    """Serve a scene of so many chunks from another process."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "scene.spk").write_bytes(spk(chunks, size=size))
        options = ["--port", "0", "--log", "off", "--config", "/dev/null"]
        process = subprocess.Popen(
            [sys.executable, "-m", "splatpack.cli.main", "serve", folder, *options], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "SPLATPACK_SERVE_CONNECTIONS_PER_IP": "4096", "SPLATPACK_SERVE_MESSAGES": "1000"},
        )  # fmt: skip
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        host, port = facts["url"].removeprefix("ws://").rsplit(":", 1)
        try:
            yield Process(process, (host, int(port)))
        finally:
            process.terminate()
            process.communicate(timeout=30)


async def connected(server: Process, count: int, credit: int) -> list[Client]:
    loop, clients = asyncio.get_running_loop(), []
    for _ in range(count):
        _, client = await loop.create_connection(Client, *server.address)
        client.say(wire.Hello((1,), credit), wire.Open(0, "scene"))
        clients.append(client)
    return clients


async def end(clients: list[Client]) -> None:
    for client in clients:
        client.transport.abort()
    await asyncio.gather(*(c.closed for c in clients))


def throughput(clients: int, seconds: float, chunks: int = 200) -> dict[str, float]:
    """Return chunks of 64 KiB per CPU second of the server, with a few clients that take all they can get."""

    async def main(server: Process) -> dict[str, float]:
        several = await connected(server, clients, 1 << 50)
        for client in several:
            client.say(wire.Want(0))
        total = lambda: sum(c.bytes for c in several)  # noqa: E731
        while total() < clients * 30 * 65536:
            await asyncio.sleep(0.01)
        ids = tuple(range(chunks))
        begin, cpu, got = time.perf_counter(), server.cpu(), total()
        while time.perf_counter() - begin < seconds:
            for client in several:
                if client.bytes > 0.5 * chunks * 65536 * (1 + getattr(client, "rounds", 0)):
                    client.rounds = getattr(client, "rounds", 0) + 1  # type: ignore[attr-defined]
                    client.say(wire.Want(0, ids))
            await asyncio.sleep(0.01)
        wall, used, came = time.perf_counter() - begin, server.cpu() - cpu, (total() - got) / 65536
        await end(several)
        return {"chunks_per_cpu_s": came / max(used, 1e-9), "chunks_per_s": came / wall, "cpu": used / wall}

    with serving(chunks) as server:
        return asyncio.run(main(server))


def memory(clients: int, chunks: int = 10_000) -> float:
    """Return resident bytes per connection, each with a scene of many chunks open and a view looked at."""

    async def main(server: Process) -> float:
        await end(await connected(server, 20, 0))
        before = server.resident()
        several = await connected(server, clients, 40_000)
        for client in several:
            client.say(view())
        while min(c.bytes for c in several) < 20_000:
            await asyncio.sleep(0.05)
        used = (server.resident() - before) / clients
        await end(several)
        return used

    with serving(chunks, size=50) as server:
        return asyncio.run(main(server))


def views(clients: int, seconds: float, rate: float = 1e6, chunks: int = 200) -> dict[str, float]:
    """Return how long clients at ``rate`` bit/s wait from a view to a chunk's first bytes, and the server's load."""
    every = 65536 * 8 / rate

    async def main(server: Process) -> dict[str, float]:
        several = await connected(server, clients, 1 << 50)
        begin = time.perf_counter()
        await asyncio.sleep(1.0)
        cpu, then = server.cpu(), time.perf_counter()

        async def one(client: Client, phase: float) -> None:
            await asyncio.sleep(phase * every)
            for turn in range(int(seconds / every)):
                at, budget = turn % chunks, 65536 + 100
                last = tuple((at - k) % chunks for k in (0, 1, 2))  # one of them is what the last view brought
                client.viewed = time.perf_counter()
                client.say(wire.Evict(0, last), view(0, turn, at + 0.25, budget_bytes=budget))
                await asyncio.sleep(every)

        await asyncio.gather(*(one(c, i / clients) for i, c in enumerate(several)))
        load = (server.cpu() - cpu) / (time.perf_counter() - then)
        delays = sorted(d for c in several for d in c.delays)
        got = sum(c.bytes for c in several) * 8 / (time.perf_counter() - begin)
        await end(several)
        return {
            "views": len(delays), "p50_ms": 1e3 * delays[len(delays) // 2],
            "p99_ms": 1e3 * delays[int(0.99 * len(delays))],
            "server_cpu": load, "Mbit_per_s": got / 1e6,
        }  # fmt: skip

    with serving(chunks) as server:
        return asyncio.run(main(server))


linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="CPU time and memory are read from /proc")


@linux
def test_throughput(benchmark: object) -> None:
    found = benchmark.pedantic(throughput, args=(2, 0.5, 40), rounds=1)  # type: ignore[attr-defined]
    benchmark.extra_info.update(found)  # type: ignore[attr-defined]
    assert found["chunks_per_cpu_s"] > 1000


@linux
def test_memory(benchmark: object) -> None:
    used = benchmark.pedantic(memory, args=(50, 10_000), rounds=1)  # type: ignore[attr-defined]
    benchmark.extra_info.update(bytes_per_connection=round(used))  # type: ignore[attr-defined]
    assert used < 96 << 10


@linux
def test_views(benchmark: object) -> None:
    found = benchmark.pedantic(views, args=(10, 1.5), rounds=1)  # type: ignore[attr-defined]
    benchmark.extra_info.update(found)  # type: ignore[attr-defined]
    assert found["views"] >= 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    args = parser.parse_args()
    print("throughput, 4 clients:", json.dumps(throughput(4, args.seconds)))
    print("memory per connection, 500 clients, 10,000 chunks:", round(memory(500)))
    for clients in (500, 1000):
        print(f"views, {clients} clients at 1 Mbit/s:", json.dumps(views(clients, args.seconds)))


if __name__ == "__main__":
    main()
