"""decompress, info, verify, render and compare."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import splatpack
from splatpack.render.views import orbit_cameras
from splatpack.scene.readcameras import write_cameras
from tests.test_cli.conftest import COUNT, Runner


def picture(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with Image.open(path) as image:
        return np.array(image)


def test_decompress(cli: Runner, folder: Path) -> None:
    target = folder / "back.ply"
    done = cli("decompress", folder / "scene.spk", "-o", target, "--json")
    assert (done.status, done.err) == (0, "")
    assert set(done.json) >= {"output", "n", "bytes_out", "seconds"}
    assert (done.json["output"], done.json["n"], done.json["bytes_out"]) == (str(target), COUNT, target.stat().st_size)
    assert np.array_equal(splatpack.read(target).means, splatpack.read(folder / "scene.spk").means)


def test_decompress_parts(cli: Runner, folder: Path) -> None:
    def n(*options: object) -> int:
        done = cli("decompress", folder / "scene.spk", "-o", folder / "part.ply", "-f", "--json", *options)
        assert done.status == 0, done.err
        return int(done.json["n"])

    assert 0 < n("--box", "-2,-2,-2,2,2,2") < COUNT
    assert n("--level", 0) == COUNT
    assert n("--no-sh") == COUNT
    assert splatpack.read(folder / "part.ply").sh_degree == 0
    assert cli("decompress", folder / "scene.spk", "-o", folder / "x.ply", "--box", "90,90,90,91,91,91").status == 3


def test_decompress_partial(cli: Runner, folder: Path) -> None:
    big = folder / "big.spk"
    scene = splatpack.read(folder / "scene.ply")
    splatpack.write(big, scene, chunk=256, importance_views=0)
    big.write_bytes(big.read_bytes()[:-3000])
    out = folder / "part.ply"
    assert cli("decompress", big, "-o", out).status == 3
    done = cli("decompress", big, "-o", out, "--partial", "--json")
    assert done.status == 0, done.err
    assert 0 < done.json["n"] < COUNT


def test_info_of_a_spk(cli: Runner, folder: Path) -> None:
    done = cli("info", folder / "scene.spk", "--json")
    assert (done.status, done.err) == (0, "")
    v = done.json
    assert set(v) >= {"kind", "format", "version", "n", "sh_degree", "bounds", "frame", "bytes", "sections", "levels"}
    assert (v["kind"], v["format"], v["version"], v["n"], v["sh_degree"]) == ("gaussians", "spk", "1.1", COUNT, 2)
    assert v["bytes"] == (folder / "scene.spk").stat().st_size == sum(s["bytes"] for s in v["sections"])
    assert v["levels"] == [{"level": 0, "chunks": v["chunks"], "n": COUNT, "bytes": v["levels"][0]["bytes"]}]
    assert [s["name"] for s in v["sections"]][:2] == ["geometry", "sh"]
    assert v["encoder"]["preset"] == "near-lossless"
    means = splatpack.read(folder / "scene.spk").means
    assert (np.array(v["bounds"]["low"]) <= means.min(axis=0) + 1e-4).all()
    assert (np.array(v["bounds"]["high"]) >= means.max(axis=0) - 1e-4).all()


def test_info_of_a_ply(cli: Runner, folder: Path) -> None:
    v = cli("info", folder / "scene.ply", "--json").json
    assert (v["kind"], v["format"], v["n"], v["sh_degree"], v["frame"]) == ("gaussians", "ply", COUNT, 2, "rdf")
    assert [s["name"] for s in v["sections"]] == ["means", "scales", "quats", "opacities", "sh0", "shN"]


@pytest.mark.parametrize("name", ["scene.spk", "scene.ply"])
def test_info_for_people(name: str, cli: Runner, folder: Path) -> None:
    done = cli("info", folder / name)
    assert (done.status, done.err) == (0, "")
    assert "Gaussians" in done.out
    assert f"{COUNT:,}" in done.out


def test_verify(cli: Runner, folder: Path) -> None:
    done = cli("verify", folder / "scene.spk", "--json")
    assert (done.status, done.err) == (0, "")
    assert done.json == {
        "ok": True, "chunks": 1, "bytes": (folder / "scene.spk").stat().st_size, "errors": [],
    }  # fmt: skip
    assert "sound" in cli("verify", folder / "scene.spk").err


def test_render(cli: Runner, folder: Path) -> None:
    out = folder / "a.png"
    done = cli(
        "render", folder / "scene.spk", "-o", out, "--json", "--size", "96x64", "--background", "#ff8000",
        "--depth", folder / "d.png", "--alpha", folder / "m.png",
    )  # fmt: skip
    assert (done.status, done.err) == (0, "")
    assert set(done.json) >= {"output", "width", "height", "device", "frames", "seconds_per_frame"}
    assert (done.json["width"], done.json["height"], done.json["frames"], done.json["device"]) == (96, 64, 1, "cpu")
    pixels = picture(out)
    assert pixels.shape == (64, 96, 3)
    assert pixels.std() > 10
    alpha = picture(folder / "m.png")
    assert alpha.shape == picture(folder / "d.png").shape == (64, 96)
    assert (np.abs(pixels[alpha == 0].astype(int) - (255, 128, 0)) <= 1).all()


def test_render_is_the_api(cli: Runner, folder: Path) -> None:
    scene = splatpack.read(folder / "scene.spk")
    camera = orbit_cameras(scene, 3, 60, 40)[1]
    (folder / "cam.json").write_text(write_cameras([camera]))
    out = folder / "a.png"
    assert cli("render", folder / "scene.spk", "-o", out, "--camera", folder / "cam.json", "--quiet").status == 0
    want = np.floor(255 * splatpack.render(scene, camera) + 0.5)
    assert np.abs(picture(out) - want).max() <= 1
    assert picture(out).shape == (40, 60, 3)


def test_render_a_folder(cli: Runner, folder: Path) -> None:
    scene = splatpack.read(folder / "scene.ply")
    (folder / "cams.json").write_text(write_cameras(orbit_cameras(scene, 3, 60, 40)))
    out = folder / "views"
    args = ("render", folder / "scene.ply", "-o", out, "--cameras", folder / "cams.json", "--json")
    assert cli(*args).json["frames"] == 3
    assert len(list(out.glob("*.png"))) == 3
    assert cli(*args).status == 6
    assert cli(*args, "-f", "--size", "32x32").json["width"] == 32


@pytest.mark.parametrize("name", ["a.gif", "a.webp"])
def test_render_an_animation(name: str, cli: Runner, folder: Path) -> None:
    done = cli("render", folder / "scene.spk", "-o", folder / name, "--orbit", 3, "--size", "48x32", "--json")
    assert done.status == 0, done.err
    with Image.open(folder / name) as image:
        assert getattr(image, "n_frames", 1) == 3
        assert image.size == (48, 32)


def test_render_a_budget(cli: Runner, folder: Path) -> None:
    out = folder / "a.png"
    assert cli("render", folder / "scene.spk", "-o", out, "--budget", 50, "--size", "48x32", "--json").json["n"] == 50


def test_compare(cli: Runner, folder: Path) -> None:
    strip = folder / "strip.png"
    done = cli("compare", folder / "scene.ply", folder / "scene.spk", "--json", "--strip", strip, "--size", "64x48")
    assert (done.status, done.err) == (0, "")
    v = done.json
    assert set(v) >= {"views", "psnr_mean", "psnr_min", "ssim_mean", "n_ref", "n_test", "bytes_ref", "bytes_test"}
    assert (v["n_ref"], v["n_test"]) == (COUNT, COUNT)
    assert v["views"] == len(v["per_view"]) == 12
    assert v["psnr_mean"] == pytest.approx(np.mean([row["psnr"] for row in v["per_view"]]))
    assert picture(strip).shape[1] == 3 * 64


def test_compare_with_itself_and_a_threshold(cli: Runner, folder: Path) -> None:
    scene = folder / "scene.ply"
    assert cli("compare", scene, scene, "--min-psnr", 99, "--size", "64x48").status == 0
    done = cli("compare", scene, folder / "scene.spk", "--min-psnr", 99, "--size", "64x48", "--json")
    assert done.status == 1
    assert done.json["psnr_mean"] < 99


def test_compare_from_cameras(cli: Runner, folder: Path) -> None:
    scene = splatpack.read(folder / "scene.ply")
    (folder / "cams.json").write_text(write_cameras(orbit_cameras(scene, 2, 60, 40)))
    done = cli("compare", folder / "scene.ply", folder / "scene.spk", "--cameras", folder / "cams.json", "--json")
    assert done.json["views"] == 2


def test_bench(cli: Runner, folder: Path) -> None:
    report = folder / "bench.html"
    args = ("bench", folder / "scene.ply", "--repeat", 1, "--only", "no search", "--only", "planes", "--size", "64x48")
    done = cli(*args, "--report", report, "--output", folder / "run.json", "--json")
    assert done.status == 0
    assert {"cpu", "cores", "python", "numpy", "numba"} <= set(done.json["machine"])
    rows = done.json["rows"]
    assert [r["codec"] for r in rows] == ["splatpack high, no search", "byte planes + zstd-19"]
    keys = {"codec", "scene", "bytes", "bpg", "psnr", "ssim", "encode_s", "decode_s", "mgs_per_s", "peak_rss"}
    for row in rows:
        assert keys <= set(row)
        assert row["error"] == ""
        assert all(row[k] is not None for k in keys)
    assert rows[1]["psnr"] == 100.0
    assert "splatpack high, no search" in done.err
    assert "<svg" in report.read_text()
    assert json.loads(done.out) == done.json
    again = cli("bench", "--from", folder / "run.json", "--json")
    assert [r["bytes"] for r in again.json["rows"]] == [r["bytes"] for r in rows]


def test_bench_renews_docs(cli: Runner, folder: Path) -> None:
    docs = folder / "docs"
    (docs / "benchmarks").mkdir(parents=True)
    (docs / "benchmarks.md").write_text("words\n<!-- bench:presets -->\n<!-- /bench:presets -->\n")
    args = ("--repeat", 1, "--only", "splatpack small", "--curve", "off", "--size", "64x48")
    assert cli("bench", folder / "scene.ply", *args, "--docs", docs).status == 0
    assert "| small | 1 |" in (docs / "benchmarks.md").read_text()
    assert (docs / "benchmarks" / "scene.svg").exists()
    assert cli("bench", "--from", docs / "benchmarks" / "results.json", "--docs", docs).status == 0


def test_bench_says_which_peers_are_missing(cli: Runner, folder: Path) -> None:
    done = cli("bench", folder / "scene.ply", "--only", "SPZ 4, SH 8", "--peers", folder / "none", "--json")
    assert done.status == 0
    assert [r["status"] for r in done.json["rows"]] == ["missing"]
    assert "not installed (scripts/peers installs them): SPZ 4, SH 8 bits (gsply)" in " ".join(done.err.split())
