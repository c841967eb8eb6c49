from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splatpack.codecs.bits import BitWriter
from splatpack.codecs.kernels.model import golomb
from splatpack.codecs.model import ABSENT, WEIGHTS, Model, count, fit
from splatpack.errors import CorruptError
from tests.test_codecs.reference import frequencies


def test_weights_are_those_of_the_specification() -> None:
    assert WEIGHTS[:5] == (65536, 55109, 46341, 38968, 32768)
    assert WEIGHTS[-3:] == (23, 19, 16)
    assert len(WEIGHTS) == ABSENT == 49


def test_worked_example_of_the_specification() -> None:
    assert frequencies([4, 8, 49, 8]) == [2048, 1024, 0, 1024]
    model = Model(np.zeros(1, np.uint8), ((4, 8, 49, 8),))
    assert model.starts[0][[0, 1, 3]].tolist() == [0, 2048, 3072]
    assert Model.from_bytes(model.to_bytes(), 1).costs == model.costs


@given(st.lists(st.integers(0, 49), min_size=1, max_size=256).filter(lambda c: min(c) < 49))
def test_frequencies_sum_to_4096_and_keep_every_token(costs: list[int]) -> None:
    freqs = frequencies(costs)
    assert sum(freqs) == 4096
    model = Model(np.zeros(1, np.uint8), (tuple(costs),))
    assert model.freqs[0, : len(costs)].tolist() == freqs
    assert model.starts[0, : len(costs)].tolist() == [sum(freqs[:i]) for i in range(len(freqs))]
    assert model.slots.tolist() == [t for t, f in enumerate(freqs) for _ in range(f)]
    assert all((f > 0) == (c < 49) for f, c in zip(freqs, costs, strict=True))


@given(st.lists(st.integers(-1000, 1000), max_size=50), st.integers(0, 3))
def test_golomb_round_trip(values: list[int], order: int) -> None:
    out = BitWriter()
    for v in values:
        out.put_signed(v, order)
    data = out.to_bytes()
    bits, at = np.frombuffer(data + bytes(16), np.uint8), np.zeros(1, np.int64)
    assert [golomb(bits, at, 8 * len(data), order) for _ in values] == values
    assert 0 <= 8 * len(data) - at[0] < 8


def test_golomb_refuses_long_and_cut_numbers() -> None:
    for data in (bytes(5), b"", b"\0", b"\x80"):
        bits, at = np.frombuffer(data + bytes(16), np.uint8), np.zeros(1, np.int64)
        assert golomb(bits, at, 8 * len(data), 0) == -(1 << 40)


def _counts(contexts: int, seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    rng = np.random.default_rng(seed)
    out = np.zeros((contexts, 256), np.int64)
    for c in range(contexts):
        n = int(10 ** rng.uniform(0, 4))
        out[c] = np.bincount(np.minimum(rng.exponential(1 + c % 5, n).astype(int), 90), minlength=256)
    return out


def test_fit_spends_at_most_two_percent_over_the_entropy_of_every_context() -> None:
    counts = _counts(60, 0) * 50
    model = fit(counts)
    total = counts.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = np.nansum(np.where(counts > 0, -counts * np.log2(counts / total), 0))
    freqs = model.freqs[model.context_map].astype(np.float64)
    assert (freqs[counts > 0] > 0).all()
    spent = float((counts * (12 - np.log2(np.maximum(freqs, 1)))).sum())
    assert entropy <= spent <= 1.02 * entropy + 8 * len(model.to_bytes())


def test_fit_respects_the_number_of_tables() -> None:
    counts = np.zeros((100, 256), np.int64)
    for c in range(100):
        counts[c, c] = 10_000
    model = fit(counts, most=7)
    assert len(model.costs) <= 7
    assert (model.freqs[model.context_map][np.arange(100), np.arange(100)] > 0).all()


def test_fit_of_nothing_is_a_valid_model() -> None:
    model = fit(np.zeros((5, 256), np.int64))
    again = Model.from_bytes(model.to_bytes(), 5)
    assert again.costs == model.costs == ((0,),)


def test_grouped_fit_round_trips() -> None:
    counts = _counts(40, 3)
    model = fit(counts, [(0, 8), (8, 40)])
    again = Model.from_bytes(model.to_bytes(), 40)
    assert (again.context_map == model.context_map).all()
    assert again.costs == model.costs
    assert (again.slots == model.slots).all()


def test_count_adds() -> None:
    counts = np.zeros((2, 256), np.int64)
    count(np.array([1, 1, 2], np.uint8), np.array([0, 1, 1], np.uint16), counts)
    count(np.array([1], np.uint8), np.array([0], np.uint16), counts)
    assert counts[0, 1] == 2
    assert counts[1, 1] == counts[1, 2] == 1


def test_every_prefix_and_extra_bytes_fail() -> None:
    data = fit(_counts(20, 1)).to_bytes()
    for n in range(len(data)):
        with pytest.raises(CorruptError):
            Model.from_bytes(data[:n], 20)
    with pytest.raises(CorruptError):
        Model.from_bytes(data + b"\0", 20)


@given(st.binary(max_size=200))
def test_random_bytes_are_a_model_or_corrupt(data: bytes) -> None:
    try:
        model = Model.from_bytes(data, 12)
    except CorruptError:
        return
    assert (model.freqs.sum(axis=1) == 4096).all()
