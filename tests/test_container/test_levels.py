"""Levels of detail in the container: which chunks are drawn, which rules are held, what a budget buys."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splatpack.container import levels
from splatpack.container.directory import Chunk
from splatpack.container.layout import LEVELS, Header
from splatpack.container.reader import ContainerReader
from splatpack.container.source import MemorySource
from splatpack.container.writer import ContainerWriter, rewrite
from splatpack.errors import CorruptError, UnsupportedError
from tests.test_container.build import patched_column, patched_header

EXAMPLE = [(-1, 2, 2), (0, 0, 1), (0, 2, 1), (2, 0, 0), (2, 0, 0), (1, 0, 0)]
"""Parent, successors and level of each chunk: the example of section 5.3 of the format."""


def entries(rows: list[tuple[int, int, int]], gains: list[float] | None = None) -> list[Chunk]:
    gains = gains or [1.0] * len(rows)
    zero = (0.0, 0.0, 0.0)
    return [
        Chunk(0, 0, 10, level, 0, zero, zero, 0.0, b"", (), 0.0, gains[i], i, parent, successors)
        for i, (parent, successors, level) in enumerate(rows)
    ]


def shown(rows: list[tuple[int, int, int]], here: set[int]) -> list[int]:
    chunks = entries(rows)
    drawn = levels.drawn(chunks, [c.index in here for c in chunks])
    return [i for i, one in enumerate(drawn) if one]


def file(rows: list[tuple[int, int, int]]) -> bytes:
    out = io.BytesIO()
    with ContainerWriter() as writer:
        for i, (parent, successors, level) in enumerate(rows):
            body = [(0, i.to_bytes(5, "little"))]
            writer.add(
                body, count=10, low=(0.0, 0.0, 0.0), high=(1.0, 1.0, 1.0), reach=1.0, level=level,
                gain=1.0, parent=parent, successors=successors,
            )  # fmt: skip
        writer.finish({"n": 10 * len(rows)}, b"", out, required=LEVELS)
    return out.getvalue()


def opened(data: bytes, *, partial: bool = False) -> ContainerReader:
    return ContainerReader(MemorySource(data), partial=partial)


@pytest.mark.parametrize(
    ("here", "want"),
    [
        ({0, 1, 2, 3, 4, 5}, [1, 3, 4, 5]),
        ({0, 1, 2}, [1, 2]),
        ({0}, [0]),
        ({0, 1}, [0]),
        ({0, 1, 5}, [0]),
        ({0, 1, 2, 3}, [1, 2]),
        ({1, 2, 3, 4, 5}, []),
        (set(), []),
    ],
)
def test_what_is_drawn(here: set[int], want: list[int]) -> None:
    assert shown(EXAMPLE, here) == want


@st.composite
def trees(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    parents = [draw(st.integers(-1, i - 1)) for i in range(draw(st.integers(1, 14)))]
    standing = [draw(st.booleans()) for _ in parents]
    counts = [parents.count(i) for i in range(len(parents))]
    level = [31] * len(parents)
    for i, parent in enumerate(parents):
        level[i] = 31 if parent < 0 else level[parent] - 1
    return [(p, n if s else 0, v) for p, n, s, v in zip(parents, counts, standing, level, strict=True)]


def covers(rows: list[tuple[int, int, int]], drawn: list[int]) -> None:
    """Along the way from a chunk to its root, no stand-in is drawn together with what replaces it."""
    for i in drawn:
        at = rows[i][0]
        while at >= 0:
            assert not (at in drawn and rows[at][1])
            at = rows[at][0]


@given(trees(), st.data())
def test_a_prefix_draws_one_picture_and_never_less_than_before(
    rows: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    before: list[int] = []
    for length in range(1, len(rows) + 1):
        now = shown(rows, set(range(length)))
        covers(rows, now)
        assert now
        for gone in set(before) - set(now):
            assert rows[gone][1], "only stand-ins go"
        before = now
    assert all(not rows[i][1] for i in before)
    some = set(data.draw(st.lists(st.integers(0, len(rows) - 1))))
    covers(rows, shown(rows, some))


@given(trees(), st.integers(0, 150), st.data())
def test_a_budget_is_held_where_the_roots_fit(
    rows: list[tuple[int, int, int]], budget: int, data: st.DataObject
) -> None:
    chunks = entries(rows, data.draw(st.lists(st.floats(0, 10), min_size=len(rows), max_size=len(rows))))
    here = levels.within(chunks, [True] * len(chunks), budget)
    drawn = sum(c.count for c, one in zip(chunks, levels.drawn(chunks, here), strict=True) if one)
    roots = sum(c.count for c in chunks if c.parent < 0)
    assert drawn <= max(budget, roots)
    everything = levels.within(chunks, [True] * len(chunks), 10**9)
    assert levels.drawn(chunks, everything) == levels.drawn(chunks, [True] * len(chunks))


def test_a_budget_goes_where_the_gain_is() -> None:
    chunks = entries([(-1, 0, 1), (0, 0, 0), (0, 0, 0), (0, 0, 0)], [0.0, 1.0, 3.0, 2.0])
    assert levels.within(chunks, [True] * 4, 30) == [True, False, True, True]
    assert levels.within(chunks, [True, True, False, True], 25) == [True, False, False, True]


def test_the_file_keeps_the_tree_and_a_reader_cuts_it() -> None:
    reader = opened(file(EXAMPLE))
    assert reader.has_levels
    assert (reader.header.major, reader.header.minor) == (1, 2)
    assert [(c.parent, c.successors, c.level) for c in reader.chunks] == EXAMPLE
    assert [c.index for c in reader.select()] == [1, 3, 4, 5]
    assert [c.index for c in reader.select(level=1)] == [1, 2]
    assert [c.index for c in reader.select(level=2)] == [0]
    assert [c.index for c in reader.select(budget=25)] == [1, 2]
    assert [c.index for c in reader.select(low=(2.0, 0.0, 0.0))] == []


def test_every_cut_off_file_draws_what_is_whole() -> None:
    data = file(EXAMPLE)
    whole = opened(data)
    for length in range(whole.header.data_offset, len(data)):
        reader = opened(data[:length], partial=True)
        there = {c.index for c in reader.chunks if reader.present(c)}
        assert [c.index for c in reader.select()] == shown(EXAMPLE, there)


def test_parents_are_counted_through_leaf_pages() -> None:
    rows = [(-1, 700, 1), *[(0, 0, 0)] * 700]
    reader = opened(file(rows))
    assert len(reader.pages) == 2
    assert [c.index for c in reader.page_chunks(reader.pages[1])][:2] == [512, 513]
    assert [c.index for c in reader.select()] == list(range(1, 701))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (13, b"\1\0\0\0"),
        (13, b"\0\0\0\0\3\0\0\0"),
        (13, b"\xff\xff\xff\xff"),
        (3, b"\2\1\3"),
        (14, b"\1\0\0\0"),
    ],
    ids=["own parent", "cycle", "no such parent", "coarser than its parent", "too many successors"],
)
def test_a_directory_that_is_no_tree_is_refused(column: int, value: bytes) -> None:
    with pytest.raises(CorruptError):
        _ = opened(patched_column(file(EXAMPLE), column, value)).chunks


def test_the_columns_belong_to_the_feature() -> None:
    data = file(EXAMPLE)
    with pytest.raises(UnsupportedError):
        opened(patched_header(data, 16, b"\0"))
    with ContainerWriter() as writer:
        writer.add([(0, b"x")], count=1, low=(0.0,) * 3, high=(0.0,) * 3, reach=0.0)
        out = io.BytesIO()
        writer.finish({"n": 1}, b"", out)
    with pytest.raises(CorruptError):
        opened(patched_header(out.getvalue(), 16, bytes([LEVELS])))


def test_a_part_of_a_tree_is_written_with_new_numbers() -> None:
    reader = opened(file(EXAMPLE))
    kept = [reader.chunks[i] for i in (0, 2, 1, 5, 3)]
    kept = levels.closed(sorted(kept, key=lambda c: c.index)[:4])
    out = io.BytesIO()
    rewrite(reader, {"n": 40}, out, chunks=kept)
    part = opened(out.getvalue())
    assert Header.unpack(out.getvalue()[:128]).required & LEVELS
    assert [(c.parent, c.successors) for c in part.chunks] == [(-1, 2), (0, 0), (0, 2), (2, 0)]
    assert [c.index for c in part.select()] == [1, 2]
    lone = levels.closed([reader.chunks[i] for i in (0, 3, 4)])
    assert [c.index for c in lone] == [0]
