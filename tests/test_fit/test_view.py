"""The weights of one view: against the plain renderer, what may be left out, slabs, and the memory they take."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from splatpack.fit import view
from splatpack.fit.kernels.cull import cull
from splatpack.fit.view import reaches, view_weights
from splatpack.render.project import pack_camera, project
from splatpack.render.views import encoder_cameras, evaluation_cameras, stage
from splatpack.scene.gaussians import Gaussians
from tests import synth
from tests.test_render import reference
from tests.test_render.test_cpu import bold
from tests.test_render.test_views import odd_scenes


@pytest.mark.parametrize("antialiased", [False, True])
def test_weights_match_the_plain_renderer(antialiased: bool) -> None:
    scene = replace(bold(200, 0), antialiased=antialiased)
    for camera in encoder_cameras(scene, 6, 45, 37, 1):
        plain = reference.render(scene, camera).weights / (45 * 37)
        assert np.allclose(view_weights(scene, camera, 0.05), plain, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", ["bold", "antialiased", "long", *odd_scenes()])
def test_nothing_visible_is_left_out(name: str) -> None:
    scenes: dict[str, Gaussians] = {"bold": bold(2000, 0), "antialiased": replace(bold(2000, 0, 1), antialiased=True)}
    long = synth.scene(2000, 0)
    scenes["long"] = replace(long, scales=long.scales * np.array([3, 1, 1], np.float32))
    scene = scenes[name] if name in scenes else odd_scenes()[name]
    near = stage(scene).near
    rows, depths = np.empty(len(scene), np.int32), np.empty(len(scene), np.float32)
    for camera in evaluation_cameras(scene, 31, 23) + encoder_cameras(scene, 8, 31, 23, 5):
        whole = project(scene, camera, near=near, colour=False)
        found = cull(scene.means, reaches(scene), pack_camera(camera, near), rows, depths)
        assert (np.diff(rows[:found]) > 0).all()
        assert np.isin(whole.order, rows[:found]).all()
        visible = np.isin(rows[:found], whole.order)
        assert (depths[:found][visible] == whole.depths[rows[:found][visible]]).all()


def test_what_is_behind_or_beside_the_camera_is_left_out() -> None:
    scene = synth.scene(5000, 0)
    camera = encoder_cameras(scene, 3, 31, 23, 5)[2]
    rows, depths = np.empty(5000, np.int32), np.empty(5000, np.float32)
    found = cull(scene.means, reaches(scene), pack_camera(camera, 0.05), rows, depths)
    assert found < 0.7 * len(scene)


@pytest.mark.parametrize("slab", [1, 7, 60, 200])
def test_slabs_do_not_change_a_bit(slab: int) -> None:
    scene = bold(2000, 0, seed=4)
    scene = replace(scene, means=np.round(scene.means, 1).astype(np.float32))  # ties of depth
    for camera in encoder_cameras(scene, 3, 50, 40, 2)[:: 3 if slab == 1 else 1]:
        whole = view_weights(scene, camera, 0.05)
        assert np.count_nonzero(whole) > slab
        assert view_weights(scene, camera, 0.05, slab=slab).tobytes() == whole.tobytes()


def test_memory_is_bounded_by_slabs() -> None:
    scene = synth.scene(200_000, 3)
    camera = encoder_cameras(scene, 2, 48, 36, 1)[1]
    reach = reaches(scene)
    view_weights(scene, camera, 0.05, reach)

    def peak(slab: int) -> int:
        tracemalloc.start()
        view_weights(scene, camera, 0.05, reach, slab=slab)
        taken = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return taken

    for slab in (5000, 50_000, 200_000):
        assert peak(slab) < view.VIEW_BYTES * len(scene) + view.SLAB_BYTES * slab + (1 << 20)
