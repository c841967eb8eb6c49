"""Lenses: golden values, round trips, and the radius where a polynomial folds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splatpack.errors import UsageError
from splatpack.train.data.colmapmodels import MODELS, CameraRow
from splatpack.train.data.lens import Lens

GOLDEN = [
    ("SIMPLE_PINHOLE", (500, 320, 240), (475.0, 130.0)),
    ("PINHOLE", (500, 502, 320, 240), (475.0, 129.56)),
    ("SIMPLE_RADIAL", (500, 320, 240, -0.1), (472.76025, 131.5895)),
    ("RADIAL", (500, 320, 240, -0.1, 0.02), (472.824979, 131.543563)),
    ("OPENCV", (500, 502, 320, 240, -0.1, 0.02, 0.001, -0.002), (472.420079, 131.367816)),
    ("OPENCV_FISHEYE", (300, 302, 320, 240, 0.02, -0.003, 0.001, -0.0005), (409.102917, 176.344109)),
    (
        "FULL_OPENCV",
        (500, 502, 320, 240, -0.1, 0.02, 0.001, -0.002, 0.003, 0.01, -0.02, 0.004),
        (472.262789, 131.479887),
    ),
    ("FOV", (500, 502, 320, 240, 0.8), (478.515874, 127.054883)),
    ("SIMPLE_RADIAL_FISHEYE", (300, 320, 240, 0.02), (409.107369, 176.762512)),
    ("RADIAL_FISHEYE", (300, 320, 240, 0.02, -0.003), (409.102727, 176.765807)),
    (
        "THIN_PRISM_FISHEYE",
        (300, 302, 320, 240, 0.05, -0.02, 0.001, -0.002, 0.005, -0.003, 0.001, -0.001),
        (409.246918, 176.212952),
    ),
]
"""Where pycolmap 4.2.1 puts the point (0.31, -0.22, 1), pixels."""


def lens(model: str, values: tuple[float, ...]) -> Lens:
    return CameraRow(1, model, 640, 480, tuple(float(v) for v in values)).lens("here")


def test_every_model_has_a_golden_value() -> None:
    assert [model for model, _, _ in GOLDEN] == list(MODELS)


@pytest.mark.parametrize(("model", "values", "pixel"), GOLDEN, ids=[g[0] for g in GOLDEN])
def test_puts_a_point_where_colmap_does(model: str, values: tuple[float, ...], pixel: tuple[float, float]) -> None:
    one = lens(model, values)
    u, v = one.distort(np.array([0.31]), np.array([-0.22]))
    assert (u[0] * one.fx + one.cx, v[0] * one.fy + one.cy) == pytest.approx(pixel, abs=1e-6)


@pytest.mark.parametrize(("model", "values"), [g[:2] for g in GOLDEN], ids=[g[0] for g in GOLDEN])
def test_round_trip_over_the_picture(model: str, values: tuple[float, ...]) -> None:
    one = lens(model, values)
    u, v = np.meshgrid((np.linspace(0, 640, 17) - one.cx) / one.fx, (np.linspace(0, 480, 13) - one.cy) / one.fy)
    x, y = one.undistort(u, v)
    back = one.distort(x, y)
    assert np.abs(back[0] - u).max() < 1e-9
    assert np.abs(back[1] - v).max() < 1e-9


@given(
    st.tuples(*[st.floats(-0.2, 0.2)] * 2),
    st.tuples(*[st.floats(-0.01, 0.01)] * 2),
    st.sampled_from(("brown", "fisheye")),
    st.floats(-0.5, 0.5),
    st.floats(-0.5, 0.5),
)
def test_undistort_inverts_distort(
    k: tuple[float, float], p: tuple[float, float], family: str, x: float, y: float
) -> None:
    one = Lens(1, 1, 0, 0, 2, 2, family, (k[0], k[1], 0.0, 0.0), tangential=p)  # type: ignore[arg-type]
    if math.hypot(x, y) > 0.8 * one.reach():
        return
    u, v = one.distort(np.array([x]), np.array([y]))
    back = one.undistort(u, v)
    assert (back[0][0], back[1][0]) == pytest.approx((x, y), abs=1e-6)


def test_a_polynomial_that_folds_ends_where_it_does() -> None:
    one = Lens(1, 1, 0, 0, 2, 2, radial=(-0.4, 0.0, 0.0, 0.0))
    turn = 1 / math.sqrt(1.2)  # where r - 0.4 r^3 stops growing
    assert one.reach() == pytest.approx(turn, abs=0.01)
    u, _ = one.distort(np.array([0.9, 1.1]), np.zeros(2))
    assert np.isfinite(u[0])
    assert np.isnan(u[1])
    x, _ = one.undistort(np.array([0.9]), np.zeros(1))  # the lens shows nothing there
    assert np.isnan(x[0])


def test_a_straight_lens_changes_nothing() -> None:
    one = lens("PINHOLE", (500, 502, 320, 240))
    assert one.straight
    assert one.reach() == math.inf
    assert not lens("SIMPLE_RADIAL_FISHEYE", (300, 320, 240, 0)).straight  # equidistant, not a pinhole
    assert lens("SIMPLE_RADIAL", (300, 320, 240, 0)).straight


def test_a_fov_of_zero_is_straight() -> None:
    one = lens("FOV", (500, 502, 320, 240, 0))
    assert one.distort(np.array([0.3]), np.array([0.2])) == (np.array([0.3]), np.array([0.2]))


def test_resized_keeps_the_picture() -> None:
    one = lens("OPENCV", GOLDEN[4][1])
    half = one.resized(320, 240)
    u, v = half.distort(np.array([0.31]), np.array([-0.22]))
    assert (2 * (u[0] * half.fx + half.cx), 2 * (v[0] * half.fy + half.cy)) == pytest.approx(GOLDEN[4][2], abs=1e-5)


@pytest.mark.parametrize(
    "values",
    [
        (0.0, 1, 0, 0, 4, 4),
        (1, -1, 0, 0, 4, 4),
        (math.nan, 1, 0, 0, 4, 4),
        (1, 1, math.inf, 0, 4, 4),
        (1, 1, 0, 0, 0, 4),
        (1, 1, 0, 0, 4, 99999),
    ],
)
def test_refuses_what_is_no_lens(values: tuple[float, float, float, float, int, int]) -> None:
    with pytest.raises(UsageError):
        Lens(*values)


def test_refuses_a_fov_beyond_a_half_turn() -> None:
    with pytest.raises(UsageError, match="omega"):
        Lens(1, 1, 0, 0, 4, 4, "fov", (4.0, 0.0, 0.0, 0.0))
