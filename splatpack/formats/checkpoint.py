"""Checkpoints of trainers: gsplat, nerfstudio's splatfacto, and Inria's.

A checkpoint is a pickle, and a pickle can run anything. PyTorch is asked for the part of it that cannot
(``weights_only``), with the few numpy names added that nerfstudio's optimiser states hold; everything else is refused.
PyTorch is imported when a checkpoint is read, and never before.
"""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from splatpack.errors import CorruptError, InvalidSceneError, UnsupportedError
from splatpack.formats.blocks import ROWS, empty_scene_arrays, row_bytes
from splatpack.formats.files import open_regular
from splatpack.limits import Limits
from splatpack.scene.gaussians import C0, SH_COEFFICIENTS, FloatArray, Gaussians, concatenate
from splatpack.scene.validate import normalise_quats

_RANK = re.compile(r"(?P<step>.*_rank)(?P<rank>\d{1,4})(?P<end>\.pt)")
_NERFSTUDIO = ("_model.gauss_params.", "_model.")
_SPLATFACTO = {"sh0": "features_dc", "shN": "features_rest"}
_INRIA = ("degree", "means", "sh0", "shN", "scales", "quats", "opacities")
_SHAPES = {"means": (3,), "scales": (3,), "quats": (4,), "opacities": (), "sh0": (3,)}
_INSTALL = "pip install 'splatpack[checkpoints]'"


def read_checkpoint(path: str | os.PathLike[str], *, limits: Limits | None = None, normalise: bool = True) -> Gaussians:
    """Read a ``.pt``, ``.pth`` or ``.ckpt``. Runs nothing that the file brings.

    Memory: the columns once; the file is mapped, not read. Of a gsplat checkpoint of several ranks
    (``ckpt_6999_rank0.pt``) the others are read too.

    Parameters
    ----------
    path : path-like
        A regular file.
    limits : Limits, optional
        What the file may make us allocate. Default: ``Limits()``.
    normalise : bool
        Make the quats unit length.

    Returns
    -------
    Gaussians
        In frame ``z_up`` for splatfacto, whose world also is centred and scaled, else ``rdf``.

    Raises
    ------
    UnsupportedError
        PyTorch is not installed; the file holds objects other than tensors; colours come from a network.
    CorruptError
        A damaged file, or shapes that do not fit each other.
    LimitError, StorageError
        Too large for ``limits``; cannot be read.
    """
    paths = _ranks(Path(path))
    parts = [_read_one(part, limits or Limits(), normalise) for part in paths]
    if len(parts) == 1:
        return parts[0]
    try:
        scene = concatenate(parts)
    except InvalidSceneError as error:
        raise CorruptError(f"{path}: its {len(parts)} ranks differ: {error}") from None
    return replace(scene, metadata={"source": scene.metadata["source"] | {"notes": [f"{len(parts)} ranks joined."]}})


def _ranks(path: Path) -> list[Path]:
    """Return the files of all ranks of the same step, in their order."""
    match = _RANK.fullmatch(path.name)
    if match is None or not path.parent.is_dir():
        return [path]
    found = {}
    for other in path.parent.iterdir():
        same = _RANK.fullmatch(other.name)
        if same and (same["step"], same["end"]) == (match["step"], match["end"]):
            found[int(same["rank"])] = other
    return [found[rank] for rank in sorted(found)] or [path]


def _read_one(path: Path, limits: Limits, normalise: bool) -> Gaussians:
    with open_regular(path) as (_, size):
        budget = limits.start(size)
    with _loaded(path) as tree:
        trainer, columns = find_columns(tree)
        scene = scene_of(columns, budget, splatfacto=trainer == "nerfstudio")
    if normalise:
        normalise_quats(scene.quats)
    frame = "z_up" if trainer == "nerfstudio" else "rdf"
    return replace(scene, frame=frame, metadata={"source": {"format": "checkpoint", "trainer": trainer}})


@contextmanager
def _loaded(path: Path) -> Iterator[Any]:
    """Yield what PyTorch makes of the file without running anything."""
    try:
        import torch
    except ImportError:
        raise UnsupportedError(f"{path}: a PyTorch checkpoint, which PyTorch reads. Install it: {_INSTALL}.") from None
    types = [np.dtype, *(type(np.dtype(code)) for code in ("f8", "f4", "i8"))]
    core: Any = np._core.multiarray.scalar  # type: ignore[attr-defined]
    names = [(core, f"numpy.{place}.multiarray.scalar") for place in ("core", "_core")]
    try:
        with torch.serialization.safe_globals([*names, *types]):
            tree = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        text = " ".join(str(error).split())[:160]
        raise UnsupportedError(f"{path}: holds more than tensors, which is not run: {text}") from None
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError, EOFError, MemoryError) as error:
        raise CorruptError(f"{path}: no readable checkpoint ({' '.join(str(error).split())[:120]}).") from None
    yield tree


