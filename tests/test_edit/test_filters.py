from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from splatpack.edit import drop_nan, filter_opacity, filter_scale, select
from splatpack.errors import UsageError
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians
from tests import synth

SCENE = synth.scene(400, 1, seed=8)
ALPHA = 1 / (1 + np.exp(-SCENE.opacities.astype(np.float64)))


def test_opacity() -> None:
    part = filter_opacity(SCENE, 0.3, 0.9)
    assert np.array_equal(part.means, SCENE.means[(ALPHA >= 0.3) & (ALPHA <= 0.9)])
    assert 50 < len(part) < 350
    assert len(filter_opacity(SCENE)) == 400


def test_scale() -> None:
    longest = np.exp(SCENE.scales.astype(np.float64)).max(axis=1)
    part = filter_scale(SCENE, 0.01, 0.05)
    assert np.array_equal(part.means, SCENE.means[(longest >= 0.01) & (longest <= 0.05)])
    assert 50 < len(part) < 350
    assert len(filter_scale(SCENE)) == 400


def test_select_and_its_opposite() -> None:
    part, rest = select(SCENE, "x > y"), select(SCENE, "x > y", keep=False)
    assert np.array_equal(part.means, SCENE.means[SCENE.means[:, 0] > SCENE.means[:, 1]])
    assert len(part) + len(rest) == 400


@pytest.mark.parametrize(
    "call",
    [
        lambda: filter_opacity(SCENE, 0.5, 0.4),
        lambda: filter_opacity(SCENE, -0.1),
        lambda: filter_opacity(SCENE, 0, 1.1),
        lambda: filter_opacity(SCENE, math.nan),
        lambda: filter_scale(SCENE, -1),
        lambda: filter_scale(SCENE, 2, 1),
    ],
)
def test_bounds_out_of_range(call: Callable[[], Gaussians]) -> None:
    with pytest.raises(UsageError, match="expected 0 <="):
        call()


@pytest.mark.parametrize("name", [*ATTRIBUTES, "score", "pair"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nan_anywhere_is_dropped(name: str, value: float) -> None:
    extras: dict[str, NDArray[Any]] = {
        "score": np.zeros(400, np.float32),
        "pair": np.zeros((400, 2), np.float32),
        "label": np.arange(400),
    }
    scene = replace(SCENE, extras=extras)
    assert drop_nan(scene) is scene
    column = (scene.extras[name] if name in extras else getattr(scene, name)).copy()
    column.reshape(400, -1)[7, -1] = value
    changed: dict[str, Any] = {"extras": {**extras, name: column}} if name in extras else {name: column}
    left = drop_nan(replace(scene, **changed))
    assert list(left.extras["label"]) == [i for i in range(400) if i != 7]
