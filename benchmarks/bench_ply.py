"""Speed of PLY: reading from a warm page cache and writing to memory, canonical SH3 rows, in MB/s.

``pytest benchmarks/bench_ply.py --benchmark-enable``; the rate stands under ``extra_info`` and in the JSON.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from splatpack.formats.ply import ply_blocks, read_ply, write_ply
from splatpack.scene.validate import validate
from tests import synth

COUNT = 200_000


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("ply") / "scene.ply"
    write_ply(file, synth.scene(COUNT))
    return file


def _rate(benchmark: BenchmarkFixture, nbytes: int) -> None:
    if benchmark.stats is not None:
        benchmark.extra_info["MB_per_s"] = round(nbytes / benchmark.stats.stats.median / 1e6)


@pytest.mark.parametrize("normalise", [True, False])
def test_read(benchmark: BenchmarkFixture, path: Path, normalise: bool) -> None:
    scene = benchmark(read_ply, path, normalise=normalise)
    assert len(scene) == COUNT
    _rate(benchmark, path.stat().st_size)


def test_write(benchmark: BenchmarkFixture, path: Path) -> None:
    scene = read_ply(path)
    size = benchmark(lambda: sum(len(block) for block in ply_blocks(scene)))
    assert size == path.stat().st_size
    _rate(benchmark, size)


def test_validate(benchmark: BenchmarkFixture, path: Path) -> None:
    scene = read_ply(path)
    assert benchmark(validate, scene)[1].clean
    _rate(benchmark, scene.nbytes)
