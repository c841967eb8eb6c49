from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splatpack.codecs import model, splat
from splatpack.codecs.kernels import colour as colour_kernels
from splatpack.codecs.kernels import lattice as lattice_kernels
from splatpack.codecs.rans import TokenReader, TokenWriter, zigzag
from splatpack.errors import CorruptError, LimitError, SplatpackError
from splatpack.limits import Limits
from splatpack.pack import layout
from splatpack.pack.presets import settings
from splatpack.scene.gaussians import SH_COEFFICIENTS, Gaussians
from tests import synth
from tests.test_codecs import reference


class Chunk:
    """One chunk, encoded: sections, models, and what is needed to decode it again."""

    def __init__(self, scene: Gaussians, attributes: tuple[str, ...] = splat.GEOMETRY, follow: float = 0.0) -> None:
        how = settings("high", follow=follow)
        n = len(scene)
        grid = layout.lattice(scene, how)
        codes = grid.codes(scene.means)
        order = np.argsort(codes, kind="stable")
        self.scene = scene.take(order)
        self.codes = codes[order]
        rng = np.random.default_rng(n)
        self.classes = rng.integers(0, 8, n).astype(np.uint8)
        q20 = {name: how.q20(name) for name in ("scale", "rotation", "opacity", "colour", "sh")}
        offsets = {"scale_offset": np.full(8, -20, np.int64), "opacity_offset": np.full(8, 1, np.int64)}
        self.params = splat.SplatParams(grid.array, grid.position, grid.slope, **q20, **offsets, attributes=attributes)
        arrays = {a: getattr(self.scene, a) for a in ("scales", "quats", "opacities", "sh0")}
        self.symbols = splat.quantise(arrays, self.codes, self.classes, np.ones(n), self.params, 0.5)
        tokens, first = splat.geometry_tokens(self.symbols, self.scene.means, self.params)
        counts = np.zeros((splat.GEOMETRY_CONTEXTS, 256), np.int64)
        model.count(tokens.tokens, tokens.contexts, counts)
        self.geometry_model = model.fit(counts, splat.GEOMETRY_GROUPS)
        self.geometry = splat.geometry_bytes(tokens, first, self.geometry_model)
        self.sh, self.sh_model = b"", None
        if scene.sh_degree:
            sh = splat.sh_tokens(self.scene.shN, self.classes, self.params)
            counts = np.zeros((splat.SH_CONTEXTS, 256), np.int64)
            model.count(sh.tokens, sh.contexts, counts)
            self.sh_model = model.fit(counts, splat.SH_GROUPS)
            self.sh = sh.encode(self.sh_model)

    def decode(self, data: bytes | None = None, n: int | None = None) -> dict[str, np.ndarray]:
        out, classes = splat.decode_geometry(
            memoryview(self.geometry if data is None else data),
            len(self.scene) if n is None else n, self.params, self.geometry_model, Limits(),
        )  # fmt: skip
        assert (classes == self.classes[: len(classes)]).all() or data is not None
        return dict(out)

    def decode_sh(self, data: bytes | None = None) -> np.ndarray:
        assert self.sh_model is not None
        k = self.scene.shN.shape[1]
        return splat.decode_sh(
            memoryview(self.sh if data is None else data), self.classes, k, self.params, self.sh_model, Limits()
        )


@pytest.mark.parametrize("n", [1, 2, 31, 32, 33, 1000])
@pytest.mark.parametrize("degree", [0, 3])
def test_errors_are_within_half_a_step(n: int, degree: int) -> None:
    chunk = Chunk(synth.scene(n, degree, seed=n))
    got, p, cls = chunk.decode(), chunk.params, chunk.classes
    s, q = splat.canonicalise(chunk.scene.scales, chunk.scene.quats)
    unit = 1 / splat.Q20
    assert (np.abs(got["scales"] - s) <= 0.5 * unit * p.scale[cls][:, None] + 1e-5).all()
    opacities = np.clip(chunk.scene.opacities, *splat.OPACITY_RANGE)
    assert (np.abs(got["opacities"] - opacities) <= 0.5 * unit * p.opacity[cls] + 1e-5).all()
    vector = q[:, 1:] / (1 + q[:, :1])
    back = got["quats"][:, 1:] / (1 + got["quats"][:, :1])
    assert (np.abs(back - vector) <= 0.5 * unit * p.rotation[cls][:, None] + 1e-5).all()
    assert np.allclose(np.linalg.norm(got["quats"], axis=1), 1, atol=1e-6)
    rounding = 1e-7 * np.abs(chunk.scene.means)
    assert (np.abs(got["means"] - chunk.scene.means) <= 0.5001 * p.lattice[3] + rounding).all()
    if degree:
        step = unit * p.sh[cls][:, None, None]
        assert (np.abs(chunk.decode_sh() - chunk.scene.shN) <= 1.5 * step + 1e-5).all()


