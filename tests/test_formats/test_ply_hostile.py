from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from splatpack.errors import CorruptError, LimitError, SplatpackError, TruncatedError, UnsupportedError
from splatpack.formats.ply import read_ply
from splatpack.formats.plyheader import MAX_HEADER_BYTES
from splatpack.limits import Limits
from tests import synth
from tests.test_formats.plyfiles import Columns, columns_of, ply, save

ENCODINGS = ["binary_little_endian", "binary_big_endian", "ascii"]


def _columns(n: int = 3, degree: int = 1) -> Columns:
    return columns_of(synth.scene(n, degree))


def _zeros(*names: str) -> Columns:
    return {n: np.zeros(3, np.float32) for n in names}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_truncation_fails(tmp_path: Path, encoding: str) -> None:
    data = ply(_columns(), encoding=encoding, comments=("comment hello",))
    assert len(read_ply(save(tmp_path, data))) == 3
    for end in range(len(data)):
        with pytest.raises(SplatpackError):
            read_ply(save(tmp_path, data[:end]))


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("tail", [b"\0", b"1", b"1 2 3\n", b"x" * 300])
def test_trailing_bytes_fail(tmp_path: Path, encoding: str, tail: bytes) -> None:
    data = ply(_columns(), encoding=encoding)
    with pytest.raises(CorruptError, match="after the last declared row"):
        read_ply(save(tmp_path, data + tail))


def test_trailing_space_in_ascii_is_fine(tmp_path: Path) -> None:
    assert len(read_ply(save(tmp_path, ply(_columns(), encoding="ascii") + b"\r\n \n"))) == 3


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "count",
    ["4", "1000", str(2**31 - 1), str(2**31), str(2**32), str(2**63), str(2**64), "9" * 39, "9" * 5000, "-1", "1e30",
     "3.0", "0x3", "", "3 3", "three", "+3", "３", "nan"],
)  # fmt: skip
def test_lying_counts_allocate_nothing(tmp_path: Path, encoding: str, count: str) -> None:
    data = ply(_columns(), encoding=encoding).replace(b"vertex 3\n", f"vertex {count}\n".encode())
    path = save(tmp_path, data)
    tracemalloc.start()
    try:
        with pytest.raises((CorruptError, LimitError)):
            read_ply(path)
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_count_that_is_too_small_fails(tmp_path: Path, encoding: str) -> None:
    data = ply(_columns(), encoding=encoding)
    for count in (b"0", b"1", b"2"):
        with pytest.raises(CorruptError):
            read_ply(save(tmp_path, data.replace(b"vertex 3\n", b"vertex " + count + b"\n")))


def test_rows_of_nothing_cannot_be_counted_up(tmp_path: Path) -> None:
    """An element without properties takes no bytes: any count fits, none may cost time or memory."""
    for encoding in ENCODINGS[:2]:
        data = ply(_columns(), encoding=encoding).replace(
            b"element vertex", b"element empty 9999999999999\nelement vertex"
        )
        assert len(read_ply(save(tmp_path, data))) == 3
    data = ply(_columns(), encoding="ascii").replace(b"element vertex", b"element empty 9999999999999\nelement vertex")
    with pytest.raises(TruncatedError):
        read_ply(save(tmp_path, data))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_lying_lists_fail(tmp_path: Path, encoding: str) -> None:
    base = ply(_columns(), encoding=encoding)
    for count, kind in ((2**40, "uchar"), (2, "int"), (1, "char")):
        head = f"element face {count}\nproperty list {kind} double v\nend_header".encode()
        body = b"-1\n" if encoding == "ascii" else b"\xff\xff\xff\xff" * 2
        with pytest.raises((CorruptError, LimitError)):
            read_ply(save(tmp_path, base.replace(b"end_header", head) + body + b"\xff"))


def test_limits_are_asked_before_allocating(tmp_path: Path) -> None:
    path = save(tmp_path, ply(_columns(200, 3)))
    with pytest.raises(LimitError, match="200"):
        read_ply(path, limits=Limits(gaussians=199))
    with pytest.raises(LimitError, match="200"):
        read_ply(path, limits=Limits(memory=10_000))
    limits = Limits()
    read_ply(path, limits=limits)
    assert limits.spent == 0


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"ply",
        b"ply ",
        b"PLY\nformat ascii 1.0\nend_header\n",
        b"plyformat ascii 1.0\nend_header\n",
        b"ply\nend_header\n",
        b"ply\nformat\nend_header\n",
        b"ply\ncomment x\nformat ascii 1.0\nend_header\n",
        b"ply\nformat ascii 2.0\nend_header\n",
        b"ply\nformat binary_middle_endian 1.0\nend_header\n",
        b"ply\nformat ascii 1.0\nproperty float x\nend_header\n",
        b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float\nend_header\n",
        b"ply\nformat ascii 1.0\nelement vertex 1\nproperty quad x\nend_header\n",
        b"ply\nformat ascii 1.0\nelement vertex 1\nproperty list float int x\nend_header\n",
        b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float x\nend_header\n",
        b"ply\nformat ascii 1.0\nelement vertex 1\nelement vertex 1\nend_header\n",
        b"ply\nformat ascii 1.0\nelement vertex 1\n\xff\xfe\nend_header\n",
        b"ply\nformat ascii 1.0\n\nelement vertex 1\nend_header\n",
        b"ply\nformat ascii 1.0\nsurprise\nend_header\n",
        b"ply\rformat ascii 1.0\rend_header\r",
        b"ply\n" + b"x" * (MAX_HEADER_BYTES + 5),
        b"ply\n" + b"format ascii 1.0\n" + b"comment\n" * 5000 + b"end_header\n",
        b"ply\nformat ascii 1.0\n" + b"comment " + b"x" * MAX_HEADER_BYTES + b"\nend_header\n",
    ],
)
def test_broken_headers(tmp_path: Path, head: bytes) -> None:
    with pytest.raises((CorruptError, UnsupportedError)):
        read_ply(save(tmp_path, head))


