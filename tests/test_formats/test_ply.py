from __future__ import annotations

import io
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plyfile import PlyData

from splatpack import __version__
from splatpack.errors import CorruptError, StorageError, UnsupportedError
from splatpack.formats import plydata, plywrite
from splatpack.formats.ply import FLAT, ply_blocks, read_ply, write_ply
from splatpack.scene.gaussians import ATTRIBUTES, C0, Gaussians
from splatpack.scene.validate import validate
from tests import synth
from tests.test_formats.plyfiles import Columns, columns_of, ply, save

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "splats"


def same(got: Gaussians, want: Gaussians, atol: float = 0.0) -> None:
    for name in ATTRIBUTES:
        a, b = getattr(got, name), getattr(want, name)
        assert a.shape == b.shape, name
        assert np.array_equal(a, b, equal_nan=True) if atol == 0 else np.allclose(a, b, atol=atol, rtol=1e-6), name


def encode(scene: Gaussians) -> bytes:
    return b"".join(ply_blocks(scene))


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("encoding", ["binary_little_endian", "binary_big_endian", "ascii"])
def test_canonical_files(tmp_path: Path, degree: int, encoding: str) -> None:
    scene = synth.scene(300, degree)
    got = read_ply(save(tmp_path, ply(columns_of(scene), encoding=encoding)))
    same(got, scene)
    assert (got.frame, got.antialiased, got.surfels, got.extras) == ("rdf", False, False, {})


@pytest.mark.parametrize("encoding", ["binary_little_endian", "binary_big_endian", "ascii"])
def test_order_types_and_line_ends_do_not_matter(tmp_path: Path, encoding: str) -> None:
    scene = synth.scene(1500, 3)
    columns = columns_of(scene, normals=False)
    columns["id"] = np.arange(1500, dtype=np.int32) - 700
    columns["label"] = (np.arange(1500) % 251).astype(np.uint8)
    columns["weight"] = np.linspace(0, 1, 1500)
    names = list(columns)
    np.random.default_rng(1).shuffle(names)
    shuffled = {
        n: columns[n].astype(np.float64) if n.startswith(("x", "rot", "f_rest_1")) else columns[n] for n in names
    }
    data = ply(shuffled, encoding=encoding, newline="\r\n", comments=("comment a  b", "obj_info num_cols 3"))
    got = read_ply(save(tmp_path, data))
    same(got, scene)
    assert set(got.extras) == {"id", "label", "weight"}
    assert got.extras["id"].dtype == np.int32
    assert got.extras["label"].dtype == np.uint8
    assert got.extras["weight"].dtype == np.float32
    assert np.array_equal(got.extras["id"], columns["id"])
    assert got.metadata["source"] == {"format": "ply", "comments": ["a  b", "num_cols 3"]}


@pytest.mark.parametrize("code", ["i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"])
@pytest.mark.parametrize("encoding", ["binary_little_endian", "binary_big_endian", "ascii"])
def test_every_scalar_type_carries_every_attribute(tmp_path: Path, code: str, encoding: str) -> None:
    scene = synth.scene(20, 1)
    columns = {n: np.abs(np.rint(c * 3)).astype(code) for n, c in columns_of(scene).items()}
    got = read_ply(save(tmp_path, ply(columns, encoding=encoding)), normalise=False)
    assert np.array_equal(got.means[:, 1], columns["y"].astype(np.float32))
    assert np.array_equal(got.quats[:, 3], columns["rot_3"].astype(np.float32))
    assert np.array_equal(got.shN[:, 2, 1], columns["f_rest_5"].astype(np.float32))


def test_new_type_names_and_spaced_counts(tmp_path: Path) -> None:
    scene = synth.scene(4, 0)
    data = ply(columns_of(scene)).replace(b"property float ", b"property  float32   ")
    data = data.replace(b"element vertex 4\n", b"element vertex 0000004  \n")
    same(read_ply(save(tmp_path, data)), scene)


def test_elements_around_the_vertices(tmp_path: Path) -> None:
    scene = synth.scene(5, 0)
    extra: Columns = {"a": np.arange(3, dtype=np.float64), "b": np.arange(3, dtype=np.uint8)}
    for encoding in ("binary_little_endian", "binary_big_endian", "ascii"):
        data = ply(columns_of(scene), encoding=encoding, before=(("pre", extra),), after=(("post", extra),))
        same(read_ply(save(tmp_path, data)), scene)


