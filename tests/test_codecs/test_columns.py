from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splatpack.codecs.base import Compressor, Serializer, Transform
from splatpack.codecs.columns import DTYPES
from splatpack.codecs.pipeline import Pipeline
from splatpack.codecs.registry import CODECS, build
from splatpack.codecs.zstd import Zstd
from splatpack.errors import CorruptError, LimitError, SplatpackError, UnsupportedError
from splatpack.limits import Limits

TAILS: list[list[dict[str, Any]]] = [[{"id": "planes"}], [{"id": "raw"}, {"id": "zstd"}], [{"id": "raw"}]]


def _spec(dtype: str, components: int, tail: int, delta: bool) -> list[dict[str, Any]]:
    size = np.dtype(dtype).itemsize
    middle = [{"id": "delta"}] if delta else []
    planes = {"id": "byte-planes", "size": size, "components": components}
    return [{"id": "ordered", "dtype": dtype}, *middle, planes, *TAILS[tail]]


def _random(dtype: str, n: int, k: int, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, 256, n * k * np.dtype(dtype).itemsize, np.uint8)
    return raw.view(dtype).reshape(n, k)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("delta", [False, True])
@pytest.mark.parametrize("tail", range(3))
@pytest.mark.parametrize("n", [1, 2, 33, 500])
def test_every_bit_pattern_comes_back(dtype: str, delta: bool, tail: int, n: int) -> None:
    column = _random(dtype, n, 3, n)
    pipeline = Pipeline.from_spec(_spec(dtype, 3, tail, delta))
    back = pipeline.decode(pipeline.encode(column), Limits())
    assert back.dtype == column.dtype
    assert back.tobytes() == column.tobytes()
    assert Pipeline.from_spec(pipeline.spec).spec == pipeline.spec


def test_ordered_keeps_the_order() -> None:
    x = np.array([[-np.inf], [-1e30], [-1.0], [-0.0], [0.0], [1e-40], [2.0], [np.inf]], np.float32)
    u = build({"id": "ordered", "dtype": "<f4"})
    assert isinstance(u, Transform)
    assert (np.diff(u.forward(x)[:, 0].astype(np.int64)) > 0).all()


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=50), st.floats(1e-2, 1e3))
def test_quantised_keeps_within_half_a_step(values: list[float], step: float) -> None:
    x = np.array(values, np.float32).reshape(-1, 1)
    planes = {"id": "byte-planes", "size": 4, "components": 1}
    pipeline = Pipeline.from_spec([{"id": "quantised", "step": step}, {"id": "delta"}, planes, {"id": "planes"}])
    back = pipeline.decode(pipeline.encode(x), Limits())
    assert (np.abs(back.astype(np.float64) - x) <= step / 2 + 1e-7 * np.abs(x) + 1e-12).all()


def test_quantised_refuses_what_does_not_fit() -> None:
    codec = build({"id": "quantised", "step": 1e-20})
    assert isinstance(codec, Transform)
    with pytest.raises(ValueError, match="32 bits"):
        codec.forward(np.ones((1, 1), np.float32))


def test_three_kinds_and_the_order_of_a_pipeline() -> None:
    kinds = {c: next(k for k in (Transform, Serializer, Compressor) if issubclass(t, k)) for c, t in CODECS.items()}
    assert kinds["delta"] is Transform
    assert kinds["planes"] is Serializer
    assert kinds["zstd"] is Compressor
    for spec in (
        [], [{"id": "delta"}], [{"id": "raw"}, {"id": "raw"}], [{"id": "zstd"}, {"id": "raw"}],
        [{"id": "raw"}, {"id": "delta"}], [{"id": "delta"}] * 8 + [{"id": "raw"}], "raw", [["raw"]],
    ):  # fmt: skip
        with pytest.raises(CorruptError):
            Pipeline.from_spec(spec)


@pytest.mark.parametrize(
    "spec",
    [
        {"id": "delta", "x": 1}, {"id": "raw", "x": 1}, {"id": "ordered"}, {"id": "ordered", "dtype": "O"},
        {"id": "ordered", "dtype": 4}, {"id": "quantised", "step": 1}, {"id": "quantised", "step": 0.0},
        {"id": "quantised", "step": float("nan")}, {"id": "byte-planes", "size": 3, "components": 1},
        {"id": "byte-planes", "size": 4, "components": 0}, {"id": "byte-planes", "size": True, "components": 1},
        {"id": "byte-planes", "size": 4}, {"id": 7}, {}, 7,
    ],
)  # fmt: skip
def test_wrong_parameters_are_corrupt(spec: Any) -> None:
    with pytest.raises(CorruptError):
        build(spec)


@pytest.mark.parametrize("name", ["os.system", "splat", "Zstd", ""])
def test_only_names_on_the_allow_list(name: str) -> None:
    with pytest.raises(UnsupportedError):
        build({"id": name})


@pytest.mark.parametrize("tail", range(3))
def test_every_prefix_and_extra_bytes_fail(tail: int) -> None:
    pipeline = Pipeline.from_spec(_spec("<f4", 2, tail, True))
    column = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    data = pipeline.encode(column)
    for n in range(len(data)):
        with pytest.raises(CorruptError):
            pipeline.decode(data[:n], Limits())
    with pytest.raises(CorruptError):
        pipeline.decode(data + b"\0", Limits())


@given(st.integers(0, 2), st.integers(0, 10**6), st.integers(1, 255))
def test_damage_ends_in_values_or_in_an_error(tail: int, at: int, flip: int) -> None:
    pipeline = Pipeline.from_spec(_spec("<f4", 2, tail, True))
    data = bytearray(pipeline.encode(np.arange(80, dtype=np.float32).reshape(40, 2)))
    data[at % len(data)] ^= flip
    with suppress(SplatpackError):
        assert pipeline.decode(bytes(data), Limits()).dtype == np.float32


def test_zstd_bombs_are_refused_before_they_are_allocated() -> None:
    bomb = Zstd().encode(b"\0" * (64 << 20))
    assert len(bomb) < 10_000
    with pytest.raises(LimitError):
        Zstd().decode(bomb, Limits(memory=1 << 20))


@pytest.mark.parametrize("data", [b"", b"abc", b"\x28\xb5\x2f\xfd", b"\x28\xb5\x2f\xfd\x00\x58\x01\x00\x00"])
def test_zstd_refuses_frames_without_a_size_and_rubbish(data: bytes) -> None:
    with pytest.raises(CorruptError):
        Zstd().decode(data, Limits())


def test_zstd_refuses_a_second_frame() -> None:
    frame = Zstd().encode(b"hello")
    assert Zstd().decode(frame, Limits()) == b"hello"
    with pytest.raises(CorruptError):
        Zstd().decode(frame + frame, Limits())


def test_planes_refuse_absurd_counts() -> None:
    codec = build({"id": "planes"})
    assert isinstance(codec, Serializer)
    for head in (b"\xff\xff" + b"\xff" * 8, b"\x01\x00" + b"\xff\xff\x00\x00" + b"\0" * 4, b"\x01"):
        with pytest.raises(CorruptError):
            codec.decode(head, Limits())
