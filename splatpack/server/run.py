"""Running a server until a signal: one process, or several that share the port."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import IO, Any

from splatpack.errors import StorageError
from splatpack.server import log
from splatpack.server.app import Server
from splatpack.server.config import ServerConfig
from splatpack.server.registry import Registry
from splatpack.server.sockets import listen, tls_context

STOP = (signal.SIGTERM, signal.SIGINT)
RESPAWN = 1.0
"""Seconds at least between two starts of a worker, so that one which keeps dying does not keep a core busy."""

Ready = Callable[[dict[str, Any]], None]


def serve(paths: Sequence[str], config: ServerConfig, ready: Ready) -> None:
    """Serve until SIGTERM or SIGINT.

    Parameters
    ----------
    paths : sequence of str
        Files and folders.
    config : ServerConfig
    ready : callable
        Gets ``event, url, viewer, scenes, workers`` when clients can connect.

    Raises
    ------
    SplatpackError
        The scenes, the settings or the address cannot be used.
    """
    if config.workers == 1:
        asyncio.run(_one(paths, config, ready, None))
    else:
        _several(paths, config, ready)


async def _one(paths: Sequence[str], config: ServerConfig, ready: Ready, listener: socket.socket | None) -> None:
    """Run one server in this process."""
    log.configure(config.log)
    registry = Registry(paths)
    try:
        server = Server(registry, config)
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in STOP:
            loop.add_signal_handler(number, done.set)
        await server.start(listener)
        ready({
            "event": "listening", "url": server.url, "viewer": server.viewer,
            "scenes": [scene.index.name for scene in registry], "workers": config.workers,
        })  # fmt: skip
        await done.wait()
        await server.stop()
    finally:
        registry.close()


def _several(paths: Sequence[str], config: ServerConfig, ready: Ready) -> None:
    """Hold the port, start the workers and keep their number until a signal."""
    tls_context(config)
    with listen(config, shared=True) as held:  # bound, not listening: it keeps the port while workers come and go
        config = replace(config, port=held.getsockname()[1])
        stop = threading.Event()
        for number in STOP:
            signal.signal(number, lambda *_: stop.set())
        workers = [_Worker(paths, config) for _ in range(config.workers)]
        try:
            facts = [worker.wait_ready() for worker in workers]
            ready({**facts[0], "workers": config.workers})
            while not stop.wait(0.2):
                for worker in workers:
                    worker.revive()
        finally:
            for worker in workers:
                worker.process.terminate()
            for worker in workers:
                worker.end(config.grace + 5.0)


class _Worker:
    """A child process that serves on the shared port; another takes its place when it dies."""

    def __init__(self, paths: Sequence[str], config: ServerConfig) -> None:
        self._told = json.dumps({"paths": list(paths), "config": config.as_dict()}) + "\n"
        self._start()

    def _start(self) -> None:
        self.born = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "splatpack.server.run"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        _pipe(self.process.stdin).write(self._told)
        _pipe(self.process.stdin).flush()

    def wait_ready(self) -> dict[str, Any]:
        """Return what the worker says when it listens."""
        line = _pipe(self.process.stdout).readline()
        facts: dict[str, Any] = json.loads(line) if line else {"error": "a worker ended before it listened."}
        if "error" in facts:
            raise StorageError(facts["error"])
        return facts

    def revive(self) -> None:
        """Start a process in the place of one that died; one that never listens ends the server."""
        if self.process.poll() is None or time.monotonic() - self.born < RESPAWN:
            return
        self.end(0.0)
        self._start()
        self.wait_ready()

    def end(self, timeout: float) -> None:
        """Wait for the process, and kill it when it stays."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            _pipe(pipe).close()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise StorageError("a worker without pipes.")
    return pipe


def _say(facts: dict[str, Any]) -> None:
    print(json.dumps(facts), flush=True)


def _child() -> None:
    """Be a worker: settings come on stdin, what was said when ready goes to stdout."""
    told = json.loads(sys.stdin.readline())
    settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in told["config"].items()}
    config = ServerConfig(**settings)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to the parent too, which ends its workers
    try:
        asyncio.run(_one(told["paths"], config, _say, listen(config, shared=True)))
    except Exception as error:
        _say({"error": str(error)})
        sys.exit(1)


if __name__ == "__main__":
    _child()