@pytest.mark.parametrize("encoding", ["binary_little_endian", "binary_big_endian", "ascii"])
@pytest.mark.parametrize("first", [True, False])
def test_lists_around_the_vertices(tmp_path: Path, encoding: str, first: bool) -> None:
    scene = synth.scene(5, 0)
    plain = ply(columns_of(scene), encoding=encoding)
    at = plain.index(b"element vertex" if first else b"end_header")
    body = plain.index(b"end_header\n") + 11 if first else len(plain)
    order = ">" if encoding == "binary_big_endian" else "<"
    rows = [(3, (1, 2, 3), 9), (0, (), 8), (2, (4, 5), 7)]
    lists = b"".join(
        b" ".join(str(v).encode() for v in (n, *items, tag)) + b"\n"
        if encoding == "ascii"
        else bytes([n]) + np.array(items, order + "i4").tobytes() + np.array(tag, order + "u2").tobytes()
        for n, items, tag in rows
    )
    head = b"element face 3\nproperty list uchar int vertex_indices\nproperty ushort tag\n"
    data = plain[:at] + head + plain[at:body] + lists + plain[body:]
    same(read_ply(save(tmp_path, data)), scene)
    for cut in range(1, len(lists) + 3):
        with pytest.raises(CorruptError):
            read_ply(save(tmp_path, data[:-cut]))


def test_colours_in_place_of_sh(tmp_path: Path) -> None:
    scene = synth.scene(9, 0)
    rgb = np.random.default_rng(0).integers(0, 256, (9, 3))
    for code, top in (("u1", 255), ("u2", 65535), ("f4", 1)):
        columns = {n: c for n, c in columns_of(scene).items() if not n.startswith("f_dc")}
        values = (rgb / 255 * top).astype(code)
        columns |= {n: values[:, i] for i, n in enumerate(("red", "green", "blue"))}
        got = read_ply(save(tmp_path, ply(columns)))
        assert np.allclose(0.5 + C0 * got.sh0[:, 0], values / top, atol=1e-6)
        assert got.sh_degree == 0
    columns["red"] = columns["red"].astype(np.float64)
    with pytest.raises(UnsupportedError, match="red"):
        read_ply(save(tmp_path, ply(columns)))


def test_colours_beside_sh_stay_extra(tmp_path: Path) -> None:
    scene = synth.scene(9, 0)
    columns = columns_of(scene) | {n: np.full(9, 5, np.uint8) for n in ("red", "green", "blue")}
    got = read_ply(save(tmp_path, ply(columns)))
    same(got, scene)
    assert set(got.extras) == {"red", "green", "blue"}


def test_surfels_of_two_scales(tmp_path: Path) -> None:
    scene = synth.scene(9, 3)
    columns = {n: c for n, c in columns_of(scene).items() if n != "scale_2"}
    got = read_ply(save(tmp_path, ply(columns)))
    assert got.surfels
    assert np.allclose(got.scales[:, 2], scene.scales[:, :2].max(axis=1) + FLAT)
    assert np.array_equal(got.scales[:, :2], scene.scales[:, :2])
    assert validate(got)[1].clean


def test_mip_splatting_filter_is_kept(tmp_path: Path) -> None:
    scene = synth.scene(9, 3)
    size = np.linspace(0.1, 1, 9, dtype=np.float32)
    got = read_ply(save(tmp_path, ply(columns_of(scene) | {"filter_3D": size})))
    assert np.array_equal(got.extras["filter_3D"], size)


@pytest.mark.parametrize(
    ("comments", "antialiased", "surfels", "frame"),
    [
        (("SplatRenderMode: mip",), True, False, "rdf"),
        (("splatrendermode: MIP", "SplatRenderMode: default"), False, False, "rdf"),
        (("SplatRenderMode: 2dgs",), False, True, "rdf"),
        (("SplatRenderMode: 2dgs", "antialiased 1"), True, True, "rdf"),
        (("antialiased 1",), True, False, "rdf"),
        (("Antialiased 1", "antialiased 0"), False, False, "rdf"),
        (("Generated by Nerstudio 1.1.5", "Vertical Axis: z"), False, False, "z_up"),
        (("SplatRenderMode: mipmap", "Vertical Axis: zebra"), False, False, "rdf"),
    ],
)
def test_comments_set_flags(
    tmp_path: Path, comments: tuple[str, ...], antialiased: bool, surfels: bool, frame: str
) -> None:
    data = ply(columns_of(synth.scene(2, 0)), comments=tuple(f"comment {c}" for c in comments))
    got = read_ply(save(tmp_path, data))
    assert (got.antialiased, got.surfels, got.frame) == (antialiased, surfels, frame)


