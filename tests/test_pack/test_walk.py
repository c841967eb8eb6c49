from __future__ import annotations

import math

from splatpack.pack.walk import coarsest, finest


def test_the_walk_meets_a_steep_and_a_flat_function() -> None:
    for fn in (lambda x: 10 - 7 * x, lambda x: 60 * math.exp(-x / 3) - 40, lambda x: 5 - 12 * math.tanh(x)):
        x = coarsest(fn, (-5.0, 3.0), 0.0, 0.25, 7.0, 14)
        assert 0 <= fn(x) <= 0.4
    x = finest(lambda x: x - math.log(2.5), (-5.0, 3.0), 0.0, 0.02, 3.0, 14)
    assert 0 <= x - math.log(2.5) <= 0.02


def test_the_walk_gives_up_where_nothing_moves() -> None:
    asked: list[float] = []
    coarsest(lambda x: asked.append(x) or -3.0, (-5.0, 3.0), 0.0, 0.25, 7.0, 14)  # type: ignore[func-returns-value]
    assert len(asked) == 3


def test_the_walk_without_any_surplus_ends_at_the_low_end() -> None:
    assert coarsest(lambda x: -10 - x, (-5.0, 3.0), 0.0, 0.25, 7.0, 14) == -5.0
