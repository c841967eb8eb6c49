"""The files of the web viewer: a fixed table, read when the server starts, so that no path comes from the wire."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from splatpack.server.request import Request

WEB = Path(__file__).parent / "web"
PREFIX = "/viewer"
"""Where the viewer lives; the page itself is at ``/viewer/``."""

_PACKAGE = Path(__file__).parent.parent
TABLES = {
    "defaults.txt": _PACKAGE / "codecs" / "defaults.txt",
    "metadata.dict": _PACKAGE / "container" / "metadata.dict",
}
"""What of the specification the decoder needs beside its code."""

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".dict": "application/octet-stream",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class Asset:
    """One file.

    Attributes
    ----------
    headers : dict
        Type, ETag and the policy under which it runs.
    body : bytes
    """

    headers: dict[str, str]
    body: bytes

    def unchanged(self, request: Request) -> bool:
        """Whether the browser has it already."""
        return self.headers["ETag"] in [t.strip() for t in request.headers.get("if-none-match", "").split(",")]


def assets() -> dict[str, Asset]:
    """Return the viewer's files by their path on the server."""
    found = {path.relative_to(WEB).as_posix(): path for path in WEB.rglob("*") if path.suffix in _TYPES}
    table = {f"{PREFIX}/{name}": _asset(path) for name, path in sorted({**found, **TABLES}.items())}
    table[f"{PREFIX}/"] = table.pop(f"{PREFIX}/index.html")
    return table


def _asset(path: Path) -> Asset:
    body = path.read_bytes()
    headers = {
        "Content-Type": _TYPES[path.suffix],
        "ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"',
        "Cache-Control": "no-cache",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": _POLICY,
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    return Asset(headers, body)
