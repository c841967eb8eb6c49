from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from splatpack.edit import crop_box, crop_plane, crop_sphere
from splatpack.errors import UsageError
from splatpack.scene.gaussians import Gaussians
from tests import synth

SCENE = synth.scene(500, 1, seed=2)


def indices(part: Gaussians) -> list[int]:
    """Rows of SCENE that a part is made of, in order."""
    rows = {row.tobytes(): i for i, row in enumerate(SCENE.means)}
    return [rows[row.tobytes()] for row in part.means]


CROPS: list[tuple[Callable[..., Gaussians], tuple[object, ...], Callable[[float, float, float], bool]]] = [
    (crop_box, ((-3, -2, -1), (3, 0.9, math.inf)), lambda x, y, z: abs(x) <= 3 and -2 <= y <= 0.9 and z >= -1),
    (crop_sphere, ((0.5, 0, 1), 2.5), lambda x, y, z: math.dist((x, y, z), (0.5, 0, 1)) <= 2.5),
    (crop_plane, ((0, 3, 4), 0.7), lambda x, y, z: 0.6 * y + 0.8 * z >= 0.7),
]


@pytest.mark.parametrize(("crop", "shape", "within"), CROPS)
def test_inside_and_outside_share_the_rows(
    crop: Callable[..., Gaussians], shape: tuple[object, ...], within: Callable[[float, float, float], bool]
) -> None:
    want = [i for i, (x, y, z) in enumerate(SCENE.means.tolist()) if within(x, y, z)]
    assert 20 < len(want) < 480
    assert indices(crop(SCENE, *shape)) == want
    assert indices(crop(SCENE, *shape, inside=False)) == [i for i in range(500) if i not in set(want)]


def test_faces_belong_to_the_inside() -> None:
    x, y, z = SCENE.means[7].astype(float)
    assert 7 in indices(crop_box(SCENE, (x, y, z), (x, y, z)))
    assert 7 in indices(crop_plane(SCENE, (1, 0, 0), x))
    assert 7 in indices(crop_sphere(SCENE, (x, y, z), 1e-6))


@pytest.mark.parametrize(
    "call",
    [
        lambda: crop_box(SCENE, (1, 0, 0), (0, 1, 1)),
        lambda: crop_box(SCENE, (math.nan, 0, 0), (1, 1, 1)),
        lambda: crop_box(SCENE, (0, 0), (1, 1)),
        lambda: crop_sphere(SCENE, (0, 0, 0), 0),
        lambda: crop_sphere(SCENE, (0, 0, 0), math.inf),
        lambda: crop_sphere(SCENE, (0, math.inf, 0), 1),
        lambda: crop_plane(SCENE, (0, 0, 0), 1),
        lambda: crop_plane(SCENE, (0, 1, 0), math.nan),
    ],
)
def test_shapes_that_are_none(call: Callable[[], Gaussians]) -> None:
    with pytest.raises(UsageError, match="expected"):
        call()


def test_a_crop_takes_every_column_along() -> None:
    part = crop_sphere(SCENE, (0.5, 0, 1), 2.5)
    rows = np.array(indices(part))
    for name in ("scales", "quats", "opacities", "sh0", "shN"):
        assert np.array_equal(getattr(part, name), getattr(SCENE, name)[rows])
