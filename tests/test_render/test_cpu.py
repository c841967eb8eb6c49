"""The rasteriser against the plain renderer, its determinism, and scenes that nobody trained."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splatpack.errors import UsageError
from splatpack.render.compare import psnr
from splatpack.render.cpu import RenderResult, render
from splatpack.render.project import project
from splatpack.scene.cameras import Camera, look_at
from splatpack.scene.gaussians import Gaussians, concatenate
from tests import synth
from tests.test_render import reference

TOLERANCE = 2 / 255


def camera(width: int = 48, height: int = 40, position: Any = (3.0, -2.0, -5.0)) -> Camera:
    return look_at(position, (0, 0, 0), (0, -1, 0), math.radians(60), width, height)


def bold(n: int, degree: int = 3, seed: int = 0) -> Gaussians:
    """A synthetic scene whose Gaussians are large enough for a small picture, with unnormalised quats."""
    scene = synth.scene(n, degree, seed)
    rng = np.random.default_rng(seed)
    length = rng.uniform(0.1, 9, (n, 1)).astype(np.float32)
    grown = (scene.scales + rng.uniform(0, 3, (n, 1))).astype(np.float32)
    return replace(scene, scales=grown, quats=scene.quats * length)


def check(scene: Gaussians, view: Camera, background: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> None:
    ours, plain = render(scene, view, background=background), reference.render(scene, view, background)
    assert ours.color.dtype == ours.depth.dtype == ours.alpha.dtype == np.float32
    assert np.abs(ours.color - plain.color).max() <= TOLERANCE
    assert np.abs(ours.alpha - plain.alpha).max() <= TOLERANCE
    assert psnr(ours.color, plain.color.astype(np.float32)) > 60
    sure = plain.alpha > 0.05
    assert np.allclose(ours.depth[sure], plain.depth[sure], rtol=2e-2)
    assert np.median(np.abs(ours.depth - plain.depth)) < 1e-5 * (1 + plain.depth.max())


def same(a: RenderResult, b: RenderResult) -> bool:
    return all(getattr(a, k).tobytes() == getattr(b, k).tobytes() for k in ("color", "depth", "alpha"))


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("antialiased", [False, True])
def test_matches_reference(degree: int, antialiased: bool) -> None:
    scene = replace(bold(300, degree, seed=degree), antialiased=antialiased)
    check(scene, camera(), (0.2, 0.7, 1.0))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 50), st.integers(1, 50), st.booleans())
def test_matches_reference_anywhere(seed: int, n: int, width: int, height: int, antialiased: bool) -> None:
    rng = np.random.default_rng(seed)
    scene = replace(bold(n, seed % 4, seed), antialiased=antialiased)
    check(scene, camera(width, height, rng.normal(scale=4, size=3)), tuple(rng.random(3)))


def test_off_centre_camera_and_uneven_focal_lengths() -> None:
    check(bold(200), replace(camera(), fx=70.0, fy=35.0, cx=5.0, cy=33.0))


def one(mean: tuple[float, float, float], scale: float | tuple[float, float, float], logit: float = 3.0) -> Gaussians:
    f = np.float32
    return Gaussians(
        np.array([mean], f), np.broadcast_to(np.array(scale, f), (1, 3)).copy(), np.array([[2, 0.3, 0.1, 0.5]], f),
        np.array([logit], f), np.full((1, 1, 3), 0.9, f), np.zeros((1, 0, 3), f),
    )  # fmt: skip


FRONT = Camera(np.eye(4), 40.0, 40.0, 24.0, 20.0, 48, 40)


@pytest.mark.parametrize(
    ("mean", "scale", "drawn"),
    [
        ((0, 0, 5), -9.0, True),
        ((0.3, 0.2, 5), -1.0, True),
        ((0, 0, 5), 4.0, True),
        ((0, 0, -5), 0.0, False),
        ((0, 0, 0.049), -3.0, False),
        ((0, 0, 0.0501), -3.0, True),
        ((30, 0, 5), -2.0, False),
        ((4, -2, 1), 0.5, True),
        ((8.8, 4.7, 4.8), (4.0, -3.0, -5.0), True),
        ((0.2, 0.1, 0.06), (1.0, -4.0, -7.0), True),
    ],
)
def test_single_gaussians(
    mean: tuple[float, float, float], scale: float | tuple[float, float, float], drawn: bool
) -> None:
    scene = one(mean, scale)
    check(scene, FRONT)
    assert (render(scene, FRONT).alpha.max() > 0) == drawn


def test_a_known_pixel() -> None:
    scene = one((0.0, 0.0, 5.0), -20.0, 0.0)
    view = replace(FRONT, cx=24.5, cy=20.5)
    result = render(scene, view, background=(1.0, 0.0, 0.5))
    rgb = 0.5 + 0.28209479177387814 * 0.9
    assert result.alpha[20, 24] == pytest.approx(0.5, abs=1e-5)
    assert result.color[20, 24] == pytest.approx([0.5 * rgb + 0.5, 0.5 * rgb, 0.5 * rgb + 0.25], abs=1e-5)
    assert result.depth[20, 24] == pytest.approx(5.0, rel=1e-5)
    assert result.alpha[20, 25] == pytest.approx(0.5 * math.exp(-0.5 / 0.3), abs=1e-5)
    assert result.alpha[0, 0] == 0
    assert result.depth[0, 0] == 0
    assert result.color[0, 0].tolist() == [1.0, 0.0, 0.5]


def test_reach_is_not_capped_at_three_sigma() -> None:
    view = replace(FRONT, cx=24.5, cy=20.5)
    alpha = render(one((0.0, 0.0, 5.0), math.log(5 / 40 * 5), 8.0), view).alpha[20]
    sigma = math.sqrt(25 + 0.3)
    assert alpha[24 + 16] == pytest.approx(math.exp(-0.5 * (16 / sigma) ** 2), rel=1e-2)
    assert alpha[24 + 16] > 1 / 255


@pytest.mark.parametrize("size", [(130, 70), (1, 1), (17, 16), (640, 33)])
def test_threads_do_not_change_a_byte(size: tuple[int, int]) -> None:
    scene = bold(40_000, 2, seed=5)
    results = [render(scene, camera(*size), threads=threads) for threads in (1, 2, 3)]
    assert same(results[0], results[1])
    assert same(results[0], results[2])


def test_depth_order_is_stable() -> None:
    first = bold(3000, 0)
    scene = concatenate([first, first])
    order = project(scene, camera()).order
    z = scene.means.astype(np.float64) @ camera().viewmat[2, :3] + camera().viewmat[2, 3]
    key = z.astype(np.float32)[order]
    assert (np.diff(key) >= 0).all()
    assert (np.diff(order)[np.diff(key) == 0] > 0).all()
    assert len(order) > 1000


def test_strided_arrays_are_taken() -> None:
    scene = bold(100)
    arrays: dict[str, Any] = {
        name: np.asfortranarray(getattr(scene, name)) for name in ("means", "scales", "quats", "shN")
    }
    assert same(render(scene, camera()), render(replace(scene, **arrays), camera()))


def test_nothing_gives_the_background() -> None:
    result = render(synth.scene(0), camera(), background=(0.25, 0.5, 1.0))
    assert (result.color == np.array([0.25, 0.5, 1.0], np.float32)).all()
    assert not result.alpha.any()
    assert not result.depth.any()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_finite_numbers(data: st.DataObject) -> None:
    finite = st.floats(allow_nan=False, allow_infinity=False, width=32)
    mild = st.floats(-4, 4, width=32)
    n = data.draw(st.integers(1, 4))

    def array(*shape: int) -> Any:
        count = math.prod(shape)
        values = data.draw(st.lists(st.one_of(finite, mild), min_size=count, max_size=count))
        return np.array(values, np.float32).reshape(shape)

    scene = Gaussians(array(n, 3), array(n, 3), array(n, 4), array(n), array(n, 1, 3), array(n, 3, 3))
    scene = replace(scene, antialiased=data.draw(st.booleans()))
    for view in (FRONT, camera(1, 1), replace(FRONT, fx=1e6, fy=1e-3, cx=-1e6)):
        result = render(scene, view, threads=1)
        assert np.isfinite(result.color).all()
        assert np.isfinite(result.depth).all()
        assert result.color.min() >= 0
        assert result.color.max() <= 1
        assert result.alpha.max() <= 1


def test_near_plane_is_a_parameter() -> None:
    scene = one((0.0, 0.0, 0.5), -4.0)
    assert render(scene, FRONT, near=0.5).alpha.any()
    assert not render(scene, FRONT, near=0.51).alpha.any()
    for near in (0.0, -1.0, math.nan):
        with pytest.raises(UsageError, match="near plane"):
            render(scene, FRONT, near=near)


def test_gigantic_scales_fill_the_picture() -> None:
    scene = bold(500, 1)
    scene = replace(scene, scales=np.full((500, 3), 3e38, np.float32))
    assert (render(scene, camera()).alpha > 0.9).all()
