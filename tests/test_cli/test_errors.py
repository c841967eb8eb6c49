from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from splatpack import errors
from splatpack.cli import _errors
from splatpack.container.writer import ContainerWriter
from splatpack.formats.ply import write_ply
from tests import synth
from tests.test_cli.conftest import Outcome, Runner

CLOUD = (
    b"ply\nformat binary_little_endian 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\n"
    b"end_header\n" + bytes(24)
)


def one_line(done: Outcome, code: str, status: int) -> str:
    """Check the form of an error and return its message."""
    assert done.status == status, done.err
    assert done.err.count("\n") == 1
    assert done.err.startswith(f"splatpack: error [{code}]: ")
    assert len(done.err) > 40
    return done.err


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


def future(data: bytes) -> bytes:
    head = data[:8] + struct.pack("<H", 2) + data[10:124]
    return head + struct.pack("<I", zlib.crc32(head)) + data[128:]


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str, int]] = {
    "truncated": (lambda d: d[:-100], "truncated", 3),
    "in the header": (lambda d: d[:60], "truncated", 3),
    "in the magic": (lambda d: d[:5], "truncated", 3),
    "flipped header": (lambda d: flip(d, 20), "checksum", 3),
    "flipped directory": (lambda d: flip(d, 140), "checksum", 3),
    "flipped chunk": (lambda d: flip(d, len(d) - 500), "checksum", 3),
    "flipped magic": (lambda d: flip(d, 1), "corrupt", 3),
    "trailing": (lambda d: d + b"\0", "corrupt", 3),
    "future": (future, "unsupported", 4),
}


@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.parametrize("command", ["decompress", "verify"])
def test_damaged_files(name: str, command: str, cli: Runner, folder: Path) -> None:
    change, code, status = DAMAGE[name]
    path = folder / "bad.spk"
    path.write_bytes(change((folder / "scene.spk").read_bytes()))
    more = ["-o", folder / "out.ply"] if command == "decompress" else []
    done = cli(command, path, "--json", *more)
    one_line(done, code, status)
    assert not (folder / "out.ply").exists()
    if command == "verify":
        assert done.json["ok"] is False
        assert done.json["errors"][0]["code"] == code
        assert done.json["bytes"] == path.stat().st_size
    else:
        assert done.out == ""


@pytest.mark.parametrize("name", ["truncated", "flipped header", "flipped magic", "trailing", "future"])
def test_info_and_render_of_damaged_files(name: str, cli: Runner, folder: Path) -> None:
    change, code, status = DAMAGE[name]
    path = folder / "bad.spk"
    path.write_bytes(change((folder / "scene.spk").read_bytes()))
    one_line(cli("info", path), code, status)
    if name != "flipped magic":
        one_line(cli("render", path, "-o", folder / "a.png"), code, status)


def test_empty_file(cli: Runner, folder: Path) -> None:
    (folder / "bad.spk").write_bytes(b"")
    one_line(cli("verify", folder / "bad.spk"), "truncated", 3)


def test_point_cloud(cli: Runner, folder: Path) -> None:
    (folder / "cloud.ply").write_bytes(CLOUD)
    one_line(cli("compress", folder / "cloud.ply"), "unsupported", 4)
    one_line(cli("info", folder / "cloud.ply"), "unsupported", 4)


def test_truncated_ply(cli: Runner, folder: Path) -> None:
    (folder / "cut.ply").write_bytes((folder / "scene.ply").read_bytes()[:-7])
    one_line(cli("compress", folder / "cut.ply"), "truncated", 3)
    assert not (folder / "cut.spk").exists()


