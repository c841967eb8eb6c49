"""What was written once stays readable, and what has no compressor is written the same today."""

from __future__ import annotations

from typing import Any

import pytest

from splatpack.formats.morton import morton_order
from splatpack.formats.registry import read_scene
from splatpack.formats.splat import by_visibility
from splatpack.scene.transform import change_frame
from tests.test_formats.closeness import assert_close, encode
from tests.test_formats.golden import FILES, FOLDER, original

FINE = {"scales": 0.0313, "covariances": 0.08, "alphas": 0.00197, "sh0": 0.01308, "shN": 0.0665}


@pytest.mark.parametrize("name", FILES)
def test_old_files_are_read(name: str) -> None:
    scene, found = original(), read_scene(FOLDER / name)
    morton = morton_order(scene.means)
    order = {"scene.splat": by_visibility(scene), "scene.compressed.ply": morton, "scene.sog": morton}.get(name)
    want = scene if order is None else scene.take(order)
    coarse = {"covariances": 0.4} if name == "v2.spz" else {"means": 0.01} if "compressed" in name else {}
    coarse = {"means": 5e-4, "covariances": 0.1, "shN": 0.3} if name == "scene.sog" else coarse
    exact = {"scene.ply": {}, "scene.glb": {"scales": 1e-6, "covariances": 3e-6, "alphas": 2e-7}}
    bounds = exact[name] if name in exact else {"means": 1.3e-4} | FINE | coarse
    assert_close(want, change_frame(found, "rdf"), **bounds)
    assert found.antialiased == (name not in ("scene.splat", "scene.glb"))
    assert found.sh_degree == (0 if name == "scene.splat" else 2)


@pytest.mark.parametrize("name", ["scene.splat", "scene.compressed.ply", "scene.glb"])
def test_the_same_bytes_are_written(name: str) -> None:
    assert encode(original(), name)[0] == (FOLDER / name).read_bytes()


@pytest.mark.parametrize(("name", "settings"), FILES.items())
def test_what_is_read_is_written_back_close(name: str, settings: dict[str, Any]) -> None:
    found = read_scene(FOLDER / name)
    data, losses = encode(found, name, **settings)
    assert data
    assert all("SPZ version 2" in text for text in losses)
