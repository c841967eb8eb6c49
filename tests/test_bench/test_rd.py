from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from splatpack.bench.entrants import Entrant, own
from splatpack.bench.jury import Input, Jury
from splatpack.bench.rd import How, measure
from splatpack.bench.row import Row
from splatpack.bench.scenes import procedural
from splatpack.formats.ply import write_ply
from splatpack.render.compare import compare
from splatpack.render.views import evaluation_cameras
from splatpack.scene.gaussians import Gaussians
from tests import synth

COPY = """
import json, sys, time
job = json.load(open(sys.argv[1]))
options = job["options"]
with open(options["log"], "a") as log:
    log.write(job["action"] + " " + job["codec"] + "\\n")
time.sleep(options.get("sleep", 0) if job["action"] == options.get("on", "encode") else 0)
if options.get("fail") == job["action"]:
    raise RuntimeError("no such thing")
data = open(job["source"], "rb").read()
open(job["target"], "wb").write(data if not options.get("nonsense") else b"nonsense")
json.dump({"seconds": [0.25], "cpu": [0.125], "peak_rss": 5 << 20}, open(job["answer"], "w"))
"""


@pytest.fixture(scope="module")
def scene() -> Gaussians:
    return procedural(800)


@pytest.fixture
def copy(tmp_path: Path) -> Entrant:
    """A codec that copies the PLY."""
    (tmp_path / "copy.py").write_text(COPY)
    words = (sys.executable, str(tmp_path / "copy.py"))
    return Entrant("copy", "copy", "1", words, "copy", ".ply", {"log": str(tmp_path / "log")})


def log(tmp_path: Path) -> list[str]:
    return (tmp_path / "log").read_text().splitlines()


def rows(scene: Gaussians, entrants: Sequence[Entrant], how: How | None = None) -> list[Row]:
    return list(measure([Input("it", lambda: scene)], entrants, how or How(repeat=1, size=(64, 48))))


def test_own_rows(scene: Gaussians) -> None:
    names = ("splatpack high, no search", "splatpack q=0.03", "splatpack lossless")
    high, fine, lossless = rows(scene, [e for e in own() if e.name in names])
    assert lossless.psnr == 100.0
    assert lossless.psnr > (fine.psnr or 0) > 60 > (high.psnr or 0) > 30
    assert lossless.bytes > fine.bytes > high.bytes
    for row in (high, fine, lossless):
        assert (row.status, row.error, row.n) == ("ok", "", 800)
        assert row.bpg == pytest.approx(8 * row.bytes / 800)
        assert row.mgs_per_s == pytest.approx(row.n_out / (row.decode_s or 0) / 1e6)
        assert (row.peak_rss or 0) > 10 << 20
        assert Row.of(row.as_dict()) == row


def test_figures_of_a_codec(scene: Gaussians, copy: Entrant) -> None:
    (row,) = rows(scene, [copy])
    assert (row.psnr, row.psnr_min, row.n_out, row.family) == (100.0, 100.0, 800, "copy")
    assert (row.encode_s, row.decode_s, row.decode_cpu_s, row.peak_rss) == (0.25, 0.25, 0.125, 5 << 20)


def test_progress_and_facts(scene: Gaussians, copy: Entrant) -> None:
    seen: list[tuple[str, int, int]] = []
    one = Input("it", lambda: scene)
    list(measure([one], [copy, copy], How(1, size=(64, 48)), lambda *a: seen.append(a)))
    assert seen == [("it: copy", 0, 2), ("it: copy", 1, 2)]
    assert (one.facts["n"], one.facts["sh_degree"], len(one.facts["sha256"])) == (800, 3, 64)


def test_what_fails_is_a_row_that_says_so(scene: Gaussians, copy: Entrant) -> None:
    def but(**options: object) -> Entrant:
        return replace(copy, options={**copy.options, **options})

    found = rows(
        scene,
        [
            but(fail="encode"),
            but(fail="decode"),
            but(nonsense=True),
            replace(copy, missing="not installed: here"),
            replace(copy, words=("/no/such/program",)),
        ],
    )
    assert [r.status for r in found] == ["failed", "failed", "failed", "missing", "failed"]
    assert found[0].error == "encode: exit status 1: RuntimeError: no such thing"
    assert found[1].error == "decode: exit status 1: RuntimeError: no such thing"
    assert "UnsupportedError" in found[2].error
    assert found[3].error == "not installed: here"
    assert "cannot be started" in found[4].error
    assert all(r.psnr is None and r.bytes == 0 for r in found)


