from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import splatpack
from splatpack.errors import ChecksumError
from splatpack.formats.ply import read_ply, write_ply
from splatpack.pack.api import QUALITY_BYTES
from splatpack.pack.verify import VerifyReport
from splatpack.render.views import orbit_cameras
from splatpack.scene.gaussians import ATTRIBUTES
from splatpack.scene.readcameras import read_cameras
from tests import synth
from tests.test_cli.conftest import COUNT, Runner

KEYS = {
    "input", "output", "n_in", "n_out", "bytes_in", "bytes_out", "ratio", "bits_per_gaussian", "seconds", "preset",
    "psnr_mean", "psnr_min", "stages",
}  # fmt: skip


def test_json(cli: Runner, folder: Path) -> None:
    source, target = folder / "scene.ply", folder / "new.spk"
    done = cli("compress", source, "-o", target, "--json", "--verify")
    assert done.status == 0
    assert done.err == ""
    values = done.json
    assert set(values) >= KEYS
    assert (values["input"], values["output"]) == (str(source), str(target))
    assert (values["n_in"], values["preset"]) == (COUNT, "high")
    assert 0 < values["n_out"] <= COUNT
    assert values["search"][-1]["bytes"] <= values["bytes_out"] <= values["search"][-1]["bytes"] + QUALITY_BYTES
    assert (values["bytes_in"], values["bytes_out"]) == (source.stat().st_size, target.stat().st_size)
    assert values["ratio"] == pytest.approx(values["bytes_in"] / values["bytes_out"])
    assert values["bits_per_gaussian"] == pytest.approx(8 * values["bytes_out"] / COUNT)
    assert 20 < values["psnr_min"] <= values["psnr_mean"] < 100
    stages = [s["stage"] for s in values["stages"]]
    assert stages[0] == "read"
    assert stages[-2:] == ["measure", "verify"]
    assert values["verified"] is True


def test_default_output_and_force(cli: Runner, folder: Path) -> None:
    (folder / "scene.spk").unlink()
    done = cli("compress", folder / "scene.ply", "--no-measure")
    assert (done.status, done.out) == (0, "")
    assert "bits per Gaussian" in done.err
    first = (folder / "scene.spk").read_bytes()
    assert cli("compress", folder / "scene.ply", "--no-measure", "--threads", 1).status == 6
    assert cli("compress", folder / "scene.ply", "--no-measure", "--threads", 1, "-f").status == 0
    assert (folder / "scene.spk").read_bytes() == first


def test_quiet(cli: Runner, folder: Path) -> None:
    done = cli("compress", folder / "scene.ply", "-f", "--quiet", "--no-measure")
    assert (done.status, done.out, done.err) == (0, "", "")


def test_no_measure_gives_null(cli: Runner, folder: Path) -> None:
    values = cli("compress", folder / "scene.ply", "-f", "--json", "--no-measure").json
    assert values["psnr_mean"] is None
    assert values["psnr_min"] is None


@pytest.mark.parametrize("order", [[], ["--keep-order"]])
def test_lossless(order: list[str], cli: Runner, folder: Path) -> None:
    target = folder / "new.spk"
    done = cli("compress", folder / "scene.ply", "-o", target, "--lossless", *order, "--json")
    assert done.status == 0, done.err
    assert done.json["preset"] == "lossless"
    assert done.json["psnr_mean"] == 100.0
    a, b = read_ply(folder / "scene.ply", normalise=False), splatpack.read(target)
    rows = [np.concatenate([getattr(s, n).reshape(COUNT, -1) for n in ATTRIBUTES], axis=1) for s in (a, b)]
    if not order:
        rows = [r[np.lexsort(r.T)] for r in rows]
    assert rows[0].tobytes() == rows[1].tobytes()


def test_quality_options(cli: Runner, folder: Path) -> None:
    def size(*options: object) -> int:
        done = cli("compress", folder / "scene.ply", "-o", folder / "new.spk", "-f", "--json", "--no-measure", *options)
        assert done.status == 0, done.err
        return int(done.json["bytes_out"])

    base = size()
    assert size("--preset", "small", "--refine", "off") < size("--preset", "medium", "--refine", "off") < base
    assert size("--quality", 2) < size("--quality", 0.5) < size("--quality", 0.1)
    base = size("--quality", 0.55)
    assert size("--step", "scale=0.5", "--step", "sh=0.2") < base
    assert size("--quality", 0.55, "--sh-degree", 0) < base
    assert size("--exact", "opacities") > base
    assert size("--max-error", "means=0.0001") > base


