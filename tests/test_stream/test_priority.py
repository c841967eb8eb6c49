from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splatpack.container.directory import Chunk
from splatpack.stream import priority, wire
from splatpack.stream.index import ChunkTable, SceneIndex, pack_have, unpack_have
from splatpack.stream.scheduler import BATCH, Scheduler
from tests.test_stream.net import view

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).resolve().parents[2] / "spec" / "protocol" / "priority.json").read_text()
)


def entries(rows: list[dict[str, Any]]) -> list[Chunk]:
    return [
        Chunk(
            0, r["length"], 1, r["level"], 0, tuple(r["low"]), tuple(r["high"]), r["reach"], bytes(16), (), r["error"],
            r["gain"], i, r["parent"], r["successors"],
        )
        for i, r in enumerate(rows)
    ]  # fmt: skip


def made(table: ChunkTable) -> SceneIndex:
    n = len(table)
    every = tuple((i * 10, 10, bytes(16)) for i in range(n))
    return SceneIndex("s", bytes(16), bytes(16), 10 * n, 200, bytes(16), every, (), np.empty(0, np.int64), table)


def seen(case: dict[str, Any]) -> wire.View:
    message = wire.decode(wire.encode(wire.View(0, 1, **case["view"])))
    assert isinstance(message, wire.View)
    return message


@pytest.mark.parametrize("case", VECTORS, ids=lambda c: f"{len(c['chunks'])}")
def test_scores_and_order_are_those_of_the_vectors(case: dict[str, Any]) -> None:
    table, look = ChunkTable.of(entries(case["chunks"])), seen(case)
    assert table.near == pytest.approx(case["near"], rel=1e-12)
    np.testing.assert_allclose(priority.scores(table, look, case["ahead"]), case["scores"], rtol=1e-9)
    pixels = [np.inf if v is None else v for v in case["pixels"]]
    np.testing.assert_allclose(priority.error_pixels(table, look), pixels, rtol=1e-9)
    scheduler = Scheduler(made(table), prefix=True)
    scheduler.look(look, case["ahead"])
    order = []
    while (item := scheduler.next()) is not None:
        order.append(item)
        scheduler.mark(item)
    assert order == case["order"]


def test_the_vectors_hold_every_visibility_and_parents_that_hold_chunks_back() -> None:
    kinds = set()
    for case in VECTORS:
        table, look = ChunkTable.of(entries(case["chunks"])), seen(case)
        still = priority.scores(table, look, 0.0)
        kinds.add(bool((priority.scores(table, look, case["ahead"]) > still * 1.5).any()))
    assert kinds == {False, True}
    assert any(len(c["order"]) < len(c["chunks"]) for c in VECTORS)


def line(n: int, **columns: Any) -> ChunkTable:
    low = np.zeros((n, 3))
    low[:, 0] = np.arange(n)
    chunks = [
        Chunk(0, 100, 5, 0, 0, tuple(p), tuple(p + 0.5), 0.0, bytes(16), (), **{k: v[i] for k, v in columns.items()})
        for i, p in enumerate(low)
    ]  # fmt: skip
    return ChunkTable.of(chunks)


def drain(scheduler: Scheduler) -> list[int]:
    out = []
    while (item := scheduler.next()) is not None:
        out.append(item)
        scheduler.mark(item)
    return out


def test_what_is_near_and_in_sight_comes_first() -> None:
    scheduler = Scheduler(made(line(50)), prefix=True)
    scheduler.look(view(x=30.25))
    order = drain(scheduler)
    assert order[:3] == [30, 29, 31]
    assert sorted(order) == list(range(50))


def test_a_new_view_reorders_what_is_left() -> None:
    scheduler = Scheduler(made(line(50)), prefix=True)
    scheduler.look(view(x=0.25))
    for _ in range(3):
        scheduler.mark(int(scheduler.next() or 0))
    scheduler.look(view(seq=2, x=45.25))
    assert scheduler.next() == 45


def test_more_chunks_than_a_batch_come_in_the_same_order() -> None:
    table = line(3 * BATCH + 5)
    scheduler = Scheduler(made(table), prefix=True)
    look = view(x=1000.3)
    scheduler.look(look)
    value = priority.scores(table, look)
    assert drain(scheduler) == sorted(range(len(table)), key=lambda i: (-value[i], i))


