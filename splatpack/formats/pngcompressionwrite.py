"""gsplat's PngCompression: writing. Rows are in Morton order, which packs better than any that a trainer leaves."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from splatpack.errors import UnsupportedError, UsageError
from splatpack.formats.blocks import rows_outside, turned
from splatpack.formats.detect import FOLDER_FILE
from splatpack.formats.losses import Losses
from splatpack.formats.morton import morton_order
from splatpack.formats.sogpalette import MAX_CENTRES, Progress, fit_palette, match
from splatpack.formats.sogwrite import default_palette, visibility
from splatpack.scene.gaussians import FloatArray, Gaussians
from splatpack.scene.validate import SCALE_LIMIT

SH_BITS = 6
REACH = 1e4
LOGIT_REACH = 8.0
"""Logits beyond this are less than a tenth of an 8-bit step of alpha from 0 or 1, and would widen all steps."""


def write_png_compression(
    folder: Path, scene: Gaussians, losses: Losses, *, frame: str, palette: int | None = None,
    progress: Progress | None = None,
) -> None:  # fmt: skip
    """Write ``scene`` to an empty folder as gsplat's PngCompression does.

    The pictures are square: of a scene whose count is no square the least opaque Gaussians are left out, as the
    reference does. Memory: the columns twice.

    Parameters
    ----------
    folder : Path
        Is there, and is empty.
    scene : Gaussians
        Without extra columns: they are not written.
    losses : Losses
        Takes what is left out, and the counts of values beyond what is written.
    frame : str
        The frame to turn to.
    palette : int, optional
        Entries of the SH palette, at most 65,536. Default: as for SOG.
    progress : callable, optional
        Called as ``(stage, done, total)``.

    Raises
    ------
    UnsupportedError
        The scene is empty.
    UsageError
        ``palette`` is out of range.
    InvalidSceneError
        The scene holds NaN.
    """
    if not len(scene):
        raise UnsupportedError("0 Gaussians: PngCompression cannot hold an empty scene, expected at least 1.")
    if palette is not None and not 1 <= palette <= MAX_CENTRES:
        raise UsageError(f"palette: {palette:,}, expected 1 to {MAX_CENTRES:,}.")
    order = _square(scene, losses)
    side, columns = math.isqrt(len(order)), _columns(scene, losses, frame, order)
    meta: dict[str, Any] = {}
    levels = _spread(columns["means"], 65535, "means", meta, (len(order), 3))
    for part, data in (("l", levels & 255), ("u", levels >> 8)):
        _save(folder / f"means_{part}.png", data, side)
    for name in ("scales", "quats", "opacities", "sh0"):
        shape = (len(order), *getattr(scene, name).shape[1:])
        _save(folder / f"{name}.png", _spread(columns[name], 255, name, meta, shape), side)
    meta["shN"] = {"shape": [len(order), *scene.shN.shape[1:]], "dtype": "float32"}
    if scene.sh_degree:
        weight = visibility(scene)[order]
        count = min(palette or default_palette(len(order)), len(order))
        (folder / "shN.npz").write_bytes(_palette(columns["shN"], weight, count, meta["shN"], progress))
    (folder / FOLDER_FILE).write_text(json.dumps(meta))


def _square(scene: Gaussians, losses: Losses) -> NDArray[np.int64]:
    """Return the rows that stay, in Morton order."""
    spare = len(scene) - math.isqrt(len(scene)) ** 2
    losses.count("left out, the least opaque: their number must be a square", spare)
    rows = np.sort(np.argsort(scene.opacities, kind="stable")[spare:])
    return np.asarray(rows[morton_order(scene.means[rows])])


def _columns(scene: Gaussians, losses: Losses, frame: str, order: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Return what is to be spread, (N, channels), in the order of the file."""
    n, d = len(order), 3 * scene.shN.shape[1]
    widths = {"means": 3, "scales": 3, "quats": 4, "opacities": 1, "sh0": 3, "shN": d}
    out: dict[str, NDArray[Any]] = {name: np.empty((n, width), np.float32) for name, width in widths.items()}
    out["means"] = np.empty((n, 3))
    for start, part in turned(scene.take(order), frame):
        rows = slice(start, start + len(part))
        losses.count(
            f"log-scale beyond +-{SCALE_LIMIT:g}, clamped", rows_outside(part.scales, -SCALE_LIMIT, SCALE_LIMIT)
        )
        for what, values in (("colour (sh0)", part.sh0), ("SH", part.shN)):
            losses.count(f"{what} beyond +-{REACH:g}, clamped", rows_outside(values, -REACH, REACH))
        means = part.means.astype(np.float64)
        out["means"][rows] = np.copysign(np.log1p(np.abs(means)), means)
        out["scales"][rows] = part.scales.clip(-SCALE_LIMIT, SCALE_LIMIT)
        out["quats"][rows] = part.quats * np.where(part.quats[:, :1] < 0, np.float32(-1), np.float32(1))
        out["opacities"][rows, 0] = part.opacities.clip(-LOGIT_REACH, LOGIT_REACH)
        out["sh0"][rows] = part.sh0[:, 0].clip(-REACH, REACH)
        out["shN"][rows] = part.shN.reshape(len(part), -1).clip(-REACH, REACH)
    return out


def _spread(
    values: NDArray[Any], top: int, name: str, meta: dict[str, Any], shape: tuple[int, ...]
) -> NDArray[np.uint16]:
    """Return the nearest level of each value between the ends of its channel, which go to ``meta``."""
    low, high = (end.astype(np.float64) for end in (values.min(axis=0), values.max(axis=0)))
    meta[name] = {"shape": list(shape), "dtype": "float32", "mins": low.tolist(), "maxs": high.tolist()}
    span = np.where(high > low, high - low, 1)
    return np.asarray(np.rint((values - low) * (top / span)), np.uint16)


def _save(path: Path, levels: NDArray[Any], side: int) -> None:
    pixels = levels.astype(np.uint8).reshape(side, side, -1)
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(path, "PNG")


def _palette(shn: FloatArray, weight: FloatArray, count: int, meta: dict[str, Any], progress: Progress | None) -> bytes:
    """Return an ``.npz`` of centroids in 6 bits and of the one of each Gaussian; ``meta`` takes the range."""
    fitted = fit_palette(shn, weight, count, progress=progress)
    low, high = float(fitted.centres.min()), float(fitted.centres.max())
    top = (1 << SH_BITS) - 1
    span = high - low or 1.0
    levels = np.rint((fitted.centres.astype(np.float64) - low) * (top / span)).astype(np.uint8)
    fitted.centres = (levels * ((high - low) / top) + low).astype(np.float32)
    match(fitted, shn)
    meta |= {"mins": low, "maxs": high, "quantization": SH_BITS}
    out = io.BytesIO()
    np.savez_compressed(out, centroids=levels, labels=fitted.labels.astype(np.uint16))
    return out.getvalue()
