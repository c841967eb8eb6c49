"""Structured logs: one event a line, as JSON or as text, on stderr."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

LOGGER = logging.getLogger("splatpack.server")


def event(name: str, **fields: Any) -> None:
    """Log what happened; values may come from the wire and are escaped when they are written."""
    if LOGGER.isEnabledFor(logging.INFO):
        LOGGER.info(name, extra={"fields": fields})


class Formatter(logging.Formatter):
    """A record with fields as one line."""

    def __init__(self, as_json: bool) -> None:
        super().__init__()
        self._json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """Return ``{"time": ..., "event": ..., ...}``, or the same as words."""
        values: dict[str, Any] = dict(getattr(record, "fields", {}))
        if record.exc_info:
            values["error"] = self.formatException(record.exc_info)
        if self._json:
            head = {"time": round(record.created, 3), "level": record.levelname.lower(), "event": record.getMessage()}
            return json.dumps({**head, **values}, default=str)
        words = [f"{k}={json.dumps(v, default=str)}" for k, v in values.items() if v not in (None, "")]
        return " ".join([self.formatTime(record, "%H:%M:%S"), record.getMessage(), *words])


def configure(how: str) -> None:
    """Send the server's log to stderr as ``json`` or ``text``, or nowhere (``off``)."""
    LOGGER.propagate = False
    LOGGER.handlers.clear()
    LOGGER.setLevel(logging.INFO if how != "off" else logging.CRITICAL)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter(how == "json"))
    LOGGER.addHandler(handler)