@pytest.mark.parametrize(
    ("drop", "add", "message"),
    [
        ((), {"f_anchor_feat_0": 0, "f_offset_0": 0}, r"opacity_mlp\.pt.*export explicit Gaussians first"),
        ((), {"trbf_center": 0, "motion_0": 0}, "moving scene"),
        (("x", "y", "z"), {"packed_position": 0}, "compressed PLY"),
        (("opacity", "scale_1", "rot_3"), {}, "point cloud.*no opacity, scale_1, rot_3"),
        (("f_dc_0",), {}, "f_dc_0..2"),
        (("x",), {}, "table"),
        ((), {f"f_rest_{i}": 0 for i in range(9, 72)}, "degree 4"),
    ],
)
def test_relatives_are_named(tmp_path: Path, drop: tuple[str, ...], add: dict[str, int], message: str) -> None:
    columns = {n: c for n, c in _columns().items() if n not in drop} | _zeros(*add)
    with pytest.raises(UnsupportedError, match=message):
        read_ply(save(tmp_path, ply(columns)))


@pytest.mark.parametrize(
    ("drop", "add"),
    [
        (("f_rest_4",), ()),
        (("f_rest_8",), ()),
        (("f_rest_0",), ("f_rest_9",)),
        ((), ("f_rest_9", "f_rest_10", "f_rest_11")),
        (("f_rest_8",), ("f_rest_08",)),
        ((), ("f_rest_x",)),
        ((), ("f_rest_08",)),
        ((), ("f_rest_9999999",)),
        ((), ("scale_3",)),
        ((), ("rot_4",)),
        (("scale_2",), ("scale_3",)),
        ((), ("scale_00",)),
    ],
)
def test_holes_in_numbered_properties(tmp_path: Path, drop: tuple[str, ...], add: tuple[str, ...]) -> None:
    columns = {n: c for n, c in _columns().items() if n not in drop} | _zeros(*add)
    if drop == ("f_rest_8",) and add == ("f_rest_08",):
        assert len(read_ply(save(tmp_path, ply(columns)))) == 3
        return
    with pytest.raises(CorruptError):
        read_ply(save(tmp_path, ply(columns)))


def test_meshes_and_clouds(tmp_path: Path) -> None:
    head = b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n"
    with pytest.raises(UnsupportedError, match="point cloud, not Gaussians"):
        read_ply(save(tmp_path, head + b"end_header\n1 2 3\n"))
    with pytest.raises(UnsupportedError, match="mesh, not Gaussians"):
        read_ply(save(tmp_path, head + b"element face 0\nproperty list uchar int i\nend_header\n1 2 3\n"))
    with pytest.raises(UnsupportedError, match="without a vertex element"):
        read_ply(save(tmp_path, b"ply\nformat ascii 1.0\nelement node 0\nend_header\n"))
    data = ply(_columns()).replace(b"end_header", b"property list uchar int tags\nend_header")
    with pytest.raises(UnsupportedError, match="'tags' is a list"):
        read_ply(save(tmp_path, data))


@pytest.mark.parametrize("token", [b"", b"x", b"1_0", b"0x10", b"1,5", b"1 2", b"--1", b"\0", b"9" * 9000, b"1e"])
def test_ascii_tokens_that_are_no_numbers(tmp_path: Path, token: bytes) -> None:
    columns = {"x": np.full(3, 77.5, np.float32)} | {n: c for n, c in _columns().items() if n != "x"}
    data = ply(columns, encoding="ascii")
    with pytest.raises(CorruptError):
        read_ply(save(tmp_path, data.replace(b"77.5", token, 1)))


@pytest.mark.parametrize("value", [b"256", b"-1", b"1.0", b"9" * 60])
def test_ascii_integers_out_of_range(tmp_path: Path, value: bytes) -> None:
    data = ply(_columns() | {"id": np.full(3, 123, np.uint8)}, encoding="ascii")
    with pytest.raises(CorruptError, match="'id'"):
        read_ply(save(tmp_path, data.replace(b" 123\n", b" " + value + b"\n", 1)))


def test_ascii_nan_and_infinity_are_numbers(tmp_path: Path) -> None:
    columns = {"x": np.array([np.nan, np.inf, -np.inf], np.float32)} | {n: c for n, c in _columns().items() if n != "x"}
    got = read_ply(save(tmp_path, ply(columns, encoding="ascii")))
    assert np.array_equal(got.means[:, 0], columns["x"], equal_nan=True)


def test_random_damage_never_escapes_the_error_tree(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    for encoding in ENCODINGS:
        data = ply(_columns(), encoding=encoding)
        for _ in range(300):
            broken = bytearray(data)
            for _ in range(int(rng.integers(1, 4))):
                broken[int(rng.integers(0, len(broken)))] = int(rng.integers(0, 256))
            try:
                scene = read_ply(save(tmp_path, bytes(broken)))
            except SplatpackError:
                continue
            assert len(scene) <= 3
