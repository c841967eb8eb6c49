from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from splatpack.bench.entrants import CURVE, FINE, LOSSLESS, OWN, REFITTED, own
from splatpack.bench.peers import Home, default_home, peers
from splatpack.pack.presets import PRESETS

SCRIPT = Path(__file__).parents[2] / "scripts" / "peers"


def install(home: Path, package: str, number: str) -> None:
    folder = home / "node_modules" / package
    folder.mkdir(parents=True)
    (folder / "package.json").write_text(json.dumps({"name": package, "version": number}, indent=2))


def wheel(home: Path, package: str, number: str) -> None:
    folder = home / "venv" / "lib" / "python3.11" / "site-packages" / f"{package}-{number}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {number}\n")
    (home / "venv" / "bin").mkdir(exist_ok=True)
    (home / "venv" / "bin" / "python").touch()


def test_own_curve_has_the_presets_and_what_lies_between() -> None:
    found = own()
    assert len({e.name for e in found}) == len(found)
    curve = [e for e in found if e.family == OWN]
    assert len(curve) == len(PRESETS) + 1 + len(CURVE) + len(FINE)
    names = [e.name for e in own(()) if e.family == OWN]
    assert names == [*(f"splatpack {name}" for name in PRESETS), "splatpack high, no search"]
    assert LOSSLESS in {e.family for e in found}
    assert len({json.dumps(e.key()) for e in found}) == len(found)


def test_low_qualities_are_refitted() -> None:
    options = {e.name: e.options for e in own((REFITTED, REFITTED + 1))}
    assert options["splatpack 42 dB"] == {"preset": "medium", "target_psnr": 42.0}
    assert options["splatpack 43 dB"]["preset"] == "high"


def test_peers_that_are_absent_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = peers(tmp_path / "nothing")
    assert len(found) > 15
    assert all("scripts/peers installs it" in e.missing for e in found)
    assert len({e.name for e in found}) == len(found)
    monkeypatch.setenv("PATH", str(tmp_path))
    install(tmp_path, "spz-js", "9.9.9")
    (absent,) = [e for e in peers(tmp_path) if e.codec == "spz-js"]
    assert "node is not on the PATH" in absent.missing
    assert Home(tmp_path).node_version() is None


def test_peers_that_are_there_carry_their_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = tmp_path / "bin" / "node"
    node.parent.mkdir()
    node.write_text("#!/bin/sh\necho v77.1.0\n")
    node.chmod(0o755)
    monkeypatch.setenv("PATH", str(node.parent))
    install(tmp_path, "spz-js", "9.9.9")
    wheel(tmp_path, "gsply", "3.2.1")
    there = {e.codec: e for e in peers(tmp_path) if not e.missing}
    assert set(there) == {"spz-js", "gsply", "gsply-compressed"}
    assert there["spz-js"].name == "SPZ 2 (spz-js 9.9.9)"
    assert there["gsply"].version == "gsply 3.2.1"
    assert there["spz-js"].words[0] == str(node)
    assert Home(tmp_path).node_version() == "77.1.0"


def test_a_package_with_a_broken_description_is_absent(tmp_path: Path) -> None:
    install(tmp_path, "spz-js", "1")
    (tmp_path / "node_modules" / "spz-js" / "package.json").write_text("{")
    assert Home(tmp_path).npm("spz-js") == ""


def test_default_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLATPACK_PEERS", str(tmp_path / "p"))
    assert default_home() == tmp_path / "p"
    monkeypatch.delenv("SPLATPACK_PEERS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_home() == tmp_path / "splatpack" / "peers"


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_the_script_goes_on_without_npm_and_without_python(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "mkdir", "sed", "head"):
        path = next(Path(p) / name for p in os.environ["PATH"].split(":") if (Path(p) / name).exists())
        (tools / name).symlink_to(path)
    home = tmp_path / "peers"
    install(home, "gsplat", "1.2.9")
    environment = {"PATH": str(tools), "HOME": str(tmp_path), "PYTHON": "/no/such/python"}
    done = subprocess.run(
        [str(SCRIPT), str(home)], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "there      gsplat 1.2.9" in done.stderr
    assert "missing    spz-js: npm and node are not on the PATH" in done.stderr
    assert "missing    gsply: there is no" in done.stderr
