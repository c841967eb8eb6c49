"""OpenUSD's ``ParticleField3DGaussianSplat``: writing one prim to a crate, or to a package with one in it."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from splatpack.errors import StorageError, UnsupportedError
from splatpack.formats.blocks import rows_outside, turned
from splatpack.formats.losses import Losses
from splatpack.scene.gaussians import C0, SH_COEFFICIENTS, Gaussians
from splatpack.scene.validate import SCALE_LIMIT

INSTALL = "pip install 'splatpack[usd]'"
PRIM = "/Splats"


def write_usd(file: BinaryIO, scene: Gaussians, losses: Losses, *, frame: str) -> None:
    """Write ``scene`` as a binary layer (``.usdc``, ``.usd``).

    Memory: the columns twice.

    Parameters
    ----------
    file : binary file
        Is written from where it stands, and left open.
    scene : Gaussians
        Without extra columns: they are not written.
    losses : Losses
    frame : str
        The frame to turn to: ``rub`` is a stage whose y axis is up, ``z_up`` one whose z axis is. Any other is written
        as its numbers are, and the stage still says y.

    Raises
    ------
    UnsupportedError
        usd-core is not installed, or the scene is empty.
    InvalidSceneError
        The scene holds NaN or infinite positions.
    """
    _write(file, scene, losses, frame, "scene.usdc")


def write_usdz(file: BinaryIO, scene: Gaussians, losses: Losses, *, frame: str) -> None:
    """Write ``scene`` as a package (``.usdz``); else as :func:`write_usd`."""
    _write(file, scene, losses, frame, "scene.usdz")


def _write(file: BinaryIO, scene: Gaussians, losses: Losses, frame: str, name: str) -> None:
    if importlib.util.find_spec("pxr") is None:
        raise UnsupportedError(f"OpenUSD, which usd-core writes. Install it: {INSTALL}.")
    if not len(scene):
        raise UnsupportedError("0 Gaussians: a particle field needs positions, expected at least 1.")
    columns = _columns(scene, losses, frame)
    with tempfile.TemporaryDirectory() as folder:
        layer = Path(folder) / "scene.usdc"
        _save(layer, columns, scene.sh_degree, "Z" if frame == "z_up" else "Y")
        if name.endswith(".usdz"):
            from pxr import UsdUtils

            if not UsdUtils.CreateNewUsdzPackage(str(layer), str(Path(folder) / name)):
                raise StorageError(f"{name}: usd-core could not write the package.")
        with (Path(folder) / name).open("rb") as done:
            while part := done.read(1 << 20):
                file.write(part)


def _columns(scene: Gaussians, losses: Losses, frame: str) -> dict[str, Any]:
    """Return the arrays of the prim in the frame of the file; quaternions as i, j, k, real, as USD keeps them."""
    n, k = len(scene), 1 + SH_COEFFICIENTS[scene.sh_degree]
    shapes = {"positions": (n, 3), "orientations": (n, 4), "scales": (n, 3), "opacities": (n,), "sh": (n, k, 3)}
    out = {name: np.empty(shape, np.float32) for name, shape in shapes.items()}
    for start, part in turned(scene, frame):
        rows = slice(start, start + len(part))
        losses.count(f"log-scale above {SCALE_LIMIT:g}, clamped", rows_outside(part.scales, -np.inf, SCALE_LIMIT))
        out["positions"][rows] = part.means
        out["orientations"][rows] = part.quats[:, (1, 2, 3, 0)]
        out["scales"][rows] = np.exp(np.minimum(part.scales, np.float32(SCALE_LIMIT)))
        with np.errstate(over="ignore"):
            out["opacities"][rows] = np.float32(1) / (np.float32(1) + np.exp(-part.opacities))
        out["sh"][rows, :1], out["sh"][rows, 1:] = part.sh0, part.shN
    return out


def _save(path: Path, columns: dict[str, Any], degree: int, up: str) -> None:
    from pxr import Gf, Usd, UsdGeom, UsdVol, Vt

    if not hasattr(UsdVol, "ParticleField3DGaussianSplat"):
        raise UnsupportedError("usd-core has no ParticleField3DGaussianSplat, expected version 26.3 or later.")
    stage = Usd.Stage.CreateNew(str(path))
    UsdGeom.SetStageUpAxis(stage, getattr(UsdGeom.Tokens, up.lower()))
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    prim = UsdVol.ParticleField3DGaussianSplat.Define(stage, PRIM)
    stage.SetDefaultPrim(prim.GetPrim())
    means = columns["positions"]
    reach = 3 * columns["scales"].max(axis=1, keepdims=True)
    ends = [(means - reach).min(axis=0), (means + reach).max(axis=0)]
    prim.CreateExtentAttr(Vt.Vec3fArray([Gf.Vec3f(*(float(v) for v in end)) for end in ends]))
    prim.CreatePositionsAttr(Vt.Vec3fArray.FromNumpy(means))
    prim.CreateOrientationsAttr(Vt.QuatfArray.FromNumpy(columns["orientations"]))
    prim.CreateScalesAttr(Vt.Vec3fArray.FromNumpy(columns["scales"]))
    prim.CreateOpacitiesAttr(Vt.FloatArray.FromNumpy(columns["opacities"]))
    prim.CreateRadianceSphericalHarmonicsDegreeAttr(degree)
    coefficients = np.ascontiguousarray(columns["sh"].reshape(-1, 3))
    sh = UsdGeom.Primvar(prim.CreateRadianceSphericalHarmonicsCoefficientsAttr(Vt.Vec3fArray.FromNumpy(coefficients)))
    sh.SetElementSize((degree + 1) ** 2)
    sh.SetInterpolation(UsdGeom.Tokens.vertex)
    colours = np.clip(0.5 + np.float32(C0) * columns["sh"][:, 0], 0, 1).astype(np.float32)
    shown = UsdGeom.PrimvarsAPI(prim.GetPrim()).CreatePrimvar("displayColor", _type("Color3fArray"))
    shown.SetInterpolation(UsdGeom.Tokens.vertex)
    shown.Set(Vt.Vec3fArray.FromNumpy(colours))
    stage.GetRootLayer().Save()


def _type(name: str) -> Any:
    from pxr import Sdf

    return getattr(Sdf.ValueTypeNames, name)
