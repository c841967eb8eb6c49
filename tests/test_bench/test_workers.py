from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from splatpack.bench import workers
from splatpack.bench.workers import own, python
from splatpack.formats.registry import read_scene, write_scene
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians
from tests import synth

NODE = shutil.which("node")
SPZ_JS = """
const pack = (value) => Array.from(value);
export const serializeSpz = async (cloud) => Buffer.from(JSON.stringify({
  ...cloud, ...Object.fromEntries(Object.entries(cloud).filter(([, v]) => v.length > 0).map(([k, v]) => [k, pack(v)])),
}));
export const loadSpz = async (bytes) => JSON.parse(Buffer.from(bytes).toString());
"""


@pytest.fixture(scope="module")
def scene() -> Gaussians:
    return synth.scene(300, degree=2, seed=6)


def write(path: Path, scene: Gaussians) -> Path:
    with path.open("wb") as file:
        write_scene(file, scene, ".ply")
    return path


def job(folder: Path, codec: str, action: str, **options: Any) -> dict[str, Any]:
    files = [str(folder / "in.ply"), str(folder / "coded"), str(folder / "out.ply")]
    source, target = files[:2] if action == "encode" else files[1:]
    return {
        "action": action, "codec": codec, "options": options, "source": source, "target": target, "home": str(folder),
        "answer": str(folder / "answer.json"), "repeat": 2, "slow": 30, "threads": 1,
    }  # fmt: skip


def answer(folder: Path, todo: dict[str, Any], run: Any) -> dict[str, Any]:
    (folder / "job.json").write_text(json.dumps(todo))
    run(str(folder / "job.json"))
    said: dict[str, Any] = json.loads((folder / "answer.json").read_text())
    assert len(said["seconds"]) == len(said["cpu"]) == 2
    assert said["peak_rss"] > 1 << 20
    return said


