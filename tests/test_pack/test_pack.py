from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splatpack.errors import CorruptError, InvalidSceneError, LimitError, SplatpackError, UsageError
from splatpack.limits import Limits
from splatpack.pack import layout
from splatpack.pack.decode import decode, scene_info
from splatpack.pack.encode import encode
from splatpack.pack.presets import PRESETS, settings
from splatpack.pack.verify import verify
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians
from tests import synth
from tests.test_codecs import reference
from tests.test_pack.helpers import decoded, encoded, opened, sorted_rows


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("preset", list(PRESETS))
def test_every_preset_round_trips(degree: int, preset: str) -> None:
    scene = synth.scene(3000, degree, seed=degree)
    data = encoded(scene, preset, chunk=1024, refine=min(PRESETS[preset].refine, 3))
    reader = opened(data)
    assert verify(reader).ok
    back = decode(reader)
    assert len(back) == len(scene)
    assert back.sh_degree == degree
    assert len(data) * 8 / len(scene) < 300
    assert np.allclose(np.linalg.norm(back.quats, axis=1), 1, atol=1e-5)


def test_finer_settings_are_larger_and_closer() -> None:
    scene = replace(synth.scene(4000, 2, seed=3), extras={"i": np.arange(4000, dtype=np.int32)})
    sizes, errors = [], []
    for q in (2.0, 1.0, 0.5, 0.25):
        data = encoded(scene, q=q)
        back = decoded(data)
        want = scene.take(back.extras["i"])
        sizes.append(len(data))
        errors.append(float(np.abs(back.means - want.means).mean() + np.abs(back.sh0 - want.sh0).mean()))
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)


def test_covariances_survive() -> None:
    scene = replace(synth.scene(2000, 0, seed=4), extras={"i": np.arange(2000, dtype=np.int32)})
    back = decoded(encoded(scene, "near-lossless"))
    want = scene.take(back.extras["i"])
    a, b = reference.covariance(want.scales, want.quats), reference.covariance(back.scales, back.quats)
    error = np.abs(a - b).max(axis=(1, 2)) / np.abs(a).max(axis=(1, 2))
    assert np.median(error) < 0.03


