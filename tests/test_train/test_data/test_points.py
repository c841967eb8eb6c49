"""Points from clouds, COLMAP models and scenes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import splatpack
from splatpack.errors import LimitError, TruncatedError, UsageError
from splatpack.limits import Limits
from splatpack.scene.gaussians import C0
from splatpack.train.data.points import read_points
from tests import synth

from .samples import POINTS, colmap_binary, ring

HEAD = "ply\nformat {} 1.0\nelement vertex {}\nproperty {} x\nproperty {} y\nproperty {} z\n{}end_header\n"
RGB = "property uchar red\nproperty uchar green\nproperty uchar blue\n"


def cloud(path: Path, count: int, body: bytes, form: str = "ascii", kind: str = "float", more: str = "") -> Path:
    path.write_bytes(HEAD.format(form, count, kind, kind, kind, more).encode() + body)
    return path


def test_a_cloud_without_colours(tmp_path: Path) -> None:
    points, colors = read_points(cloud(tmp_path / "a.ply", 1, b"1 2 3\n"), Limits())
    assert points.tolist() == [[1, 2, 3]]
    assert points.dtype == np.float32
    assert colors is None


def test_a_binary_cloud_with_colours_and_rows_that_are_not_finite(tmp_path: Path) -> None:
    rows = np.zeros(3, "<f8,<f8,<f8,u1,u1,u1")
    rows["f0"], rows["f3"] = [1, np.nan, 1e300], [255, 0, 0]
    path = cloud(tmp_path / "a.ply", 3, rows.tobytes(), "binary_little_endian", "double", RGB)
    points, colors = read_points(path, Limits())
    assert colors is not None
    assert (points.tolist(), colors.tolist()) == ([[1, 0, 0]], [[1, 0, 0]])


def test_colours_that_are_floats(tmp_path: Path) -> None:
    path = cloud(tmp_path / "a.ply", 1, b"1 2 3 0.5 2 nan\n", more=RGB.replace("uchar", "float"))
    _, colors = read_points(path, Limits())
    assert colors is not None
    assert colors.tolist() == [[0.5, 1, 0]]


def test_a_scene_gives_its_means_and_base_colours(tmp_path: Path) -> None:
    scene = synth.scene(20)
    splatpack.write(tmp_path / "a.ply", scene)
    points, colors = read_points(tmp_path / "a.ply", Limits())
    assert np.array_equal(points, scene.means)
    assert colors is not None
    assert np.allclose(colors, np.clip(0.5 + C0 * scene.sh0[:, 0], 0, 1), atol=1e-6)


def test_a_colmap_model(tmp_path: Path) -> None:
    (tmp_path / "points3D.bin").write_bytes(colmap_binary(ring(1))["points3D.bin"])
    points, _ = read_points(tmp_path / "points3D.bin", Limits())
    assert np.allclose(points, POINTS[:, :3])


def test_no_point_at_all(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no finite points"):
        read_points(cloud(tmp_path / "a.ply", 1, b"nan 2 3\n"), Limits())


def test_counts_that_lie(tmp_path: Path) -> None:
    path = cloud(tmp_path / "a.ply", 1 << 40, bytes(12), "binary_little_endian")
    with pytest.raises(TruncatedError):
        read_points(path, Limits())
    path = cloud(tmp_path / "a.ply", 10, bytes(120), "binary_little_endian")
    with pytest.raises(LimitError):
        read_points(path, Limits(memory=100))
