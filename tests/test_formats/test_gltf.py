"""glTF: what we write is read; files spelled out here from the specification; drafts, nodes, lies."""

from __future__ import annotations

import base64
import io
import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splatpack.errors import (
    CorruptError,
    InvalidSceneError,
    LimitError,
    SplatpackError,
    StorageError,
    TruncatedError,
    UnsupportedError,
    UsageError,
)
from splatpack.formats.detect import detect
from splatpack.formats.gltffile import local_path, open_gltf
from splatpack.formats.registry import read_scene, write_scene
from splatpack.limits import Limits
from splatpack.render.compare import compare
from splatpack.scene.gaussians import C0, Gaussians
from splatpack.scene.transform import change_frame, transform
from tests import synth
from tests.test_formats.closeness import assert_close, decode, encode

EXACT = {"scales": 1e-6, "covariances": 3e-6, "alphas": 2e-7}
SPZ_BOUNDS = {"means": 1.3e-4, "scales": 0.0313, "covariances": 0.09, "alphas": 0.00197, "sh0": 0.01308, "shN": 0.0665}
KHR = "KHR_gaussian_splatting"
Tree = dict[str, Any]


def glb(tree: Tree, binary: bytes) -> bytes:
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    binary += bytes(-len(binary) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(binary), 0x004E4942) + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def attributes_of(scene: Gaussians) -> dict[str, Any]:
    """The arrays of a scene (in luf) by attribute."""
    out = {
        "POSITION": scene.means, f"{KHR}:ROTATION": scene.quats[:, (1, 2, 3, 0)],
        f"{KHR}:SCALE": np.exp(scene.scales), f"{KHR}:OPACITY": 1 / (1 + np.exp(-scene.opacities[:, None])),
        f"{KHR}:SH_DEGREE_0_COEF_0": scene.sh0[:, 0],
    }  # fmt: skip
    names = [f"{KHR}:SH_DEGREE_{band}_COEF_{c}" for band in (1, 2, 3) for c in range(2 * band + 1)]
    return out | {name: scene.shN[:, k] for k, name in enumerate(names[: scene.shN.shape[1]])}


def built(attributes: dict[str, Any], **nodes: Any) -> tuple[Tree, bytes]:
    """JSON and buffer of one primitive; each array is an accessor of its own type and view."""
    codes = {"f4": 5126, "i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123}
    tree: Tree = {
        "asset": {"version": "2.0"}, "extensionsUsed": [KHR],
        "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0} | nodes], "accessors": [], "bufferViews": [],
    }  # fmt: skip
    binary = b""
    for array in attributes.values():
        rows = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        kind = rows.dtype.str[1:]
        tree["bufferViews"].append({"buffer": 0, "byteOffset": len(binary), "byteLength": rows.nbytes})
        accessor: Tree = {"bufferView": len(tree["accessors"]), "componentType": codes[kind], "count": len(rows)}
        accessor["type"] = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}[rows.shape[1]]
        tree["accessors"].append(accessor | ({} if kind == "f4" else {"normalized": True}))
        binary += rows.tobytes() + bytes(-rows.nbytes % 4)
    splats = {KHR: {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}}
    primitive = {"mode": 0, "attributes": {name: i for i, name in enumerate(attributes)}, "extensions": splats}
    tree |= {"meshes": [{"primitives": [primitive]}], "buffers": [{"byteLength": len(binary)}]}
    return tree, binary


def small(degree: int = 1, n: int = 5, seed: int = 3) -> Gaussians:
    return change_frame(synth.scene(n, degree, seed), "luf")


def load(folder: Path, tree: Tree, binary: bytes, **settings: Any) -> Gaussians:
    return decode(folder, glb(tree, binary), ".glb", **settings)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_round_trip(tmp_path: Path, degree: int) -> None:
    scene = synth.scene(300, degree, seed=5)
    data, said = encode(scene, ".glb")
    back = decode(tmp_path, data, ".glb")
    assert said == []
    assert (back.frame, back.sh_degree, back.metadata["source"]) == ("luf", degree, {"format": "gltf"})
    assert_close(scene, change_frame(back, "rdf"), **EXACT)


