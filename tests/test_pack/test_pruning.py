from __future__ import annotations

import numpy as np
import pytest

from splatpack.pack.presets import Goal
from splatpack.pack.pruning import DB_PER_DECADE, LARGEST, ROOM, TYPICAL, Pruning

RNG = np.random.default_rng(5)
WEIGHTS = RNG.lognormal(0, 3, 20_000)
EVEN = np.ones(20_000)


def share_of(spare: float) -> float:
    """How many Gaussians of WEIGHTS a share of the importance is."""
    running = np.cumsum(np.sort(WEIGHTS))
    return float(np.searchsorted(running, spare * running[-1], side="right")) / len(WEIGHTS)


def test_a_higher_quality_prunes_less() -> None:
    shares = [Pruning(WEIGHTS).best(db) for db in (25.0, 32.0, 40.0, 50.0)]
    assert shares == sorted(shares, reverse=True)
    assert share_of(shares[0]) > 0.5
    assert 0 < shares[-1] < shares[0]


def test_nothing_is_pruned_where_all_gaussians_weigh_the_same() -> None:
    """Each one then costs more quality than its bytes could buy back."""
    assert Pruning(EVEN).best(45.0) == 0.0


@pytest.mark.parametrize("db", [20.0, 30.0, 40.0])
def test_the_quantisers_keep_half_of_the_error(db: float) -> None:
    pruning = Pruning(WEIGHTS)
    assert pruning.cost(pruning.best(db)) >= db - 10 * np.log10(LARGEST)


def test_what_is_measured_moves_the_line() -> None:
    pruning = Pruning(WEIGHTS)
    share, db = TYPICAL
    assert pruning.cost(share) == pytest.approx(db)
    before = pruning.best(40.0)
    pruning.observe(0.01, pruning.cost(0.01) - 6)
    assert pruning.cost(share) == pytest.approx(db - 6)
    assert pruning.cost(10 * share) == pytest.approx(db - 6 - DB_PER_DECADE)
    assert pruning.best(40.0) < before


@pytest.mark.parametrize("shift", [-8.0, 0.0, 5.0])
def test_what_can_be_afforded_leaves_room_in_the_worst_view(shift: float) -> None:
    """A scene whose worst view lies 9 dB below the mean, and falls more slowly."""
    asked: list[float] = []

    def measure(spare: float) -> tuple[float, float]:
        asked.append(spare)
        mean = TYPICAL[1] + shift - 9.0 * np.log10(spare / TYPICAL[0])
        return mean, 5 + 0.7 * (mean - 9)

    goal = Goal(34.0, 27.0)
    found = Pruning(WEIGHTS).affordable(goal, measure)
    assert found > 0
    assert measure(found)[1] >= goal.psnr_min + ROOM - 0.01
    assert len(asked) <= 5


def test_nothing_is_pruned_when_the_worst_view_never_has_room() -> None:
    assert Pruning(WEIGHTS).affordable(Goal(34.0, 27.0), lambda spare: (40.0, 10.0)) == 0.0
