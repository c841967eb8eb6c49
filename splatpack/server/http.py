"""Answers over plain HTTP: health, metrics, the list of scenes, the landing page, and files by range."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from splatpack.server import auth, viewer
from splatpack.server.config import ServerConfig
from splatpack.server.metrics import Metrics
from splatpack.server.pages import landing
from splatpack.server.registry import Registry, Scene
from splatpack.server.request import Request, UnsatisfiableError, parse_range, response_head

BLOCK = 256 << 10
"""Bytes of a file that are in memory for one download."""

_SAFE = {"X-Content-Type-Options": "nosniff"}
_PAGE = {
    **_SAFE,
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
}


@dataclass(frozen=True)
class Answer:
    """A response: a small body, or a range of a scene's file."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    scene: Scene | None = None
    start: int = 0
    stop: int = 0

    @property
    def length(self) -> int:
        """Bytes of the body."""
        return len(self.body) if self.scene is None else self.stop - self.start


class Site:
    """Everything that is not a WebSocket.

    Parameters
    ----------
    registry : Registry
    config : ServerConfig
    metrics : Metrics
    gauges : callable
        What the server knows of the moment, for ``/metrics``.
    """

    def __init__(
        self, registry: Registry, config: ServerConfig, metrics: Metrics, gauges: Callable[[], dict[str, float]]
    ) -> None:
        self._registry, self._config, self._metrics, self._gauges = registry, config, metrics, gauges
        self._files = {f"/scenes/{scene.index.name}.spk": scene for scene in registry}
        self._facts = [scene.facts() for scene in registry]
        self._assets = viewer.assets()

    def answer(self, request: Request) -> Answer:
        """Return the response to a request, CORS included."""
        answer = self._route(request)
        origin = request.headers.get("origin")
        cors = {"Vary": "Origin"}
        if origin is not None and auth.origin_allowed(request, self._config.origins):
            cors |= {
                "Access-Control-Allow-Origin": origin,
                "Access-Control-Expose-Headers": "Accept-Ranges, Content-Length, Content-Range, ETag",
            }
        return Answer(
            answer.status, {**answer.headers, **cors}, answer.body, answer.scene, answer.start, answer.stop
        )  # fmt: skip

    def _route(self, request: Request) -> Answer:
        path = request.path.partition("?")[0]
        if request.method == "OPTIONS":
            allow = {
                "Access-Control-Allow-Methods": "GET, HEAD", "Access-Control-Max-Age": "86400",
                "Access-Control-Allow-Headers": "Authorization, If-Range, Range", "Allow": "GET, HEAD, OPTIONS",
            }  # fmt: skip
            return Answer(204, allow)
        if request.method not in ("GET", "HEAD"):
            return Answer(405, {"Allow": "GET, HEAD, OPTIONS"}, b"GET and HEAD only\n")
        if path == "/healthz":
            return Answer(200, {"Content-Type": "text/plain", "Cache-Control": "no-store"}, b"ok\n")
        if path == viewer.PREFIX:
            return Answer(301, {"Location": f"{viewer.PREFIX}/"})
        if path in self._assets:  # before tokens: browsers cannot show one for a page, and these files are no secret
            asset = self._assets[path]
            changed = not asset.unchanged(request)
            return Answer(200 if changed else 304, dict(asset.headers), asset.body if changed else b"")
        if not auth.allowed(request, self._config.tokens):
            return Answer(401, {"WWW-Authenticate": 'Bearer realm="splatpack"'}, b"a token is needed\n")
        if path in self._files:
            return self._file(request, self._files[path])
        if path == "/scenes":
            headers = {**_SAFE, "Content-Type": "application/json", "Cache-Control": "no-cache"}
            return Answer(200, headers, json.dumps({"scenes": self._facts}).encode())
        if path == "/metrics":
            headers = {"Content-Type": "text/plain; version=0.0.4", "Cache-Control": "no-store"}
            return Answer(200, headers, self._metrics.text(self._gauges()).encode())
        if path == "/":
            page = landing(self._facts, request.headers.get("host", "HOST"), bool(self._config.tls_cert))
            return Answer(200, dict(_PAGE), page.encode("utf-8", "replace"))
        return Answer(404, {"Content-Type": "text/plain"}, b"not here\n")

    def _file(self, request: Request, scene: Scene) -> Answer:
        size = scene.index.length
        headers = {
            **_SAFE, "Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", "ETag": scene.etag,
            "Cache-Control": "no-cache",
        }  # fmt: skip
        if scene.etag in [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]:
            return Answer(304, headers)
        asked = request.headers.get("range")
        unchanged = request.headers.get("if-range", scene.etag) == scene.etag
        if asked is None or not unchanged or request.method != "GET":
            return Answer(200, headers, scene=scene, stop=size)
        try:
            found = parse_range(asked, size)
        except UnsatisfiableError:
            return Answer(416, {**headers, "Content-Range": f"bytes */{size}"})
        if found is None:
            return Answer(200, headers, scene=scene, stop=size)
        start, stop = found
        return Answer(206, {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{size}"}, b"", scene, start, stop)


async def write(writer: asyncio.StreamWriter, request: Request, answer: Answer, *, keep: bool, timeout: float) -> int:
    """Send a response, waiting for the client to read it. Return the bytes of the body.

    Raises
    ------
    SplatpackError
        The file cannot be read to the end: the connection must be closed, so that the client sees a short body.
    TimeoutError, ConnectionError
        The client does not read, or is gone.
    """
    headers = dict(answer.headers)
    if answer.status not in (204, 304):
        headers["Content-Length"] = str(answer.length)
    writer.write(response_head(answer.status, headers, keep=keep))
    sent = 0
    if request.method != "HEAD":
        async for block in _blocks(answer):
            writer.write(block)
            sent += len(block)
            async with asyncio.timeout(timeout):
                await writer.drain()
    async with asyncio.timeout(timeout):
        await writer.drain()
    return sent


async def _blocks(answer: Answer) -> AsyncIterator[bytes]:
    if answer.scene is None:
        if answer.body:
            yield answer.body
        return
    source = answer.scene.reader.source
    for at in range(answer.start, answer.stop, BLOCK):
        yield await asyncio.to_thread(source.read, at, min(BLOCK, answer.stop - at))