def test_normalise_touches_quats_and_normals_only(tmp_path: Path) -> None:
    scene = synth.scene(50, 3)
    scene.quats[:40] *= np.linspace(0.1, 9, 40, dtype=np.float32)[:, None]
    scene.quats[40] = 0
    columns = columns_of(scene) | {"nz": np.ones(50, np.float32)}
    path = save(tmp_path, ply(columns))
    raw, got = read_ply(path, normalise=False), read_ply(path)
    same(raw, scene)
    assert set(raw.extras) == {"nx", "ny", "nz"}
    assert not got.extras
    assert np.allclose(np.linalg.norm(got.quats, axis=1), np.arange(50) != 40)
    assert np.array_equal(got.quats[41:], scene.quats[41:])
    again = io.BytesIO()
    write_ply(again, raw)
    assert again.getvalue()[-50 * 248 :] == path.read_bytes()[-50 * 248 :]


def test_strange_floats_survive_bit_for_bit(tmp_path: Path) -> None:
    scene = synth.scene(40, 3)
    bits = np.random.default_rng(0).integers(0, 2**32, 40 * 59, dtype=np.uint32).view(np.float32).reshape(40, 59)
    scene = Gaussians(
        bits[:, :3].copy(), bits[:, 3:6].copy(), bits[:, 6:10].copy(), bits[:, 10].copy(),
        bits[:, 11:14].copy().reshape(40, 1, 3), bits[:, 14:].copy().reshape(40, 15, 3),
    )  # fmt: skip
    got = read_ply(save(tmp_path, encode(scene)), normalise=False)
    for name in ATTRIBUTES:
        assert getattr(got, name).tobytes() == getattr(scene, name).tobytes()


def test_doubles_beyond_float32_become_infinite(tmp_path: Path) -> None:
    columns = columns_of(synth.scene(3, 0))
    columns["x"] = np.array([1e300, -1e300, 1.0])
    for encoding in ("binary_little_endian", "ascii"):
        got = read_ply(save(tmp_path, ply(columns, encoding=encoding)))
        assert got.means[:, 0].tolist() == [np.inf, -np.inf, 1.0]


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(0, 70),
    degree=st.integers(0, 3),
    seed=st.integers(0, 999),
    block=st.sampled_from([1, 300, 5000, 1 << 19]),
)
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, n: int, degree: int, seed: int, block: int) -> None:
    scene = synth.scene(n, degree, seed)
    extras: dict[str, Any] = {"id": np.arange(n, dtype=np.uint16), "w": np.ones((n, 2), np.float32)}
    scene = replace(
        scene, extras=extras, antialiased=seed % 2 == 0, surfels=seed % 3 == 0, frame=("rdf", "z_up")[seed % 2]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plydata, "BLOCK_BYTES", block)
        patch.setattr(plywrite, "BLOCK_BYTES", block)
        got = read_ply(save(tmp_path_factory.getbasetemp(), encode(scene)))
    same(got, scene)
    assert (got.frame, got.antialiased, got.surfels) == (scene.frame, scene.antialiased, scene.surfels)
    assert np.array_equal(got.extras["id"], extras["id"])
    assert np.array_equal(got.extras["w_1"], extras["w"][:, 1])


@pytest.mark.parametrize("degree", [0, 3])
def test_plyfile_reads_what_we_write(tmp_path: Path, degree: int) -> None:
    scene = synth.scene(700, degree)
    path = tmp_path / "a.ply"
    size = write_ply(path, scene)
    assert size == path.stat().st_size
    vertex = PlyData.read(str(path))["vertex"]
    want = columns_of(scene)
    assert [p.name for p in vertex.properties] == list(want)
    for name, column in want.items():
        assert np.array_equal(vertex[name], column), name


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
def test_we_read_what_plyfile_writes(tmp_path: Path, text: bool, order: str) -> None:
    scene = synth.scene(30, 2)
    path = tmp_path / "a.ply"
    write_ply(path, scene)
    data = PlyData.read(str(path), mmap=False)
    data.text, data.byte_order, data.comments = text, order, ["antialiased 1"]
    data.write(str(path))
    got = read_ply(path)
    same(got, scene, atol=1e-6 if text else 0.0)
    assert got.antialiased