def test_budgets_stop_in_front_of_the_chunk_that_does_not_fit() -> None:
    for budget in ({"budget_bytes": 350}, {"budget_gaussians": 15}):
        scheduler = Scheduler(made(line(9)), prefix=True)
        scheduler.look(view(**budget))
        assert len(drain(scheduler)) == 3
        assert scheduler.finished()
        assert not scheduler.finished()


def test_evicted_chunks_make_room_and_come_again_with_the_next_view() -> None:
    scheduler = Scheduler(made(line(4)), prefix=True)
    scheduler.look(view())
    assert sorted(drain(scheduler)) == [0, 1, 2, 3]
    scheduler.evict((2, 2, 77))
    assert scheduler.sent_bytes == 300
    scheduler.look(view(seq=2))
    assert drain(scheduler) == [2]


def test_wanted_items_precede_the_view_and_may_come_again() -> None:
    scheduler = Scheduler(made(line(6)), prefix=True)
    scheduler.look(view())
    first = scheduler.next()
    assert first == 0
    scheduler.mark(0)
    scheduler.want((5, 0, 5))
    assert scheduler.next() == 5
    scheduler.mark(5)
    assert scheduler.next() == 0
    scheduler.mark(0)
    assert 5 not in drain(scheduler)
    assert scheduler.sent_bytes == 600


def test_everything_comes_in_file_order_and_cancel_ends_it() -> None:
    scheduler = Scheduler(made(line(6)), np.array([0, 1, 0, 0, 0, 0], np.bool_), prefix=True)
    scheduler.want(None)
    assert scheduler.next() == 0
    scheduler.mark(0)
    assert scheduler.next() == 2
    scheduler.cancel(None)
    assert scheduler.next() is None


@pytest.mark.parametrize("left", [[], [0], [4095], [4096, 9000], [9999]])
def test_everything_skips_what_was_sent(left: list[int]) -> None:
    sent = np.ones(10_000, np.bool_)
    sent[left] = False
    scheduler = Scheduler(made(line(10_000)), sent, prefix=True)
    scheduler.want(None)
    assert drain(scheduler) == left


def test_prefix_and_pages_come_before_what_needs_them() -> None:
    index = made(line(4))
    pages = ((1, 2, b""), (3, 4, b""))
    paged = replace(index, pages=pages, page_of=np.array([0, 0, 1, 1]))
    scheduler = Scheduler(paged)
    scheduler.want((3, 2, 0))
    page = wire.PAGE
    assert drain(scheduler) == [wire.PREFIX, page + 1, 3, 2, page, 0]


def test_what_replaces_a_stand_in_comes_together() -> None:
    """Chunk 0 is replaced by 1 and 49, far apart; 48 is replaced by nothing and has 2 and 47 below it."""
    parent, successors = np.full(50, -1), np.zeros(50, int)
    parent[[1, 49]], successors[0] = 0, 2
    parent[[2, 47]] = 1
    table = line(50, index=np.arange(50), parent=parent, successors=successors, gain=np.linspace(1, 2, 50))
    look = view(x=0.25)
    value, alone = priority.scores(table, look), priority.scores(replace(table, group=np.full(50, -1)), look)
    assert value[1] == value[49]
    assert alone[49] < value[49] < alone[1]
    others = np.setdiff1d(np.arange(50), [1, 49])
    assert np.array_equal(value[others], alone[others])
    some = np.array([1, 2, 49])
    assert np.array_equal(priority.scores(table.take(some), look), value[some])
    scheduler = Scheduler(made(table), prefix=True)
    scheduler.look(look)
    order = drain(scheduler)
    assert order.index(49) == order.index(1) + 1
    assert order.index(2) > order.index(1) > order.index(0)


def test_lead_is_bounded() -> None:
    assert priority.lead(0.05, 1e6, 1e5) == pytest.approx(0.15)
    assert priority.lead(0.05, 1.0, 1e9) == priority.lead(0.0, 0.0, 1.0) == 1.0


@pytest.mark.parametrize("pages", [0, 3])
def test_have_sets_survive_and_are_small(pages: int) -> None:
    rng = np.random.default_rng(0)
    chunks, there = rng.random(10_000) < 0.5, rng.random(pages) < 0.5
    packed = pack_have(chunks, there)
    assert len(packed) <= 1300
    back = unpack_have(packed, len(chunks), pages)
    assert (back[0] == chunks).all()
    assert (back[1] == there).all()
