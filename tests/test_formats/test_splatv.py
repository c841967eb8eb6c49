from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splatpack.errors import CorruptError, LimitError, SplatpackError, TruncatedError, UnsupportedError, UsageError
from splatpack.formats.registry import read_scene
from splatpack.formats.splatv import read_splatv
from splatpack.limits import Limits
from splatpack.scene.gaussians import C0
from tests import synth
from tests.test_formats.closeness import assert_close, decode, encode

# One Gaussian by the definition: f32 x3; f16 rotation x4, scales x3, a gap; u8 rgba; f16 motion x9, a gap, omega x4,
# centre and width in time.
STILL = struct.pack("<3f8e", 1, 2, 3, 1, 0, 0, 0, 0.5, 0.25, 2, 0) + bytes([255, 0, 51, 204])
MOTION = struct.pack("<10e4e2e", 1, 2, 3, 10, 0, 0, 0, 0, 100, 0, 0, 1, 0, 0, 0.5, 0.25)
ROW = STILL + MOTION


def build(rows: bytes, height: int = 1, **fields: Any) -> bytes:
    texture = rows.ljust(height * 65536, b"\0")
    chunk = {"type": "splat", "size": len(texture), "texwidth": 4096, "texheight": height, "cameras": []} | fields
    text = json.dumps([chunk]).encode()
    return struct.pack("<II", 0x674B, len(text)) + text + texture


def save(folder: Path, data: bytes) -> Path:
    path = folder / "a.splatv"
    path.write_bytes(data)
    return path


def test_a_row_spelled_by_hand(tmp_path: Path) -> None:
    path = save(tmp_path, build(ROW))
    scene = read_splatv(path, time=0.5)
    assert scene.means.tolist() == [[1, 2, 3]]
    assert scene.scales == pytest.approx(np.log([[0.5, 0.25, 2]]))
    assert scene.quats.tolist() == [[1, 0, 0, 0]]
    assert scene.opacities == pytest.approx([np.log(4)], abs=1e-5)
    assert scene.sh0[0, 0] == pytest.approx([0.5 / C0, -0.5 / C0, -0.3 / C0], rel=1e-5)
    assert scene.metadata["source"]["notes"] == ["a moving scene: the 1 of 1 Gaussians that are seen at time 0.5."]


def test_motion_at_another_time(tmp_path: Path) -> None:
    d = 0.25
    scene = read_splatv(save(tmp_path, build(ROW)), time=0.5 + d)
    assert scene.means[0] == pytest.approx([1 + d + 10 * d**2, 2 + 2 * d, 3 + 3 * d + 100 * d**3])
    assert scene.quats[0] == pytest.approx(np.array([1, d, 0, 0]) / (1 + d * d) ** 0.5, abs=1e-6)
    alpha = 0.8 * np.exp(-1)
    assert scene.opacities[0] == pytest.approx(np.log(alpha / (1 - alpha)), abs=1e-5)
    gone = read_splatv(save(tmp_path, build(ROW)), time=1.2)
    assert len(gone) == 0
    assert gone.metadata["source"]["notes"] == ["a moving scene: the 0 of 1 Gaussians that are seen at time 1.2."]


def test_round_trip_of_a_still_scene(tmp_path: Path) -> None:
    scene = synth.scene(3000, 0, seed=2)
    scene = replace(scene, sh0=scene.sh0.clip(-1.7, 1.7))
    data, losses = encode(scene, ".splatv")
    assert losses == []
    assert len(data) % 65536 == len(data) - 3 * 65536
    back = decode(tmp_path, data, ".splatv")
    assert "notes" not in back.metadata["source"]
    assert_close(scene, back, scales=1e-3, covariances=4e-3, alphas=0.00197, sh0=0.00697)


def test_what_is_clamped_is_counted() -> None:
    scene = synth.scene(9, 1)
    scene.sh0[:] = 0
    scene.sh0[:2] = 3
    scene.scales[:3] = -20
    said = [s.split(":")[0] for s in encode(scene, ".splatv")[1]]
    assert said == ["SH degree 1", "3 of 9 Gaussians", "2 of 9 Gaussians"]
    with pytest.raises(UnsupportedError, match="0 Gaussians"):
        encode(synth.scene(0), ".splatv")


GOOD = build(ROW)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (GOOD[:7], TruncatedError, "7 bytes"),
        (GOOD[:-1], TruncatedError, "a texture of"),
        (GOOD + b"\0", TruncatedError, "a texture of"),
        (build(ROW, texwidth=-4096, texheight=-1), TruncatedError, "a texture of"),
        (build(ROW, texwidth=1.5), TruncatedError, "a texture of"),
        (build(ROW, size="x"), TruncatedError, "a texture of"),
        (build(ROW, type="other"), UnsupportedError, "1 chunks"),
        (struct.pack("<II", 0x674B, 1 << 30) + b"[]", CorruptError, "1,073,741,824 bytes of JSON"),
        (struct.pack("<II", 0x674B, 2) + b"[]", CorruptError, "no list of objects"),
        (struct.pack("<II", 0x674B, 2) + b"[{", CorruptError, "no valid JSON"),
        (struct.pack("<II", 0x674B, 3) + b"[1]", CorruptError, "no list of objects"),
        (build(b"", height=0), CorruptError, "a texture of 0 bytes"),
    ],
)
def test_what_is_refused(tmp_path: Path, data: bytes, error: type[SplatpackError], message: str) -> None:
    with pytest.raises(error, match=message):
        read_splatv(save(tmp_path, data))


def test_limits_and_times(tmp_path: Path) -> None:
    path = save(tmp_path, GOOD)
    with pytest.raises(LimitError, match="1,024 declared, expected at most 1,023"):
        read_splatv(path, limits=Limits(gaussians=1023))
    with pytest.raises(LimitError, match=r"\.splatv scene of 1,024"):
        read_splatv(path, limits=Limits(memory=1024 * 56 - 1))
    with pytest.raises(UsageError, match="time nan"):
        read_splatv(path, time=float("nan"))
    assert len(read_scene(path, time=0.5)) == 1