@pytest.mark.parametrize("follow", [0.0, 0.5, 1.0])
def test_position_error_follows_class_and_size(follow: float) -> None:
    chunk = Chunk(synth.scene(4000, 0, seed=5), follow=follow)
    got, p, cls = chunk.decode(), chunk.params, chunk.classes.astype(np.int64)
    middle = np.sort(got["scales"], axis=1)[:, 1]
    typical = float(np.median(np.median(chunk.scene.scales, axis=1)))
    step = (
        settings("high").step("position") * 2.0 ** (0.5 * (cls - 3)) * np.exp(follow * middle + (1 - follow) * typical)
    )
    bound = 0.5 * np.minimum(step * 2 ** (2 / 3), p.lattice[3])
    assert (np.abs(got["means"] - chunk.scene.means).max(axis=1) <= 1.02 * bound + 2e-6).all()


def test_canonical_form_is_the_same_ellipsoid() -> None:
    scene = synth.scene(2000, 0, seed=2)
    s, q = splat.canonicalise(scene.scales, scene.quats)
    assert (np.diff(s, axis=1) <= 0).all()
    assert (q[:, 0] >= 0.5 - 1e-9).all()
    want, got = reference.covariance(scene.scales, scene.quats), reference.covariance(s, q)
    assert np.abs(got - want).max() <= 1e-6 * np.abs(want).max()


@given(st.lists(st.floats(-1, 1, width=32), min_size=4, max_size=4).filter(lambda q: float(np.linalg.norm(q)) > 1e-3),
       st.permutations([0.0, -1.0, -2.5]))  # fmt: skip
def test_canonical_form_of_any_rotation(quat: list[float], scale: list[float]) -> None:
    scales, quats = np.array([scale], np.float32), np.array([quat], np.float32)
    s, q = splat.canonicalise(scales, quats)
    assert np.allclose(reference.covariance(s, q), reference.covariance(scales, quats), atol=1e-5)
    assert q[0, 0] >= 0.5 - 1e-6


