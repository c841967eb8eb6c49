"""Compressed PLY against a file put together here from the definition, and against its own tolerances."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from splatpack.errors import CorruptError, LimitError, SplatpackError, TruncatedError, UnsupportedError
from splatpack.formats.compressedply import read_compressed_ply
from splatpack.formats.morton import morton_order
from splatpack.limits import Limits
from splatpack.scene.gaussians import C0
from splatpack.scene.transform import change_frame
from tests import synth
from tests.test_formats.closeness import assert_close, decode, encode

BOUNDS = [
    "min_x", "min_y", "min_z", "max_x", "max_y", "max_z",
    "min_scale_x", "min_scale_y", "min_scale_z", "max_scale_x", "max_scale_y", "max_scale_z",
    "min_r", "min_g", "min_b", "max_r", "max_g", "max_b",
]  # fmt: skip
WORDS = ["packed_position", "packed_rotation", "packed_scale", "packed_color"]
CHUNK = (0.0, 10.0, -1.0, 1.0, 20.0, 1.0, -8.0, -6.0, -4.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.5, 2.0, 1.0, 0.5)


def build(
    vertices: list[tuple[int, int, int, int]], chunks: tuple[tuple[float, ...], ...] = (CHUNK,),
    sh: bytes | None = None, coefficients: int = 3, bounds: list[str] = BOUNDS, lines: tuple[str, ...] = (),
) -> bytes:  # fmt: skip
    head = ["ply", "format binary_little_endian 1.0", *lines, f"element chunk {len(chunks)}"]
    head += [f"property float {name}" for name in bounds]
    head += [f"element vertex {len(vertices)}", *(f"property uint {name}" for name in WORDS)]
    if sh is not None:
        head += [f"element sh {len(vertices)}", *(f"property uchar f_rest_{i}" for i in range(3 * coefficients))]
    data = b"".join(struct.pack(f"<{len(bounds)}f", *chunk[: len(bounds)]) for chunk in chunks)
    data += b"".join(struct.pack("<4I", *v) for v in vertices)
    return "\n".join([*head, "end_header", ""]).encode() + data + (sh or b"")


# Position and scale 11-10-11 bits, rotation 2-10-10-10 (largest of wxyz), colour 8-8-8-8.
VERTEX = (2047 << 21 | 0 << 11 | 1023, 1 << 30 | 1023 << 20 | 511 << 10 | 512, 0 << 21 | 1023 << 11 | 2047, 0xFF00_33CC)


def test_a_vertex_spelled_by_hand(tmp_path: Path) -> None:
    sh = bytes([0, 255, 128, 1, 127, 64, 192, 2, 3])
    scene = decode(tmp_path, build([VERTEX], sh=sh), ".compressed.ply")
    assert scene.means[0] == pytest.approx([1.0, 10.0, -1 + 2 * 1023 / 2047], abs=1e-6)
    assert scene.scales[0] == pytest.approx([-8.0, 0.0, 0.0], abs=1e-6)
    half = 0.5**0.5
    assert scene.quats[0] == pytest.approx([half, half, 0, 0], abs=1.5e-3)
    assert scene.sh0[0, 0] == pytest.approx(np.array([1.5, -0.5, 0.0]) / C0, abs=1e-5)
    assert scene.opacities[0] == pytest.approx(np.log(0.8 / 0.2), abs=1e-5)
    want = [-4.0, 4.0, *((u + 0.5) / 32 - 4 for u in (128, 1, 127, 64, 192, 2, 3))]
    assert scene.shN[0].T.ravel() == pytest.approx(want)
    assert scene.frame == "rdf"


def test_old_files_without_colour_bounds(tmp_path: Path) -> None:
    scene = decode(tmp_path, build([VERTEX], bounds=BOUNDS[:12]), ".ply")
    assert scene.sh0[0, 0] == pytest.approx(np.array([0.5, -0.5, 51 / 255 - 0.5]) / C0, abs=1e-5)
    assert scene.sh_degree == 0


def test_an_sh_element_without_properties(tmp_path: Path) -> None:
    """gsplat writes one at SH degree 0."""
    assert decode(tmp_path, build([VERTEX], sh=b"", coefficients=0), ".ply").sh_degree == 0


def test_flags_in_comments(tmp_path: Path) -> None:
    lines = ("comment SplatRenderMode: mip", "comment Vertical Axis: z")
    scene = decode(tmp_path, build([VERTEX], lines=lines), ".ply")
    assert scene.antialiased
    assert scene.frame == "z_up"
    data, losses = encode(scene, ".compressed.ply")
    back = decode(tmp_path, data, ".compressed.ply")
    assert losses == []
    assert back.antialiased
    assert back.frame == "z_up"


def test_our_words_spelled_by_hand() -> None:
    """Two Gaussians span the bounds of their chunk: all bits zero, all bits one."""
    scene = synth.scene(2, 1)
    scene.means[:], scene.scales[:], scene.sh0[:] = ([[0], [1]], [[-5], [-3]], [[[-1]], [[1]]])
    scene.opacities[:], scene.quats[:] = (-np.inf, np.inf), ((1, 0, 0, 0), (0.1, 0.1, 0.1, -0.985))
    scene.shN[:] = np.array([-4, 4])[:, None, None]
    data, _ = encode(scene, ".compressed.ply")
    chunk = struct.pack("<6f", 0, 0, 0, 1, 1, 1) + struct.pack("<6f", -5, -5, -5, -3, -3, -3)
    low, high = np.float32(0.5) - np.float32(C0), np.float32(0.5) + np.float32(C0)
    chunk += struct.pack("<6f", low, low, low, high, high, high)
    half = 512 << 20 | 512 << 10 | 512
    norm = (0.03 + 0.985**2) ** 0.5
    small = int((-0.1 / norm * 0.5**0.5 + 0.5) * 1023 + 0.5)
    last = 3 << 30 | small << 20 | small << 10 | small
    words = struct.pack("<4I", 0, half, 0, 0) + struct.pack("<4I", 0xFFFFFFFF, last, 0xFFFFFFFF, 0xFFFFFFFF)
    assert data.partition(b"end_header\n")[2] == chunk + words + bytes([0] * 9 + [255] * 9)


TOLERANCES = {"scales": 0.009, "covariances": 0.02, "alphas": 0.00197, "sh0": 0.02, "shN": 0.01563}


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("count", [1, 255, 256, 257, 9000])
def test_round_trip(tmp_path: Path, degree: int, count: int) -> None:
    scene = synth.scene(count, degree, seed=degree)
    data, losses = encode(scene, ".compressed.ply")
    assert losses == []
    back = decode(tmp_path, data, ".compressed.ply")
    ordered = scene.take(morton_order(scene.means))
    assert_close(ordered, back, means=0.02, **TOLERANCES)
    again = decode(tmp_path, encode(back, ".compressed.ply")[0], ".compressed.ply")
    assert len(again) == count


def test_positions_are_within_half_a_step_of_their_chunk(tmp_path: Path) -> None:
    scene = synth.scene(3000, 0)
    ordered = scene.take(morton_order(scene.means))
    back = decode(tmp_path, encode(scene, ".compressed.ply")[0], ".compressed.ply")
    for start in range(0, 3000, 256):
        want, got = (g.means[start : start + 256].astype(np.float64) for g in (ordered, back))
        step = np.ptp(want, axis=0) / (2 * np.array([2047, 1023, 2047]))
        assert (np.abs(want - got) <= step * 1.001 + 1e-6).all()


def test_a_tiny_scene_keeps_its_shape(tmp_path: Path) -> None:
    """The reference writes zeros where a box is narrower than 1e-5; a share of a narrow box is as good as any."""
    scene = replace(synth.scene(200, 0), means=(synth.scene(200, 0).means * np.float32(1e-7)))
    back = decode(tmp_path, encode(scene, ".compressed.ply")[0], ".compressed.ply")
    assert np.abs(back.means - scene.take(morton_order(scene.means)).means).max() < 1e-8


def test_other_frames_are_turned(tmp_path: Path) -> None:
    scene = change_frame(synth.scene(700, 3), "rub")
    back = decode(tmp_path, encode(scene, ".compressed.ply")[0], ".compressed.ply")
    want = change_frame(scene, "rdf").take(morton_order(scene.means))
    assert_close(want, back, means=0.05, **TOLERANCES)


def test_what_is_clamped_is_counted() -> None:
    scene = synth.scene(50, 1)
    scene.scales[:3, 1] = -21.0
    scene.shN[:4] = -4.5
    _, losses = encode(scene, ".compressed.ply")
    assert losses == [
        "3 of 50 Gaussians: log-scale beyond +-20, clamped.", "4 of 50 Gaussians: SH beyond +-4, clamped."
    ]  # fmt: skip


def test_the_same_bytes_each_time() -> None:
    scene = synth.scene(600, 3)
    assert encode(scene, ".compressed.ply") == encode(scene, ".compressed.ply")


GOOD = build([VERTEX] * 3, sh=bytes(27))


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (GOOD[:-1], TruncatedError, "the elements end at"),
        (GOOD + b"\0", CorruptError, "1 bytes after the last row"),
        (GOOD.replace(b"chunk 1", b"chunk 2"), TruncatedError, "the elements end at"),
        (GOOD.replace(b"vertex 3", b"vertex 99999999999"), TruncatedError, "the elements end at"),
        (build([VERTEX], (CHUNK, CHUNK)), CorruptError, "2 chunks for 1 vertices, expected 1"),
        (build([VERTEX] * 257), CorruptError, "1 chunks for 257 vertices, expected 2"),
        (GOOD.replace(b"binary_little", b"binary_big"), UnsupportedError, "big_endian"),
        (GOOD.replace(b"uint packed_scale", b"int packed_scale"), UnsupportedError, "packed_scale: type i4"),
        (GOOD.replace(b"packed_scale", b"packed_scala"), CorruptError, "no packed_scale"),
        (GOOD.replace(b"max_scale_z", b"max_scale_w"), CorruptError, "no max_scale_z"),
        (GOOD.replace(b"f_rest_8", b"f_rest_9"), CorruptError, "no f_rest_8"),
        (GOOD.replace(b"uchar f_rest_8", b"char f_rest_8"), UnsupportedError, "f_rest_8: type i1"),
        (build([VERTEX], sh=bytes(6), coefficients=2), CorruptError, "6 properties, expected 9, 24 or 45"),
        (GOOD.replace(b"sh 3", b"sh 2")[:-9], CorruptError, "2 rows of 'sh' for 3"),
        (GOOD.replace(b"element chunk", b"element chonk"), CorruptError, "without elements 'chunk' and 'vertex'"),
        (build([VERTEX], ((np.nan, *CHUNK[1:]),)), CorruptError, "chunk 0: bounds of means"),
        (build([VERTEX], ((*CHUNK[:9], np.inf, *CHUNK[10:]),)), CorruptError, "bounds of scales"),
        (build([VERTEX], ((*CHUNK[:12], 3.0, *CHUNK[13:]),)), CorruptError, "bounds of rgb"),
        (GOOD.replace(b"uint packed_color", b"list uchar uint packed_color"), UnsupportedError, "lists"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, data: bytes, error: type[SplatpackError], message: str) -> None:
    path = tmp_path / "a.ply"
    path.write_bytes(data)
    with pytest.raises(error, match=message):
        read_compressed_ply(path)


def test_limits(tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    path.write_bytes(GOOD)
    assert len(read_compressed_ply(path, limits=Limits(memory=3 * 92 + 144))) == 3
    with pytest.raises(LimitError, match="compressed PLY scene of 3"):
        read_compressed_ply(path, limits=Limits(memory=3 * 92 + 143))
    with pytest.raises(LimitError, match="3 declared, expected at most 2"):
        read_compressed_ply(path, limits=Limits(gaussians=2))


def test_elements_in_another_order(tmp_path: Path) -> None:
    """Elements are found by name; others may stand between them."""
    head, _, data = GOOD.partition(b"end_header\n")
    shuffled = head.replace(b"element chunk", b"element note 2\nproperty ushort a\nelement chunk") + b"end_header\n"
    scene = decode(tmp_path, shuffled + b"abcd" + data, ".ply")
    assert np.array_equal(scene.means, decode(tmp_path, GOOD, ".ply").means)
