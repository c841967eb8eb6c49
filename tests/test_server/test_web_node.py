"""The viewer's code under node, where there is one: all vectors of the specification, the protocol, the loaders."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import zstandard

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests" / "web"


def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("no node on the path: the viewer's JavaScript is not tested here")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.strip().lstrip("v").split(".")[0]) < 20:
        pytest.skip(f"node {version.strip()}, expected 20 or newer")
    return found


def frames(folder: Path) -> None:
    """Write Zstandard frames of every kind of block and table, and what is in them."""
    rng = np.random.default_rng(11)
    words = [b"splat ", b"gauss ", b"chunk ", b"level ", b"\x00\x01\x02"]
    contents = {
        "empty": b"",
        "one": b"x",
        "same": b"a" * 5000,
        "noise": rng.bytes(3000),
        "skewed": np.minimum(rng.geometric(0.3, 200_000), 255).astype(np.uint8).tobytes(),
        "words": b"".join(words[i] for i in rng.integers(0, 5, 40_000)),
        "mixed": b"".join([rng.bytes(900), b"z" * 900, np.arange(900, dtype=np.uint32).tobytes()]) * 40,
        "short": b"".join(words[i] for i in rng.integers(0, 5, 60)),
    }
    for name, content in contents.items():
        for level in (1, 3, 9, 19):
            for checksum in (False, True):
                packed = zstandard.ZstdCompressor(level=level, write_checksum=checksum).compress(content)
                stem = folder / f"{name}-{level}-{int(checksum)}"
                stem.with_suffix(".zst").write_bytes(packed)
                stem.with_suffix(".raw").write_bytes(content)


@pytest.mark.parametrize("name", ["vectors", "stream", "units", "load"])
def test_under_node(name: str, tmp_path: Path) -> None:
    if name == "units":
        frames(tmp_path)
    environment = {**os.environ, "SPLATPACK_ZSTD_FRAMES": str(tmp_path) if name == "units" else ""}
    command = [node(), "--test", "--test-reporter=tap", f"{name}.test.js"]
    done = subprocess.run(command, cwd=TESTS, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "# fail 0" in done.stdout
    assert "# skipped 0" in done.stdout


def test_every_test_file_runs() -> None:
    assert {path.name for path in TESTS.glob("*.test.js")} == {
        f"{n}.test.js" for n in ("vectors", "stream", "units", "load")
    }