def find_columns(tree: Any) -> tuple[str, dict[str, Any]]:
    """Return who wrote a checkpoint, and its tensors by our names.

    Raises
    ------
    UnsupportedError
        It is of another kind.
    """
    if isinstance(tree, Mapping):
        model = tree.get("pipeline", tree.get("state_dict"))
        if isinstance(model, Mapping):
            return "nerfstudio", _from_splatfacto(model)
        splats = tree.get("splats", tree)
        if isinstance(splats, Mapping):
            if "features" in splats or "colors" in splats:
                raise UnsupportedError(
                    "a gsplat checkpoint with features and colours of a network, expected sh0 and shN."
                )
            if all(name in splats for name in _SHAPES):
                return "gsplat", {name: splats[name] for name in (*_SHAPES, "shN") if name in splats}
    if isinstance(tree, (tuple, list)) and tree and isinstance(tree[0], (tuple, list)) and len(tree[0]) >= len(_INRIA):
        return "inria", {name: value for name, value in zip(_INRIA, tree[0], strict=False) if name != "degree"}
    keys = ", ".join(str(key)[:40] for key in list(tree)[:6]) if isinstance(tree, Mapping) else type(tree).__name__
    raise UnsupportedError(f"a checkpoint of {keys}, expected one of gsplat, nerfstudio's splatfacto or Inria's code.")


def _from_splatfacto(model: Mapping[str, Any]) -> dict[str, Any]:
    for prefix in _NERFSTUDIO:
        names = {name: prefix + _SPLATFACTO.get(name, name) for name in (*_SHAPES, "shN")}
        if all(names[name] in model for name in _SHAPES):
            return {name: model[full] for name, full in names.items() if full in model}
    raise UnsupportedError(
        "a nerfstudio checkpoint of another method than splatfacto, expected _model.gauss_params.means and so on."
    )


def scene_of(columns: Mapping[str, Any], budget: Limits, *, splatfacto: bool) -> Gaussians:
    """Return a scene of tensors, each copied once, after shapes and budget were checked.

    Raises
    ------
    CorruptError, LimitError
        A tensor is none, or has another shape; too large.
    """
    means = _shape(columns["means"], "means")
    n = budget.count(means[0] if means else -1, budget.gaussians, "checkpoint Gaussians")
    shn = _shape(columns["shN"], "shN") if "shN" in columns else (n, 0, 3)
    if len(shn) != 3 or shn[0] != n or shn[1] not in SH_COEFFICIENTS or shn[2] != 3:
        raise CorruptError(f"checkpoint shN: shape {shn}, expected ({n}, 0 | 3 | 8 | 15, 3).")
    degree = SH_COEFFICIENTS.index(shn[1])
    budget.debit(n * row_bytes(degree), f"checkpoint of {n:,} Gaussians")
    arrays = empty_scene_arrays(n, degree)
    for name, row in _SHAPES.items():
        shape = _shape(columns[name], name)
        if tuple(v for v in shape[1:] if v != 1) != row or shape[0] != n:
            raise CorruptError(f"checkpoint {name}: shape {shape}, expected {(n, *row)}.")
        _copy(columns[name], arrays[name], name)
    if degree:
        _copy(columns["shN"], arrays["shN"], "shN")
    elif splatfacto:  # without SH its colours are logits
        with np.errstate(over="ignore"):
            arrays["sh0"][:] = (1 / (1 + np.exp(-arrays["sh0"])) - np.float32(0.5)) / np.float32(C0)
    return Gaussians(**arrays)


def _shape(tensor: Any, name: str) -> tuple[int, ...]:
    shape, kind = getattr(tensor, "shape", None), str(getattr(tensor, "dtype", ""))
    if shape is None or not re.fullmatch(r"(torch\.)?(b?float(16|32|64))", kind) or getattr(tensor, "is_sparse", False):
        raise CorruptError(f"checkpoint {name}: {type(tensor).__name__} of {kind[:40]}, expected a dense float tensor.")
    return tuple(int(v) for v in shape)


def _copy(tensor: Any, out: FloatArray, name: str) -> None:
    """Copy a tensor, which may be strided or repeat its rows, block by block."""
    try:
        source = tensor.detach()
        for start in range(0, len(out), ROWS):
            part = source[start : start + ROWS].float().numpy()
            out[start : start + ROWS] = part.reshape(out[start : start + ROWS].shape)
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise CorruptError(f"checkpoint {name}: no numbers in it ({' '.join(str(error).split())[:80]}).") from None
