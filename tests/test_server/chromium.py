"""A headless Chromium, driven over the DevTools protocol; where there is none, tests that need one are skipped."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-first-run", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist", "--hide-scrollbars", "--remote-debugging-port=0",
    "--disable-background-networking", "--disable-component-update", "--disable-extensions", "--mute-audio",
)  # fmt: skip


def find() -> str:
    """Return the browser's path, or skip: ``$SPLATPACK_CHROMIUM``, or what is on the path."""
    for name in (os.environ.get("SPLATPACK_CHROMIUM"), *NAMES):
        if name and (path := shutil.which(name)):
            return path
    pytest.skip("no Chromium is on the path: set SPLATPACK_CHROMIUM to one")


class Tab:
    """One page, step by step."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._number = socket, 0
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method and return its result; what is told meanwhile goes to ``events``."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message.get("id") == self._number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self.events.append(message)

    def size(self, width: int, height: int, *, scale: float = 1, touch: bool = False) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=touch
        )
        self.call("Emulation.setTouchEmulationEnabled", enabled=touch)

    def open(self, url: str) -> None:
        """Go to a page and wait until it is loaded."""
        self.call("Page.navigate", url=url)
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            self.events.append(json.loads(self._socket.recv(timeout=60)))

    def value(self, expression: str) -> Any:
        """Return what an expression is in the page, waiting for promises."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, expression: str, seconds: float = 120) -> Any:
        """Wait for an expression to become true, looking at each frame of the page."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := self.value(expression):
                return found
            self.value("new Promise((done) => setTimeout(done, 50))")
        raise AssertionError(
            f"{expression} did not become true: {self.value('document.body.innerText')}, {self.troubles()}"
        )

    def picture(self) -> bytes:
        """Return a PNG of the page."""
        data: str = self.call("Page.captureScreenshot", format="png")["data"]
        return base64.b64decode(data)

    def troubles(self) -> list[str]:
        """Return what the page complained about: errors on the console, exceptions, blocked requests."""
        out = []
        for event in self.events:
            method, params = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown":
                out.append(params["exceptionDetails"].get("exception", {}).get("description", "exception"))
            elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
                out.append(" ".join(str(a.get("value", a.get("description"))) for a in params["args"]))
            elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
                out.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        return out

    def requests(self) -> list[str]:
        """Return the addresses that the page asked for."""
        urls = [e["params"]["request"]["url"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        return urls + [e["params"]["url"] for e in self.events if e.get("method") == "Network.webSocketCreated"]


@contextlib.contextmanager
def tab(folder: Path) -> Iterator[Tab]:
    """Start a browser with a profile in ``folder`` and yield its first page."""
    command = [find(), *FLAGS, f"--user-data-dir={folder}", "about:blank"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if line.startswith("DevTools listening on "):
                    break
            port = line.split("/")[2]
            with connect(
                f"ws://{port}/devtools/page/{_first_page(line.split()[-1])}", max_size=None, proxy=None
            ) as socket:
                yield Tab(socket)
        finally:
            process.terminate()
            process.wait(20)


def _first_page(browser: str) -> str:
    """Return the name of the page that is open."""
    with connect(browser, max_size=None, proxy=None) as socket:
        socket.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
        targets = json.loads(socket.recv(timeout=20))["result"]["targetInfos"]
        return next(str(t["targetId"]) for t in targets if t["type"] == "page")
