"""``splatpack view``: the page that it writes, and the server that it runs."""

from __future__ import annotations

import base64
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from splatpack.cli.main import main
from splatpack.formats.ply import write_ply
from splatpack.pack.api import write
from tests import synth

Out = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def spk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("view") / "fox.spk"
    write(path, synth.scene(300, 1, seed=3), goal=None, refine=0, importance_views=0)
    return path


def embedded(html: Path) -> bytes:
    return base64.b64decode(re.findall(r'id="scene">([^<]*)<', html.read_text())[0])


def test_export_writes_one_page_and_states_its_size(spk: Path, tmp_path: Path, capsys: Out) -> None:
    target = tmp_path / "fox.html"
    assert main(["view", str(spk), "--export", str(target), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["bytes_out"] == target.stat().st_size
    assert said["url"] == target.as_uri()
    assert embedded(target) == spk.read_bytes()
    assert '<h1 id="name">fox</h1>' in target.read_text()


def test_export_says_what_takes_the_bytes(spk: Path, tmp_path: Path, capsys: Out) -> None:
    assert main(["view", str(spk), "--export", str(tmp_path / "x.html")]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert re.search(r"kB: the scene .*, as text .*, and the viewer", said.err)


def test_an_existing_page_is_replaced_only_by_force(spk: Path, tmp_path: Path, capsys: Out) -> None:
    target = tmp_path / "x.html"
    target.write_text("mine")
    assert main(["view", str(spk), "--export", str(target)]) == 6
    assert "[exists]" in capsys.readouterr().err
    assert target.read_text() == "mine"
    assert main(["view", str(spk), "--export", str(target), "-f"]) == 0
    assert embedded(target) == spk.read_bytes()


def test_a_scene_of_another_format_is_compressed_first(tmp_path: Path, capsys: Out) -> None:
    source, target = tmp_path / "my scene.ply", tmp_path / "x.html"
    write_ply(source, synth.scene(200, 0, seed=4))
    assert main(["view", str(source), "--export", str(target), "--quiet"]) == 0
    assert embedded(target).startswith(b"\x89SPK")
    assert '<h1 id="name">my scene</h1>' in target.read_text()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "content", "status"), [("x.spk", b"\x89SPK\r\n\x1a\n" + bytes(200), 3), ("x.txt", b"hello", 4)]
)
def test_what_is_no_scene_gives_no_page(tmp_path: Path, capsys: Out, name: str, content: bytes, status: int) -> None:
    source, target = tmp_path / name, tmp_path / "x.html"
    source.write_bytes(content)
    assert main(["view", str(source), "--export", str(target)]) == status
    assert "splatpack: error" in capsys.readouterr().err
    assert not target.exists()


def test_a_server_gives_out_viewer_and_scene_until_it_is_interrupted(spk: Path) -> None:
    command = [sys.executable, "-m", "splatpack.cli.main", "view", str(spk), "--no-open", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = json.loads(process.stdout.readline())
            assert said["url"].endswith("/viewer/?scene=fox")
            with urlopen(said["url"], timeout=20) as page:
                assert b'<canvas id="view"' in page.read()
            with urlopen(said["url"].replace("viewer/?scene=fox", "scenes/fox.spk"), timeout=20) as file:
                assert file.read() == spk.read_bytes()
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
