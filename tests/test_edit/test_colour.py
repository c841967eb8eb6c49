"""Colour edits against colours evaluated from directions, which know nothing of coefficients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from splatpack.edit import exposure, map_colours, saturation, sh_degree, white_balance
from splatpack.edit.colour import LUMA
from splatpack.errors import UsageError
from splatpack.render.cpu import render
from splatpack.render.views import orbit_cameras
from splatpack.scene.gaussians import C0, Gaussians
from splatpack.scene.transform import sh_basis
from tests import synth

SCENE = synth.scene(200, 3, seed=6)
RNG = np.random.default_rng(1)
AROUND = RNG.normal(size=(30, 3))
AROUND /= np.linalg.norm(AROUND, axis=1, keepdims=True)


def seen(scene: Gaussians) -> NDArray[np.float64]:
    """Colours (N, directions, 3) before the clamp at 0."""
    turning = np.einsum("dk,nkc->ndc", sh_basis(AROUND, scene.sh_degree), scene.shN.astype(np.float64))
    return np.asarray(0.5 + C0 * scene.sh0.astype(np.float64) + turning)


def test_a_linear_map_acts_on_what_is_seen() -> None:
    matrix, offset = RNG.normal(size=(3, 3)), RNG.normal(size=3)
    after = map_colours(SCENE, matrix, offset)
    assert np.allclose(seen(after), seen(SCENE) @ matrix.T + offset, atol=1e-5)
    back = map_colours(after, np.linalg.inv(matrix), -np.linalg.inv(matrix) @ offset)
    assert np.allclose(back.sh0, SCENE.sh0, atol=1e-4)
    assert np.allclose(back.shN, SCENE.shN, atol=1e-4)


def test_exposure_is_a_power_of_two_also_in_pictures() -> None:
    assert np.allclose(seen(exposure(SCENE, 1.5)), seen(SCENE) * 2**1.5, atol=1e-5)
    assert np.allclose(exposure(exposure(SCENE, 2), -2).sh0, SCENE.sh0, atol=1e-6)
    camera = orbit_cameras(SCENE, 1, 64, 48)[0]
    full, half = render(SCENE, camera).color, render(exposure(SCENE, -2), camera).color
    inside = full < 0.999  # what was clipped at white has no factor
    assert full[inside].max() > 0.3
    assert np.allclose(half[inside], full[inside] / 4, atol=2e-3)


def test_saturation() -> None:
    grey = seen(saturation(SCENE, 0))
    luminance = seen(SCENE) @ np.array(LUMA)
    assert np.allclose(grey, luminance[..., None], atol=1e-5)
    double = seen(saturation(SCENE, 2))
    assert np.allclose(double @ np.array(LUMA), luminance, atol=1e-5)
    assert np.allclose(double - grey, 2 * (seen(SCENE) - grey), atol=1e-5)


def test_white_balance_makes_the_white_neutral() -> None:
    white = (0.9, 0.8, 0.5)
    after = white_balance(SCENE, white)
    gains = seen(after)[0, 0] / seen(SCENE)[0, 0]
    neutral = gains * np.array(white)
    assert np.allclose(neutral, float(np.dot(LUMA, white)), atol=1e-4)
    assert np.allclose(seen(after), seen(SCENE) * gains, atol=1e-4)
    assert np.allclose(white_balance(SCENE, (0.4, 0.4, 0.4)).sh0, SCENE.sh0, atol=1e-6)


def test_sh_degree_drops_and_adds_bands() -> None:
    low = sh_degree(SCENE, 1)
    assert np.array_equal(low.shN, SCENE.shN[:, :3])
    high = sh_degree(low, 3)
    assert high.sh_degree == 3
    assert np.array_equal(high.shN[:, :3], low.shN)
    assert not high.shN[:, 3:].any()
    assert np.allclose(seen(high), seen(low))


@pytest.mark.parametrize(
    "call",
    [
        lambda: exposure(SCENE, 21),
        lambda: exposure(SCENE, float("nan")),
        lambda: saturation(SCENE, -0.1),
        lambda: white_balance(SCENE, (1, 1, 0)),
        lambda: white_balance(SCENE, (1, 1.1, 1)),
        lambda: white_balance(SCENE, (1, 1)),
        lambda: sh_degree(SCENE, 4),
        lambda: sh_degree(SCENE, -1),
        lambda: map_colours(SCENE, np.eye(2)),
        lambda: map_colours(SCENE, np.full((3, 3), np.inf)),
    ],
)
def test_out_of_range(call: Callable[[], Any]) -> None:
    with pytest.raises(UsageError, match="expected"):
        call()
