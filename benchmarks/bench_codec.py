"""Speed of the codec: encoding, decoding, the entropy coder alone, and everything that ``splatpack compress`` does.

``pytest benchmarks/bench_codec.py --benchmark-enable``; the rates stand under ``extra_info`` and in the JSON. Without
the option every case runs once as a plain test.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from splatpack.codecs import model
from splatpack.codecs.rans import TokenReader, Tokens
from splatpack.container.reader import ContainerReader
from splatpack.container.source import MemorySource
from splatpack.formats.ply import write_ply
from splatpack.limits import Limits
from splatpack.pack.api import compress
from splatpack.pack.decode import decode
from splatpack.pack.encode import encode
from splatpack.pack.presets import settings
from splatpack.pack.verify import verify
from splatpack.scene.gaussians import Gaussians
from tests import synth

COUNT = 100_000
SMALL = 30_000
"""Gaussians where the importance is measured by rendering, which takes most of the time."""
PLANE, PLANES = 1 << 16, 16
"""Tokens in a plane, and planes, of the entropy coder's case."""


@pytest.fixture(scope="module", params=[0, 3], ids=["sh0", "sh3"])
def scene(request: pytest.FixtureRequest) -> Gaussians:
    return synth.scene(COUNT, degree=request.param)


def _weights(n: int) -> NDArray[np.float64]:
    """Importance as scenes have it: a few Gaussians matter much more than most."""
    return np.exp(np.random.default_rng(1).normal(0.0, 2.0, n)) / 43_200


def _pack(scene: Gaussians, weights: NDArray[np.float64] | None) -> bytes:
    out = BytesIO()
    encode(scene, out, settings("high", level=weights is None), threads=1, weights=weights)
    return out.getvalue()


def _rate(benchmark: BenchmarkFixture, name: str, amount: float) -> None:
    if benchmark.stats is not None:
        benchmark.extra_info[name] = round(amount / benchmark.stats.stats.median / 1e6, 3)


def test_encode_with_importance_given(benchmark: BenchmarkFixture, scene: Gaussians) -> None:
    weights = _weights(COUNT)
    data = benchmark(_pack, scene, weights)
    assert 8 * len(data) / COUNT < (150 if scene.sh_degree else 90)
    benchmark.extra_info["bits_per_gaussian"] = round(8 * len(data) / COUNT, 2)
    _rate(benchmark, "MG_per_s", COUNT)


def test_encode_with_importance_measured(benchmark: BenchmarkFixture) -> None:
    small = synth.scene(SMALL, degree=3)
    data = benchmark(_pack, small, None)
    with ContainerReader(MemorySource(data)) as reader:
        assert sum(c.count for c in reader.chunks) == SMALL
    _rate(benchmark, "MG_per_s", SMALL)


def test_decode(benchmark: BenchmarkFixture, scene: Gaussians) -> None:
    data = _pack(scene, _weights(COUNT))

    def run() -> Gaussians:
        with ContainerReader(MemorySource(data)) as reader:
            return decode(reader, threads=1)

    back = benchmark(run)
    assert len(back) == COUNT
    assert back.sh_degree == scene.sh_degree
    assert abs(float(back.opacities.mean()) - float(np.clip(scene.opacities, -6, 8).mean())) < 0.02
    _rate(benchmark, "MG_per_s", COUNT)


def test_verify(benchmark: BenchmarkFixture, scene: Gaussians) -> None:
    data = _pack(scene, _weights(COUNT))

    def run() -> int:
        with ContainerReader(MemorySource(data)) as reader:
            report = verify(reader, threads=1)
        assert report.ok
        return report.chunks

    assert benchmark(run) > 1
    _rate(benchmark, "MG_per_s", COUNT)


@pytest.fixture(scope="module")
def coded() -> tuple[NDArray[np.int64], Tokens, model.Model]:
    """Planes of small numbers whose spread depends on their context, as residuals have it."""
    rng = np.random.default_rng(2)
    contexts = rng.integers(0, 8, PLANE).astype(np.uint16)
    values = rng.geometric(1 / (1.5 + contexts), (PLANES, PLANE)) - 1
    tokens = Tokens(
        np.minimum(values, 15).astype(np.uint8).reshape(-1),
        np.tile(contexts, PLANES),
        np.arange(PLANES + 1, dtype=np.int64) * PLANE,
        b"",
    )
    counts = np.zeros((8, 256), np.int64)
    model.count(tokens.tokens, tokens.contexts, counts)
    return np.minimum(values, 15), tokens, model.fit(counts)


def test_entropy_encode(benchmark: BenchmarkFixture, coded: tuple[NDArray[np.int64], Tokens, model.Model]) -> None:
    _, tokens, fitted = coded
    data = benchmark(tokens.encode, fitted)
    counts = np.zeros((8, 256), np.int64)
    np.add.at(counts, (tokens.contexts, tokens.tokens), 1)
    share = counts / counts.sum(axis=1, keepdims=True)
    ideal = -(counts * np.log2(np.where(counts > 0, share, 1.0))).sum() / 8
    assert ideal <= len(data) < 1.01 * ideal + 256
    _rate(benchmark, "Msym_per_s", PLANE * PLANES)


def test_entropy_decode(benchmark: BenchmarkFixture, coded: tuple[NDArray[np.int64], Tokens, model.Model]) -> None:
    values, tokens, fitted = coded
    data = memoryview(tokens.encode(fitted))
    contexts = tokens.contexts[:PLANE].astype(np.uint8)

    def run() -> list[NDArray[np.int64]]:
        reader = TokenReader(data, fitted, Limits(), "benchmark")
        planes = [reader.plane(0, contexts) for _ in range(PLANES)]
        reader.finish()
        return planes

    assert np.array_equal(np.stack(benchmark(run)), values)
    _rate(benchmark, "Msym_per_s", PLANE * PLANES)


@pytest.mark.parametrize("measure", [False, True], ids=["", "measure"])
def test_compress(benchmark: BenchmarkFixture, tmp_path: Path, measure: bool) -> None:
    source, target = tmp_path / "scene.ply", tmp_path / "scene.spk"
    with source.open("wb") as file:
        write_ply(file, synth.scene(SMALL, degree=3))

    def run() -> float:
        report = compress(source, target, settings("high"), force=True, measure=measure)
        benchmark.extra_info["stages_ms"] = {name: round(1000 * s) for name, s in report.stages}
        assert (report.psnr_mean is not None) == measure
        return report.ratio

    assert benchmark(run) > 10
    _rate(benchmark, "MG_per_s", SMALL)
