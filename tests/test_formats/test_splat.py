from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from splatpack.errors import CorruptError, InvalidSceneError, LimitError, TruncatedError
from splatpack.formats.splat import by_visibility, read_splat
from splatpack.limits import Limits
from splatpack.scene.gaussians import C0
from splatpack.scene.transform import change_frame
from tests import synth
from tests.test_formats.closeness import assert_close, decode, encode

# One row by the definition: float32 position, float32 linear scales, rgba, (w, x, y, z) as q * 128 + 128.
ROW = (
    struct.pack("<3f", 1.0, -2.0, 3.5)
    + struct.pack("<3f", 1.0, 0.5, 2.0)
    + bytes([255, 0, 51, 204, 128, 255, 128, 128])
)


def test_a_row_spelled_by_hand(tmp_path: Path) -> None:
    scene = decode(tmp_path, ROW, ".splat")
    assert scene.means.tolist() == [[1.0, -2.0, 3.5]]
    assert scene.scales == pytest.approx(np.log([[1.0, 0.5, 2.0]]), abs=1e-6)
    assert scene.opacities == pytest.approx([np.log(0.8 / 0.2)], abs=1e-5)
    assert scene.sh0[0, 0] == pytest.approx([0.5 / C0, -0.5 / C0, -0.3 / C0], rel=1e-5)
    assert scene.quats.tolist() == [[0.0, 1.0, 0.0, 0.0]]
    assert scene.sh_degree == 0
    assert scene.frame == "rdf"
    assert scene.metadata == {"source": {"format": "splat"}}
    assert decode(tmp_path, ROW, ".splat", normalise=False).quats.tolist() == [[0.0, 127 / 128, 0.0, 0.0]]


def test_the_row_is_written_as_it_was(tmp_path: Path) -> None:
    data, losses = encode(decode(tmp_path, ROW, ".splat"), ".splat")
    assert data == ROW
    assert losses == []


def test_round_trip(tmp_path: Path) -> None:
    scene = synth.scene(20_000, 0, seed=1)
    data, losses = encode(scene, ".splat")
    assert len(data) == 32 * len(scene)
    assert len(losses) == 1
    assert losses[0].endswith("of 20,000 Gaussians: colour beyond 0..1, clamped.")
    inside = replace(scene, sh0=scene.sh0.clip(-0.5 / C0, 0.5 / C0).astype(np.float32))
    back = decode(tmp_path, data, ".splat")
    order = by_visibility(scene)
    assert_close(inside.take(order), back, scales=3e-7, covariances=0.04, alphas=0.00197, sh0=0.00697)
    assert decode(tmp_path, data, ".splat", frame="z_up").frame == "z_up"


def test_the_most_visible_come_first() -> None:
    scene = synth.scene(300, 0)
    seen = scene.take(by_visibility(scene))
    weight = np.exp(seen.scales.sum(axis=1, dtype=np.float64)) / (1 + np.exp(-seen.opacities.astype(np.float64)))
    assert (np.diff(weight) <= weight[:-1] * 1e-5).all()


def test_alpha_bytes_never_decode_to_an_infinity(tmp_path: Path) -> None:
    rows = b"".join(ROW[:27] + bytes([a]) + ROW[28:] for a in range(256))
    logits = decode(tmp_path, rows, ".splat").opacities
    assert np.isfinite(logits).all()
    assert (np.diff(logits) > 0).all()
    assert logits[0] == -logits[255] == pytest.approx(-13.8155, abs=1e-3)


def test_infinite_opacities_and_flat_scales_are_written(tmp_path: Path) -> None:
    scene = synth.scene(3, 0)
    scene.opacities[:] = (np.inf, -np.inf, 0)
    scene.scales[0] = -np.inf
    scene.quats[1] = 0
    back = decode(tmp_path, encode(scene, ".splat")[0], ".splat")
    assert sorted(back.opacities) == pytest.approx([-13.8155, 0.0, 13.8155], abs=0.01)
    assert np.isneginf(back.scales).any(axis=1).sum() == 1
    assert (back.quats == (1, 0, 0, 0)).all(axis=1).any()


@pytest.mark.parametrize("frame", ["rub", "luf", "z_up"])
def test_other_frames_are_turned_to_rdf(tmp_path: Path, frame: str) -> None:
    scene = change_frame(synth.scene(500, 0), frame)
    data, _ = encode(scene, ".splat")
    back = decode(tmp_path, data, ".splat")
    want = change_frame(scene, "rdf").take(by_visibility(scene))
    assert_close(want, back, means=1e-5, scales=3e-7, covariances=0.04, alphas=0.00197, sh0=5.0)
    kept, _ = encode(scene, ".splat", frame=frame)
    assert np.array_equal(decode(tmp_path, kept, ".splat").means, scene.means[by_visibility(scene)])


@pytest.mark.parametrize("name", ["means", "scales", "quats", "opacities", "sh0"])
def test_nan_is_not_written(name: str) -> None:
    scene = synth.scene(20, 0)
    getattr(scene, name)[7] = np.nan
    with pytest.raises(InvalidSceneError, match="1 of the Gaussians 0 to 19 hold NaN"):
        encode(scene, ".splat")


def test_scales_that_have_no_logarithm(tmp_path: Path) -> None:
    row = ROW[:12] + struct.pack("<3f", 0.0, -1.0, np.inf) + ROW[24:]
    scales = decode(tmp_path, row, ".splat").scales[0]
    assert np.isneginf(scales[0])
    assert np.isnan(scales[1])
    assert np.isposinf(scales[2])


def test_what_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.splat"
    for size in (1, 31, 33, 95):
        path.write_bytes(bytes(size))
        with pytest.raises(TruncatedError, match=f"{size} bytes, expected a multiple of 32"):
            read_splat(path)
    path.write_bytes(b"")
    with pytest.raises(CorruptError, match="0 bytes"):
        read_splat(path)
    path.write_bytes(ROW * 100)
    with pytest.raises(LimitError, match="100 declared, expected at most 99"):
        read_splat(path, limits=Limits(gaussians=99))
    with pytest.raises(LimitError, match="wants 5,600 bytes"):
        read_splat(path, limits=Limits(memory=5599))