@given(st.integers(1, 70), st.integers(0, 10_000))
def test_colour_prediction_inverts_and_agrees_with_the_reference(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    symbols = rng.integers(-200, 200, n)
    classes = rng.integers(0, 8, n).astype(np.uint8)
    steps = rng.integers(1, 1 << 20, 8)
    work, scratch = symbols.copy(), np.empty(n, np.int64)
    colour_kernels.predict_colour(work, classes, steps, scratch)
    assert work.tolist() == reference.predict(symbols.tolist(), steps[classes].tolist())
    work = zigzag(work)
    assert colour_kernels.restore_colour(work, classes, steps) == 0
    assert (work == symbols * steps[classes]).all()


def test_colour_prediction_is_exact_for_the_steepest_steps() -> None:
    """Sums reach 2^48, quotients are taken by reciprocals, and ties and neighbours of ties must come out right."""
    rng = np.random.default_rng(0)
    for steps in (np.array([1, 2, 3, 5, 1 << 31, (1 << 31) - 1, 0x55555555, 7]), rng.integers(1, 1 << 31, 8)):
        classes = rng.integers(0, 8, 5000).astype(np.uint8)
        symbols = rng.choice([-32767, -32766, -1, 0, 1, 32766, 32767], 5000)
        work = symbols.copy()
        colour_kernels.predict_colour(work, classes, steps, np.empty_like(work))
        assert work.tolist() == reference.predict(symbols.tolist(), steps[classes].tolist())
        work = zigzag(work)
        assert colour_kernels.restore_colour(work, classes, steps) == 0
        assert (work == symbols * steps[classes]).all()


def test_a_colour_symbol_outside_16_bits_is_refused() -> None:
    steps, classes = np.full(8, 3, np.int64), np.zeros(3, np.uint8)
    for residuals in ([65536, 0, 0], [65535, 0, 0], [0, 0, 65536], [65534, 2, 0], [0, 1 << 56, 0]):
        assert colour_kernels.restore_colour(np.array(residuals, np.int64), classes, steps) == -3


def test_sides_are_integer_cube_roots() -> None:
    for k, side in enumerate(splat.SIDES.tolist()):
        assert side**3 <= 2**k < (side + 1) ** 3
    assert splat.SIZES.tolist()[:9] == [0, 0, 0, 3, 3, 5, 6, 7, 8]
    assert (np.arange(49) >= splat.SIZES).all()


@pytest.mark.parametrize("k", range(49))
def test_sub_cells_are_split_exactly(k: int) -> None:
    """The quotients are taken by reciprocals: numbers at and next to every kind of multiple must come out right."""
    n, width = int(splat.SIDES[k]), int(splat.SIZES[k])
    digits = sorted({d for d in (0, 1, 2, n // 3, n // 2, n - 2, n - 1) if 0 <= d < n})
    cells = np.array([(a, b, c) for a in digits for b in digits for c in digits], np.int64)
    values = (cells[:, 0] * n + cells[:, 1]) * n + cells[:, 2]
    writer = TokenWriter(0, 64 * len(values))
    writer.raw(values, np.full(len(values), width, np.int64))
    model_of_nothing = model.Model(np.zeros(1, np.uint8), ((0,),))
    reader = TokenReader(memoryview(writer.finish().encode(model_of_nothing)), model_of_nothing, Limits(), "test")
    zeros, means = np.zeros(len(values), np.int64), np.empty((len(values), 3), np.float32)
    position = np.full(8, k * 726817 // 3, np.int64)  # ceil(3 position / 726817) is k
    status = lattice_kernels.decode_positions(
        reader.stream, zeros, zeros.astype(np.int32), zeros.astype(np.uint8), np.zeros(8, np.int64), position,
        splat.SIDES, splat.SIZES, np.array([0.0, 0.0, 0.0, float(n)]), means,
    )  # fmt: skip
    assert status == 0
    assert (means == (cells + 0.5).astype(np.float32)).all()
    reader.finish()


def test_attributes_are_written_where_the_caller_wants_them() -> None:
    chunk = _SMALL
    want = chunk.decode()
    out = {"means": np.full((60, 3), np.nan, np.float32), "sh0": np.full((60, 1, 3), np.nan, np.float32)}
    arrays, classes = splat.decode_geometry(
        memoryview(chunk.geometry), 60, chunk.params, chunk.geometry_model, Limits(), out
    )
    assert all(arrays[name] is out[name] for name in out)
    assert all((arrays[name] == want[name]).all() for name in splat.GEOMETRY)
    assert chunk.sh_model is not None
    shN = np.zeros((60, 15, 3), np.float32)
    splat.decode_sh(memoryview(chunk.sh), classes, 8, chunk.params, chunk.sh_model, Limits(), shN)
    assert (shN[:, :8] == chunk.decode_sh()).all()
    assert not shN[:, 8:].any()


def test_morton_codes_interleave_the_lattice() -> None:
    means = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [5, 3, 6], [1e9, -1e9, 0]], np.float32)
    codes = np.empty(6, np.int64)
    lattice_kernels.morton_codes(means, 0.0, 0.0, 0.0, 1.0, codes)
    top = sum(1 << (3 * k) for k in range(19))
    assert codes.tolist() == [0, 1, 2, 4, 0b101_110_011, top]


@pytest.mark.parametrize("left_out", splat.GEOMETRY)
def test_an_attribute_may_be_left_to_a_column(left_out: str) -> None:
    attributes = tuple(a for a in splat.GEOMETRY if a != left_out)
    chunk = Chunk(synth.scene(300, 0, seed=9), attributes=attributes)
    got = chunk.decode()
    assert sorted(got) == sorted(attributes)
    if left_out == "quats":
        step = chunk.params.scale[chunk.classes][:, None] / splat.Q20
        assert (np.abs(got["scales"] - chunk.scene.scales) <= 0.5 * step + 1e-5).all()
    if "means" in got:
        assert (np.abs(got["means"] - chunk.scene.means) <= 0.5001 * chunk.params.lattice[3]).all()


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_empty_bands_cost_nothing_and_come_back_as_zero(degree: int) -> None:
    scene = synth.scene(500, degree, seed=1)
    empty = replace(scene, shN=np.zeros_like(scene.shN))
    chunk = Chunk(empty)
    assert len(chunk.sh) < 150
    assert (chunk.decode_sh() == 0).all()
    assert chunk.decode_sh().shape == (500, SH_COEFFICIENTS[degree], 3)


def test_absurd_values_are_clamped_not_wrapped() -> None:
    scene = synth.scene(40, 1, seed=3)
    scene = replace(scene, shN=np.full_like(scene.shN, 1e30), sh0=np.full_like(scene.sh0, -1e30))
    chunk = Chunk(scene)
    assert (chunk.decode_sh()[:, :, 0] > 0).all()
    assert (chunk.decode()["sh0"][:, 0, 0] < 0).all()


def test_every_prefix_and_extra_bytes_fail() -> None:
    chunk = Chunk(synth.scene(40, 1, seed=4))
    for n in range(len(chunk.geometry)):
        with pytest.raises(CorruptError):
            chunk.decode(chunk.geometry[:n])
    for n in range(len(chunk.sh)):
        with pytest.raises(CorruptError):
            chunk.decode_sh(chunk.sh[:n])
    with pytest.raises(CorruptError):
        chunk.decode(chunk.geometry + b"\0")
    with pytest.raises(CorruptError):
        chunk.decode_sh(chunk.sh + b"\0")


@pytest.mark.parametrize("n", [0, -1, 39, 41, 65_537, 2**31, 2**63])
def test_a_wrong_count_fails(n: int) -> None:
    chunk = Chunk(synth.scene(40, 0, seed=4))
    with pytest.raises(CorruptError):
        chunk.decode(n=n)


def test_a_small_budget_is_kept() -> None:
    chunk = Chunk(synth.scene(40, 0, seed=4))
    with pytest.raises(LimitError):
        splat.decode_geometry(memoryview(chunk.geometry), 40, chunk.params, chunk.geometry_model, Limits(memory=1000))


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_damage_ends_in_finite_values_or_in_an_error(at: int, flip: int) -> None:
    chunk = _SMALL
    data = bytearray(chunk.geometry)
    data[at % len(data)] ^= flip
    with suppress(SplatpackError):
        assert all(np.isfinite(v).all() for v in chunk.decode(bytes(data)).values())
    data = bytearray(chunk.sh)
    data[at % len(data)] ^= flip
    with suppress(SplatpackError):
        assert np.isfinite(chunk.decode_sh(bytes(data))).all()


_SMALL = Chunk(synth.scene(60, 2, seed=8))


def test_parameters_round_trip_and_refuse_what_is_wrong() -> None:
    good = _SMALL.params.to_dict()
    assert splat.SplatParams.from_dict(good).to_dict() == good
    for key, value in [
        ("lattice", [0.0, 0.0, 0.0, 0.0]), ("lattice", [0.0, 0.0, float("nan"), 1.0]), ("lattice", [0, 0, 0, 1]),
        ("scale", [0] * 8), ("scale", [1] * 7), ("scale", [1.0] * 8), ("scale", [True] * 8), ("sh", [2**31 + 1] * 8),
        ("attributes", ["sh0", "means"]), ("attributes", ["shN"]), ("position", [2**40] * 8), ("opacity", "abc"),
    ]:  # fmt: skip
        with pytest.raises(CorruptError):
            splat.SplatParams.from_dict({**good, key: value})
    with pytest.raises(CorruptError):
        splat.SplatParams.from_dict({**good, "more": 1})
    with pytest.raises(CorruptError):
        splat.SplatParams.from_dict({k: v for k, v in good.items() if k != "sh"})
