"""The ``floats`` serializer: every bit pattern, a plain twin, hostile input."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec import decoder
from splatpack.codecs.columns import Delta
from splatpack.codecs.floats import COPIES, LOW, UNIT, Floats
from splatpack.codecs.kernels import floats as kernels
from splatpack.codecs.pipeline import Pipeline
from splatpack.errors import CorruptError, LimitError, SplatpackError
from splatpack.limits import Limits

SPECIAL = [
    0,
    1 << 31,
    1,
    0x807FFFFF,
    0x7F800000,
    0xFF800000,
    0x7FC00000,
    0x7F800001,
    0xFFFFFFFF,
    0x3F800000,
    0x00800000,
]
"""Bits of zeros, subnormals, infinities, quiet and signalling NaNs, one, the smallest normal number."""


def _check(bits: Any) -> bytes:
    """Round trip through the library and through the independent decoder; return the bytes."""
    column = np.ascontiguousarray(bits, np.uint32).view(np.float32)
    data = Floats().encode(column)
    back = Floats().decode(data, Limits())
    assert back.dtype == np.float32
    assert back.shape == column.shape
    assert back.tobytes() == column.tobytes()
    other = decoder.decode_floats(
        decoder.Cursor(data, "column"), len(column), column.shape[1], decoder.Budget(len(data))
    )
    assert other.tobytes() == column.tobytes()
    return data


def _smooth(n: int, k: int, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return (np.cumsum(rng.normal(size=(n, k)), axis=0) * 0.1).astype(np.float32)


def _quats(n: int, seed: int = 0) -> Any:
    q = np.random.default_rng(seed).normal(size=(n, 4))
    return (q / np.linalg.norm(q, axis=1, keepdims=True)).astype(np.float32)


@given(
    st.integers(1, 5).flatmap(
        lambda k: st.lists(
            st.lists(st.one_of(st.sampled_from(SPECIAL), st.integers(0, 2**32 - 1)), min_size=k, max_size=k),
            min_size=1, max_size=70,
        )
    )
)  # fmt: skip
def test_every_bit_pattern_comes_back(rows: list[list[int]]) -> None:
    _check(rows)


@pytest.mark.parametrize("n", [1, 2, 31, 32, 33, 64, 500])
@pytest.mark.parametrize("k", [1, 3, 4, 9])
def test_smooth_columns_come_back(n: int, k: int) -> None:
    _check(_smooth(n, k).view(np.uint32))


def test_flags_are_chosen_by_content() -> None:
    bits = _smooth(600, 3).view(np.uint32)
    assert _check(bits)[0] == 0
    again = np.repeat(bits, 2, axis=0)
    assert _check(again)[0] & COPIES
    assert _check(_quats(300).view(np.uint32))[0] & UNIT
    assert not _check(2 * _quats(300).view(np.uint32))[0] & UNIT
    assert _check(bits & np.uint32(0xFFFFE000))[0] & LOW
    odd = _quats(200)
    odd[::3] = np.array([np.nan, np.inf, -np.inf, 0])
    _check(odd.view(np.uint32))


def test_what_it_is_for_gets_shorter() -> None:
    quats = _quats(4000)
    assert len(_check(quats.view(np.uint32))) < 0.86 * quats.nbytes
    cloned = np.repeat(_smooth(500, 6), 3, axis=0)
    assert len(_check(cloned.view(np.uint32))) < 0.36 * cloned.nbytes


def test_pieces_and_contexts_agree_with_the_twin() -> None:
    rng = np.random.default_rng(1)
    n, pad = 257, kernels.PAD
    values = rng.integers(0, 2**32, (n, 2), np.uint32)
    own, left, guide = (np.zeros((6, pad + n), np.uint8) for _ in range(3))
    for k, (out, base) in enumerate(((own, 130), (left, 1))):
        kernels.split(values, k, base, np.arange(n), out)
        assert (decoder.cut(np.ascontiguousarray(values[:, k]).view(np.float32), base) == out[:, pad:]).all()
    kernels.split(values[::-1].copy(), 0, 255, np.arange(n), guide)
    own[:5, ::3], own[:3, 1::3] = guide[:5, ::3], left[:3, 1::3]
    own[:, ::7] = guide[:, ::7]
    wide, wide_left, wide_guide = (a[:, pad:].astype(np.int64) for a in (own, left, guide))
    for unit in (0, 1):
        for piece in range(6):
            found = [kernels.context(piece, own, left, guide, p, p, unit) for p in range(pad, pad + n)]
            assert found == decoder.float_contexts(piece, wide, wide_left, wide_guide, bool(unit)).tolist()


CASES = {
    "plain": _smooth(70, 2),
    "copies": np.repeat(_smooth(40, 3), 2, axis=0),
    "unit": _quats(60),
    "low": (_smooth(70, 2).view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32),
}


@pytest.mark.parametrize("name", CASES)
def test_every_prefix_and_extra_bytes_fail(name: str) -> None:
    data = Floats().encode(CASES[name])
    for n in range(len(data)):
        with pytest.raises(CorruptError):
            Floats().decode(data[:n], Limits())
    with pytest.raises(CorruptError):
        Floats().decode(data + b"\0", Limits())


@given(st.sampled_from(sorted(CASES)), st.integers(0, 10**6), st.integers(1, 255))
def test_damage_ends_in_values_or_in_an_error(name: str, at: int, flip: int) -> None:
    data = bytearray(Floats().encode(CASES[name]))
    data[at % len(data)] ^= flip
    ours: Any = None
    theirs: Any = None
    with suppress(SplatpackError):
        ours = Floats().decode(bytes(data), Limits())
    cursor = decoder.Cursor(bytes(data), "column")
    with suppress(decoder.Corrupt, decoder.Limit):
        theirs = decoder.decode_floats(cursor, len(CASES[name]), CASES[name].shape[1], decoder.Budget(len(data)))
    if ours is not None and ours.shape == CASES[name].shape:
        assert theirs is not None
        assert ours.tobytes() == theirs.tobytes()
    else:
        assert theirs is None


def _head(**changes: int) -> bytes:
    fields = {"flags": 0, "zero": 0, "k": 2, "n": 70, "m": 70, **changes}
    data = Floats().encode(CASES["plain"])
    return struct.pack("<BBHII", *fields.values()) + data[12:]


@pytest.mark.parametrize(
    "change",
    [
        {"flags": 8}, {"flags": UNIT}, {"flags": COPIES}, {"zero": 1}, {"k": 0}, {"k": 257}, {"k": 1}, {"n": 71},
        {"n": 0, "m": 0}, {"n": 65537, "m": 65537}, {"m": 69}, {"m": 71}, {"flags": LOW}, {"n": 2**32 - 1},
    ],
)  # fmt: skip
def test_wrong_heads_are_refused(change: dict[str, int]) -> None:
    assert Floats().decode(_head(), Limits()).tobytes() == CASES["plain"].tobytes()
    with pytest.raises(CorruptError):
        Floats().decode(_head(**change), Limits())


def test_a_base_of_zero_and_a_copy_before_the_first_row_are_refused() -> None:
    data = bytearray(Floats().encode(CASES["plain"]))
    data[16] = 0
    with pytest.raises(CorruptError, match="base"):
        Floats().decode(bytes(data), Limits())
    out = np.zeros((3, 1), np.uint32)
    assert kernels.copy_rows(np.array([0, 2, 0], np.uint8), out) == -1


def test_it_asks_the_limits() -> None:
    with pytest.raises(LimitError):
        Floats().decode(Floats().encode(_smooth(60, 2)), Limits(memory=400))


def test_where_it_may_stand() -> None:
    alone = Pipeline([Floats()])
    alone.check_column(np.dtype("<f4"), 3)
    assert Pipeline.from_spec(alone.spec).spec == [{"id": "floats"}]
    with pytest.raises(CorruptError):
        alone.check_column(np.dtype("<i4"), 3)
    for spec in ([{"id": "floats"}, {"id": "zstd"}], [{"id": "ordered", "dtype": "<f4"}, {"id": "floats"}]):
        with pytest.raises(CorruptError):
            Pipeline.from_spec(spec).check_column(np.dtype("<f4"), 3)
    with pytest.raises(CorruptError):
        Pipeline([Delta(), Floats()]).check_column(np.dtype("<f4"), 3)
