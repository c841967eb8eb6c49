"""A folder with one small scene in both formats, and the runner that every test of a command uses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from splatpack.cli.main import main
from splatpack.formats.ply import write_ply
from tests import synth

COUNT = 1500


@dataclass(frozen=True)
class Outcome:
    """What a command left: its status and what it printed."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout; fails when there is anything else."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        assert self.out.count("\n") == 1
        return value


Runner = Callable[..., Outcome]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Runner:
    def run(*args: object) -> Outcome:
        capsys.readouterr()
        status = main([str(a) for a in args])
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    with (folder / "scene.ply").open("wb") as file:
        write_ply(file, synth.scene(COUNT, degree=2, seed=3))
    source, target = str(folder / "scene.ply"), str(folder / "scene.spk")
    how = ["--preset", "near-lossless", "--prune", "off", "--no-measure", "--quiet"]
    assert main(["compress", source, "-o", target, *how]) == 0
    return folder


@pytest.fixture
def folder(originals: Path, tmp_path: Path) -> Path:
    """Fresh copies that a test may damage or overwrite."""
    for name in ("scene.ply", "scene.spk"):
        shutil.copy(originals / name, tmp_path / name)
    return tmp_path
