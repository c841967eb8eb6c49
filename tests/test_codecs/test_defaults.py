"""Models by parts, and the default models that the specification ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import splatpack.codecs
from splatpack.codecs import defaults, model, splat
from splatpack.codecs.defaults import GEOMETRY, SH, Kind, PartedModel
from splatpack.codecs.kernels import contexts as ctx
from splatpack.errors import CorruptError, UnsupportedError

SPEC = Path(__file__).resolve().parents[2] / "spec" / "codecs"
KINDS = pytest.mark.parametrize("kind", [GEOMETRY, SH], ids=lambda kind: kind.name)

LARGEST = {
    "geometry": (7, 7, 239, 83, 83, 83, 83, 79, 79, 79, 79),
    "sh": (7, 75, 75, 75, 75, 75, 75),
}
"""The last token of each part that the rules of spec/codecs/splat.md allow."""


def _drawn(kind: Kind, tokens: int, seed: int) -> NDArray[np.int64]:
    """Counts as if tokens had been drawn from the default models 3."""
    rng = np.random.default_rng(seed)
    source = defaults.assemble(kind, (3,) * len(kind.parts), None)
    probabilities = source.freqs[source.context_map] / 4096.0
    return np.stack([rng.multinomial(tokens, p) for p in probabilities]).astype(np.int64)


def _bytes(fitted: model.Model, counts: NDArray[np.int64]) -> float:
    return defaults.spent(fitted, counts) / 65536 / 8 + len(fitted.to_bytes())


def test_the_package_ships_the_bytes_of_the_specification() -> None:
    package = Path(splatpack.codecs.__path__[0])
    assert (package / "defaults.txt").read_bytes() == (SPEC / "defaults.txt").read_bytes()


def test_parts_are_those_of_the_splat_codec() -> None:
    firsts = (
        ctx.BLOCK, ctx.CLASS, ctx.DELTA, ctx.SCALE0, ctx.SCALE1, ctx.SCALE2, ctx.OPACITY,
        ctx.ROTATION, ctx.LUMA, ctx.CHROMA1, ctx.CHROMA2, splat.GEOMETRY_CONTEXTS,
    )  # fmt: skip
    assert GEOMETRY.starts == firsts
    assert SH.starts == (ctx.MASK, *(ctx.BANDS + 48 * k for k in range(7)))
    assert SH.contexts == splat.SH_CONTEXTS


@KINDS
def test_under_a_default_no_token_is_impossible(kind: Kind) -> None:
    for part, (first, stop) in enumerate(kind.parts):
        assert defaults.number_of(kind, part) == 8
        for number in range(1, 9):
            shipped = defaults.default(kind, part, number)
            assert len(shipped.context_map) == stop - first
            assert (shipped.freqs[:, : LARGEST[kind.name][part] + 1] > 0).all()
            assert (shipped.freqs[:, LARGEST[kind.name][part] + 1 :] == 0).all()


@KINDS
def test_tables_of_a_model_can_be_numbered_in_bytes(kind: Kind) -> None:
    most = sum(max(len(defaults.default(kind, p, k).costs) for k in range(1, 9)) for p in range(len(kind.parts)))
    assert model.MAX_TABLES + most <= 256


def test_worked_example_of_the_specification() -> None:
    read = defaults.parse(bytes.fromhex("0011321101"), SH, parted=True)
    assert isinstance(read, PartedModel)
    assert read.choices == (1, 1, 2, 3, 1, 1, 1)
    assert read.own is None


@KINDS
@given(data=st.data())
def test_a_model_by_parts_is_its_parts(kind: Kind, data: st.DataObject) -> None:
    number = len(kind.parts)
    choices = tuple(data.draw(st.lists(st.integers(0, 8), min_size=number, max_size=number)))
    counts = _drawn(kind, 30, 1)
    rows = [r for (a, b), c in zip(kind.parts, choices, strict=True) for r in range(a, b) if c == 0]
    own = model.fit(counts[rows]) if rows else None
    made = defaults.assemble(kind, choices, own)
    again = defaults.parse(made.to_bytes(), kind, parted=True)
    assert isinstance(again, PartedModel)
    assert again.choices == choices
    assert again.to_bytes() == made.to_bytes()
    assert (again.freqs[again.context_map] == made.freqs[made.context_map]).all()
    at = 0
    for part, ((first, stop), choice) in enumerate(zip(kind.parts, choices, strict=True)):
        found = made.freqs[made.context_map[first:stop]]
        if choice:
            source = defaults.default(kind, part, choice)
            assert (found == source.freqs[source.context_map]).all()
        elif own is not None:
            assert (found == own.freqs[own.context_map[at : at + stop - first]]).all()
            at += stop - first


@KINDS
def test_a_small_scene_like_a_default_stores_no_table(kind: Kind) -> None:
    counts = _drawn(kind, 3, 2)
    fitted = defaults.fit(counts, kind)
    assert isinstance(fitted, PartedModel)
    assert fitted.own is None
    assert len(fitted.to_bytes()) == 1 + (len(kind.parts) + 1) // 2
    assert _bytes(fitted, counts) < _bytes(model.fit(counts, kind.groups), counts) - 100


@KINDS
@pytest.mark.parametrize("tokens", [0, 1, 10, 1000, 100_000])
@pytest.mark.parametrize("flat", [False, True])
def test_the_choice_never_takes_more_bytes(kind: Kind, tokens: int, flat: bool) -> None:
    counts = _drawn(kind, tokens, 3)
    if flat:
        counts[1:9] = 0
        counts[1:9, :8] = tokens // 8
    fitted = defaults.fit(counts, kind)
    assert _bytes(fitted, counts) <= _bytes(model.fit(counts, kind.groups), counts)
    assert (fitted.freqs[fitted.context_map][counts > 0] > 0).all()


@KINDS
def test_a_large_scene_unlike_any_default_keeps_its_own_tables(kind: Kind) -> None:
    counts = np.zeros((kind.contexts, 256), np.int64)
    context = np.arange(kind.contexts)
    counts[context, 3 * context % 8] = 100_000
    counts[context, (3 * context + 1) % 8] = 20_000
    fitted = defaults.fit(counts, kind)
    assert not isinstance(fitted, PartedModel)
    assert fitted.to_bytes() == model.fit(counts, kind.groups).to_bytes()


def test_spent_is_the_length_of_the_stream() -> None:
    counts = np.zeros((1, 256), np.int64)
    counts[0, :2] = 5, 7
    even = model.Model(np.zeros(1, np.uint8), ((0, 8),))  # frequencies 3277 and 819
    bits = 5 * np.log2(4096 / 3277) + 7 * np.log2(4096 / 819)
    assert defaults.spent(even, counts) == pytest.approx(65536 * bits, abs=12)
    counts[0, 2] = 1
    assert defaults.spent(even, counts) > 1 << 36


@KINDS
def test_every_prefix_and_extra_bytes_fail(kind: Kind) -> None:
    counts = _drawn(kind, 100, 5)
    choices = tuple(k % 3 for k in range(len(kind.parts)))
    rows = [r for (a, b), c in zip(kind.parts, choices, strict=True) for r in range(a, b) if c == 0]
    for data in (
        defaults.assemble(kind, choices, model.fit(counts[rows])).to_bytes(),
        defaults.assemble(kind, (1,) * len(kind.parts), None).to_bytes(),
    ):
        for n in range(len(data)):
            with pytest.raises(CorruptError):
                defaults.parse(data[:n], kind, parted=True)
        with pytest.raises(CorruptError):
            defaults.parse(data + b"\0", kind, parted=True)


@KINDS
def test_padding_and_unknown_numbers(kind: Kind) -> None:
    data = bytearray(defaults.assemble(kind, (1,) * len(kind.parts), None).to_bytes())
    with pytest.raises(UnsupportedError, match="default 9"):
        defaults.parse(bytes([data[0], 0x19, *data[2:]]), kind, parted=True)
    data[-1] |= 0x10
    with pytest.raises(CorruptError, match="padding"):
        defaults.parse(bytes(data), kind, parted=True)


@KINDS
def test_models_by_parts_need_the_feature(kind: Kind) -> None:
    data = defaults.assemble(kind, (1,) * len(kind.parts), None).to_bytes()
    with pytest.raises(CorruptError, match="number of tables"):
        defaults.parse(data, kind, parted=False)


@KINDS
@given(st.binary(max_size=60))
def test_random_bytes_are_a_model_or_refused(kind: Kind, data: bytes) -> None:
    try:
        read = defaults.parse(b"\0" + data, kind, parted=True)
    except (CorruptError, UnsupportedError):
        return
    assert (read.freqs.sum(axis=1) == 4096).all()
    assert int(read.context_map.max()) < len(read.costs)
