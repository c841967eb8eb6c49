"""A run of the benchmark as one JSON object, and back."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splatpack.bench.row import Row
from splatpack.bench.versus import delta_rates, equal
from splatpack.errors import CorruptError, StorageError

DIGITS = 6
"""Significant digits of the numbers in the JSON."""


@dataclass(frozen=True)
class Result:
    """What a run found.

    Attributes
    ----------
    machine : dict
        Of :func:`splatpack.bench.machine.machine`.
    how : dict
        ``repeat timeout size threads``.
    scenes : dict of str to dict
        Facts by scene: ``n sh_degree sha256``, its source format, what was made float again.
    rows : list of Row
    """

    machine: dict[str, Any]
    how: dict[str, Any]
    scenes: dict[str, dict[str, Any]]
    rows: list[Row]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, with the comparisons at equal quality."""
        return {
            "machine": self.machine,
            **self.how,
            "scenes": self.scenes,
            "rows": [r.as_dict() for r in self.rows],
            "equal": [e.as_dict() for e in equal(self.rows)],
            "bd_rate": delta_rates(self.rows),
        }

    def text(self) -> str:
        """Return JSON with a row on each line."""
        parts = []
        for name, value in self.as_dict().items():
            if isinstance(value, list) and value and isinstance(value[0], dict):
                lines = ",\n".join(f"  {json.dumps(_rounded(v))}" for v in value)
                parts.append(f" {json.dumps(name)}: [\n{lines}\n ]")
            else:
                parts.append(f" {json.dumps(name)}: {json.dumps(_rounded(value))}")
        return "{\n" + ",\n".join(parts) + "\n}\n"


def read(paths: Sequence[Path]) -> Result:
    """Read runs; of rows for the same codec and scene the last one counts. Safe on untrusted input.

    Rows are put together by scene, then by family, each in the order in which it appears first.

    Raises
    ------
    CorruptError
        A file is no result of ``splatpack bench``.
    StorageError
        It cannot be read.
    """
    runs = [_read(p) for p in paths]
    rows = {(r.scene, r.codec): r for run in runs for r in run.rows}
    scenes = {name: facts for run in runs for name, facts in run.scenes.items()}
    order = {name: k for k, name in enumerate(dict.fromkeys(n for r in rows.values() for n in (r.scene, r.family)))}
    together = sorted(rows.values(), key=lambda r: (order[r.scene], order[r.family]))
    return Result(runs[-1].machine, runs[-1].how, scenes, together)


def _read(path: Path) -> Result:
    try:
        value = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}. Check the path.") from error
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"{path}: no JSON: {error}. Expected what splatpack bench --json printed.") from error
    try:
        rows = [Row.of(r) for r in value["rows"]]
        how = {k: value[k] for k in ("repeat", "timeout", "size", "threads")}
        scenes = {str(k): dict(v) for k, v in value["scenes"].items()}
        return Result(dict(value["machine"]), how, scenes, rows)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        text = f"{type(error).__name__}: {error}"
        raise CorruptError(f"{path}: {text}. Expected what splatpack bench --json printed.") from error


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value
