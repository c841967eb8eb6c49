"""Checkpoints: what trainers write is read, and nothing that a file brings is run.

Tests that need PyTorch are skipped where it is not installed; what does not need it is tested on arrays that look like
tensors.
"""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splatpack.errors import CorruptError, LimitError, SplatpackError, UnsupportedError
from splatpack.formats.checkpoint import find_columns, scene_of
from splatpack.formats.detect import detect
from splatpack.formats.registry import read_scene
from splatpack.limits import Limits
from splatpack.scene.gaussians import C0, Gaussians
from tests import synth
from tests.test_formats.closeness import assert_close


class Tensor:
    """As much of a tensor as is used."""

    def __init__(self, array: Any, dtype: str = "torch.float32") -> None:
        self.array, self.shape, self.dtype, self.is_sparse = np.asarray(array), np.shape(array), dtype, False

    def detach(self) -> Tensor:
        return self

    def float(self) -> Tensor:
        return Tensor(self.array.astype(np.float32))

    def numpy(self) -> Any:
        return self.array

    def __getitem__(self, rows: slice) -> Tensor:
        return Tensor(self.array[rows])


def columns_of(scene: Gaussians, make: Any = Tensor) -> dict[str, Any]:
    return {name: make(getattr(scene, name)) for name in ("means", "scales", "quats", "opacities", "sh0", "shN")}


def gsplat(columns: Mapping[str, Any]) -> Any:
    return {"step": 6999, "splats": dict(columns)}


def splatfacto(columns: Mapping[str, Any], prefix: str = "_model.gauss_params.") -> Any:
    names = {"sh0": "features_dc", "shN": "features_rest"}
    model = {prefix + names.get(name, name): value for name, value in columns.items()}
    return {"step": 29999, "pipeline": model | {"_model.camera_optimizer": 1}, "optimizers": {}}


def inria(columns: Mapping[str, Any]) -> Any:
    order = ("means", "sh0", "shN", "scales", "quats", "opacities")
    return ((3, *(columns[name] for name in order), None, {}, 5.0), 30000)


@pytest.mark.parametrize(
    ("pack", "trainer"),
    [
        (gsplat, "gsplat"), (lambda c: gsplat(c)["splats"], "gsplat"), (splatfacto, "nerfstudio"),
        (lambda c: splatfacto(c, "_model."), "nerfstudio"), (inria, "inria"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("degree", [1, 3])
def test_layouts(pack: Any, trainer: str, degree: int) -> None:
    scene = synth.scene(30, degree)
    columns = columns_of(scene)
    columns["opacities"] = Tensor(scene.opacities[:, None])
    columns["sh0"] = Tensor(scene.sh0[:, 0] if trainer == "nerfstudio" else scene.sh0)
    found, tensors = find_columns(pack(columns))
    back = scene_of(tensors, Limits().start(1 << 20), splatfacto=trainer == "nerfstudio")
    assert found == trainer
    assert_close(scene, back)


def test_splatfacto_without_sh_has_logits_for_colours() -> None:
    scene = synth.scene(9, 0)
    columns = columns_of(scene)
    rgb = np.linspace(0.02, 0.98, 27, dtype=np.float32).reshape(9, 3)
    columns["sh0"] = Tensor(np.log(rgb / (1 - rgb)))
    back = scene_of(columns, Limits().start(1 << 20), splatfacto=True)
    assert back.sh0[:, 0] == pytest.approx((rgb - 0.5) / C0, abs=1e-5)
    columns["sh0"] = Tensor(np.full((9, 1, 3), -1e4, np.float32))
    assert scene_of(columns, Limits().start(1 << 20), splatfacto=True).sh0 == pytest.approx(-0.5 / C0)


def test_a_tensor_of_repeated_rows_is_debited_by_its_shape() -> None:
    huge = np.broadcast_to(np.zeros(3, np.float32), (40_000_000, 3))
    columns = columns_of(synth.scene(3, 0)) | {"means": Tensor(huge)}
    del columns["shN"]
    with pytest.raises(LimitError, match="checkpoint of 40,000,000"):
        scene_of(columns, Limits().start(1000), splatfacto=False)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"means": Tensor(np.zeros((9, 2), "f4"))}, CorruptError, r"means: shape \(9, 2\)"),
        ({"means": Tensor(np.zeros((), "f4"))}, LimitError, "-1 declared"),
        ({"means": 5}, CorruptError, "means: int"),
        ({"means": Tensor(np.zeros((9, 3)), "torch.int64")}, CorruptError, "torch.int64"),
        ({"quats": Tensor(np.zeros((8, 4), "f4"))}, CorruptError, "quats: shape"),
        ({"opacities": Tensor(np.zeros((9, 2), "f4"))}, CorruptError, "opacities: shape"),
        ({"sh0": Tensor(np.zeros((9, 2, 3), "f4"))}, CorruptError, "sh0: shape"),
        ({"shN": Tensor(np.zeros((9, 4, 3), "f4"))}, CorruptError, r"shN: shape \(9, 4, 3\)"),
        ({"shN": Tensor(np.zeros((9, 45), "f4"))}, CorruptError, "shN: shape"),
        ({"shN": Tensor(np.zeros((8, 3, 3), "f4"))}, CorruptError, "shN: shape"),
    ],
)  # fmt: skip
def test_shapes_are_checked(change: dict[str, Any], error: type[SplatpackError], message: str) -> None:
    columns = columns_of(synth.scene(9, 1)) | change
    with pytest.raises(error, match=message):
        scene_of(columns, Limits().start(1 << 20), splatfacto=False)