@pytest.mark.parametrize(("version", "name"), [(2, "_spz_2"), (3, "_spz"), (4, "_spz")])
def test_an_spz_inside(tmp_path: Path, version: int, name: str) -> None:
    scene = synth.scene(300, 2, seed=5)
    scene = replace(scene, shN=scene.shN.clip(-0.9, 0.9), sh0=scene.sh0.clip(-3, 3))
    data, said = encode(scene, ".glb", version=version)
    assert f'"{KHR}_compression{name}"'.encode() in data
    assert len(said) == (1 if version == 2 else 0)
    back = change_frame(decode(tmp_path, data, ".glb"), "rdf")
    assert_close(scene, back, **SPZ_BOUNDS | ({"covariances": 0.6} if version == 2 else {}))
    tree = json.loads(data[20 : 20 + struct.unpack_from("<I", data, 12)[0]])
    position = tree["accessors"][tree["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]
    assert "bufferView" not in position
    low, high = change_frame(scene, "luf").means.min(axis=0), change_frame(scene, "luf").means.max(axis=0)
    assert (position["count"], position["min"], position["max"]) == (300, low.tolist(), high.tolist())


def test_spelled_out(tmp_path: Path) -> None:
    scene = small(3)
    assert_close(scene, load(tmp_path, *built(attributes_of(scene))), **EXACT)
    assert detect(tmp_path / "scene.glb") == "gltf"


def test_bytes_that_are_written() -> None:
    """Header, padding, and one row, field by field."""
    scene = replace(
        synth.scene(1, 0), means=np.array([[1, 2, 3]], np.float32), quats=np.array([[2, 0, 0, 0]], np.float32),
        scales=np.zeros((1, 3), np.float32), opacities=np.zeros(1, np.float32), sh0=np.zeros((1, 1, 3), np.float32),
    )  # fmt: skip
    data = encode(scene, ".glb")[0]
    magic, version, length, text = struct.unpack_from("<4sIII", data)
    assert (magic, version, length, text % 4) == (b"glTF", 2, len(data), 0)
    row = np.frombuffer(data[-(14 * 4 + 4) :], "<f4", 14)
    assert row.tolist() == [-1, -2, 3, 0, 0, 0, 1, 1, 1, 1, 0.5, 0, 0, 0]
    assert list(data[-4:]) == [55, 55, 55, 128]  # half of display light is 21 % of linear light
    tree = json.loads(data[20 : 20 + text])
    primitive = tree["meshes"][0]["primitives"][0]
    assert primitive["extensions"] == {KHR: {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}}
    assert tree["accessors"][0]["min"] == tree["accessors"][0]["max"] == [-1, -2, 3]


def test_a_gltf_with_a_file_or_base64_beside_it(tmp_path: Path) -> None:
    scene = small()
    tree, binary = built(attributes_of(scene))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a b.bin").write_bytes(binary)
    for uri in ("sub/a%20b.bin", "data:application/octet-stream;base64," + base64.b64encode(binary).decode()):
        tree["buffers"][0]["uri"] = uri
        (tmp_path / "a.gltf").write_text(json.dumps(tree))
        assert detect(tmp_path / "a.gltf") == "gltf"
        assert_close(scene, read_scene(tmp_path / "a.gltf"), **EXACT)


def test_integers_strides_and_sparse_rows(tmp_path: Path) -> None:
    """Normalised integers, rows woven together, rows of nothing with some put in."""
    scene = small(0)
    columns = attributes_of(scene)
    columns[f"{KHR}:ROTATION"] = np.rint(columns[f"{KHR}:ROTATION"] * 32767).astype("<i2")
    columns[f"{KHR}:OPACITY"] = np.rint(columns[f"{KHR}:OPACITY"] * 65535).astype("<u2")
    columns[f"{KHR}:SCALE"] = np.full((5, 3), 3, "u1")
    tree, binary = built(columns)
    scale = tree["accessors"][2]
    del scale["normalized"]
    woven = np.zeros((5, 7), "<f4")
    woven[:, 2:5] = scene.means
    tree["bufferViews"].append({"buffer": 0, "byteOffset": len(binary), "byteLength": woven.nbytes, "byteStride": 28})
    tree["accessors"][0] |= {"bufferView": 5, "byteOffset": 8}
    binary += woven.tobytes()
    places, values = np.array([1, 4], "<u2"), np.array([[1, 2, 3], [4, 5, 6]], "<f4")
    for array in (places, values):
        tree["bufferViews"].append({"buffer": 0, "byteOffset": len(binary), "byteLength": array.nbytes})
        binary += array.tobytes() + bytes(-array.nbytes % 4)
    colour = tree["accessors"][4]
    del colour["bufferView"]
    colour["sparse"] = {
        "count": 2, "indices": {"bufferView": 6, "componentType": 5123}, "values": {"bufferView": 7},
    }  # fmt: skip
    tree["buffers"][0]["byteLength"] = len(binary)
    back = load(tmp_path, tree, binary)
    assert (back.means == scene.means).all()
    assert back.scales == pytest.approx(np.log(3.0), rel=1e-6)
    assert back.sh0[:, 0].tolist() == [[0, 0, 0], [1, 2, 3], [0, 0, 0], [0, 0, 0], [4, 5, 6]]
    turned = replace(scene, scales=back.scales, sh0=back.sh0)
    assert_close(turned, back, covariances=1e-4, alphas=1e-5)


def test_alphas_of_zero_and_one_have_finite_logits(tmp_path: Path) -> None:
    columns = attributes_of(small(0, 3))
    columns[f"{KHR}:OPACITY"] = np.array([[0], [1], [1e-9]], "<f4")
    columns[f"{KHR}:SCALE"] = np.array([[0, 1, 1], [-1, 1, 1], [1, 1, 1]], "<f4")
    back = load(tmp_path, *built(columns))
    assert back.opacities == pytest.approx([np.log(1e-12), 16.6355, np.log(1e-9)], rel=1e-5)
    assert back.scales[0, 0] == -np.inf
    assert np.isnan(back.scales[1, 0])


def test_drafts(tmp_path: Path) -> None:
    """Underscores instead of the prefix, colour and alpha in COLOR_0, no kernel."""
    scene = small(1)
    columns = {name.replace(f"{KHR}:", "_"): array for name, array in attributes_of(scene).items()}
    rgb = 0.5 + np.float32(C0) * columns.pop("_SH_DEGREE_0_COEF_0")
    columns["COLOR_0"] = np.concatenate([rgb, columns.pop("_OPACITY")], axis=1).astype(np.float32)
    tree, binary = built(columns)
    tree["meshes"][0]["primitives"][0]["extensions"] = {KHR: {}}
    assert_close(scene, load(tmp_path, tree, binary), **EXACT | {"sh0": 1e-6})
    spz = encode(scene, ".spz", frame="luf", version=2)[0]
    for place in ({"KHR_spz_gaussian_splats_compression": {"bufferView": 0}},
                  {KHR: {"extensions": {f"{KHR}_compression_spz": {"bufferView": 0}}}}):  # fmt: skip
        tree["meshes"][0]["primitives"][0]["extensions"] = place
        tree["bufferViews"] = [{"buffer": 0, "byteLength": len(spz)}]
        tree["buffers"][0]["byteLength"] = len(spz)
        assert_close(scene, load(tmp_path, tree, spz), **SPZ_BOUNDS | {"covariances": 0.6})


def test_nodes_move_and_turn(tmp_path: Path) -> None:
    """A matrix above a rotation, a scale and a move: positions, covariances and SH follow."""
    scene = small(3, 60)
    tree, binary = built(
        attributes_of(scene), rotation=[0, 0.6, 0, 0.8], scale=[2, 2, 2], translation=[1, 2, 3], name="inner"
    )
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    outer = np.eye(4)
    outer[:3, :3], outer[:3, 3] = turn, (0, 0, 5)
    tree["nodes"].append({"children": [0], "matrix": outer.T.ravel().tolist()})
    tree["scenes"] = [{}, {"nodes": [1]}]
    tree["scene"] = 1
    y = np.array([[0.28, 0, 0.96], [0, 1, 0], [-0.96, 0, 0.28]])
    want = transform(transform(scene, rotation=y, scale=2, translation=[1, 2, 3]), rotation=turn, translation=[0, 0, 5])
    back = load(tmp_path, tree, binary)
    assert_close(want, back, **EXACT | {"means": 2e-5, "covariances": 1e-5, "shN": 2e-6})
    del tree["scenes"], tree["scene"]
    assert_close(want, load(tmp_path, tree, binary), **EXACT | {"means": 2e-5, "covariances": 1e-5, "shN": 2e-6})
    assert compare(want, back).psnr_mean > 60


def test_several_clouds_are_joined_and_others_named(tmp_path: Path) -> None:
    one, two = small(0, 4, 1), small(2, 4, 2)
    (tree, binary), (other, more) = built(attributes_of(one)), built(attributes_of(two))
    for view in other["bufferViews"]:
        view["byteOffset"] += len(binary)
    for accessor in other["accessors"]:
        accessor["bufferView"] += len(tree["bufferViews"])
    second = other["meshes"][0]["primitives"][0]
    second["attributes"] = {name: i + len(tree["accessors"]) for name, i in second["attributes"].items()}
    tree["meshes"][0]["primitives"] += [second, {"attributes": {"POSITION": 0}}]
    tree["bufferViews"] += other["bufferViews"]
    tree["accessors"] += other["accessors"]
    tree["buffers"][0]["byteLength"] = len(binary + more)
    back = load(tmp_path, tree, binary + more)
    assert (len(back), back.sh_degree) == (8, 2)
    assert_close(one, back.take(slice(0, 4)).with_sh_degree(0), **EXACT)
    assert (back.shN[:4] == 0).all()
    assert_close(two, back.take(slice(4, 8)), **EXACT)
    assert back.metadata["source"]["notes"] == ["1 primitives that are no splats left out."]


def test_another_colour_space_is_said(tmp_path: Path) -> None:
    tree, binary = built(attributes_of(small()))
    tree["meshes"][0]["primitives"][0]["extensions"][KHR]["colorSpace"] = "lin_rec709_display"
    assert "lin_rec709_display" in load(tmp_path, tree, binary).metadata["source"]["notes"][0]


@pytest.mark.parametrize("frame", ["rub", "z_up"])
def test_frames(tmp_path: Path, frame: str) -> None:
    scene = synth.scene(50, 2)
    plain = decode(tmp_path, encode(scene, ".glb")[0], ".glb")
    turned = decode(tmp_path, encode(change_frame(scene, frame), ".glb")[0], ".glb")
    assert_close(plain, turned, **EXACT | {"means": 1e-6, "shN": 2e-6})
    assert (decode(tmp_path, encode(scene, ".glb", frame="rdf")[0], ".glb").means == scene.means).all()


def test_what_is_clamped_or_refused() -> None:
    scene = synth.scene(9, 1)
    scene.scales[:2] = 90
    assert encode(scene, ".glb")[1] == ["2 of 9 Gaussians: log-scale above 30, clamped."]
    with pytest.raises(UnsupportedError, match="0 Gaussians"):
        encode(synth.scene(0), ".glb")
    with pytest.raises(UsageError, match="SPZ version 1"):
        encode(scene, ".glb", version=1)
    scene.means[0] = np.nan
    with pytest.raises(InvalidSceneError):
        encode(scene, ".glb")


GOOD, BINARY = built(attributes_of(small()))


def changed(edit: Callable[[Tree], object]) -> bytes:
    tree = json.loads(json.dumps(GOOD))
    edit(tree)
    return glb(tree, BINARY)


def primitive_of(tree: Tree) -> Tree:
    found: Tree = tree["meshes"][0]["primitives"][0]
    return found


def spz_of(view: object) -> Callable[[Tree], object]:
    return lambda t: primitive_of(t)["extensions"][KHR].update(
        extensions={f"{KHR}_compression_spz_2": {"bufferView": view}}
    )


SCALED = [2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
MIRROR = [-1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
HUGE = [1e29, 0, 0, 0, 0, 1e29, 0, 0, 0, 0, 1e29, 0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (glb(GOOD, BINARY)[:-1], TruncatedError, "the header says"),
        (glb(GOOD, BINARY)[:11], TruncatedError, "11 bytes"),
        (struct.pack("<4sII", b"glTF", 1, 12), UnsupportedError, "version 1"),
        (struct.pack("<4sII", b"glTF", 2, 12), CorruptError, "0 bytes at its end"),
        (struct.pack("<4sIIII", b"glTF", 2, 20, 9, 0x4E4F534A), CorruptError, "a chunk of 9 bytes"),
        (struct.pack("<4sIIII", b"glTF", 2, 20, 0, 0x004E4942), CorruptError, "expected JSON"),
        (struct.pack("<4sIIII", b"glTF", 2, 28, 8, 0x4E4F534A) + b"[" * 8, CorruptError, "no valid JSON"),
        (struct.pack("<4sIIII", b"glTF", 2, 24, 4, 0x4E4F534A) + b"[1] ", CorruptError, "expected an object"),
        (struct.pack("<4sIIII4sII", b"glTF", 2, 32, 4, 0x4E4F534A, b"{}  ", 0, 1), CorruptError, "second chunk"),
        (changed(lambda t: t.update(meshes=3)), CorruptError, "meshes 3, expected a list"),
        (changed(lambda t: t.update(accessors=[1])), CorruptError, "expected a list of objects"),
        (changed(lambda t: t.update(extensionsRequired=["EXT_meshopt_compression"])), UnsupportedError, "requires EXT"),
        (changed(lambda t: t.update(extensionsRequired="x")), CorruptError, "extensionsRequired"),
        (changed(lambda t: t.update(scene=7)), CorruptError, "scenes 7"),
        (changed(lambda t: t["scenes"][0].update(nodes=[0, 0])), CorruptError, "reached twice"),
        (changed(lambda t: t["scenes"][0].update(nodes=["0"])), CorruptError, "expected a list of numbers"),
        (changed(lambda t: t["nodes"][0].update(children=[0])), CorruptError, "reached twice"),
        (changed(lambda t: t["nodes"][0].update(children=[5])), CorruptError, "nodes 5"),
        (changed(lambda t: t["nodes"][0].update(mesh=True)), CorruptError, "meshes True"),
        (changed(lambda t: t["nodes"][0].update(mesh=-1)), CorruptError, "meshes -1"),
        (changed(lambda t: t["nodes"][0].update(matrix=MIRROR)), UnsupportedError, "determinant -1"),
        (changed(lambda t: t["nodes"][0].update(matrix=SCALED)), UnsupportedError, "scales axes differently"),
        (changed(lambda t: t["nodes"][0].update(matrix=[0] * 16)), CorruptError, "last row"),
        (changed(lambda t: t["nodes"][0].update(matrix=[1] * 15)), CorruptError, "16 finite"),
        (changed(lambda t: t["nodes"][0].update(scale=[0, 0, 0])), UnsupportedError, "determinant 0"),
        (changed(lambda t: t["nodes"][0].update(scale=[1, 1, None])), CorruptError, "3 finite"),
        (changed(lambda t: t["nodes"][0].update(rotation=[0, 0, 0, 0])), CorruptError, "length zero"),
        (changed(lambda t: t["nodes"][0].update(translation=[10**400, 0, 0])), CorruptError, "3 finite"),
        (
            changed(lambda t: t.update(
                nodes=[{"matrix": HUGE, "children": [i + 1]} for i in range(14)] + [{"mesh": 0, "matrix": HUGE}]
            )), UnsupportedError, "determinant",
        ),
        (changed(lambda t: primitive_of(t).pop("extensions")), UnsupportedError, "no primitive with KHR"),
        (changed(lambda t: primitive_of(t).update(extensions=[])), CorruptError, "expected an object"),
        (changed(lambda t: primitive_of(t)["extensions"][KHR].update(kernel="cube")), UnsupportedError, "'cube'"),
        (changed(lambda t: primitive_of(t).update(attributes={})), CorruptError, "accessors None"),
        (changed(lambda t: primitive_of(t)["attributes"].pop(f"{KHR}:SCALE")), CorruptError, "no attribute .*SCALE"),
        (changed(lambda t: primitive_of(t)["attributes"].pop(f"{KHR}:OPACITY")), CorruptError, "no attribute .*OPAC"),
        (
            changed(lambda t: primitive_of(t)["attributes"].pop(f"{KHR}:SH_DEGREE_0_COEF_0")), CorruptError,
            "no attribute .*DEGREE_0",
        ),
        (
            changed(lambda t: primitive_of(t)["attributes"].pop(f"{KHR}:SH_DEGREE_1_COEF_1")), CorruptError,
            "no attribute .*DEGREE_1_COEF_1",
        ),
        (
            changed(lambda t: primitive_of(t)["attributes"].update({f"{KHR}:SH_DEGREE_4_COEF_0": 0})),
            UnsupportedError, "degree 4",
        ),
        (changed(lambda t: t["accessors"][0].update(count=1 << 39)), LimitError, "549,755,813,888 declared"),
        (changed(lambda t: t["accessors"][0].update(count=-1)), CorruptError, "count -1"),
        (changed(lambda t: t["accessors"][1].update(count=4)), CorruptError, "4 x VEC4"),
        (changed(lambda t: [a.update(count=100_000) for a in t["accessors"]]), CorruptError, "of a view of 60"),
        (changed(lambda t: t["accessors"][0].update(type="VEC2")), CorruptError, "5 x VEC2"),
        (changed(lambda t: t["accessors"][0].update(type=[])), CorruptError, "expected 5 x 3"),
        (changed(lambda t: t["accessors"][0].update(componentType=5124)), CorruptError, "component type 5124"),
        (changed(lambda t: t["accessors"][0].update(byteOffset=4)), CorruptError, "end at byte 64"),
        (changed(lambda t: t["accessors"][0].update(bufferView=99)), CorruptError, "bufferViews 99"),
        (changed(lambda t: t["accessors"][0].update(sparse=3)), CorruptError, "sparse 3"),
        (
            changed(lambda t: t["accessors"][0].update(
                sparse={"count": 9, "indices": {"bufferView": 0, "componentType": 5121}, "values": {"bufferView": 0}}
            )), CorruptError, "9 sparse rows",
        ),
        (
            changed(lambda t: t["accessors"][0].update(
                sparse={"count": 2, "indices": {"bufferView": 0, "componentType": 5121}, "values": {"bufferView": 0}}
            )), CorruptError, "do not rise|reach beyond",
        ),
        (changed(lambda t: t["bufferViews"][0].update(byteStride=8)), CorruptError, "rows of 12 bytes every 8"),
        (changed(lambda t: t["bufferViews"][0].update(byteStride=1 << 30)), CorruptError, "of a view of"),
        (changed(lambda t: t["bufferViews"][0].update(byteOffset=1 << 30)), CorruptError, "of a buffer of"),
        (changed(lambda t: t["bufferViews"][0].update(byteLength=-4)), CorruptError, "byteLength -4"),
        (changed(lambda t: t["bufferViews"][0].update(buffer=1)), CorruptError, "buffers 1"),
        (
            changed(lambda t: t["bufferViews"][0].update(extensions={"EXT_meshopt_compression": {}})),
            UnsupportedError, "EXT_meshopt_compression",
        ),
        (changed(lambda t: t["buffers"][0].update(byteLength=1 << 30)), TruncatedError, "expected 1,073,741,824"),
        (changed(lambda t: t["buffers"][0].update(uri="http://a/b.bin")), UnsupportedError, "beside the asset"),
        (changed(lambda t: t["buffers"][0].update(uri="/etc/passwd")), UnsupportedError, "beside the asset"),
        (changed(lambda t: t["buffers"][0].update(uri="../b.bin")), CorruptError, "leaves the folder"),
        (changed(lambda t: t["buffers"][0].update(uri="a/%2e%2e/%2E%2E/b")), CorruptError, "leaves the folder"),
        (changed(lambda t: t["buffers"][0].update(uri="none.bin")), StorageError, "none.bin"),
        (changed(lambda t: t["buffers"][0].update(uri="data:text/plain,abc")), CorruptError, "expected base64"),
        (changed(lambda t: t["buffers"][0].update(uri="data:;base64,@@@@")), CorruptError, "no valid base64"),
        (changed(lambda t: t["buffers"][0].update(uri=3)), CorruptError, "name of a file"),
        (changed(spz_of(0)), CorruptError, "SPZ|gzip"),
        (changed(spz_of(None)), CorruptError, "bufferViews None"),
        (changed(spz_of(-1)), CorruptError, "bufferViews -1"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, data: bytes, error: type[SplatpackError], message: str) -> None:
    with pytest.raises(error, match=message):
        decode(tmp_path, data, ".glb")


@pytest.mark.parametrize("uri", ["c:/x", "file:///x", "//host/x", "\\\\host\\x", "a\\..\\b", "a%00b", "", "%2Fetc"])
def test_uris_stay_in_the_folder(uri: str) -> None:
    with pytest.raises((CorruptError, UnsupportedError)):
        local_path(uri)


def test_a_gltf_without_its_buffer(tmp_path: Path) -> None:
    (tmp_path / "a.gltf").write_text(json.dumps(GOOD))
    with pytest.raises(CorruptError, match=r"no uri, and it is not the one in a \.glb"):
        read_scene(tmp_path / "a.gltf")
    (tmp_path / "a.gltf").write_text('{"asset": 1' + " " * (16 << 20))
    with pytest.raises(CorruptError, match="at most 16,777,216"):
        read_scene(tmp_path / "a.gltf")


def test_limits(tmp_path: Path) -> None:
    data = glb(GOOD, BINARY)
    for memory, what in ((100, "glTF file"), (len(data) + 5 * 92 - 1, "of 5 Gaussians")):
        with pytest.raises(LimitError, match=what):
            decode(tmp_path, data, ".glb", limits=Limits(memory=memory))
    with pytest.raises(LimitError, match="5 declared"):
        decode(tmp_path, data, ".glb", limits=Limits(gaussians=4))
    moved = changed(lambda t: t["nodes"][0].update(translation=[1, 0, 0]))
    with pytest.raises(LimitError, match="moved"):
        decode(tmp_path, moved, ".glb", limits=Limits(memory=len(moved) + 5 * 92))


def test_a_buffer_named_twice_raises_no_budget(tmp_path: Path) -> None:
    """Memory is granted by bytes on disk: three hundred buffers of one file count once."""
    (tmp_path / "b.bin").write_bytes(bytes(1 << 20))
    buffers = [{"uri": "b.bin", "byteLength": 1 << 20} for _ in range(300)]
    views = [{"buffer": i, "byteLength": 60} for i in range(300)]
    (tmp_path / "a.gltf").write_text(json.dumps(GOOD | {"buffers": buffers, "bufferViews": views}))
    document = open_gltf(tmp_path / "a.gltf", Limits(free=1 << 20, ratio=8))
    for i in range(7):
        document.view(i, "test")
    with pytest.raises(LimitError, match="glTF buffer"):
        _ = [document.view(i, "test") for i in range(7, 9)]


def test_every_byte_matters(tmp_path: Path) -> None:
    """A flipped byte gives a scene or one of our errors; every shorter file is refused."""
    data = encode(synth.scene(2, 0), ".glb")[0]
    path = tmp_path / "a.glb"
    for at in range(len(data)):
        path.write_bytes(data[:at])
        with pytest.raises(SplatpackError):
            read_scene(path)
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x15]) + data[at + 1 :])
        try:
            read_scene(path, limits=Limits(memory=8 << 20))
        except SplatpackError:
            continue


@pytest.mark.data
def test_a_real_scene(data_dir: Path, tmp_path: Path) -> None:
    scene = read_scene(data_dir / "splats" / "full_precision" / "train-1000.ply")
    file = io.BytesIO()
    assert write_scene(file, scene, ".glb") == []
    (tmp_path / "a.glb").write_bytes(file.getvalue())
    back = change_frame(read_scene(tmp_path / "a.glb"), "rdf")
    assert (back.means == scene.means).all()
    assert compare(scene, back).psnr_mean > 90
