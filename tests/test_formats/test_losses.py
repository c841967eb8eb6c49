from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from splatpack.errors import UnsupportedError, UsageError
from splatpack.formats.losses import Losses, fuse_filter
from splatpack.formats.table import FORMATS, writable
from tests import synth
from tests.test_formats.closeness import encode


def test_counts_add_up_over_blocks() -> None:
    losses = Losses(1000)
    losses.count("colour clamped", 2)
    losses.count("colour clamped", 3)
    losses.count("nothing", 0)
    losses.say("SH left out.")
    assert losses.sentences == ["SH left out.", "5 of 1,000 Gaussians: colour clamped."]


def test_each_loss_is_said_once() -> None:
    scene = synth.scene(50, 2)
    scene = replace(
        scene, sh0=np.zeros_like(scene.sh0), antialiased=True, surfels=True, frame="unknown",
        extras={"label": np.arange(50, dtype=np.int32), "filter_3D": np.full(50, 1e-3, np.float32)},
    )  # fmt: skip
    _, said = encode(scene, ".splat")
    assert [s.split(":")[0] for s in said] == [
        "SH degree 2", "filter_3D", "extra columns left out, antimatter15 .splat has none", "antialiased", "2DGS",
        "frame unknown",
    ]  # fmt: skip
    assert "label" in said[2]
    assert encode(scene, ".ply")[1] == [said[-1].replace("antimatter15 .splat", "PLY")]


def test_filter_3d_keeps_the_integral_of_a_gaussian() -> None:
    scene = synth.scene(200, 0)
    f = np.abs(np.random.default_rng(0).normal(0.01, 0.01, 200)).astype(np.float32)
    f[0] = 0
    fused = fuse_filter(replace(scene, extras={"filter_3D": f, "x": f}))
    assert set(fused.extras) == {"x"}
    want = np.sqrt(np.exp(2.0 * scene.scales) + np.square(f, dtype=np.float64)[:, None])
    assert np.exp(fused.scales) == pytest.approx(want, rel=1e-5)
    volume = [np.exp(g.scales.sum(axis=1, dtype=np.float64)) / (1 + np.exp(-g.opacities)) for g in (scene, fused)]
    assert volume[0] == pytest.approx(volume[1], rel=1e-4)
    assert fused.opacities[0] == pytest.approx(scene.opacities[0], abs=1e-5)


def test_settings_and_frames_are_checked() -> None:
    scene = synth.scene(3, 0)
    with pytest.raises(UsageError, match=r"PLY has no setting 'version', expected one of: none"):
        encode(scene, ".ply", version=3)
    with pytest.raises(UsageError, match="frame 'up', expected one of rdf, rub, luf, z_up"):
        encode(scene, ".splat", frame="up")
    with pytest.raises(UsageError, match="frame 'unknown'"):
        encode(scene, ".splat", frame="unknown")
    with pytest.raises(UnsupportedError, match=r"cannot write '\.xyz'"):
        encode(scene, ".xyz")


@pytest.mark.parametrize("entry", writable(), ids=lambda f: f.name)
def test_every_writer_says_what_it_loses(entry: object) -> None:
    row = FORMATS[entry.name]  # type: ignore[attr-defined]
    assert row.limits
    assert row.frames
    assert set(row.frames) <= {"rdf", "rub", "luf", "z_up"}
