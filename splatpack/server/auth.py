"""Who may come in: tokens, origins, and how many sockets there may be."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections import Counter
from urllib.parse import urlsplit

from splatpack.server.request import Request

TOKEN_PROTOCOL = "auth."


def token_of(request: Request) -> str:
    """Return the token that a request shows: a bearer token, or the subprotocol of browsers. Empty: none."""
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return bearer.strip()
    for offered in request.headers.get("sec-websocket-protocol", "").split(","):
        name = offered.strip()
        if name.startswith(TOKEN_PROTOCOL):
            body = name.removeprefix(TOKEN_PROTOCOL)
            try:
                return base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)).decode()
            except (binascii.Error, UnicodeDecodeError):
                return ""
    return ""


def allowed(request: Request, tokens: tuple[str, ...]) -> bool:
    """Whether a request shows one of the tokens, or none is needed. All are compared, in constant time."""
    shown = token_of(request).encode()
    return not tokens or sum(hmac.compare_digest(shown, token.encode()) for token in tokens) > 0


def origin_allowed(request: Request, origins: tuple[str, ...]) -> bool:
    """Whether a request comes from the server's own pages, an origin on the list, or no web page at all."""
    origin = request.headers.get("origin")
    if origin is None or "*" in origins or origin in origins:
        return True
    return urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower() != ""


class Gate:
    """Counts sockets, in all and by address.

    Parameters
    ----------
    most, most_each : int
    """

    def __init__(self, most: int, most_each: int) -> None:
        self.most, self.most_each = most, most_each
        self.open = 0
        self._each: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Count a socket, if there is room."""
        if self.open >= self.most or self._each[address] >= self.most_each:
            return False
        self.open += 1
        self._each[address] += 1
        return True

    def leave(self, address: str) -> None:
        """Forget a socket that :meth:`enter` counted."""
        self.open -= 1
        self._each[address] -= 1
        if not self._each[address]:
            del self._each[address]
