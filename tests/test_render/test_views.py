"""Automatic cameras: where they stand, and that any scene has some."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from splatpack.render.cpu import render
from splatpack.render.views import EVALUATION_SEED, encoder_cameras, evaluation_cameras, orbit_cameras, stage
from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import Gaussians
from splatpack.scene.transform import change_frame
from tests import synth


def poses(cameras: list[Camera]) -> np.ndarray:
    return np.stack([c.viewmat for c in cameras])


def test_evaluation_cameras_are_where_the_comparison_tools_of_the_field_put_them() -> None:
    """The formulas written out once more, for the frame of Inria PLY files."""
    scene = synth.scene(3000, 1)
    cameras = evaluation_cameras(scene)
    assert len(cameras) == 12
    inside = [c for c in cameras if c.name.startswith("inside")]
    means = scene.means[scene.opacities > math.log(0.1 / 0.9)].astype(np.float64)
    centre = np.median(means, axis=0)
    r, r9 = np.percentile(np.linalg.norm(means - centre, axis=1), (50, 90))
    rng = np.random.default_rng(20260101)
    for k in range(3):
        th = 2 * math.pi * (k + rng.random()) / 3
        forward = np.array([math.cos(th), rng.uniform(-0.3, 0.3), math.sin(th)])
        for c in inside:
            if c.name == f"inside-{k}":
                assert np.allclose(c.position, centre - 0.25 * r * forward)
                assert np.allclose(c.viewmat[2, :3], forward / np.linalg.norm(forward))
                assert c.fx == pytest.approx(160 / math.tan(math.radians(35)))
    m = 12 - len(inside)
    for k, c in enumerate(cameras[:m]):
        th, el = 2 * math.pi * (k + 0.5 * rng.random()) / m, math.radians([8, 25, 45][k % 3])
        reach = (1.6 if k % 2 else 1.0) * max(2.0 * r, 1.3 * r9)
        offset = np.array([math.cos(th) * math.cos(el), -math.sin(el), math.sin(th) * math.cos(el)])
        assert np.allclose(c.position, centre + reach * offset)
        assert np.allclose(c.viewmat[2, :3], -offset)
        assert c.fx == pytest.approx(160 / math.tan(math.radians(30)))
        assert c.viewmat[1, 1] > 0.5, "y points down in the picture as in the scene"


def test_inside_views_need_something_to_see() -> None:
    names = [c.name for c in evaluation_cameras(synth.scene(20, 0))]
    assert len(names) == 12
    assert not [n for n in names if n.startswith("inside")]
    big = replace(synth.scene(500, 0), scales=np.full((500, 3), 0.5, np.float32))
    assert [c.name for c in evaluation_cameras(big)][-3:] == ["inside-0", "inside-1", "inside-2"]


@pytest.mark.parametrize("frame", ["rub", "luf", "z_up"])
def test_views_do_not_depend_on_the_frame(frame: str) -> None:
    scene = synth.scene(3000, 2)
    turned = change_frame(scene, frame)
    for a, b in zip(evaluation_cameras(scene, 64, 48), evaluation_cameras(turned, 64, 48), strict=True):
        assert np.abs(render(scene, a).color - render(turned, b).color).max() < 0.02
    for a, b in zip(orbit_cameras(scene, 3, 64, 48), orbit_cameras(turned, 3, 64, 48), strict=True):
        assert np.abs(render(scene, a).color - render(turned, b).color).max() < 0.02


def test_seeds_and_names() -> None:
    scene = synth.scene(1000, 0)
    assert (poses(evaluation_cameras(scene)) == poses(evaluation_cameras(scene))).all()
    assert (poses(encoder_cameras(scene, 9, 40, 30, 7)) == poses(encoder_cameras(scene, 9, 40, 30, 7))).all()
    assert (poses(encoder_cameras(scene, 9, 40, 30, 7)) != poses(encoder_cameras(scene, 9, 40, 30, 8))).any()
    assert len({c.name for c in evaluation_cameras(scene)}) == 12


@pytest.mark.parametrize("seed", [EVALUATION_SEED, 11, 0])
@pytest.mark.parametrize("n", [50, 1000, 5000])
def test_no_camera_of_the_encoder_is_one_of_the_evaluation(n: int, seed: int) -> None:
    scene = synth.scene(n, 0, seed=n)
    judged = np.stack([c.position for c in evaluation_cameras(scene, 32, 24, seed)])
    encoded = np.stack([c.position for c in encoder_cameras(scene, 64, 40, 30, 7)])
    assert np.linalg.norm(judged[:, None] - encoded, axis=-1).min() > 1e-3 * stage(scene).radius


def test_encoder_cameras_stand_near_far_inside_and_close() -> None:
    scene = synth.scene(5000, 0)
    place = stage(scene)
    cameras = encoder_cameras(scene, 64, 40, 30, 3)
    away = np.array([np.linalg.norm(c.position - place.centre) for c in cameras]) / place.distance
    others = np.delete(away, np.arange(7, 64, 8))
    assert ((others[0::3] >= 0.6 - 1e-9) & (others[0::3] <= 1.1 + 1e-9)).all()
    assert ((others[1::3] >= 1.1 - 1e-9) & (others[1::3] <= 2.0 + 1e-9)).all()
    assert np.median(others[2::3]) < 0.6
    axes = np.sort(scene.scales.astype(np.float64), axis=1)
    sizes = np.exp(0.5 * (axes[:, 1] + axes[:, 2]))
    for k, camera in enumerate(cameras[7::8]):
        apart = np.linalg.norm(scene.means - camera.position, axis=1)
        assert (apart < 8 * sizes + 1e-6).any()
        assert apart.min() > 0.2 * place.near
        if k % 2 == 0:
            view = scene.means @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
            ahead = np.hypot(view[:, 0], view[:, 1]) < 1e-4 * view[:, 2]
            assert (ahead & (apart < 8 * sizes + 1e-6)).any()


def test_close_ups_prefer_large_opaque_gaussians() -> None:
    scene = synth.scene(2000, 0)
    scales, opacities = scene.scales.copy(), scene.opacities.copy()
    scales[5:15] += 2.0
    opacities[:10], opacities[10:15] = 5.0, -8.0
    cameras = encoder_cameras(replace(scene, scales=scales, opacities=opacities), 400, 40, 30, 1)[7::8]
    nearest = np.array([np.linalg.norm(scene.means - c.position, axis=1) / np.exp(scales[:, 0]) for c in cameras])
    picked = nearest.argmin(axis=1)
    assert np.isin(picked, np.arange(5, 10)).mean() > 0.4
    assert not np.isin(picked, np.arange(10, 15)).all()


def test_orbit_cameras_see_the_middle() -> None:
    scene = synth.scene(1000, 0)
    cameras = orbit_cameras(scene, 5, 100, 50)
    assert [c.name for c in cameras] == ["orbit-00", "orbit-01", "orbit-02", "orbit-03", "orbit-04"]
    for c in cameras:
        x, y, z = c.viewmat[:3, :3] @ stage(scene).centre + c.viewmat[:3, 3]
        assert abs(x) + abs(y) < 1e-9 * z
        assert (c.width, c.height) == (100, 50)


def odd_scenes() -> dict[str, Gaussians]:
    many = synth.scene(50, 1)
    return {
        "none": synth.scene(0),
        "one": synth.scene(1),
        "coincident": replace(many, means=np.ones((50, 3), np.float32)),
        "transparent": replace(many, opacities=np.full(50, -30, np.float32)),
        "far": replace(many, means=many.means + np.float32(1e7)),
        "huge": replace(many, means=np.float32(1e37) * many.means),
        "tiny": replace(many, means=np.float32(1e-5) * many.means, scales=many.scales - np.float32(11)),
        "vast scales": replace(many, scales=np.full((50, 3), 3e38, np.float32)),
        "unknown": replace(many, frame="unknown"),
    }


@pytest.mark.parametrize("name", list(odd_scenes()))
def test_any_scene_has_cameras(name: str) -> None:
    scene = odd_scenes()[name]
    cameras = evaluation_cameras(scene, 16, 12)
    assert len(cameras) == 12
    assert np.isfinite(poses(cameras + encoder_cameras(scene, 6, 16, 12, 0) + orbit_cameras(scene, 4, 16, 12))).all()


def test_a_tiny_scene_is_seen() -> None:
    scene = odd_scenes()["tiny"]
    place = stage(scene)
    assert place.near < 1e-5
    assert render(scene, orbit_cameras(scene, 1, 64, 48)[0], near=place.near).alpha.max() > 0.1
