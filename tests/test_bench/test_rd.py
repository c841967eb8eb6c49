from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from splatpack.bench import peers
from splatpack.bench.entrants import Entrant, PlanesZstd, own
from splatpack.bench.peers import Gsply, PeerError, SplatTransform, installed
from splatpack.bench.rd import Row, measure
from splatpack.bench.report import COLUMNS, cells, page
from splatpack.bench.scenes import procedural
from splatpack.formats.registry import read_scene, write_scene
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians

TOOL = """#!/bin/sh
for last; do source="$target"; target="$last"; done
case "$source" in *broken*) echo "cannot read it" >&2; exit 3;; esac
cat "$source" > "$target"
"""


@pytest.fixture(scope="module")
def scene() -> Gaussians:
    return procedural(800)


class Broken(Entrant):
    name = "broken"

    def encode(self, prepared: Any) -> bytes:
        raise RuntimeError("no\nsuch thing")

    def decode(self, data: bytes) -> Any:
        return data


def test_planes_and_zstd_are_lossless(scene: Gaussians, tmp_path: Path) -> None:
    codec = PlanesZstd()
    back = codec.decode(codec.encode(codec.prepare(scene, tmp_path)))
    for name in ATTRIBUTES:
        assert getattr(back, name).tobytes() == getattr(scene, name).tobytes()


def test_rows(scene: Gaussians) -> None:
    seen: list[tuple[str, int, int]] = []
    entrants = [e for e in own(threads=1) if e.name in ("splatpack high", "splatpack small", "splatpack lossless")]
    rows = list(
        measure([("it", scene)], [*entrants, Broken()], repeat=2, size=(64, 48), progress=lambda *a: seen.append(a))
    )
    assert [s[1:] for s in seen] == [(0, 4), (1, 4), (2, 4), (3, 4)]
    high, small, lossless, broken = rows
    assert lossless.psnr == 100.0
    assert lossless.psnr > (high.psnr or 0) > (small.psnr or 0) > 10
    assert lossless.bytes > high.bytes > small.bytes
    for row in rows[:3]:
        assert row.bpg == pytest.approx(8 * row.bytes / 800)
        assert row.mgs_per_s == pytest.approx(row.n_out / (row.decode_s or 0) / 1e6)
        assert (row.peak_rss or 0) > 10 << 20
        assert row.error == ""
    assert broken == Row("broken", "it", 800, error="RuntimeError: no such thing")


def test_page_is_self_contained(scene: Gaussians) -> None:
    rows = [
        Row("splatpack high", "<scene>", 800, 800, 900, 9.0, 40.0, 35.0, 0.99, 0.1, 0.01, 1.0, 1.0, 0.08, 1 << 27),
        Row("byte planes", "<scene>", 800, 800, 9000, 90.0, 100.0, 100.0, 1.0, 0.1, 0.01, 1.0, 1.0, 0.08, 1 << 27),
        Row("broken", "<scene>", 800, error="PeerError: <none>"),
        Row("alone", "other", 800, error="no"),
    ]
    html = page({"cpu": "a & b"}, rows, repeat=3)
    assert html.count("<svg") == 1
    assert "&lt;scene&gt;" in html
    assert "a &amp; b" in html
    assert "PeerError: &lt;none&gt;" in html
    for outside in ("http", "<script", "src=", "<link", "@import", "url("):
        assert outside not in html
    assert all(len(cells(row)) == len(COLUMNS) for row in rows)
    assert cells(rows[2])[1:] == ["-"] * (len(COLUMNS) - 1)


def test_splat_transform_is_run_as_a_program(scene: Gaussians, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "splat-transform"
    tool.write_text(TOOL)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = [e for e in installed() if isinstance(e, SplatTransform)]
    assert [e.name for e in found] == ["splat-transform .spz", "splat-transform .sog"]
    row = next(measure([("it", scene)], found, repeat=1, size=(64, 48)))
    assert (row.psnr, row.error) == (100.0, "")
    assert (row.peak_rss or 0) > 1 << 20
    with pytest.raises(PeerError, match="exit status 3: cannot read it"):
        found[0].encode(tmp_path / "broken.ply")


def test_programs_that_hang_or_do_not_exist_are_stopped() -> None:
    with pytest.raises(PeerError, match=r"more than 0\.2 s"):
        peers.run(["/bin/sh", "-c", "sleep 30"], 0.2)
    with pytest.raises(PeerError, match="cannot be started"):
        peers.run(["/no/such/program"], 1)
    status, text, _ = peers.run(["/bin/sh", "-c", "echo why >&2; exit 4"], 5)
    assert (status, text) == (4, "why\n")


def test_gsply_is_called_as_its_documentation_says(
    scene: Gaussians, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plywrite(path: str, data: Any, **columns: Any) -> None:
        with Path(path).open("wb") as file:
            write_scene(file, scene if isinstance(data, np.ndarray) else data.scene, ".ply")

    def load(path: str) -> SimpleNamespace:
        found = read_scene(path)
        return SimpleNamespace(scene=found, **{name: getattr(found, name) for name in ATTRIBUTES})

    fake = ModuleType("gsply")
    calls = {"plyread": load, "read_spz": load, "plywrite": plywrite, "write_spz": lambda p, d, version: plywrite(p, d)}
    for name, call in calls.items():
        setattr(fake, name, call)
    monkeypatch.setitem(sys.modules, "gsply", fake)
    rows = list(measure([("it", scene)], [Gsply(".spz"), Gsply(".compressed.ply")], repeat=1, size=(64, 48)))
    assert [r.error for r in rows] == ["", ""]
    assert [r.psnr for r in rows] == [100.0, 100.0]


def test_peers_that_are_missing_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gsply", None)
    monkeypatch.setenv("PATH", "/no/such/folder")
    assert installed() == []
