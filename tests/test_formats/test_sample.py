from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from splatpack.formats.ply import read_ply
from splatpack.scene.validate import validate

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "make_sample.py"


@pytest.fixture(scope="module")
def sample() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_sample", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_sample"] = module
    spec.loader.exec_module(module)
    return module


def test_the_sample_is_a_clean_scene_and_the_same_every_time(
    sample: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / "a.ply", tmp_path / "b.ply"]
    for file in files:
        monkeypatch.setattr(sys, "argv", ["make_sample.py", str(file), "--count", "4000"])
        sample.main()
    assert "4,000 Gaussians" in capsys.readouterr().out
    assert files[0].read_bytes() == files[1].read_bytes()
    scene = read_ply(files[0])
    assert (len(scene), scene.sh_degree) == (4000, 3)
    assert validate(scene)[1].clean
    alpha = 1 / (1 + np.exp(-scene.opacities))
    assert 0.09 < alpha.min() < 0.3 < 0.95 < alpha.max() < 0.991
    assert scene.shN[:, :3].std() > scene.shN[:, 8:].std() > 0.005


def test_too_small_a_count_is_refused(sample: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["make_sample.py", "x.ply", "--count", "5"])
    with pytest.raises(SystemExit):
        sample.main()
