"""The pages of the docs from a result: tables between the markers of a page, a page of all scenes, a plot for each.

A page says where a table goes with ``<!-- bench:NAME -->`` and ``<!-- /bench:NAME -->``; what stands between them is
replaced, everything else is written by people.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from splatpack.bench.doctables import Sources, by_scene, came_as, degree, file_name, reason
from splatpack.bench.plot import plot
from splatpack.bench.result import Result
from splatpack.bench.row import Row
from splatpack.bench.tables import ROWS, markdown, row_cells
from splatpack.bench.versus import equal
from splatpack.errors import CorruptError


def sources(path: Path) -> Sources:
    """Read what people wrote about the scenes; nothing where there is no such file.

    Raises
    ------
    CorruptError
        It is not an object of objects of strings.
    """
    if not path.exists():
        return {}
    try:
        value = json.loads(path.read_text("utf-8"))
        found = {str(name): {str(k): str(v) for k, v in facts.items()} for name, facts in value.items()}
    except (ValueError, AttributeError) as error:
        raise CorruptError(f"{path}: {error}, expected an object of objects of strings.") from error
    return found


def fill(text: str, tables: Mapping[str, str]) -> str:
    """Return a page with its tables renewed.

    Raises
    ------
    CorruptError
        A marker names a table that is not made, or is not closed.
    """
    pattern = re.compile(r"<!-- bench:(\w+) -->\n(.*?)<!-- /bench:(\w+) -->", re.DOTALL)

    def put(found: re.Match[str]) -> str:
        name = found[1]
        if name != found[3] or name not in tables:
            raise CorruptError(f"marker bench:{name}: expected one of {', '.join(tables)}, closed by the same name.")
        return f"<!-- bench:{name} -->\n{tables[name]}<!-- /bench:{name} -->"

    filled, count = pattern.subn(put, text)
    if count != text.count("<!-- bench:"):
        raise CorruptError(f"{text.count('<!-- bench:')} markers, {count} of them closed. Close each one.")
    return filled


def plots(result: Result) -> dict[str, str]:
    """Return the SVG of every scene by file name."""
    drawn = {file_name(n): plot(_title(n, rows[0], result), rows) for n, rows in by_scene(result.rows).items()}
    return {name: svg for name, svg in drawn.items() if svg}


def scenes_page(result: Result, sources: Sources) -> str:
    """Return the page of all scenes, each with its plot and every row."""
    parts = [
        "# Every scene, every codec\n\nMade by `splatpack bench --docs` from [results.json](results.json); "
        "[benchmarks.md](../benchmarks.md) says how it is measured and what the columns mean.\n"
    ]
    for name, rows in by_scene(result.rows).items():
        pairs = {e.codec: e for e in equal(rows)}
        lines = [row_cells(r, pairs.get(r.codec)) if not r.error else [r.codec, reason(r)] for r in rows]
        facts = sources.get(name, {})
        came = f"came as {came_as(name, sources)}" + (f"; {facts['origin']}" if "origin" in facts else "")
        picture = f"![{name}: PSNR over bits per Gaussian]({file_name(name)})\n\n" if plot("", rows) else ""
        parts.append(
            f"\n## {name}\n\n{rows[0].n:,} Gaussians, SH {degree(result, name)}, {came}."
            f"\n\n{picture}{markdown(ROWS, lines)}"
        )
    return "".join(parts)


def _title(name: str, row: Row, result: Result) -> str:
    return f"{name}: {row.n:,} Gaussians, SH {degree(result, name)}"