def test_a_tensor_without_numbers() -> None:
    class Empty(Tensor):
        def __getitem__(self, rows: slice) -> Tensor:
            raise NotImplementedError("no data")

    columns = columns_of(synth.scene(9, 1)) | {"quats": Empty(np.zeros((9, 4), "f4"))}
    with pytest.raises(CorruptError, match="quats: no numbers in it"):
        scene_of(columns, Limits().start(1 << 20), splatfacto=False)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"splats": {"means": 1, "features": 2}}, "of a network"),
        ({"pipeline": {"_model.field.x": 1}}, "another method than splatfacto"),
        ({"model": 1, "epoch": 2}, "a checkpoint of model, epoch"),
        ([], "a checkpoint of list"),
        ((1, 2), "a checkpoint of tuple"),
        (5, "a checkpoint of int"),
    ],
)
def test_other_checkpoints_are_named(tree: Any, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        find_columns(tree)


def zipped(name: str = "archive/data.pkl") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, b"cposix\nsystem\n(S'true'\ntR.")
    return out.getvalue()


def test_without_torch_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    path = tmp_path / "a.ckpt"
    path.write_bytes(zipped())
    assert detect(path) == "checkpoint"
    with pytest.raises(UnsupportedError, match=r"pip install 'splatpack\[checkpoints\]'"):
        read_scene(path)


def test_torch_is_not_imported_by_the_module() -> None:
    import subprocess

    code = "import sys, splatpack.formats.checkpoint; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def save(path: Path, tree: Any) -> Path:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    torch.save(tree, path)
    return path


def tensors_of(scene: Gaussians) -> dict[str, Any]:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    return columns_of(scene, lambda array: torch.nn.Parameter(torch.from_numpy(array.copy())))


@pytest.mark.parametrize("pack", [gsplat, splatfacto, inria])
def test_real_checkpoints(tmp_path: Path, pack: Any) -> None:
    scene = synth.scene(50, 2)
    path = save(tmp_path / "a.pt", pack(tensors_of(scene)))
    assert detect(path) == "checkpoint"
    back = read_scene(path, normalise=False)
    assert back.frame == ("z_up" if pack is splatfacto else "rdf")
    assert_close(scene, back)


def test_numpy_scalars_of_nerfstudio_are_read(tmp_path: Path) -> None:
    tree = splatfacto(tensors_of(synth.scene(5, 1)))
    tree["schedulers"] = {"means": {"base_lrs": [np.float64(1.6e-4), np.int64(3), np.float32(1)]}}
    assert len(read_scene(save(tmp_path / "a.ckpt", tree))) == 5


def test_half_precision_and_strides(tmp_path: Path) -> None:
    scene = synth.scene(20, 1)
    columns = tensors_of(scene)
    columns["means"] = columns["means"].detach().T.contiguous().T
    columns["shN"] = columns["shN"].detach().half()
    back = read_scene(save(tmp_path / "a.pt", gsplat(columns)))
    assert_close(scene, back, shN=1e-3, covariances=1e-5)


def test_all_ranks_are_read(tmp_path: Path) -> None:
    scene = synth.scene(30, 1)
    parts = [scene.take(slice(0, 10)), scene.take(slice(10, 30))]
    for rank, part in enumerate(parts):
        save(tmp_path / f"ckpt_99_rank{rank}.pt", gsplat(tensors_of(part)))
    save(tmp_path / "ckpt_98_rank0.pt", gsplat(tensors_of(parts[0])))
    back = read_scene(tmp_path / "ckpt_99_rank1.pt")
    assert_close(scene, back, covariances=1e-6)
    assert back.metadata["source"]["notes"] == ["2 ranks joined."]
    save(tmp_path / "ckpt_99_rank2.pt", gsplat(tensors_of(synth.scene(3, 0))))
    with pytest.raises(CorruptError, match="its 3 ranks differ"):
        read_scene(tmp_path / "ckpt_99_rank0.pt")


class Evil:
    def __reduce__(self) -> Any:
        import os

        return os.mkdir, ("ran",)


def test_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = save(tmp_path / "a.pt", gsplat(tensors_of(synth.scene(3, 0))) | {"x": Evil()})
    with pytest.raises(UnsupportedError, match="which is not run"):
        read_scene(path)
    path.write_bytes(zipped())
    with pytest.raises(SplatpackError):
        read_scene(path)
    assert not (tmp_path / "ran").exists()


def test_damaged_checkpoints(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pt", gsplat(tensors_of(synth.scene(3, 0))))
    data = path.read_bytes()
    for end in range(0, len(data), max(1, len(data) // 60)):
        path.write_bytes(data[:end])
        with pytest.raises(SplatpackError):
            read_scene(path)
    for at in range(0, len(data), max(1, len(data) // 150)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x15]) + data[at + 1 :])
        try:
            read_scene(path)
        except SplatpackError:
            continue
