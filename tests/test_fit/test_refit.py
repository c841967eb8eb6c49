"""The refit: its units against a plain float64 model, its grid against the codec, and what it wins."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from splatpack.codecs import splat
from splatpack.codecs.splat import Q20, SplatParams
from splatpack.errors import UsageError
from splatpack.fit.kernels import units as kernels
from splatpack.fit.refit import refit
from splatpack.fit.rounded import Rounded
from splatpack.render.backward import Gradients
from splatpack.render.compare import compare
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians, concatenate
from tests import synth

BASIS = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])
SCENE = synth.scene(1200, 2, seed=8)
CLASSES = np.random.default_rng(3).integers(0, 8, len(SCENE)).astype(np.uint8)


def params(coarse: float = 1.0, attributes: tuple[str, ...] = splat.GEOMETRY) -> SplatParams:
    grow = 2.0 ** (0.5 * np.arange(8))

    def steps(first: float) -> NDArray[np.int64]:
        return np.round(coarse * first * grow * Q20).astype(np.int64)

    zero = np.zeros(8, np.int64)
    low = SCENE.means.min(axis=0).astype(np.float64)
    return SplatParams(
        lattice=np.append(low, 0.02), position=np.full(8, int(1.1 * Q20)), slope=zero, scale=steps(0.08),
        rotation=steps(0.01), opacity=steps(0.12), colour=steps(0.02), sh=steps(0.02), scale_offset=zero,
        opacity_offset=zero, attributes=attributes,
    )  # fmt: skip


def attributes_of(row: NDArray[np.float64], steps: NDArray[np.float64], side: float) -> NDArray[np.float64]:
    """All attributes of one Gaussian as one vector, from its units: the formulas of the specification."""
    p = row[6:9] * steps[1]
    d = p @ p
    quat = np.append((1 - d) / (1 + d), 2 * p / (1 + d))
    colour = BASIS.T @ (row[10:13] * steps[3])
    sh = (row[13:].reshape(-1, 3) * steps[4]) @ BASIS
    return np.concatenate([row[:3] * side, row[3:6] * steps[0], quat, row[9:10] * steps[2], colour, sh.ravel()])


def test_gradients_of_units_are_those_of_the_attributes() -> None:
    rng = np.random.default_rng(0)
    steps = np.exp(rng.normal(-3, 0.5, (5, 8)))
    for c in range(8):
        row = rng.normal(scale=3, size=13 + 3 * 8)
        slope = rng.normal(size=14 + 3 * 8)  # of a loss with respect to every attribute
        f = [v.astype(np.float32) for v in np.split(slope, [3, 6, 10, 11, 14])]
        quat = attributes_of(row, steps[:, c], 0.3)[6:10]
        out = np.empty((1, len(row)), np.float32)
        kernels.pull_row(
            f[0][None], f[1][None], f[2][None], f[3], f[4][None], f[5].reshape(1, 8, 3),
            quat[None].astype(np.float32), steps, 0, c, 0, 0.3, out,
        )  # fmt: skip
        for k in range(len(row)):
            step = np.zeros(len(row))
            step[k] = 1e-5
            ends = [attributes_of(row + sign * step, steps[:, c], 0.3) @ slope for sign in (1, -1)]
            assert out[0, k] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=2e-4, abs=1e-5)


def test_rounding_is_what_the_codec_does() -> None:
    p = params()
    start = refit(SCENE, SCENE, p, CLASSES, iterations=0).scene
    arrays = {name: getattr(SCENE, name) for name in ATTRIBUTES}
    codes = np.zeros(len(SCENE), np.int64)
    sym = splat.quantise(arrays, codes, CLASSES, np.ones(len(SCENE)), p, 0.0)
    again = splat.quantise({n: getattr(start, n) for n in ATTRIBUTES}, codes, CLASSES, np.ones(len(SCENE)), p, 0.0)
    for a, b in ((sym.colour, again.colour), (sym.opacity, again.opacity), (sym.scale, again.scale)):
        assert (a != b).mean() < 1e-3  # units are float32: a half may go the other way
        assert np.abs(a - b).max() <= 1
    assert (sym.rotation == again.rotation).all(
        axis=0
    ).mean() > 0.95  # the largest w may be another where two are nearly the same


def test_a_rounded_scene_stays_when_it_is_rounded_again() -> None:
    p = params(4.0)
    moved = refit(SCENE, SCENE, p, CLASSES, iterations=6).scene
    again = refit(moved, SCENE, p, CLASSES, iterations=0).scene
    for name in ("means", "opacities", "sh0", "shN"):
        assert np.allclose(getattr(moved, name), getattr(again, name), atol=2e-6), name
    assert np.allclose(np.sort(moved.scales, axis=1), np.sort(again.scales, axis=1), atol=2e-6)


def test_it_comes_closer_for_any_number_of_threads() -> None:
    p = params(8.0)
    before = compare(SCENE, refit(SCENE, SCENE, p, CLASSES, iterations=0).scene)
    found = [refit(SCENE, SCENE, p, CLASSES, iterations=60, threads=threads) for threads in (1, 2, 3)]
    assert found[0].iterations == 60
    assert compare(SCENE, found[0].scene).psnr_mean > before.psnr_mean + 0.5
    for other in found[1:]:
        for name in ATTRIBUTES:
            assert getattr(found[0].scene, name).tobytes() == getattr(other.scene, name).tobytes()


def test_it_makes_up_for_what_was_pruned() -> None:
    keep = np.sort(np.random.default_rng(1).permutation(len(SCENE))[:900])
    part, classes, p = SCENE.take(keep), CLASSES[keep], params(0.25)
    before, after = (compare(SCENE, refit(part, SCENE, p, classes, iterations=n).scene).psnr_mean for n in (0, 80))
    assert after > before


@pytest.mark.parametrize("coded", [("sh0",), ("means", "opacities"), ("scales", "opacities", "sh0")])
def test_what_the_codec_does_not_round_stays(coded: tuple[str, ...]) -> None:
    found = refit(SCENE, SCENE, params(4.0, coded), CLASSES, sh=False, iterations=5).scene
    for name in ATTRIBUTES:
        same = getattr(found, name).tobytes() == getattr(SCENE, name).tobytes()
        assert same == (name not in coded), name


def test_a_gaussian_that_no_view_shows_is_not_touched() -> None:
    hidden = replace(SCENE, opacities=np.where(np.arange(len(SCENE)) < 50, -12.0, SCENE.opacities).astype(np.float32))
    p = params()
    before, after = (refit(hidden, hidden, p, CLASSES, iterations=n).scene for n in (0, 5))
    for name in ATTRIBUTES:
        assert (getattr(before, name)[:50] == getattr(after, name)[:50]).all()
    assert not (before.sh0[50:] == after.sh0[50:]).all()


def test_gradients_that_are_not_numbers_count_as_none() -> None:
    p = params()
    rounded = Rounded(SCENE, p, CLASSES, True, 1)
    before: dict[str, Any] = {name: getattr(rounded.scene, name).copy() for name in ATTRIBUTES}
    bad: list[Any] = [np.full(getattr(SCENE, name).shape, np.nan, np.float32) for name in ATTRIBUTES]
    rounded.step(Gradients(*bad), 10.0)
    for name in ATTRIBUTES:
        assert (getattr(rounded.scene, name) == before[name]).all()


def test_seconds_and_progress() -> None:
    seen: list[tuple[int, int]] = []
    found = refit(SCENE, SCENE, params(), CLASSES, seconds=0.5, progress=lambda a, b: seen.append((a, b)))
    assert found.iterations == len(seen) > 0
    assert [a for a, _ in seen] == sorted(a for a, _ in seen)
    assert all(0 <= a < b == 100 for a, b in seen)
    assert refit(SCENE, SCENE, params(), CLASSES, seconds=0.0).iterations == 0


def test_arguments() -> None:
    for options in ({"iterations": -1}, {"seconds": -1.0}, {"seconds": float("nan")}):
        given: dict[str, Any] = options
        with pytest.raises(UsageError, match="refit: "):
            refit(SCENE, SCENE, params(), CLASSES, **given)
    with pytest.raises(UsageError, match=r"classes \(3,\) for 1200 rows"):
        refit(SCENE, SCENE, params(), CLASSES[:3])


def test_a_small_scene() -> None:
    one: Gaussians = SCENE.take(np.array([4]))
    found = refit(one, one, params(), CLASSES[:1], iterations=3)
    assert len(found.scene) == 1
    assert all(np.isfinite(getattr(found.scene, name)).all() for name in ATTRIBUTES)


def test_what_stands_beside_is_drawn_and_stays() -> None:
    original = synth.scene(300, 1, seed=9)
    moved, beside = original.take(slice(0, 150)).with_sh_degree(0), original.take(slice(150, 300))
    before = {name: getattr(beside, name).copy() for name in ATTRIBUTES}
    classes = np.full(150, 3, np.uint8)
    alone, together = (
        refit(moved, original, params(), classes, sh=False, beside=other, rate=0.05, iterations=30).scene
        for other in (None, beside)
    )
    assert len(together) == 150
    assert together.sh_degree == 0
    for name in ATTRIBUTES:
        assert np.array_equal(getattr(beside, name), before[name])
    wide = np.zeros((150, 3, 3), np.float32)
    shown = [concatenate([replace(s, shN=wide), beside]) for s in (alone, together)]
    apart, joint = (compare(original, s).psnr_mean for s in shown)
    assert joint > apart + 1