def test_golden_bytes() -> None:
    one = Gaussians(
        np.array([[1, 2, 3]], np.float32), np.array([[4, 5, 6]], np.float32), np.full((1, 4), 0.5, np.float32),
        np.array([7], np.float32), np.array([[[8, 9, 10]]], np.float32),
        np.arange(11, 20, dtype=np.float32).reshape(1, 3, 3),
        extras={"b": np.array([300], np.int64), "a": np.array([1], np.uint8)}, antialiased=True, frame="z_up",
    )  # fmt: skip
    head = (
        f"ply\nformat binary_little_endian 1.0\ncomment Generated by splatpack {__version__}\n"
        "comment SplatRenderMode: mip\ncomment Vertical Axis: z\nelement vertex 1\n"
    )
    names = [*"xyz", "nx", "ny", "nz", *(f"f_dc_{i}" for i in range(3)), *(f"f_rest_{i}" for i in range(9)), "opacity"]
    names += [f"scale_{i}" for i in range(3)] + [f"rot_{i}" for i in range(4)]
    head += "".join(f"property float {n}\n" for n in names) + "property uchar a\nproperty int b\nend_header\n"
    red, green, blue = (11, 14, 17), (12, 15, 18), (13, 16, 19)
    row = np.array([1, 2, 3, 0, 0, 0, 8, 9, 10, *red, *green, *blue, 7, 4, 5, 6, 0.5, 0.5, 0.5, 0.5], "<f4").tobytes()
    assert encode(one) == head.encode() + row + b"\x01" + (300).to_bytes(4, "little")


@pytest.mark.parametrize("frame", ["rub", "luf"])
def test_other_frames_are_turned_to_the_convention(tmp_path: Path, frame: str) -> None:
    scene = replace(synth.scene(3000, 3), frame=frame)
    got = read_ply(save(tmp_path, encode(scene)))
    signs = (1, -1, -1) if frame == "rub" else (-1, -1, 1)
    assert got.frame == "rdf"
    assert np.array_equal(got.means, scene.means * np.array(signs, np.float32))


@pytest.mark.parametrize(
    "extras",
    [
        {"big": np.array([2**40, 0], np.int64)},
        {"two words": np.zeros(2, np.float32)},
        {"naïve": np.zeros(2, np.float32)},
        {"": np.zeros(2, np.float32)},
        {"x": np.zeros(2, np.float32)},
        {"c": np.zeros(2, np.complex64)},
        {"a_0": np.zeros(2, np.float32), "a": np.zeros((2, 2), np.float32)},
    ],
)
def test_columns_that_ply_cannot_hold(extras: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError, match="extra column"):
        encode(replace(synth.scene(2, 0), extras=extras))


def test_storage_errors(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"none\.ply"):
        read_ply(tmp_path / "none.ply")
    with pytest.raises(StorageError, match="regular"):
        read_ply(tmp_path)
    with pytest.raises(StorageError, match="space"):
        write_ply(tmp_path / "no" / "a.ply", synth.scene(1))


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the real scenes are not here")
@pytest.mark.parametrize("name", ["fox_53k", "iter7000_9k", "train-1000"])
def test_real_scenes(tmp_path: Path, name: str) -> None:
    path = DATA / "full_precision" / f"{name}.ply"
    raw = read_ply(path, normalise=False)
    vertex = PlyData.read(str(path))["vertex"]
    for column, values in columns_of(raw).items():
        assert np.array_equal(vertex[column], values), column
    assert validate(read_ply(path))[1].clean
    assert encode(raw).endswith(path.read_bytes()[-len(raw) * 248 :])


def test_memory_is_the_columns_once(tmp_path: Path) -> None:
    """Neither reading nor checking a clean scene nor writing holds a second copy of it."""
    path = tmp_path / "big.ply"
    size = write_ply(path, synth.scene(60_000))
    tracemalloc.start()
    try:
        scene = read_ply(path)
        assert tracemalloc.get_traced_memory()[1] < scene.nbytes + (6 << 20)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        assert validate(scene)[0] is scene
        assert sum(len(block) for block in ply_blocks(scene)) == size
        assert tracemalloc.get_traced_memory()[1] < before + (9 << 20)
    finally:
        tracemalloc.stop()
