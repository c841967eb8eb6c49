"""Where runs begin: distances of neighbours, places in frusta, and depth that photos agree on."""

from __future__ import annotations

import numpy as np
import pytest

from splatpack.errors import InvalidSceneError
from splatpack.scene.cameras import look_at
from splatpack.train import stereo
from splatpack.train.kernels import sweep
from splatpack.train.seeds import Seeds, depth_range, in_frusta, lifted, spacing
from splatpack.train.views import View
from tests.test_train import photos

DATA = photos.dataset(7, (80, 60))
VIEWS = [View(photo.camera, photo.pixels(), None, None) for photo in DATA.train]


def test_spacing_is_close_to_the_exact_distance() -> None:
    points = np.random.default_rng(0).normal(size=(3000, 3)).astype(np.float32)
    found = spacing(points)
    some = np.arange(0, 3000, 30)
    squares = ((points[some, None].astype(np.float64) - points[None]) ** 2).sum(axis=2)
    exact = np.sqrt(np.sort(squares, axis=1)[:, 1:4]).mean(axis=1)
    assert (found[some] >= exact * (1 - 1e-5)).all()
    assert np.median(found[some] / exact) < 1.1
    assert (spacing(points, 1) == spacing(points, 3)).all()


def test_spacing_of_few_points() -> None:
    assert len(spacing(np.zeros((0, 3), np.float32))) == 0
    assert (spacing(np.zeros((1, 3), np.float32)) > 0).all()
    two = np.array([[0, 0, 0], [3, 4, 0]], np.float32)
    assert np.allclose(spacing(two), 5)


def test_seeds_become_round_gaussians() -> None:
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    scene = Seeds(points, np.full((3, 3), 0.25, np.float32)).grown()
    assert (scene.means == points).all()
    assert (scene.scales[:, 0] == scene.scales[:, 2]).all()
    assert np.allclose(0.5 + 0.28209479 * scene.sh0, 0.25)
    with pytest.raises(InvalidSceneError, match="no point"):
        Seeds(points[:0], points[:0]).grown()
    with pytest.raises(InvalidSceneError, match="not finite"):
        Seeds(points * np.float32(np.nan), points).grown()


def test_thinning_keeps_what_belongs_together() -> None:
    points = np.arange(30, dtype=np.float32).reshape(10, 3)
    seeds = Seeds(points, points / np.float32(30), points[:, 0])
    few = seeds.thinned(4, np.random.default_rng(0))
    assert len(few) == 4
    assert np.allclose(few.points, few.colors * 30)
    assert few.sizes is not None
    assert (few.sizes == few.points[:, 0]).all()
    assert seeds.thinned(10, np.random.default_rng(0)) is seeds


def test_random_places_are_seen_by_a_camera() -> None:
    seeds = in_frusta(VIEWS, 500, np.random.default_rng(0))
    seen = np.zeros(500, bool)
    for view in VIEWS:
        local = seeds.points @ view.camera.viewmat[:3, :3].T + view.camera.viewmat[:3, 3]
        spot = local[:, :2] / local[:, 2:] * (view.camera.fx, view.camera.fy) + (view.camera.cx, view.camera.cy)
        seen |= (local[:, 2] > 0) & (spot >= -0.01).all(axis=1) & (spot <= (80.01, 60.01)).all(axis=1)
    assert seen.all()
    assert seeds.colors.std() > 0.05


def test_cameras_that_look_outwards_have_a_range_too() -> None:
    near, far = depth_range([view.camera for view in VIEWS])[0]
    assert near < 2.5 < 4 < far
    away = [look_at((0, 0, 0), (np.cos(a), 0, np.sin(a)), (0, -1, 0), 1.0, 20, 20) for a in (0, 2, 4)]
    assert all(0 < near < far for near, far in depth_range(away))
    assert all(0 < near < far for near, far in depth_range(away[:1]))


def test_stereo_finds_the_ball_and_the_wall() -> None:
    seeds = stereo.stereo(VIEWS)
    assert len(seeds) > 2000
    ball = np.abs(np.linalg.norm(seeds.points - photos.BALL, axis=1) - photos.RADIUS)
    wall = np.abs(seeds.points[:, 2] - photos.WALL)
    error = np.minimum(ball, wall)
    assert np.median(error) < 0.03
    assert (error < 0.15).mean() > 0.9
    assert (ball < 0.1).sum() > 200
    again = stereo.stereo(VIEWS, threads=1)
    assert (again.points == seeds.points).all()


def test_stereo_without_partners_is_silent() -> None:
    assert len(stereo.stereo(VIEWS[:1])) == 0
    plain = [View(view.camera, np.full_like(view.pixels, 0.5), None, None) for view in VIEWS]
    assert len(stereo.stereo(plain)) == 0


def test_a_warp_with_the_true_depth_gives_the_same_picture() -> None:
    here, there = VIEWS[3], VIEWS[4]
    depth = photos.cast(here.camera)[1]
    way = stereo._way(here.camera, there.camera)
    ys, xs = np.mgrid[5:55:7, 5:75:7]
    for y, x in zip(ys.ravel(), xs.ravel(), strict=True):
        out = np.empty((60, 80), np.float32)
        sweep.warp(np.ascontiguousarray(there.pixels[..., 0]), way, 1.0 / float(depth[y, x]), out)
        local = lifted(here.camera, np.array([x + 0.5]), np.array([y + 0.5]), depth[y, x : x + 1].astype(np.float64))
        spot = there.camera.K @ (there.camera.viewmat[:3, :3] @ local[0] + there.camera.viewmat[:3, 3])
        u, v = spot[:2] / spot[2] - 0.5
        if not (0 <= u < 78 and 0 <= v < 58):
            assert np.isnan(out[y, x]) or u < 79
            continue
        i, j, fu, fv = int(u), int(v), u - int(u), v - int(v)
        p = there.pixels[..., 0]
        want = (p[j, i] * (1 - fu) + p[j, i + 1] * fu) * (1 - fv) + (p[j + 1, i] * (1 - fu) + p[j + 1, i + 1] * fu) * fv
        assert out[y, x] == pytest.approx(want, abs=1e-4)


def test_correlation_is_that_of_numpy() -> None:
    rng = np.random.default_rng(0)
    a = rng.random((9, 11)).astype(np.float32)
    b = (0.3 * a + 0.4 + 0.02 * rng.random((9, 11))).astype(np.float32)
    b[0, 0] = np.nan
    out = np.empty((9, 11), np.float32)
    sweep.correlate(a, b, 2, np.empty((6, 11)), out)
    assert out[2, 2] == -1
    assert (out[:2] == -1).all()
    p, q = a[2:7, 3:8].astype(np.float64), b[2:7, 3:8].astype(np.float64)
    want = ((p - p.mean()) * (q - q.mean())).mean() / np.sqrt((p.var() + sweep.FLAT) * (q.var() + sweep.FLAT))
    assert out[4, 5] == pytest.approx(want, abs=1e-5)
    volume = np.full((9, 1, 1), 0.1, np.float32)
    volume[3:6, 0, 0] = (0.7, 0.9, 0.8)
    place, score, rival = (np.empty((1, 1), np.float32) for _ in range(3))
    sweep.best_plane(volume, place, score, rival)
    assert place[0, 0] == pytest.approx(4 + 0.5 * (0.7 - 0.8) / (0.7 - 1.8 + 0.8), abs=1e-5)
    assert (score[0, 0], rival[0, 0]) == (np.float32(0.9), np.float32(0.1))
