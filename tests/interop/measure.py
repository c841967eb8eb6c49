"""Speed and size of every format that is written: ``python -m tests.interop.measure`` makes measured.py anew."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from splatpack.errors import UnsupportedError
from splatpack.formats import measured
from splatpack.formats.registry import read_scene, write_folder, write_scene
from splatpack.formats.table import Format, writable
from splatpack.scene.gaussians import Gaussians
from tests import synth

COUNT, DEGREE, ROUNDS, PATIENCE = 100_000, 3, 5, 5.0
"""The scene; runs of each, unless one takes more than PATIENCE seconds."""
PALETTE = 1024


def timed(call: Callable[[], Any]) -> float:
    """Return the median of several runs in seconds of CPU, which other work on the machine hardly changes.

    The caller has run it once, on something small, so that nothing is imported or compiled.
    """
    seconds: list[float] = []
    while len(seconds) < ROUNDS and not (seconds and seconds[0] > PATIENCE):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


def measure(entry: Format, folder: Path) -> tuple[float, float, float]:
    """Return millions of Gaussians read and written per second of CPU, and bytes of one."""
    scene = synth.scene(COUNT, DEGREE)
    settings: dict[str, Any] = {"palette": PALETTE} if "palette" in entry.settings else {}
    path = folder / f"scene{entry.extensions[0] if entry.extensions else ''}"

    def write(scene: Gaussians = scene) -> None:
        if entry.folder:
            inner = Path(tempfile.mkdtemp(dir=folder))
            write_folder(inner, scene, entry.name, **settings)
            path.unlink(missing_ok=True)
            path.symlink_to(inner)
            return
        with path.open("wb") as file:
            write_scene(file, scene, path.name, **settings)

    write(scene.take(slice(0, 2000)))
    read_scene(path)
    writing = timed(write)
    reading = timed(lambda: read_scene(path))
    files = path.resolve().rglob("*") if entry.folder else [path]
    size = sum(p.stat().st_size for p in files if p.is_file())
    return COUNT / reading / 1e6, COUNT / writing / 1e6, size / COUNT


def main() -> int:
    """Measure all and write the module."""
    rows: dict[str, tuple[float, float, float]] = {}
    for entry in writable():
        with tempfile.TemporaryDirectory() as folder:
            try:
                rows[entry.name] = measure(entry, Path(folder))
            except UnsupportedError as error:
                print(f"{entry.name}: {error}", file=sys.stderr)
                continue
        print(entry.name, *(f"{v:.3g}" for v in rows[entry.name]), file=sys.stderr)
    kept = {name: row for name, row in measured.FIGURES.items() if name not in rows}
    lines = [f'    "{n}": ({r[0]:.3g}, {r[1]:.3g}, {r[2]:.4g}),' for n, r in {**rows, **kept}.items()]
    path = Path(measured.__file__)
    text = path.read_text()
    start, end = text.index("FIGURES: "), text.index("}\n", text.index("FIGURES: ")) + 2
    head = "FIGURES: dict[str, tuple[float, float, float]] = {\n"
    path.write_text(text[:start] + head + "\n".join(lines) + "\n}\n" + text[end:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
