"""Counters of one worker, and their Prometheus text."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Upper bounds of the histogram of seconds from a VIEW to the first CHUNK after it."""


@dataclass
class Metrics:
    """What happened since the worker began."""

    connections: int = 0
    connections_total: int = 0
    websockets: int = 0
    websockets_total: int = 0
    requests_total: int = 0
    refused_total: int = 0
    messages_total: int = 0
    views_total: int = 0
    chunks_total: int = 0
    chunk_bytes_total: int = 0
    http_bytes_total: int = 0
    item_errors_total: int = 0
    slow_clients_total: int = 0
    closes: dict[int, int] = field(default_factory=dict)
    delays: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    delay_sum: float = 0.0
    began: float = field(default_factory=time.time)

    def closed(self, code: int) -> None:
        """Count a close code."""
        self.closes[code] = self.closes.get(code, 0) + 1

    def delayed(self, seconds: float) -> None:
        """Count the time from a VIEW to the first CHUNK after it."""
        self.delay_sum += seconds
        at = next((i for i, bound in enumerate(BUCKETS) if seconds <= bound), len(BUCKETS))
        self.delays[at] += 1

    def text(self, gauges: dict[str, float]) -> str:
        """Return the exposition format, version 0.0.4. Each worker has its own figures, under its own ``worker``."""
        label = f'worker="{os.getpid()}"'
        rows: list[str] = []
        plain = {k: v for k, v in vars(self).items() if isinstance(v, int)}
        for name, value in {**plain, "start_time_seconds": self.began, **gauges}.items():
            kind = "counter" if name.endswith("_total") else "gauge"
            rows += [f"# TYPE splatpack_{name} {kind}", f"splatpack_{name}{{{label}}} {value:.17g}"]
        rows.append("# TYPE splatpack_closes_total counter")
        rows += [f'splatpack_closes_total{{{label},code="{c}"}} {n}' for c, n in sorted(self.closes.items())]
        rows.append("# TYPE splatpack_view_seconds histogram")
        total = 0
        for bound, n in zip([*map(str, BUCKETS), "+Inf"], self.delays, strict=True):
            total += n
            rows.append(f'splatpack_view_seconds_bucket{{{label},le="{bound}"}} {total}')
        rows += [f"splatpack_view_seconds_sum{{{label}}} {self.delay_sum:.9g}"]
        rows += [f"splatpack_view_seconds_count{{{label}}} {total}"]
        return "\n".join(rows) + "\n"
