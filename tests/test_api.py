"""The five lines of the README: what ``import splatpack`` gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import splatpack
from splatpack.errors import TargetExistsError, UnsupportedError, UsageError
from splatpack.formats.ply import write_ply
from splatpack.render.cpu import render
from splatpack.render.views import orbit_cameras
from tests import synth


@pytest.fixture(scope="module")
def ply(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("api") / "scene.ply"
    with path.open("wb") as file:
        write_ply(file, synth.scene(1200, degree=3, seed=5))
    return path


def test_five_lines(ply: Path, tmp_path: Path) -> None:
    scene = splatpack.read(ply)
    report = splatpack.write(tmp_path / "scene.spk", scene, preset="high", measure=True)
    back = splatpack.read(tmp_path / "scene.spk", level=0)
    camera = orbit_cameras(scene, 1, 80, 60)[0]
    image = splatpack.render(back, camera)
    quality = splatpack.compare(scene, back)

    assert isinstance(scene, splatpack.Gaussians)
    assert 0 < len(back) == report.n_out <= report.n_in == 1200
    assert report.bytes_out == (tmp_path / "scene.spk").stat().st_size
    assert image.shape == (60, 80, 3)
    assert image.dtype == np.float32
    assert 0 <= image.min() < image.max() <= 1
    assert quality.psnr_mean == pytest.approx(report.psnr_mean)
    assert 25 < quality.psnr_min <= quality.psnr_mean < 100


def test_write_reports_what_the_command_prints(ply: Path, tmp_path: Path) -> None:
    values = splatpack.write(tmp_path / "scene.spk", splatpack.read(ply)).as_dict()
    assert {"output", "n_in", "n_out", "bytes_out", "ratio", "bits_per_gaussian", "seconds", "preset", "stages"} <= set(
        values
    )


def test_read_a_box(ply: Path, tmp_path: Path) -> None:
    scene = splatpack.read(ply)
    splatpack.write(tmp_path / "scene.spk", scene, chunk=256)
    low, high = (-1.5, -3.0, -1.5), (1.5, 3.0, 1.5)
    part = splatpack.read(tmp_path / "scene.spk", box=(low, high))
    whole = splatpack.read(tmp_path / "scene.spk")
    inside = ((whole.means >= np.array(low)) & (whole.means <= np.array(high))).all(axis=1)
    assert 0 < len(part) < len(whole)
    assert np.array_equal(part.means, whole.means[inside])


def test_read_without_sh(ply: Path, tmp_path: Path) -> None:
    splatpack.write(tmp_path / "scene.spk", splatpack.read(ply))
    assert splatpack.read(tmp_path / "scene.spk", sh=False).sh_degree == 0


def test_write_other_formats_and_existing_files(ply: Path, tmp_path: Path) -> None:
    scene = splatpack.read(ply)
    splatpack.write(tmp_path / "copy.ply", scene)
    assert np.array_equal(splatpack.read(tmp_path / "copy.ply").shN, scene.shN)
    with pytest.raises(TargetExistsError):
        splatpack.write(tmp_path / "copy.ply", scene)
    splatpack.write(tmp_path / "copy.ply", scene, force=True)
    with pytest.raises(UnsupportedError):
        splatpack.write(tmp_path / "copy.xyz", scene)
    with pytest.raises(UsageError):
        splatpack.write(tmp_path / "copy.spk", scene, preset="best")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy.ply"]


def test_render_is_a_package_that_can_be_called(ply: Path) -> None:
    scene = splatpack.read(ply)
    camera = orbit_cameras(scene, 1, 40, 30)[0]
    image = splatpack.render(scene, camera, background=(0.2, 0.4, 0.6), threads=1)
    assert np.array_equal(image, render(scene, camera, background=(0.2, 0.4, 0.6)).color)
    assert splatpack.render.__name__ == "splatpack.render"


@pytest.mark.parametrize("first", ["splatpack.render", "splatpack.render.cpu", "splatpack.pack.api", "splatpack"])
def test_render_can_be_called_whatever_was_imported_first(first: str) -> None:
    code = f"import {first}; import splatpack; assert callable(splatpack.render); assert 'x' not in dir(splatpack)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_import_alone_loads_nothing() -> None:
    code = "import sys, splatpack; print(sum(m.startswith(('numpy', 'numba', 'splatpack.')) for m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "0\n"


def test_names() -> None:
    assert set(splatpack.__all__) == set(dir(splatpack))
    for name in splatpack.__all__:
        assert getattr(splatpack, name) is not None
    with pytest.raises(AttributeError):
        splatpack.nothing  # noqa: B018