def test_prune(cli: Runner, folder: Path) -> None:
    def kept(*options: object) -> int:
        args = ("compress", folder / "scene.ply", "-o", folder / "new.spk", "-f", "--json", "--no-measure")
        return int(cli(*args, *options).json["n_out"])

    assert kept("--prune", 0.25) == COUNT - int(0.25 * COUNT)
    assert kept("--preset", "small", "--refine", "off") < COUNT
    assert kept("--prune", "off") == COUNT
    assert kept("--quality", 2) == COUNT


def test_refine(cli: Runner, folder: Path) -> None:
    def run(*options: object) -> dict[str, Any]:
        args = ("compress", folder / "scene.ply", "-o", folder / "new.spk", "-f", "--json", "--quality", 3)
        done = cli(*args, *options)
        assert done.status == 0, done.err
        return done.json

    plain, seconds = run(), run("--refine", 2)
    assert seconds["psnr_mean"] > plain["psnr_mean"]
    assert "refine" in [s["stage"] for s in seconds["stages"]]
    assert "refine" not in [s["stage"] for s in plain["stages"]]
    for bad in ("-1", "often", "nan"):
        assert cli("compress", folder / "scene.ply", "--refine", bad).status == 2


def test_max_error_holds(cli: Runner, folder: Path) -> None:
    target = folder / "new.spk"
    assert cli("compress", folder / "scene.ply", "-o", target, "--max-error", "sh0=0.01", "--quiet").status == 0
    a, b = splatpack.read(folder / "scene.ply"), splatpack.read(target)
    near = np.argsort(np.abs(a.means[:, None, 0] - b.means[None, :50, 0]), axis=0)[0]
    assert near.shape == (50,)
    assert abs(float(a.sh0.mean()) - float(b.sh0.mean())) < 0.01
    assert np.abs(np.sort(a.sh0.ravel()) - np.sort(b.sh0.ravel())).max() <= 0.01


def test_repairs_are_warned_about(cli: Runner, folder: Path) -> None:
    scene = synth.scene(300, degree=0)
    scene.means[7] = np.nan
    with (folder / "nan.ply").open("wb") as file:
        write_ply(file, scene)
    done = cli("compress", folder / "nan.ply", "--json")
    assert done.status == 0
    assert done.json["n_in"] == 299
    assert done.err.startswith("splatpack: warning: ")
    assert done.json["warnings"]
    assert cli("compress", folder / "nan.ply", "-f", "--lossless").status == 3


def test_verify_fails_with_3(cli: Runner, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = VerifyReport(errors=[ChecksumError("chunk at 900: its content hash does not match.")])
    monkeypatch.setattr("splatpack.pack.verify.verify", lambda *a, **k: report)
    done = cli("compress", folder / "scene.ply", "-f", "--verify", "--no-measure", "--json")
    assert (done.status, done.out) == (3, "")


def test_recompresses_a_spk(cli: Runner, folder: Path) -> None:
    done = cli("compress", folder / "scene.spk", "-o", folder / "less.spk", "--preset", "small", "--json")
    assert done.status == 0
    assert done.json["bytes_out"] < done.json["bytes_in"]


def test_the_scene_s_own_cameras(cli: Runner, folder: Path) -> None:
    source, cameras = folder / "scene.ply", folder / "own.json"
    own = orbit_cameras(read_ply(source), 5, 64, 48)
    objects = [
        {"viewmat": c.viewmat.tolist(), "fx": c.fx, "fy": c.fy, "width": c.width, "height": c.height} for c in own
    ]
    cameras.write_text(json.dumps(objects))
    for name, options in (("plain", ()), ("own", ("--cameras", cameras))):
        assert cli("compress", source, "-o", folder / f"{name}.spk", "--no-measure", *options).status == 0
    splatpack.write(folder / "library.spk", read_ply(source), cameras=tuple(read_cameras(cameras)))
    assert (folder / "own.spk").read_bytes() == (folder / "library.spk").read_bytes()
    assert (folder / "own.spk").read_bytes() != (folder / "plain.spk").read_bytes()
    refused = cli("compress", source, "-o", folder / "no.spk", "--lossless", "--cameras", cameras)
    assert (refused.status, "--cameras" in refused.err) == (2, True)
    assert cli("compress", source, "-o", folder / "no.spk", "--cameras", source).status == 3