@pytest.mark.parametrize("action", ["encode", "decode"])
def test_what_takes_too_long_is_stopped(scene: Gaussians, copy: Entrant, action: str) -> None:
    slow = replace(copy, options={**copy.options, "sleep": 60, "on": action})
    (row,) = rows(scene, [slow], How(1, timeout=1, size=(64, 48)))
    assert row.status == "timeout"
    assert row.error == f"{action}: stopped after 1 s, unfinished."


def test_settings_about_sh_are_left_out_without_sh(scene: Gaussians, copy: Entrant) -> None:
    plain = scene.with_sh_degree(0)
    assert rows(plain, [replace(copy, needs_sh=True)]) == []
    assert len(rows(scene, [replace(copy, needs_sh=True)])) == 1


def test_another_decoder(scene: Gaussians, copy: Entrant, tmp_path: Path) -> None:
    (row,) = rows(scene, [replace(copy, decoder=(copy.words, "other"))])
    assert row.psnr == 100.0
    assert log(tmp_path) == ["encode copy", "decode other"]


def test_a_run_goes_on_where_it_stood(scene: Gaussians, copy: Entrant, tmp_path: Path) -> None:
    how = How(1, size=(64, 48), store=tmp_path / "store")
    first = rows(scene, [copy], how)
    assert rows(scene, [copy], how) == first
    assert log(tmp_path) == ["encode copy", "decode copy"]
    rows(scene, [copy], replace(how, size=(32, 24)))
    assert log(tmp_path)[2:] == ["decode copy"]
    rows(scene, [replace(copy, version="2")], how)
    assert log(tmp_path)[3:] == ["encode copy", "decode copy"]
    rows(procedural(800, seed=9), [copy], how)
    assert log(tmp_path)[5:] == ["encode copy", "decode copy"]


def test_a_limit_is_remembered_until_it_is_raised(scene: Gaussians, copy: Entrant, tmp_path: Path) -> None:
    how = How(1, timeout=1, size=(64, 48), store=tmp_path / "store")
    slow = replace(copy, options={**copy.options, "sleep": 3})
    for _ in range(2):
        (row,) = rows(scene, [slow], how)
        assert row.error == "encode: stopped after 1 s, unfinished."
    assert log(tmp_path) == ["encode copy"]
    (row,) = rows(scene, [slow], replace(how, timeout=60))
    assert row.psnr == 100.0
    assert rows(scene, [slow], how)[0].psnr == 100.0
    assert log(tmp_path) == ["encode copy", "encode copy", "decode copy"]


def test_the_jury_agrees_with_compare(scene: Gaussians, tmp_path: Path) -> None:
    jury = Jury(scene, tmp_path / "a.ply", (64, 48), None)
    other = replace(scene, sh0=scene.sh0 + 0.05)
    Jury(other, tmp_path / "b.ply", (64, 48), None)
    n, found = jury.judge(tmp_path / "b.ply")
    assert n == 800
    assert found == compare(scene, other, evaluation_cameras(scene, 64, 48))


def test_rows_of_json_are_checked() -> None:
    with pytest.raises(KeyError):
        Row.of({"codec": "a", "scene": "b"})
    for wrong in ({"n": "5"}, {"n": True}, {"psnr": "high"}, {"bytes": 1.5}):
        with pytest.raises(TypeError):
            Row.of({"codec": "a", "scene": "b", "n": 5, **wrong})
    assert Row.of({"codec": "a", "scene": "b", "n": 5, "unknown": 1}) == Row("a", "b", 5)


def test_a_flag_that_a_format_cannot_hold_is_not_held_against_a_codec(tmp_path: Path) -> None:
    scene = replace(synth.scene(300, degree=0, seed=2), antialiased=True)
    jury = Jury(scene, tmp_path / "a.ply", (64, 48), None)
    write_ply(tmp_path / "bare.ply", replace(jury.reference, antialiased=False))
    assert jury.judge(tmp_path / "bare.ply")[1].psnr_min == 100.0
