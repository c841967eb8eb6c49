"""OpenUSD's ``ParticleField3DGaussianSplat``: reading, through usd-core. Writing is in ``usdwrite``.

Layout: the schemas of usdVol in OpenUSD 26.03 and later.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from splatpack.errors import CorruptError, LimitError, UnsupportedError
from splatpack.formats import usdworker
from splatpack.formats.blocks import empty_scene_arrays, row_bytes
from splatpack.formats.files import open_regular
from splatpack.formats.linear import in_place, joined, log_of, logit_of
from splatpack.formats.placement import placement
from splatpack.formats.usdwrite import INSTALL, write_usd, write_usdz
from splatpack.limits import Limits
from splatpack.scene.gaussians import SH_COEFFICIENTS, Gaussians
from splatpack.scene.validate import normalise_quats

__all__ = ["read_usd", "write_usd", "write_usdz"]

TIMEOUT = 600
_FRAMES = {"Y": "rub", "Z": "z_up"}
_NOTE = (
    "read as {frame}, the up axis that the stage names; gsplat2USD and 3DGRUT write rdf whatever it says: --frame rdf."
)


def read_usd(path: str | os.PathLike[str], *, limits: Limits | None = None, normalise: bool = True) -> Gaussians:
    """Read the particle fields of a ``.usd``, ``.usda``, ``.usdc`` or ``.usdz``.

    usd-core is C++ that was not written for hostile files: it runs in a process of its own, which may not use more
    than ``limits`` grants, and a layer that refers to others is refused before anything is resolved.

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
        In frame ``rub`` or ``z_up``, as the up axis of the stage says, transforms applied. Many tools store ``rdf``
        without turning it, which nothing in the file tells.

    Raises
    ------
    UnsupportedError
        usd-core is not installed; the file holds no particle field, refers to other layers, or shears one.
    CorruptError
        usd-core does not read it, or crashed over it.
    LimitError, StorageError
        Too large for ``limits``; cannot be read.
    """
    if importlib.util.find_spec("pxr") is None:
        raise UnsupportedError(f"{os.fspath(path)}: OpenUSD, which usd-core reads. Install it: {INSTALL}.")
    with open_regular(path) as (_, size):
        budget = (limits or Limits()).start(size)
        budget.debit(size, "USD file")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "fields.npz"
        _run_worker(Path(path).resolve(), target, budget)
        with np.load(target, allow_pickle=False) as arrays:
            meta = json.loads(arrays["meta"].tobytes())
            if not meta["fields"]:
                raise UnsupportedError(f"{os.fspath(path)}: no ParticleField3DGaussianSplat in it, expected splats.")
            parts = [_read_field(arrays, i, field, budget) for i, field in enumerate(meta["fields"])]
    scene = joined(parts, budget, "USD")
    if normalise:
        normalise_quats(scene.quats)
    frame = _FRAMES.get(meta["up"], "rub")
    return replace(scene, frame=frame, metadata={"source": {"format": "usd", "notes": [_NOTE.format(frame=frame)]}})


def _run_worker(path: Path, target: Path, budget: Limits) -> None:
    """Read the file in another process.

    Raises
    ------
    UnsupportedError, CorruptError, LimitError
        As its exit status says.
    """
    words = [sys.executable, "-m", usdworker.__name__, str(path), str(target), str(budget.ceiling)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        raise LimitError(f"{path.name}: not read within {TIMEOUT} seconds.") from None
    said = (done.stderr.strip().splitlines() or ["no message"])[-1][:200]
    if done.returncode == usdworker.REFUSED:
        raise UnsupportedError(f"{path.name}: {said}.")
    if "MemoryError" in said or "bad_alloc" in said:
        raise LimitError(f"{path.name}: wants more memory than {budget.ceiling:,} bytes.")
    if done.returncode or not target.exists():
        raise CorruptError(f"{path.name}: usd-core does not read it (exit status {done.returncode}: {said}).")


def _read_field(arrays: Any, index: int, field: dict[str, Any], budget: Limits) -> Gaussians:
    """Return one prim; of an attribute that is too short the default counts, of one too long the beginning."""
    what = f"USD {field['path'][:60]}"
    given = {name: arrays[f"{index}.{name}"] for name in usdworker.ATTRIBUTES}
    n = budget.count(len(given["positions"]), budget.gaussians, what)
    if not n:
        raise CorruptError(f"{what}: no positions.")
    degree = field["degree"] if isinstance(field["degree"], int) else 0
    coefficients = given["radiance:sphericalHarmonicsCoefficients"]
    stored = (degree + 1) ** 2
    if not 0 <= degree <= 32 or len(coefficients) < n * stored:
        degree, stored, coefficients = 0, 1, np.zeros((n, 3), np.float32)
    kept = min(degree, len(SH_COEFFICIENTS) - 1)
    budget.debit(2 * n * row_bytes(kept), f"{what} of {n:,} Gaussians")
    out = empty_scene_arrays(n, kept)
    out["means"][:] = given["positions"]
    for name, key, default in (("quats", "orientations", (1, 0, 0, 0)), ("scales", "scales", 1.0)):
        out[name][:] = given[key][:n] if len(given[key]) >= n else default
    out["opacities"][:] = given["opacities"][:n, 0] if len(given["opacities"]) >= n else 1.0
    rows = coefficients[: n * stored].reshape(n, stored, 3)
    out["sh0"][:], out["shN"][:] = rows[:, :1], rows[:, 1 : 1 + SH_COEFFICIENTS[kept]]
    in_place(out["scales"], log_of)
    in_place(out["opacities"], logit_of)
    world = np.array(field["world"], np.float64).T  # USD's matrices stand on the right of rows
    return placement(world, what).of(Gaussians(**out))
