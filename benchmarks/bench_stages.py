"""Speed of each stage of the codecs alone: what the splat codec does to one chunk, and every codec of the registry.

``pytest benchmarks/bench_stages.py --benchmark-enable``; million Gaussians, or numbers, per second stand under
``extra_info``. Without the option every case runs once as a plain test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from splatpack.codecs import splat
from splatpack.codecs.base import Codec, Transform
from splatpack.codecs.columns import BytePlanes, CodedPlanes, Delta, Ordered, Quantised, RawPlanes
from splatpack.codecs.floats import Floats
from splatpack.codecs.kernels import colour, lattice
from splatpack.codecs.rans import zigzag
from splatpack.codecs.registry import CODECS
from splatpack.codecs.zstd import Zstd
from splatpack.limits import Limits
from tests import synth
from tests.test_codecs.test_splat import Chunk

COUNT = 16_384
"""Gaussians in the chunk, about what a chunk of 128 KiB holds."""


@pytest.fixture(scope="module")
def chunk() -> Chunk:
    return Chunk(synth.scene(COUNT, 3))


def _timed(benchmark: BenchmarkFixture, fn: Callable[[], Any], items: int = COUNT) -> Any:
    result = benchmark(fn)
    if benchmark.stats is not None:
        benchmark.extra_info["M_per_s"] = round(items / benchmark.stats.stats.median / 1e6, 3)
    return result


def test_canonical_form(benchmark: BenchmarkFixture, chunk: Chunk) -> None:
    scales, _ = _timed(benchmark, lambda: splat.canonicalise(chunk.scene.scales, chunk.scene.quats))
    assert (np.diff(scales, axis=1) <= 0).all()


def test_quantise(benchmark: BenchmarkFixture, chunk: Chunk) -> None:
    arrays = {name: getattr(chunk.scene, name) for name in splat.GEOMETRY}
    weights = np.ones(COUNT)
    symbols = _timed(benchmark, lambda: splat.quantise(arrays, chunk.codes, chunk.classes, weights, chunk.params, 0.5))
    assert (symbols.scale == chunk.symbols.scale).all()


def test_geometry_tokens(benchmark: BenchmarkFixture, chunk: Chunk) -> None:
    tokens, first = _timed(benchmark, lambda: splat.geometry_tokens(chunk.symbols, chunk.scene.means, chunk.params))
    assert splat.geometry_bytes(tokens, first, chunk.geometry_model) == chunk.geometry


def test_geometry_bytes(benchmark: BenchmarkFixture, chunk: Chunk) -> None:
    tokens, first = splat.geometry_tokens(chunk.symbols, chunk.scene.means, chunk.params)
    assert _timed(benchmark, lambda: splat.geometry_bytes(tokens, first, chunk.geometry_model)) == chunk.geometry


def test_sh_tokens(benchmark: BenchmarkFixture, chunk: Chunk) -> None:
    tokens = _timed(benchmark, lambda: splat.sh_tokens(chunk.scene.shN, chunk.classes, chunk.params))
    assert chunk.sh_model is not None
    assert tokens.encode(chunk.sh_model) == chunk.sh


def test_sh_bytes(benchmark: BenchmarkFixture, chunk: Chunk) -> None:
    tokens = splat.sh_tokens(chunk.scene.shN, chunk.classes, chunk.params)
    assert chunk.sh_model is not None
    fitted = chunk.sh_model
    assert _timed(benchmark, lambda: tokens.encode(fitted)) == chunk.sh


def test_decode_geometry(benchmark: BenchmarkFixture, chunk: Chunk) -> None:
    arrays = _timed(benchmark, chunk.decode)
    assert set(arrays) == set(splat.GEOMETRY)


def test_decode_sh(benchmark: BenchmarkFixture, chunk: Chunk) -> None:
    assert _timed(benchmark, chunk.decode_sh).shape == chunk.scene.shN.shape


def test_predict_colour(benchmark: BenchmarkFixture, chunk: Chunk) -> None:
    symbols, scratch = chunk.symbols.colour[0], np.empty(COUNT, np.int64)

    def run() -> NDArray[np.int64]:
        work = symbols.copy()
        colour.predict_colour(work, chunk.classes, chunk.params.colour, scratch)
        return work

    assert np.abs(_timed(benchmark, run)).sum() < np.abs(symbols).sum()


def test_restore_colour(benchmark: BenchmarkFixture, chunk: Chunk) -> None:
    residuals, steps = chunk.symbols.colour[0].copy(), chunk.params.colour
    colour.predict_colour(residuals, chunk.classes, steps, np.empty(COUNT, np.int64))
    coded = zigzag(residuals)

    def run() -> NDArray[np.int64]:
        work = coded.copy()
        assert colour.restore_colour(work, chunk.classes, steps) == 0
        return work

    assert (_timed(benchmark, run) == chunk.symbols.colour[0] * steps[chunk.classes]).all()


def test_quantise_positions(benchmark: BenchmarkFixture, chunk: Chunk) -> None:
    p, sym = chunk.params, chunk.symbols
    values, widths = np.empty(COUNT, np.int64), np.empty(COUNT, np.int64)

    def run() -> None:
        lattice.quantise_positions(
            chunk.scene.means, sym.codes, sym.scale, sym.classes, p.slope, p.position, splat.SIDES, splat.SIZES,
            p.lattice, values, widths,
        )  # fmt: skip

    _timed(benchmark, run)
    assert (values >> widths == 0).all()


_RNG = np.random.default_rng(5)
_FLOATS = np.cumsum(_RNG.normal(0, 0.01, (COUNT, 4)), axis=0).astype(np.float32)
_ORDERED = Ordered("<f4").forward(_FLOATS)
_PLANES = BytePlanes(4, 4).forward(_ORDERED)

CASES: dict[str, tuple[Codec, Any]] = {
    "ordered": (Ordered("<f4"), _FLOATS),
    "quantised": (Quantised(1e-3), _FLOATS),
    "delta": (Delta(), _ORDERED),
    "byte-planes": (BytePlanes(4, 4), _ORDERED),
    "raw": (RawPlanes(), _PLANES),
    "planes": (CodedPlanes(), _PLANES),
    "floats": (Floats(), _FLOATS),
    "zstd": (Zstd(), _PLANES.tobytes()),
}
"""Each codec of the registry, and what it codes."""


def test_every_codec_of_the_registry_has_a_case() -> None:
    assert {codec.id for codec, _ in CASES.values()} == set(CODECS)


def _coders(codec: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    if isinstance(codec, Transform):
        return codec.forward, codec.inverse
    return codec.encode, lambda data: codec.decode(data, Limits())


@pytest.mark.parametrize("name", CASES)
def test_codec_encodes(benchmark: BenchmarkFixture, name: str) -> None:
    encode, decode = _coders(CASES[name][0])
    coded = _timed(benchmark, lambda: encode(CASES[name][1]), 4 * COUNT)
    assert len(decode(coded)) == len(CASES[name][1])


@pytest.mark.parametrize("name", CASES)
def test_codec_decodes(benchmark: BenchmarkFixture, name: str) -> None:
    encode, decode = _coders(CASES[name][0])
    coded = encode(CASES[name][1])
    back, want = _timed(benchmark, lambda: decode(coded), 4 * COUNT), CASES[name][1]
    if name == "quantised":
        assert np.abs(back - want).max() < 1e-3
    elif isinstance(want, bytes):
        assert back == want
    else:
        assert back.tobytes() == want.tobytes()
