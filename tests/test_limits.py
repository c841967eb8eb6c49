from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splatpack.errors import LimitError
from splatpack.limits import MIB, Limits


def test_small_files_get_the_free_allowance() -> None:
    assert Limits().start(0).ceiling == 256 * MIB
    assert Limits().start(1000).ceiling == 256 * MIB


def test_larger_files_get_a_multiple_of_their_size() -> None:
    assert Limits().start(MIB).ceiling == 1000 * MIB
    assert Limits(ratio=3, free=1).start(MIB).ceiling == 3 * MIB


def test_no_file_gets_more_than_memory() -> None:
    assert Limits(memory=5000).start(1 << 40).ceiling == 5000
    assert Limits(memory=5000).start(None).ceiling == 5000


def test_a_budget_that_was_not_started_has_memory_only() -> None:
    assert Limits(memory=7).ceiling == 7


def test_debit_counts_and_stops_before_the_allocation() -> None:
    budget = Limits(memory=100).start(None)
    budget.debit(60, "means")
    budget.debit(40, "quats")
    assert budget.spent == 100
    with pytest.raises(LimitError, match=r"shN wants 1 bytes, expected at most 0 more \(limit 100\)"):
        budget.debit(1, "shN")
    assert budget.spent == 100, "a refused debit costs nothing"
    budget.debit(0, "nothing")


def test_a_negative_debit_gives_no_credit() -> None:
    budget = Limits(memory=100).start(None)
    with pytest.raises(LimitError):
        budget.debit(-1, "means")
    assert budget.spent == 0


def test_the_message_says_what_to_do() -> None:
    with pytest.raises(LimitError, match="raise the limit"):
        Limits(memory=1).debit(2, "means")


def test_start_is_fresh_and_keeps_the_bounds() -> None:
    first = Limits(memory=100, gaussians=5, chunks=6, free=50, ratio=2).start(10)
    first.debit(50, "means")
    again = first.start(30)
    assert (again.spent, again.ceiling) == (0, 60)
    assert (again.memory, again.gaussians, again.chunks, again.free, again.ratio) == (100, 5, 6, 50, 2)
    assert first.spent == 50, "the budget it was made from is untouched"


def test_count() -> None:
    limits = Limits()
    assert limits.count(0, 0, "chunks") == 0
    assert limits.count(5, 5, "chunks") == 5
    for value in (-1, 6):
        with pytest.raises(LimitError, match=f"chunks: {value} declared, expected at most 5"):
            limits.count(value, 5, "chunks")


@given(
    stored=st.none() | st.integers(0, 1 << 40),
    memory=st.integers(0, 1 << 40),
    debits=st.lists(st.integers(-(1 << 40), 1 << 41), max_size=20),
)
def test_whatever_is_asked_for_the_sum_stays_below(stored: int | None, memory: int, debits: list[int]) -> None:
    budget = Limits(memory=memory).start(stored)
    granted = 0
    for nbytes in debits:
        try:
            budget.debit(nbytes, "x")
        except LimitError:
            continue
        granted += nbytes
        assert nbytes >= 0
    assert granted == budget.spent <= budget.ceiling <= memory