@pytest.mark.parametrize(
    "args",
    [
        ["compress", "none.ply"],
        ["decompress", "none.spk", "-o", "x.ply"],
        ["info", "none.spk"],
        ["verify", "none.spk"],
        ["render", "none.spk", "-o", "x.png"],
        ["compare", "none.ply", "none.spk"],
        ["bench", "none.ply"],
        ["info", "."],
    ],
)
def test_no_such_file(args: list[str], cli: Runner, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert args[1] in one_line(cli(*args), "io", 6)


@pytest.mark.parametrize(
    "args",
    [
        ["compress", "scene.ply"],
        ["decompress", "scene.spk", "-o", "scene.ply"],
        ["render", "scene.spk", "-o", "there.png"],
        ["render", "scene.spk", "-o", "there"],
        ["compare", "scene.ply", "scene.spk", "--strip", "there.png"],
        ["bench", "scene.ply", "--report", "there.png"],
    ],
)
def test_refuses_to_overwrite(args: list[str], cli: Runner, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    Path("there.png").write_bytes(b"keep")
    Path("there").mkdir()
    Path("there/keep.txt").write_bytes(b"keep")
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert "--force" in one_line(cli(*args), "exists", 6)
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    "args",
    [
        ["wavelet"],
        ["compress"],
        ["compress", "scene.ply", "--fast"],
        ["compress", "scene.ply", "--preset", "best"],
        ["compress", "scene.ply", "--no-such-option", "8MB"],
        ["compress", "scene.ply", "--step", "scale"],
        ["compress", "scene.ply", "--threads", "0"],
        ["compress", "scene.ply", "--prune", "1.5"],
        ["compress", "scene.ply", "--sh-degree", "4"],
        ["compress", "scene.ply", "--max-memory", "lots"],
        ["decompress", "scene.spk"],
        ["decompress", "scene.spk", "-o", "x.ply", "--box", "1,2,3"],
        ["render", "scene.spk", "-o", "x.png", "--size", "640"],
        ["render", "scene.spk", "-o", "x.png", "--size", "0x9"],
        ["render", "scene.spk", "-o", "x.png", "--background", "blurple"],
        ["render", "scene.spk", "-o", "x.png", "--background", "1,1,7"],
        ["render", "scene.spk", "-o", "x.png", "--device", "tpu"],
        ["verify", "scene.spk", "extra"],
    ],
)
def test_usage_errors_of_click(args: list[str], cli: Runner, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert "--help" in one_line(cli(*args), "usage", 2)


@pytest.mark.parametrize(
    "args",
    [
        ["compress", "scene.spk"],
        ["compress", "scene.ply", "-o", "x.ply"],
        ["compress", "scene.ply", "-o", "x.spk", "--step", "size=1"],
        ["compress", "scene.ply", "-o", "x.spk", "--max-error", "means=0"],
        ["compress", "scene.ply", "-o", "x.spk", "--max-error", "colour=1"],
        ["compress", "scene.ply", "-o", "x.spk", "--keep-order"],
        ["compress", "scene.ply", "-o", "x.spk", "--lossless", "--quality", "1"],
        ["compress", "scene.ply", "-o", "x.spk", "--exact", "means", "--max-error", "means=1"],
        ["decompress", "scene.spk", "-o", "x.spk"],
        ["decompress", "scene.ply", "-o", "x.ply"],
        ["verify", "scene.ply"],
        ["render", "scene.spk", "-o", "x.png", "--orbit", "3"],
        ["render", "scene.spk", "-o", "x.bmp"],
        ["render", "scene.spk", "-o", "x.gif", "--orbit", "3", "--depth", "d.png"],
        ["render", "scene.spk", "-o", "x.png", "--depth", "d.exr"],
        ["render", "scene.spk", "-o", "x.gif", "--orbit", "3", "--cameras", "c.json"],
        ["compare", "scene.ply", "scene.spk", "--strip", "x.gif"],
        ["bench", "--only", "jpeg"],
        ["bench", "scene.ply", "--from", "run.json"],
    ],
)
def test_usage_errors_of_ours(args: list[str], cli: Runner, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    before = set(folder.iterdir())
    one_line(cli(*args), "usage", 2)
    assert set(folder.iterdir()) == before


@pytest.mark.parametrize("args", [["--device", "cuda", "-o", "x.png"], ["-o", "x.mp4"]])
def test_what_is_not_supported_yet(args: list[str], cli: Runner, folder: Path) -> None:
    one_line(cli("render", folder / "scene.spk", *args), "unsupported", 4)


def test_limit(cli: Runner, folder: Path) -> None:
    out = folder / "x.ply"
    one_line(cli("decompress", folder / "scene.spk", "-o", out, "--max-memory", "10kB"), "limit", 5)
    one_line(cli("info", folder / "scene.ply", "--max-memory", "10kB"), "limit", 5)
    assert cli("decompress", folder / "scene.spk", "-o", out, "--max-memory", "1GiB").status == 0


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (KeyboardInterrupt(), "interrupted", 130),
        (MemoryError(), "limit", 5),
        (OSError(28, "No space left on device", "x.spk"), "io", 6),
        (ZeroDivisionError("float division"), "internal", 1),
        (errors.InvalidSceneError("a scene\nof NaN\x1b[31m, nothing is left of it"), "invalid-scene", 3),
        (click.FileError("x.json", "is locked"), "io", 6),
    ],
)
def test_exceptions(
    error: BaseException, code: str, status: int, cli: Runner, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise error

    monkeypatch.setattr("splatpack.pack.verify.verify", fail)
    if isinstance(error, errors.SplatpackError):
        monkeypatch.setattr("splatpack.cli.verify._check", fail)
    done = cli("verify", folder / "scene.spk")
    text = done.err.lstrip("\n")
    one_line(Outcome(done.status, done.out, text), code, status)
    assert "\x1b" not in text
    assert "Traceback" not in text
    assert "--debug" in text or code != "internal"


def test_debug_shows_the_traceback(cli: Runner, folder: Path) -> None:
    done = cli("verify", folder / "none.spk", "--debug")
    assert done.status == 6
    assert "Traceback" in done.err
    assert done.err.rstrip().splitlines()[-1].startswith("splatpack: error [io]: ")


@pytest.mark.parametrize("kind", [k for k in vars(errors).values() if isinstance(k, type)])
def test_every_class_has_a_code_and_a_status(kind: type[errors.SplatpackError]) -> None:
    code, status, message = _errors.classify(kind("what happened"))
    assert (code, status, message) == (kind.code, kind.exit_code, "what happened")
    assert 1 <= status <= 6


HOSTILE: list[dict[str, object]] = [
    {},
    {
        "flags": 5,
        "encoder": [],
        "profiles": 7,
        "frame": {},
        "sh_degree": "x",
        "source": None,
        "generator": "\x1b[2J[b]",
    },
    {"profiles": [3, {"splat": {"attributes": 1}, "columns": [{"pipeline": [1, {}]}, 4]}], "encoder": {"n_in": "many"}},
]


@pytest.mark.parametrize("metadata", HOSTILE)
def test_info_of_hostile_metadata(metadata: dict[str, object], cli: Runner, folder: Path) -> None:
    with ContainerWriter() as writer, (folder / "odd.spk").open("wb") as file:
        writer.add([(9, b"whatever")], count=1, low=(0.0, 0.0, 0.0), high=(1.0, 1.0, 1.0), reach=1.0)
        writer.finish(metadata, b"", file)
    done = cli("info", folder / "odd.spk")
    assert done.status == 0, done.err
    assert "\x1b[2J" not in done.out
    assert cli("info", folder / "odd.spk", "--json").json["n"] == 1
    assert cli("verify", folder / "odd.spk").status == 3


def test_a_ply_without_gaussians(cli: Runner, folder: Path) -> None:
    with (folder / "none.ply").open("wb") as file:
        write_ply(file, synth.scene(0))
    for name in ("info", "compress"):
        one_line(cli(name, folder / "none.ply"), "invalid-scene", 3)
