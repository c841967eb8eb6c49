from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from splatpack.errors import CorruptError, UnsupportedError, UsageError
from splatpack.formats.detect import detect
from splatpack.formats.ply import read_ply
from splatpack.formats.registry import read_scene
from splatpack.formats.stg import read_stg
from splatpack.scene.gaussians import C0
from tests import synth
from tests.test_formats.plyfiles import Columns, columns_of, ply, save

SCENE = synth.scene(200, 0, seed=5)
RNG = np.random.default_rng(0)


def columns() -> Columns:
    out = columns_of(SCENE)
    out["trbf_center"] = np.linspace(0, 1, 200, dtype=np.float32)
    out["trbf_scale"] = np.full(200, np.log(0.25), np.float32)
    out |= {f"motion_{i}": RNG.normal(size=200).astype(np.float32) for i in range(9)}
    out |= {f"omega_{i}": RNG.normal(size=200).astype(np.float32) for i in range(4)}
    return out


@pytest.mark.parametrize("time", [0.0, 0.4, 1.0])
def test_a_frame(tmp_path: Path, time: float) -> None:
    table = columns()
    path = save(tmp_path, ply(table))
    assert detect(path) == "stg"
    scene = read_scene(path, time=time)
    d = time - table["trbf_center"].astype(np.float64)
    weight = np.exp(-((d / 0.25) ** 2))
    seen = np.flatnonzero(weight >= 0.02)
    assert len(scene) == len(seen) < 200
    for axis in range(3):
        m = [table[f"motion_{axis + 3 * i}"][seen].astype(np.float64) for i in range(3)]
        want = SCENE.means[seen, axis] + m[0] * d[seen] + m[1] * d[seen] ** 2 + m[2] * d[seen] ** 3
        assert scene.means[:, axis] == pytest.approx(want, abs=1e-5)
    omega = np.stack([table[f"omega_{i}"] for i in range(4)], axis=1)[seen]
    quats = SCENE.quats[seen] + omega * d[seen, None]
    assert scene.quats == pytest.approx(quats / np.linalg.norm(quats, axis=1, keepdims=True), abs=1e-5)
    alpha = weight[seen] / (1 + np.exp(-SCENE.opacities[seen].astype(np.float64)))
    assert 1 / (1 + np.exp(-scene.opacities)) == pytest.approx(alpha, abs=1e-5)
    assert scene.sh0[:, 0] * C0 + 0.5 == pytest.approx(SCENE.sh0[seen, 0], abs=1e-5)
    assert np.array_equal(scene.scales, SCENE.scales[seen])
    assert scene.extras == {}
    (note,) = scene.metadata["source"]["notes"]
    assert note == f"a moving scene: the {len(seen)} of 200 Gaussians that are seen at time {time:g}."


def test_other_columns_stay_and_the_full_model_is_named(tmp_path: Path) -> None:
    table = columns() | {f"f_t_{i}": np.zeros(200, np.float32) for i in range(3)}
    table["label"] = np.arange(200, dtype=np.int32)
    scene = read_scene(save(tmp_path, ply(table)))
    assert list(scene.extras) == ["label"]
    assert scene.metadata["source"]["notes"][1].startswith("colours of the full model")


def test_what_is_refused(tmp_path: Path) -> None:
    table = columns()
    path = save(tmp_path, ply(table))
    with pytest.raises(UnsupportedError, match=r"expected a still one\. Read a frame of it with read_scene"):
        read_ply(path)
    with pytest.raises(UsageError, match="time inf"):
        read_stg(path, time=float("inf"))
    del table["omega_2"], table["motion_8"]
    with pytest.raises(CorruptError, match="without motion_8, omega_2"):
        read_scene(save(tmp_path, ply(table)))
    plain = save(tmp_path, ply(columns_of(SCENE)))
    with pytest.raises(UsageError, match=r"time 0\.5, but a PLY scene does not move"):
        read_scene(plain, time=0.5)
