from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splatpack.codecs.model import Model, count, fit
from splatpack.codecs.rans import HEADER, OVERHEAD, TokenReader, Tokens, TokenWriter, zigzag
from splatpack.errors import CorruptError, SplatpackError
from splatpack.limits import Limits
from tests.test_codecs import reference


def _planes(seed: int, sizes: tuple[int, ...], top: int = 200) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    out = []
    for n in sizes:
        values = np.minimum(rng.exponential(8, n), top).astype(np.int64)
        if n > 3:
            values[0], values[1], values[2] = 0, 31, 32
        out.append((values, rng.integers(0, 4, n).astype(np.uint16)))
    return out


def _encode(planes: list[tuple[np.ndarray, np.ndarray]]) -> tuple[bytes, Model, Tokens]:
    writer = TokenWriter(sum(len(v) for v, _ in planes), 64)
    for values, contexts in planes:
        writer.plane(values, contexts)
    tokens = writer.finish()
    counts = np.zeros((4, 256), np.int64)
    count(tokens.tokens, tokens.contexts, counts)
    model = fit(counts)
    return tokens.encode(model), model, tokens


def _decode(data: bytes, model: Model, planes: list[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
    reader = TokenReader(memoryview(data), model, Limits(), "test")
    out = [reader.plane(0, contexts.astype(np.uint8)) for _, contexts in planes]
    reader.finish()
    return out


@pytest.mark.parametrize("sizes", [(), (0,), (1,), (2,), (31,), (32,), (33,), (64, 1, 0, 100), (1000, 37)])
def test_round_trip(sizes: tuple[int, ...]) -> None:
    planes = _planes(1, sizes)
    data, model, tokens = _encode(planes)
    assert len(data) <= tokens.bound
    for got, (want, _) in zip(_decode(data, model, planes), planes, strict=True):
        assert (got == want).all()


@given(st.integers(0, 10_000), st.lists(st.integers(0, 90), max_size=5), st.integers(1, (1 << 57) - 1))
def test_round_trip_of_any_planes(seed: int, sizes: list[int], top: int) -> None:
    rng = np.random.default_rng(seed)
    planes = [(rng.integers(0, top, n), rng.integers(0, 4, n).astype(np.uint16)) for n in sizes]
    data, model, tokens = _encode(planes)
    assert len(data) <= tokens.bound
    for got, (want, _) in zip(_decode(data, model, planes), planes, strict=True):
        assert (got == want).all()


def test_kernels_agree_with_the_reference() -> None:
    planes = _planes(2, (70, 5, 33))
    data, model, tokens = _encode(planes)
    for values, token in zip(np.concatenate([v for v, _ in planes]).tolist(), tokens.tokens.tolist(), strict=True):
        assert reference.tokenise(values)[0] == token
    states, words = reference.encode_stream(
        tokens.tokens.tolist(), tokens.contexts.tolist(), tokens.starts.tolist(), model
    )
    body = np.array(states, "<u4").tobytes() + np.array(words, "<u2").tobytes()
    assert data == HEADER.pack(len(words), len(tokens.bits)) + body + tokens.bits
    out, used, final = reference.decode_stream(states, words, [c.tolist() for _, c in planes], model)
    assert used == len(words)
    assert set(final) == {65536}
    assert [t for plane in out for t in plane] == tokens.tokens.tolist()


def test_raw_bits_are_little_endian_and_in_order() -> None:
    writer = TokenWriter(2, 64)
    writer.plane(np.array([64 + 5, 3], np.int64), np.zeros(2, np.uint16))  # 69 = 1 00 0101: token 36, raw 0101
    writer.raw(np.array([1, 6], np.int64), np.array([1, 3], np.int64))
    tokens = writer.finish()
    assert tokens.tokens.tolist() == [36, 3]
    assert tokens.bits == bytes([0b110_1_0101])


def test_golden_bytes() -> None:
    writer = TokenWriter(3, 64)
    writer.plane(np.array([0, 1, 0], np.int64), np.zeros(3, np.uint16))
    model = Model(np.zeros(1, np.uint8), ((0, 0),))
    data = writer.finish().encode(model)
    assert model.to_bytes() == bytes([0x01, 0x03, 0x0A])
    states = [131072, 133120, 131072] + [65536] * 29
    assert data == HEADER.pack(0, 0) + np.array(states, "<u4").tobytes()


def test_every_prefix_and_extra_bytes_fail() -> None:
    planes = _planes(3, (100, 20))
    data, model, _ = _encode(planes)
    for n in range(len(data)):
        with pytest.raises(CorruptError):
            _decode(data[:n], model, planes)
    with pytest.raises(CorruptError):
        _decode(data + b"\0", model, planes)


def test_wrong_lengths_states_and_leftovers_fail() -> None:
    planes = _planes(4, (64,))
    data, model, _ = _encode(planes)
    words, raw = HEADER.unpack_from(data)
    low_state = data[:8] + (65535).to_bytes(4, "little") + data[12:]
    more_words = HEADER.pack(words + 1, raw) + data[8:OVERHEAD] + b"\0\0" + data[OVERHEAD:]
    more_bits = HEADER.pack(words, raw + 1) + data[8:] + b"\0"
    for bad in (low_state, more_words, more_bits, HEADER.pack(1 << 31, 1 << 31) + data[8:]):
        with pytest.raises(CorruptError):
            _decode(bad, model, planes)


@given(st.integers(0, 2**31), st.integers(0, 10_000), st.integers(1, 255))
def test_damaged_streams_end_in_values_or_in_an_error(seed: int, at: int, flip: int) -> None:
    planes = _planes(seed % 7, (70, 33))
    data, model, _ = _encode(planes)
    damaged = bytearray(data)
    damaged[at % len(data)] ^= flip
    try:
        values = _decode(bytes(damaged), model, planes)
    except SplatpackError:
        return
    assert all((v >= 0).all() for v in values)


def test_values_out_of_range_are_refused_by_the_encoder() -> None:
    for bad in (-1, 1 << 57):
        with pytest.raises(ValueError, match="2\\^57"):
            TokenWriter(1, 64).plane(np.array([bad], np.int64), np.zeros(1, np.uint16))


def test_a_token_that_the_model_lacks_is_refused_by_the_encoder() -> None:
    writer = TokenWriter(1, 64)
    writer.plane(np.array([7], np.int64), np.zeros(1, np.uint16))
    with pytest.raises(ValueError, match="does not hold"):
        writer.finish().encode(Model(np.zeros(1, np.uint8), ((0, 0),)))


@given(st.lists(st.integers(-(2**40), 2**40), min_size=1))
def test_zigzag(values: list[int]) -> None:
    v = np.array(values, np.int64)
    assert (zigzag(v) >= 0).all()
    assert zigzag(np.array([0, -1, 1, -2, 2])).tolist() == [0, 1, 2, 3, 4]
    assert ((zigzag(v) >> 1) ^ -(zigzag(v) & 1)).tolist() == values
