from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from splatpack.bench.dequantise import GRIDS, Grid, dequantise
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians
from tests import synth


@pytest.fixture(scope="module")
def scene() -> Gaussians:
    return synth.scene(3000, degree=1, seed=4)


def grid(values: np.ndarray, step: float) -> np.ndarray:
    return (np.round(values / step) * step).astype(np.float32)


def same(a: Gaussians, b: Gaussians) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ATTRIBUTES)


def test_float_scenes_are_left_to_the_bit(scene: Gaussians) -> None:
    out, changed = dequantise(scene)
    assert changed == ()
    assert same(out, scene)


@pytest.mark.parametrize(("name", "step"), [("means", 0.01), ("scales", 1 / 16), ("sh0", 0.02), ("shN", 1 / 16)])
def test_noise_stays_in_the_cell_and_fills_it(scene: Gaussians, name: str, step: float) -> None:
    changes: dict[str, Any] = {name: grid(getattr(scene, name), step)}
    coarse = replace(scene, **changes)
    out, changed = dequantise(coarse)
    assert changed == (name,)
    error = (getattr(out, name) - getattr(coarse, name)).astype(np.float64)
    assert 0.49 * step < np.abs(error).max() <= 0.5001 * step
    assert len(np.unique(getattr(out, name))) > 0.99 * error.size


def test_cells_of_a_codebook_reach_to_the_middle_of_the_gaps(scene: Gaussians) -> None:
    book = np.sort(np.random.default_rng(2).normal(size=256).astype(np.float32))
    at = np.random.default_rng(3).integers(0, 256, scene.sh0.shape)
    out, _ = dequantise(replace(scene, sh0=book[at]))
    gaps = np.diff(book)
    inner = (at > 0) & (at < 255)
    low, high = book[at] - 0.5001 * gaps[np.maximum(at - 1, 0)], book[at] + 0.5001 * gaps[np.minimum(at, 254)]
    assert ((out.sh0 >= low) & (out.sh0 <= high))[inner].all()


def test_the_cell_of_zero_of_sh_is_laplacian(scene: Gaussians) -> None:
    rng = np.random.default_rng(1)
    fine = rng.laplace(scale=0.02, size=scene.shN.shape).astype(np.float32)
    coarse = replace(scene, shN=grid(fine, 1 / 16))
    out, _ = dequantise(coarse)
    zero = coarse.shN == 0
    assert zero.mean() > 0.5
    spread = np.abs(out.shN[zero])
    assert spread.max() <= 1 / 32 + 1e-6
    assert np.median(spread) < 0.9 * np.median(rng.uniform(0, 1 / 32, 10_000))


def test_opacities_get_noise_in_the_opacity(scene: Gaussians) -> None:
    alpha = np.clip(grid(1 / (1 + np.exp(-scene.opacities)), 1 / 255), 1e-6, 1 - 1e-6)
    coarse = replace(scene, opacities=np.log(alpha / (1 - alpha)).astype(np.float32))
    out, changed = dequantise(coarse)
    assert changed == ("opacities",)
    back = 1 / (1 + np.exp(-out.opacities.astype(np.float64)))
    assert np.abs(back - alpha).max() <= 0.51 / 255 * 4
    assert np.isfinite(out.opacities).all()
    assert len(np.unique(out.opacities)) > 2900


def test_quats_on_a_grid_are_found_and_stay_unit(scene: Gaussians) -> None:
    step = 1 / 256
    q = scene.quats.astype(np.float64)
    rows = np.arange(len(q))
    largest = np.abs(q).argmax(axis=1)
    q *= np.sign(q[rows, largest])[:, None]
    q = np.round(q / step) * step
    q[rows, largest] = 0
    q[rows, largest] = np.sqrt(1 - (q**2).sum(axis=1))
    out, changed = dequantise(replace(scene, quats=q.astype(np.float32)))
    assert changed == ("quats",)
    assert np.allclose(np.linalg.norm(out.quats, axis=1), 1, atol=1e-6)
    error = np.abs(out.quats - q)
    assert 0.3 * step < error.max() < 1.5 * step


def test_a_step_can_be_given(scene: Gaussians) -> None:
    out, changed = dequantise(scene, grid=Grid(quat_step=1 / 128))
    assert changed == ("quats",)
    assert 0.3 / 128 < np.abs(out.quats - scene.quats).max() < 1.5 / 128
    assert GRIDS["splat"].quat_step == 1 / 128


def test_grids_of_chunks(scene: Gaussians) -> None:
    coarse = scene.means.astype(np.float64)
    for start in range(0, len(coarse), 256):
        part = coarse[start : start + 256]
        low, cells = part.min(axis=0), np.ptp(part, axis=0) / (2.0 ** np.array([11, 10, 11]) - 1)
        coarse[start : start + 256] = low + np.round((part - low) / cells) * cells
    given = replace(scene, means=coarse.astype(np.float32))
    out, changed = dequantise(given, grid=GRIDS["compressed-ply"])
    assert changed == ("means", "scales")
    error = np.abs(out.means - given.means)
    assert 0 < error.max() <= 0.51 * np.ptp(scene.means, axis=0).max() / 1023
    assert np.median(error) > 0


def test_equal_rows_stay_equal_and_order_does_not_matter(scene: Gaussians) -> None:
    coarse = replace(scene, sh0=grid(scene.sh0, 0.02))
    twice = coarse.take(np.concatenate([np.arange(3000), np.arange(0, 3000, 2)]))
    out, _ = dequantise(twice)
    assert np.array_equal(out.sh0[:3000:2], out.sh0[3000:])
    order = np.random.default_rng(3).permutation(3000)
    assert same(dequantise(coarse.take(order))[0], dequantise(coarse)[0].take(order))


def test_seed(scene: Gaussians) -> None:
    coarse = replace(scene, sh0=grid(scene.sh0, 0.02))
    assert same(dequantise(coarse, 5)[0], dequantise(coarse, 5)[0])
    assert not same(dequantise(coarse, 5)[0], dequantise(coarse, 6)[0])


def test_scenes_that_tell_nothing(scene: Gaussians) -> None:
    assert dequantise(scene.take(slice(0, 0)))[1] == ()
    few = replace(scene.take(slice(0, 20)), sh0=np.zeros((20, 1, 3), np.float32))
    assert dequantise(few)[1] == ()
    flat = replace(scene, sh0=np.zeros_like(scene.sh0))
    assert dequantise(flat)[1] == ()
