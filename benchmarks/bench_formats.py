"""Speed of foreign formats, SH degree 3: reading from a warm page cache, writing to memory.

``pytest benchmarks/bench_formats.py --benchmark-enable`` times ours. ``python -m benchmarks.bench_formats PEERS`` also
times gsply (compiled, on all cores) from the virtual environment in the folder PEERS, in turn, on the same scene.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from splatpack.formats.registry import read_scene, write_scene
from tests import synth

COUNT = 100_000
KINDS: dict[str, dict[str, Any]] = {
    ".ply": {},
    ".compressed.ply": {},
    ".splat": {},
    "3.spz": {"version": 3},
    "4.spz": {"version": 4},
}


def _rate(benchmark: BenchmarkFixture, nbytes: int) -> None:
    if benchmark.stats is not None:
        benchmark.extra_info["Mgaussians_per_s"] = round(COUNT / benchmark.stats.stats.median / 1e6, 2)
        benchmark.extra_info["bytes"] = nbytes


@pytest.mark.parametrize("kind", KINDS)
def test_write(benchmark: BenchmarkFixture, kind: str) -> None:
    scene = synth.scene(COUNT)

    def write() -> int:
        file = io.BytesIO()
        write_scene(file, scene, kind, **KINDS[kind])
        return file.tell()

    _rate(benchmark, benchmark(write))


@pytest.mark.parametrize("kind", KINDS)
def test_read(benchmark: BenchmarkFixture, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"scene{kind}"
    with path.open("wb") as file:
        write_scene(file, synth.scene(COUNT), kind, **KINDS[kind])
    assert len(benchmark(read_scene, path)) == COUNT
    _rate(benchmark, path.stat().st_size)


PEER = """
import json, sys, time, gsply
folder, ending, version = sys.argv[1:]
data = gsply.plyread(folder + "/scene.ply")
columns = {k: getattr(data, k).copy() for k in ("scales", "quats", "opacities", "sh0", "shN")}
means, path = data.means.copy(), folder + "/peer" + ending
if ending == ".spz":
    write = lambda: gsply.write_spz(path, data, version=int(version))
    read = lambda: gsply.read_spz(path)
else:
    write = lambda: gsply.plywrite(path, means, **columns, compressed=ending == ".compressed.ply")
    read = lambda: gsply.plyread(path)
times = []
for call in (write, read):
    call()
    start = time.perf_counter()
    call()
    times.append(time.perf_counter() - start)
print(json.dumps(times))
"""


def _ours(folder: Path, ending: str, version: int) -> list[float]:
    """Write and read time in seconds, warm."""
    scene, path = read_scene(folder / "scene.ply"), folder / f"ours{ending}"

    def write() -> None:
        with path.open("wb") as file:
            write_scene(file, scene, ending, **({"version": version} if version else {}))

    times = []
    calls: tuple[Callable[[], object], ...] = (write, lambda: read_scene(path))
    for call in calls:
        call()
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times


def main() -> None:
    """Print a table of medians, ours and gsply's, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peers", type=Path)
    parser.add_argument("--count", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    python = args.peers / "venv" / "bin" / "python"
    print("| format | ours write | gsply write | ours read | gsply read | bytes, ours / gsply |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "scene.ply").open("wb") as file:
            write_scene(file, synth.scene(args.count), ".ply")
        for ending, version in ((".ply", 0), (".compressed.ply", 0), (".spz", 3), (".spz", 4)):
            ours, theirs = [], []
            for _ in range(args.rounds):
                ours.append(_ours(folder, ending, version))
                words = [str(python), "-c", PEER, name, ending, str(version)]
                theirs.append(json.loads(subprocess.run(words, capture_output=True, check=True).stdout))
            (w, r), (pw, pr) = ([statistics.median(column) for column in zip(*t, strict=True)] for t in (ours, theirs))
            sizes = "{:,} / {:,}".format(*((folder / f"{who}{ending}").stat().st_size for who in ("ours", "peer")))
            label = f"{ending} {version or ''}".strip()
            cells = (f"{w:.3f} s ({w / pw:.2f}x)", f"{pw:.3f} s", f"{r:.3f} s ({r / pr:.2f}x)", f"{pr:.3f} s")
            print(f"| {label} | {' | '.join(cells)} | {sizes} |", flush=True)


if __name__ == "__main__":
    main()
