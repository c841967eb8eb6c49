"""The commands in processes of their own: ``serve`` and ``fetch`` against each other, signals, workers, TLS."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from splatpack.errors import PeerError
from splatpack.stream import wire
from splatpack.stream.client import SceneStream
from splatpack.stream.clientside import Received
from tests.test_server.harness import SUBPROTOCOLS, Talk, closing
from tests.test_stream.net import spk

SPLATPACK = [sys.executable, "-m", "splatpack.cli.main"]


@contextlib.contextmanager
def served(*args: object, **environment: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Run ``splatpack serve`` and read its line."""
    process = subprocess.Popen(
        [*SPLATPACK, "serve", *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        yield process, json.loads(line) if line else {}
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=30)


def fetched(*args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SPLATPACK, "fetch", *map(str, args)], capture_output=True, text=True, check=False)


def test_fetch_from_serve_gives_the_file(folder: Path, tmp_path: Path, scene: bytes) -> None:
    with served(folder, "--port", 0, "--log", "json") as (process, facts):
        assert facts["event"] == "listening"
        assert facts["scenes"] == ["fox", "paged"]
        assert facts["viewer"].startswith("http://127.0.0.1:")
        done = fetched(f"{facts['url']}/fox", "-o", tmp_path / "copy.spk", "--json")
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert (tmp_path / "copy.spk").read_bytes() == scene
        assert (report["bytes"], report["chunks"], report["resumed"]) == (len(scene), 12, 0)
        assert report["seconds"] > 0
        assert fetched(f"{facts['url']}/fox", "-o", tmp_path / "copy.spk").returncode == 6
        missing = fetched(f"{facts['url']}/none", "-o", tmp_path / "none.spk")
        assert missing.returncode == 6
        assert "there is no such scene" in missing.stderr
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=30)
        assert process.returncode == 0
    events = [json.loads(line)["event"] for line in log.splitlines()]
    assert events[-1] == "stopped"
    assert {"connect", "disconnect"} <= set(events)


def test_a_port_in_use_and_a_missing_file_are_one_line(folder: Path) -> None:
    with served(folder, "--port", 0) as (_, facts):
        port = facts["url"].rsplit(":", 1)[1]
        done = subprocess.run(
            [*SPLATPACK, "serve", folder, "--port", port], capture_output=True, text=True, check=False, timeout=30
        )
        assert (done.returncode, done.stdout) == (6, "")
        assert done.stderr.startswith("splatpack: error [io]: 127.0.0.1:")
        assert done.stderr.count("\n") == 1
    gone = subprocess.run([*SPLATPACK, "serve", "none.spk"], capture_output=True, text=True, check=False, timeout=30)
    assert gone.returncode == 6


def test_tokens_come_from_a_file(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("one long token\n\n")
    with served(folder, "--port", 0, "--token-file", tmp_path / "tokens") as (_, facts):
        url = f"{facts['url']}/fox"
        refused = fetched(url, "-o", tmp_path / "out.spk")
        assert refused.returncode == 6
        assert "[auth]" in refused.stderr
        assert not (tmp_path / "out.spk.part").exists()
        assert fetched(url, "-o", tmp_path / "out.spk", "--token", "one long token").returncode == 0


def test_a_signal_under_load_tells_all_clients(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "big.spk").write_bytes(spk(60, size=200_000))

    async def main(url: str, process: subprocess.Popen[str]) -> list[int]:
        from websockets.asyncio.client import connect

        async def client(started: asyncio.Barrier) -> int:
            async with connect(url, subprotocols=SUBPROTOCOLS, compression=None, proxy=None, ping_interval=None) as ws:
                talk = Talk(ws)
                talk.session.open("big", 0)
                talk.session.send(wire.Want(0))
                await talk.until(Received)
                await started.wait()
                return (await closing(ws))[0]

        started = asyncio.Barrier(21)
        clients = [asyncio.create_task(client(started)) for _ in range(20)]
        await started.wait()
        process.send_signal(signal.SIGTERM)
        return await asyncio.gather(*clients)

    with served(tmp_path / "big.spk", "--port", 0, "--log", "off") as (process, facts):
        assert asyncio.run(main(facts["url"], process)) == [1012] * 20
        assert process.wait(timeout=30) == 0


def workers_seen(url: str, process: subprocess.Popen[str], without: str = "") -> set[str]:
    """Ask until two workers have answered that are not ``without``; the kernel chooses which one does."""
    seen: set[str] = set()
    deadline = time.monotonic() + 60
    while len(seen) < 2:
        assert process.poll() is None, "the server ended"
        assert time.monotonic() < deadline, f"only {seen} answered"
        with contextlib.suppress(OSError), urllib.request.urlopen(url + "metrics", timeout=5) as reply:
            seen.add(reply.read().decode().split('worker="')[1].split('"')[0])
            seen.discard(without)
    return seen


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="needs SO_REUSEPORT")
def test_workers_share_the_port_and_one_that_dies_is_replaced(folder: Path, tmp_path: Path, scene: bytes) -> None:
    with served(folder, "--port", 0, "--workers", 2, "--log", "off") as (process, facts):
        assert facts["workers"] == 2
        first = workers_seen(facts["viewer"], process)
        assert fetched(f"{facts['url']}/fox", "-o", tmp_path / "copy.spk").returncode == 0
        assert (tmp_path / "copy.spk").read_bytes() == scene
        killed = min(first)
        os.kill(int(killed), signal.SIGKILL)
        second = workers_seen(facts["viewer"], process, without=killed)
        os.kill(int(max(second - first)), signal.SIGKILL)  # at once: it waits for its turn, and the server lives on
        assert len(workers_seen(facts["viewer"], process, without=max(second - first))) == 2
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_tls(folder: Path, tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    words = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext"]
    files = ["subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(["openssl", "req", *words, *files], check=True, capture_output=True)

    async def stream(url: str, tls: ssl.SSLContext | None) -> int:
        return len([chunk async for chunk in SceneStream(f"{url}/fox", tls=tls)])

    with served(folder, "--port", 0, "--tls-cert", cert, "--tls-key", key, "--log", "off") as (_, facts):
        assert facts["url"].startswith("wss://")
        assert facts["viewer"].startswith("https://")
        trusted = ssl.create_default_context(cafile=str(cert))
        assert asyncio.run(stream(facts["url"], trusted)) == 12
        with pytest.raises(PeerError, match="certificate"):
            asyncio.run(stream(facts["url"], None))


def test_settings_come_from_a_file_and_the_environment(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "serve.toml").write_text('host = "127.0.0.1"\nlog = "off"\nport = 1\n')
    with served(folder, "--config", tmp_path / "serve.toml", SPLATPACK_SERVE_PORT="0") as (_, facts):
        assert facts["event"] == "listening"


def test_help_shows_examples_that_this_file_runs() -> None:
    for name, words in (("serve", "splatpack serve scene.spk --port 0"), ("fetch", "-o copy.spk")):
        text = subprocess.run([*SPLATPACK, name, "--help"], capture_output=True, text=True, check=True).stdout
        assert words in text
