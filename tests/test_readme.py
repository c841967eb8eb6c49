"""What README.md shows works as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import splatpack
from splatpack.cli import main as cli
from splatpack.formats.ply import write_ply
from splatpack.render.views import orbit_cameras
from tests import synth

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def scene_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_ply(tmp_path / "scene.ply", synth.scene(1500, 1, seed=1))
    return tmp_path


def test_the_commands(scene_folder: Path) -> None:
    lines = [line[2:].split("#")[0] for block in _blocks("console") for line in block.splitlines() if line[:2] == "$ "]
    assert len(lines) >= 9
    for line in lines:
        words = shlex.split(line)
        assert words[0] == "splatpack"
        extra = ["-f"] if words[1] in ("compress", "render", "decompress", "compare") else []
        assert cli.main([*words[1:], *extra]) == 0, line
    assert {"scene.spk", "s.spk", "picture.png", "side_by_side.png", "back.ply"} <= {
        p.name for p in scene_folder.iterdir()
    }


def test_the_python(scene_folder: Path) -> None:
    (block,) = _blocks("python")
    names: dict[str, Any] = {"camera": orbit_cameras(splatpack.read("scene.ply"), 1, 64, 48)[0]}
    exec(block, names)
    assert names["image"].shape == (48, 64, 3)
    assert names["image"].dtype == np.float32
    assert 0 < len(names["part"]) < 1500
    assert names["report"].psnr_mean > 0


def test_the_links() -> None:
    root = Path(__file__).resolve().parents[1]
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(links) > 8
    assert [link for link in links if "://" not in link and not (root / link).exists()] == []
