from __future__ import annotations

import gzip
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from splatpack.errors import StorageError, UnsupportedError, UsageError
from splatpack.formats.detect import detect, sniff
from splatpack.formats.registry import FORMATS, read_scene, readable, writable, write_scene
from splatpack.limits import Limits
from splatpack.scene.transform import change_frame
from tests import synth


def _zip(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, b"{}")
    return out.getvalue()


@pytest.mark.parametrize(
    ("head", "name", "want"),
    [
        (b"ply\nformat ascii 1.0\nend_header\n", "", "ply"),
        (b"ply\r\nformat ascii 1.0\r\n", "a.splat", "ply"),
        (b"ply\nelement chunk 1\nelement vertex 1\nproperty uint packed_position\nend_header\n", "", "compressed-ply"),
        (b"ply\nend_header\npacked_position", "", "ply"),
        (b"\x89SPK\r\n\x1a\n\x01\x00", "x.ply", "spk"),
        (b"NGSP\x04\0\0\0", "", "spz"),
        (gzip.compress(b"NGSP\x02\0\0\0", mtime=0), "", "spz"),
        (gzip.compress(b"other", mtime=0), "", "gzip"),
        (b"\x1f\x8b\xff\xff", "", "unknown"),
        (_zip("means_l.webp", "meta.json"), "", "sog"),
        (_zip("archive/data.pkl"), "", "checkpoint"),
        (_zip("default.usda"), "", "usd"),
        (_zip("readme.txt"), "", "zip"),
        (b"glTF\x02\0\0\0", "", "gltf"),
        (b"RAD0", "", "rad"),
        (b"#usda 1.0", "", "usd"),
        (b"PXR-USDC", "", "usd"),
        (b"SP4D", "", "splat4d"),
        (b'{"lodLevels": 3, "frames": 1}', "", "lod-meta"),
        (b'\n {"version": 2, "means": {}}', "", "sog"),
        (b'{"frames": []}', "", "transforms"),
        (b'{"asset": {"version": "2.0"}}', "", "gltf"),
        (b'[{"position": [0], "rotation": []}]', "", "cameras"),
        (b'{"w": 1}', "", "json"),
        (b"[3]", "", "json"),
        (b'{"frames": [' + b" " * 70000, "", "transforms"),
        (b"[" * 65536, "", "json"),
        (b"\0" * 64, "a.splat", "splat"),
        (b"\0" * 65, "a.splat", "splat"),
        (b"\x00\x01" + b"\0" * 62, "a.splat", "splat"),
        (b"\0" * 64, "a.bin", "unknown"),
        (b"\x00\x01" + b"\0" * 62, "a.ksplat", "ksplat"),
        (b"\x00\x01\0\0\1" + b"\0" * 6000, "a.splat", "ksplat"),
        (b'{"means": {"mins": [0], "maxs": [1]}}', "meta.json", "png-compression"),
        (b'{"means": {"mins": [0], "maxs": [1], "files": []}}', "meta.json", "sog"),
        (b"", "a.splat", "unknown"),
        (b"", "a.ply", "unknown"),
    ],
)
def test_sniff(head: bytes, name: str, want: str) -> None:
    assert sniff(head, name) == want


def test_ply_through_the_registry(tmp_path: Path) -> None:
    scene = synth.scene(10, 1)
    scene.quats[:] *= 2
    for extension in (".ply", "ply", "dir/Name.PLY", "a.b.ply"):
        path = tmp_path / "no-suffix"
        with path.open("wb") as file:
            write_scene(file, scene, extension)
        assert (read_scene(path, normalise=False).quats == scene.quats).all()
        assert not (read_scene(path, limits=Limits()).quats == scene.quats).any()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x89SPK\r\n\x1a\n", r"splatpack\.read"),
        (b"SP4D", "splat4d.*it reads PLY"),
        (b"hello", "unknown.*it reads PLY"),
        (b"", "unknown"),
    ],
)
def test_what_is_not_read_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "thing"
    path.write_bytes(data)
    with pytest.raises(UnsupportedError, match=message):
        read_scene(path)


@pytest.mark.parametrize("extension", [".ksplat", "a.rad", ".xyz", "", "ply2", ".spk"])
def test_what_is_not_written_is_named(extension: str) -> None:
    with pytest.raises(UnsupportedError, match=r"PLY \(\.ply\)"):
        write_scene(io.BytesIO(), synth.scene(1), extension)


def test_table() -> None:
    assert all(name == f.name and (f.extensions or f.folder) for name, f in FORMATS.items())
    assert {"ply", "compressed-ply", "splat", "spz", "ksplat"} <= {f.name for f in readable()}
    assert {"ply", "compressed-ply", "splat", "spz"} <= {f.name for f in writable()}
    extensions = [e for f in writable() for e in f.extensions]
    assert len(set(extensions)) == len(extensions)


def test_the_frame_of_a_file_can_be_overridden(tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    with path.open("wb") as file:
        write_scene(file, synth.scene(10, 1), ".ply")
    plain, named = read_scene(path), read_scene(path, frame="rub")
    assert (plain.frame, named.frame) == ("rdf", "rub")
    assert (plain.means == named.means).all()
    with pytest.raises(UsageError, match="frame 'down'"):
        read_scene(path, frame="down")


@pytest.mark.parametrize("frame", ["rdf", "rub", "luf", "z_up"])
def test_ply_in_any_frame(tmp_path: Path, frame: str) -> None:
    path, scene = tmp_path / "a.ply", synth.scene(10, 1)
    with path.open("wb") as file:
        write_scene(file, scene, ".ply", frame=frame)
    want = change_frame(scene, frame)
    assert (read_scene(path).means == want.means).all()
    assert read_scene(path).frame == ("z_up" if frame == "z_up" else "rdf")


def test_detect_needs_a_file(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        detect(tmp_path / "none")


def test_formats_are_imported_lazily() -> None:
    code = (
        "import sys, splatpack.formats.registry; print(any(m.startswith('splatpack.formats.ply') for m in sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