@pytest.mark.parametrize("keep_order", [False, True])
def test_lossless_is_bit_exact(keep_order: bool) -> None:
    scene = synth.scene(2500, 2, seed=6)
    values = np.random.default_rng(0).normal(size=(2500, 2)).astype(np.float32)
    scene = replace(scene, extras={"label": np.arange(2500, dtype=np.uint16) // 7, "v": values})
    scene.quats[:] *= 3  # not normalised: kept as it is
    scene.extras["v"][0, 0] = np.nan
    back = decoded(encoded(scene, exact=ATTRIBUTES, keep_order=keep_order, chunk=1000))
    if not keep_order:
        back, scene = sorted_rows(back), sorted_rows(scene)
    for name in ATTRIBUTES:
        assert getattr(back, name).tobytes() == getattr(scene, name).tobytes()
    for name in scene.extras:
        assert back.extras[name].tobytes() == scene.extras[name].tobytes()
        assert back.extras[name].dtype == scene.extras[name].dtype


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_any_attribute_may_be_exact(attribute: str) -> None:
    scene = replace(synth.scene(1500, 1, seed=7), extras={"i": np.arange(1500, dtype=np.int32)})
    data = encoded(scene, exact=(attribute,))
    assert verify(opened(data)).ok
    back = decoded(data)
    assert getattr(back, attribute).tobytes() == getattr(scene.take(back.extras["i"]), attribute).tobytes()


@pytest.mark.parametrize(
    ("attribute", "error"),
    [("means", 1e-4), ("scales", 1e-2), ("quats", 1e-3), ("opacities", 0.05), ("sh0", 1e-3), ("shN", 1e-2)],
)
def test_an_error_bound_is_kept(attribute: str, error: float) -> None:
    scene = replace(synth.scene(1500, 2, seed=8), extras={"i": np.arange(1500, dtype=np.int32)})
    data = encoded(scene, max_error={attribute: error})
    assert verify(opened(data)).ok
    back = decoded(data)
    want = getattr(scene.take(back.extras["i"]), attribute).astype(np.float64)
    assert np.abs(getattr(back, attribute) - want).max() <= error
    assert len(data) < len(encoded(scene, exact=(attribute,)))


def test_a_bound_that_needs_every_bit_falls_back_to_exact() -> None:
    scene = synth.scene(500, 0, seed=9)
    scene.means[:] += 1e6
    data = encoded(scene, max_error={"means": 1e-4})
    assert np.isin(decoded(data).means, scene.means).all()


def test_sh_can_be_left_out_and_is_not_read() -> None:
    data = encoded(synth.scene(800, 3, seed=10))
    reader = opened(data)
    whole = sum(s.length for c in reader.chunks for s in c.sections)
    geometry = decoded(data, sh=False)
    assert geometry.sh_degree == 0
    assert (geometry.means == decoded(data).means).all()
    flipped = bytearray(data)
    chunk = reader.chunks[0]
    flipped[chunk.offset + chunk.sections[0].length + 30] ^= 1  # inside the SH section
    assert (decoded(bytes(flipped), sh=False).means == geometry.means).all()
    with pytest.raises(CorruptError):
        decoded(bytes(flipped))
    assert whole < len(data)


def test_a_box_returns_what_lies_in_it_and_touches_few_bytes() -> None:
    scene = synth.scene(20_000, 1, seed=11)
    data = encoded(scene, chunk=512)
    everything = decoded(data)
    low, high = (-0.5, -0.5, -0.5), (0.7, 0.7, 0.7)
    part = decoded(data, box=(low, high))
    inside = ((everything.means >= np.array(low, np.float32)) & (everything.means <= np.array(high, np.float32))).all(
        axis=1
    )
    assert 0 < inside.sum() < len(everything) / 2
    assert (part.means == everything.means[inside]).all()
    touched = list(opened(data).select(low=low, high=high))
    assert len(touched) < len(opened(data).chunks) / 2
    with pytest.raises(InvalidSceneError):
        decoded(data, box=((1e6,) * 3, (2e6,) * 3))


def test_every_prefix_that_ends_at_a_chunk_is_a_scene() -> None:
    data = encoded(synth.scene(3000, 1, seed=12), chunk=512)
    everything, chunks = decoded(data), opened(data).chunks
    rows = 0
    for c in chunks:
        rows += c.count
        cut = opened(data[: c.offset + c.length], partial=True)
        assert (decode(cut).means == everything.means[:rows]).all()
    with pytest.raises(InvalidSceneError):
        decode(opened(data[: chunks[0].offset + 5], partial=True))


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_the_bytes_do_not_depend_on_the_number_of_threads(threads: int) -> None:
    scene = synth.scene(6000, 3, seed=13)
    want = encoded(scene, chunk=700, threads=1)
    assert encoded(scene, chunk=700, threads=threads) == want
    assert decoded(want, threads=threads).shN.tobytes() == decoded(want, threads=1).shN.tobytes()


_PARITY = """
import hashlib, io
from splatpack.pack.encode import encode
from splatpack.pack.presets import settings
from tests import synth
out = io.BytesIO()
scene = synth.scene(150, 2, seed=14)
scene.scales[:] -= 1.5
encode(scene, out, settings("high", importance_views=2))
print(hashlib.sha256(out.getvalue()).hexdigest())
"""


def test_the_bytes_do_not_depend_on_the_jit() -> None:
    digests = []
    for disabled in ("0", "1"):
        env = {**os.environ, "NUMBA_DISABLE_JIT": disabled, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        done = subprocess.run([sys.executable, "-W", "error", "-c", _PARITY], env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        digests.append(done.stdout.strip())
    assert digests[0] == digests[1]


def test_the_same_input_gives_the_same_bytes() -> None:
    scene = synth.scene(1000, 1, seed=15)
    out = []
    for _ in range(2):
        file = io.BytesIO()
        encode(scene, file, settings("high"))
        out.append(hashlib.sha256(file.getvalue()).hexdigest())
    assert out[0] == out[1]


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("degree", [0, 3])
def test_tiny_scenes(n: int, degree: int) -> None:
    scene = synth.scene(n, degree, seed=n)
    file = io.BytesIO()
    encode(scene, file, settings("high"))
    assert verify(opened(file.getvalue())).ok
    assert len(decoded(file.getvalue())) == n


def test_an_empty_scene_is_refused() -> None:
    with pytest.raises(InvalidSceneError, match="nothing to compress"):
        encode(synth.scene(1, 0).take(np.arange(0)), io.BytesIO(), settings())


def _same_place() -> Gaussians:
    scene = synth.scene(700, 1, seed=16)
    return replace(scene, means=np.ones_like(scene.means))


def _far() -> Gaussians:
    scene = synth.scene(700, 1, seed=17)
    scene.means[:5] = 1e14
    return scene


def _extreme() -> Gaussians:
    scene = synth.scene(700, 1, seed=18)
    scene.scales[:300] = 30.0
    scene.scales[300:600] = -30.0
    scene.opacities[:] = np.where(np.arange(700) % 2, 13.8, -13.8)
    scene.shN[:] = 1e20
    return scene


@pytest.mark.parametrize("make", [_same_place, _far, _extreme])
def test_strange_but_finite_scenes(make: Any) -> None:
    scene = make()
    file = io.BytesIO()
    encode(scene, file, settings("high", chunk=256))
    report = verify(opened(file.getvalue()))
    assert report.ok, report.errors
    back = decoded(file.getvalue())
    assert len(back) == 700
    cell = scene_info(opened(file.getvalue())).profiles[0].params
    assert cell is not None
    assert np.abs(np.sort(back.means, axis=0) - np.sort(scene.means, axis=0)).max() <= cell.lattice[3]


def test_scene_flags_and_source_survive() -> None:
    scene = replace(
        synth.scene(50, 0), frame="luf", antialiased=True, surfels=True, metadata={"format": "ply", "lines": [1, "x"]}
    )
    back = decoded(encoded(scene))
    assert (back.frame, back.antialiased, back.surfels) == ("luf", True, True)
    assert back.metadata == {"format": "ply", "lines": [1, "x"]}


def test_sh_degree_and_pruning() -> None:
    scene = synth.scene(2000, 3, seed=19)
    back = decoded(encoded(scene, sh_degree=1, prune=0.25))
    assert back.sh_degree == 1
    assert len(back) == 1500
    assert decoded(encoded(scene, sh_degree=3)).sh_degree == 3
    assert layout.keep_important(np.array([5.0, 1.0, 3.0, 2.0]), 0.5).tolist() == [0, 2]
    assert layout.keep_important(np.array([5.0]), 0.9).tolist() == [0]


@pytest.mark.parametrize(
    "changes",
    [
        {"q": 0.0}, {"q": float("nan")}, {"prune": 1.0}, {"prune": -0.1}, {"chunk": 10}, {"steps": {"nothing": 1.0}},
        {"steps": {"scale": 0.0}}, {"max_error": {"means": -1.0}},
    ],
)  # fmt: skip
def test_settings_out_of_range(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        settings("high", **changes)


def test_settings_that_contradict_the_scene() -> None:
    scene = synth.scene(100, 0)
    for changes in ({"exact": ("nothing",)}, {"keep_order": True}):
        with pytest.raises(UsageError):
            encoded(scene, **changes)
    with pytest.raises(UsageError):
        settings("best")
    with pytest.raises(UsageError, match="stored"):
        encoded(replace(scene, extras={"z": np.zeros(100, np.complex64)}))
    with pytest.raises(UsageError, match="weights"):
        encode(scene, io.BytesIO(), settings(), weights=np.ones(3))


def test_chunks_are_cut_at_coarse_borders() -> None:
    codes = np.sort(np.random.default_rng(0).integers(0, 1 << 33, 10_000))
    runs = layout.cut(codes, 1000)
    assert runs[0][0] == 0
    assert runs[-1][1] == len(codes)
    assert all(a[1] == b[0] for a, b in pairwise(runs))
    assert all(200 <= b - a <= 1250 for a, b in runs)
    assert layout.cut(np.zeros(5000, np.int64), 1000)[-1][1] == 5000


def test_chunks_are_of_the_promised_size() -> None:
    scene = synth.scene(70_000, 3, seed=20)
    chunks = opened(encoded(scene)).chunks
    assert all(64_000 <= c.length <= 200_000 for c in chunks[:-1]), [c.length for c in chunks]


@pytest.mark.parametrize("changes", [{}, {"exact": ("means",)}])
def test_every_truncation_of_a_small_file_is_refused(changes: dict[str, Any]) -> None:
    data = encoded(synth.scene(20, 1, seed=21), **changes)
    for n in range(len(data)):
        with pytest.raises(CorruptError):
            decoded(data[:n])


def test_every_single_bit_flip_of_a_small_file_is_detected() -> None:
    data = encoded(synth.scene(12, 1, seed=22))
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit >> 3] ^= 1 << (bit & 7)
        try:
            problems = verify(opened(bytes(flipped))).errors
        except CorruptError as error:
            problems = [error]
        assert isinstance(problems[0], CorruptError)


def test_verify_goes_on_after_a_bad_chunk() -> None:
    data = bytearray(encoded(synth.scene(3000, 0, seed=23), chunk=512))
    chunks = opened(bytes(data)).chunks
    for c in (chunks[1], chunks[3]):
        data[c.offset + 200] ^= 4
    report = verify(opened(bytes(data)))
    assert not report.ok
    assert report.chunks == len(chunks)
    assert [e.code for e in report.errors] == ["checksum", "checksum"]
    assert report.as_dict()["errors"][0]["code"] == "checksum"


def test_a_bomb_is_refused_before_it_is_allocated() -> None:
    scene = synth.scene(4000, 3, seed=24)
    same = scene.take(np.zeros(4000, np.int64))
    data = encoded(same)
    assert len(data) < 30_000
    assert len(decoded(data)) == 4000
    with pytest.raises(LimitError):
        decode(opened(data, limits=Limits(free=100_000, ratio=10)))
    with pytest.raises(LimitError):
        decode(opened(data, limits=Limits(memory=100_000)))
    with pytest.raises(LimitError):
        opened(data, limits=Limits(gaussians=3999))


def test_scene_info_reads_no_chunk() -> None:
    data = encoded(synth.scene(500, 2, seed=25))
    prefix = opened(data).chunks[0].offset
    info = scene_info(opened(data[:prefix], partial=True))
    assert (info.n, info.sh_degree, info.frame) == (500, 2, "rdf")


@pytest.mark.parametrize("seed", range(40))
def test_random_damage_with_right_checksums_never_leaves_the_error_tree(seed: int) -> None:
    """What fuzz/ does at length: sections are damaged and the file is sealed again."""
    from spec.vectors.make import rebuilt

    rng = np.random.default_rng(seed)
    data = encoded(synth.scene(200, 2, seed=26), exact=("scales",) if seed % 2 else ())

    def damage(_: int, __: int, body: bytes) -> bytes:
        out = bytearray(body)
        for _i in range(int(rng.integers(1, 4))):
            out[int(rng.integers(len(out)))] = int(rng.integers(256))
        return bytes(out)

    try:
        back = decoded(rebuilt(data, damage))
    except SplatpackError:
        return
    assert all(np.isfinite(getattr(back, a)).all() for a in ATTRIBUTES)