@pytest.mark.parametrize(
    ("codec", "options"),
    [("splatpack", {"preset": "high", "goal": None, "exact": list(ATTRIBUTES)}), ("planes", {}), ("general", {})],
)
def test_lossless_workers_give_back_every_bit(
    scene: Gaussians, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str, options: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    given = read_scene(write(tmp_path / "in.ply", scene))
    for action in ("encode", "decode"):
        answer(tmp_path, job(tmp_path, codec, action, **options), own.main)
    back = read_scene(tmp_path / "out.ply")
    if codec == "splatpack":  # its rows may be in another order
        back = back.take(np.lexsort(back.means.T))
        given = given.take(np.lexsort(given.means.T))
    for name in ATTRIBUTES:
        assert getattr(back, name).tobytes() == getattr(given, name).tobytes()


def test_own_worker_obeys_settings(scene: Gaussians, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "in.ply", scene)
    sizes = []
    for q in (0.2, 2.0):
        options = {"preset": "small", "goal": None, "refine": 0, "q": q, "prune": 0.5}
        for action in ("encode", "decode"):
            answer(tmp_path, job(tmp_path, "splatpack", action, **options), own.main)
        assert len(read_scene(tmp_path / "out.ply")) == 150
        sizes.append((tmp_path / "coded").stat().st_size)
    assert sizes[0] > sizes[1]


def test_own_worker_searches_once(scene: Gaussians, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "in.ply", scene)
    sizes = []
    for db in (35.0, 50.0):
        todo = job(tmp_path, "splatpack", "encode", preset="high", target_psnr=db)
        (tmp_path / "job.json").write_text(json.dumps(todo))
        own.main(str(tmp_path / "job.json"))
        assert len(json.loads((tmp_path / "answer.json").read_text())["seconds"]) == 1
        sizes.append((tmp_path / "coded").stat().st_size)
    assert sizes[0] < sizes[1]


def fake_gsply(scene: Gaussians) -> ModuleType:
    def save(path: str, data: Any, **columns: Any) -> None:
        assert set(columns) in (set(), {"scales", "quats", "opacities", "sh0", "shN", "compressed"}, {"version"})
        write(Path(path), scene if isinstance(data, np.ndarray) else data.scene)

    def load(path: str) -> SimpleNamespace:
        found = read_scene(path)
        return SimpleNamespace(scene=found, **{name: getattr(found, name) for name in ATTRIBUTES})

    fake = ModuleType("gsply")
    for name, call in {"plyread": load, "read_spz": load, "plywrite": save, "write_spz": save}.items():
        setattr(fake, name, call)
    return fake


class FakeForge:
    def read(self, data: bytes, form: str) -> dict[str, Any]:
        return {"error": "broken"} if data == b"broken" else {"data": {"form": form, "data": data}}

    def write(self, scene: dict[str, Any], form: str, **options: Any) -> dict[str, Any]:
        assert form == "ply" or options == {"spz_version": 4}
        return {"data": scene["data"]}


@pytest.mark.parametrize(
    ("codec", "options"),
    [("gsply", {}), ("gsply-compressed", {}), ("gaussforge", {"format": "spz", "spz_version": 4})],
)
def test_python_worker_calls_libraries_as_they_are_documented(
    scene: Gaussians, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str, options: dict[str, Any]
) -> None:
    forge = ModuleType("gaussforge")
    forge.GaussForge = FakeForge  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gsply", fake_gsply(scene))
    monkeypatch.setitem(sys.modules, "gaussforge", forge)
    write(tmp_path / "in.ply", scene)
    for action in ("encode", "decode"):
        answer(tmp_path, job(tmp_path, codec, action, **options), python.main)
    assert (tmp_path / "out.ply").read_bytes() == (tmp_path / "in.ply").read_bytes()


def test_python_worker_passes_errors_on_and_sogpy_only_encodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forge, sog = ModuleType("gaussforge"), ModuleType("SogPython")
    forge.GaussForge = FakeForge  # type: ignore[attr-defined]
    sog.convert_ply_to_sog = lambda a, b: shutil.copy(a, b)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gaussforge", forge)
    monkeypatch.setitem(sys.modules, "SogPython", sog)
    (tmp_path / "in.ply").write_bytes(b"broken")
    with pytest.raises(RuntimeError, match="broken"):
        answer(tmp_path, job(tmp_path, "gaussforge", "encode", format="sog"), python.main)
    answer(tmp_path, job(tmp_path, "sogpy", "encode"), python.main)
    assert (tmp_path / "coded").read_bytes() == b"broken"
    assert not hasattr(python.Sogpy, "decode")


def test_python_worker_needs_nothing_of_splatpack() -> None:
    code = (
        "import sys, runpy; sys.path = [p for p in sys.path if 'site-packages' not in p];"
        f"runpy.run_path({str(Path(python.__file__))!r}); print([m for m in sys.modules if 'splatpack' in m])"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(NODE is None, reason="node is not installed")
@pytest.mark.parametrize("degree", [0, 2, 3])
def test_node_worker_maps_columns_there_and_back(tmp_path: Path, degree: int) -> None:
    package = tmp_path / "node_modules" / "spz-js" / "dist"
    package.mkdir(parents=True)
    (package / "index.js").write_text(SPZ_JS)
    (package / "package.json").write_text('{"type": "module"}')
    given = read_scene(write(tmp_path / "in.ply", synth.scene(50, degree=degree, seed=8)))
    script = Path(workers.__file__).with_name("node.mjs")

    def run(path: str) -> None:
        subprocess.run([str(NODE), "--expose-gc", str(script), path], check=True, timeout=60)

    answer(tmp_path, job(tmp_path, "spz-js", "encode"), run)
    cloud = json.loads((tmp_path / "coded").read_text())
    assert cloud["shDegree"] == degree
    assert np.allclose(np.reshape(cloud["rotations"], (50, 4)), np.roll(given.quats, -1, axis=1), atol=1e-6)
    if degree:
        assert np.allclose(np.reshape(cloud["sh"], given.shN.shape), given.shN, atol=1e-6)
    answer(tmp_path, job(tmp_path, "spz-js", "decode"), run)
    back = read_scene(tmp_path / "out.ply")
    for name in ATTRIBUTES:
        assert np.allclose(getattr(back, name), getattr(given, name), atol=1e-6)
