from __future__ import annotations

import math
from importlib import import_module
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splatpack.bench.curves import Curve, bd_rate, front, match

POINTS = [(1000.0, 30.0), (1500.0, 36.0), (2600.0, 41.0), (3000.0, 47.5), (7000.0, 52.0)]

points = st.lists(st.tuples(st.floats(1, 1e9), st.floats(0, 99)), min_size=1, max_size=12)


def test_front_drops_what_another_point_beats() -> None:
    assert front([(5, 40), (3, 30), (4, 29), (5, 39), (9, 40)]) == [(3, 30), (5, 40)]
    assert front([]) == []


@given(points)
def test_front_rises(found: list[tuple[float, float]]) -> None:
    kept = front(found)
    assert set(kept) <= set(found)
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(kept))
    for size, quality in found:
        assert any(s <= size and q >= quality for s, q in kept)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_curve_is_the_pchip_of_scipy(count: int) -> None:
    kept = POINTS[:count]
    theirs = import_module("scipy.interpolate").PchipInterpolator([q for _, q in kept], np.log([s for s, _ in kept]))
    at = np.linspace(kept[0][1], kept[-1][1], 200)
    assert np.allclose(Curve(kept).log_bytes(at), theirs(at), atol=1e-12)


@given(points)
def test_curve_passes_through_its_points_and_never_falls(found: list[tuple[float, float]]) -> None:
    curve = Curve(found)
    for size, quality in curve.points:
        assert match(curve, quality).bytes == pytest.approx(size, rel=1e-6)
    values = curve.log_bytes(np.linspace(curve.low, curve.high, 100))
    assert np.all(np.diff(values) >= -1e-9)


def test_matches_say_when_they_are_out_of_range() -> None:
    curve = Curve(POINTS)
    assert match(curve, 52.5).bytes is None
    assert match(curve, 52.5).kind == "above"
    assert (match(curve, 12.0).bytes, match(curve, 12.0).kind) == (1000.0, "below")
    assert match(curve, 41.0).kind == "within"
    with pytest.raises(ValueError, match="without points"):
        Curve([])


def test_bd_rate_of_a_constant_factor() -> None:
    half = [(s / 2, q) for s, q in POINTS]
    found = bd_rate(half, POINTS)
    assert found is not None
    assert found.rate == pytest.approx(-0.5)
    assert (found.low, found.high) == (30.0, 52.0)
    back = bd_rate(POINTS, half)
    assert back is not None
    assert back.rate == pytest.approx(1.0)


def test_bd_rate_is_the_mean_of_log_rates_over_the_shared_range() -> None:
    ours = [(math.exp(0.1 * q), q) for q in (20.0, 30.0, 40.0, 50.0)]
    theirs = [(math.exp(0.12 * q), q) for q in (25.0, 30.0, 45.0, 60.0)]
    found = bd_rate(ours, theirs)
    assert found is not None
    assert (found.low, found.high) == (25.0, 50.0)
    assert found.rate == pytest.approx(math.expm1(-0.02 * 37.5))


def test_bd_rate_needs_four_points_and_an_overlap() -> None:
    assert bd_rate(POINTS, POINTS[:3]) is None
    assert bd_rate([], POINTS) is None
    assert bd_rate(POINTS, [(s, q + 40) for s, q in POINTS]) is None
