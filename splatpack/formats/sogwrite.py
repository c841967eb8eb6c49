"""PlayCanvas SOG, version 2: writing, as one zip or as a folder.

Where the reference truncates we round; its codebooks count every Gaussian the same, ours count what can be seen.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import UnsupportedError, UsageError
from splatpack.formats.blocks import Bytes, alpha_u8, rows_outside, to_u8, turned
from splatpack.formats.detect import FOLDER_FILE
from splatpack.formats.losses import Losses
from splatpack.formats.morton import morton_order
from splatpack.formats.quats import drop_largest
from splatpack.formats.sogimage import MAX_PIXELS, encode_texture
from splatpack.formats.soglayout import PER_ROW, texture_sides
from splatpack.formats.soglevels import fit_levels, nearest_level
from splatpack.formats.sogpalette import MAX_CENTRES, Progress, fit_palette, match
from splatpack.parallel import ordered_map
from splatpack.scene.gaussians import FloatArray, Gaussians
from splatpack.scene.validate import SCALE_LIMIT

REACH = 1e4
"""Colours and SH beyond this are clamped: nothing real is there, and one such value would take a level of its own."""

_SQRT2 = np.float32(np.sqrt(2.0))
_HIDDEN = 0.1
"""Weight of what cannot be seen, in relation to the mean: 10 times less and log-scales of it are up to 1 off."""

Textures = dict[str, Bytes]


def write_sog(
    file: BinaryIO, scene: Gaussians, losses: Losses, *, frame: str, palette: int | None = None,
    progress: Progress | None = None,
) -> None:  # fmt: skip
    """Write ``scene`` as a bundled ``.sog``.

    The rows are in Morton order. Memory: the columns once or twice, for the palette.

    Parameters
    ----------
    file : binary file
        Is written from where it stands, and left open.
    scene : Gaussians
        Without extra columns: they are not written.
    losses : Losses
        Takes the counts of values beyond what is written.
    frame : str
        The frame to turn to.
    palette : int, optional
        Entries of the SH palette, at most 65,536. Default: as many as the reference takes.
    progress : callable, optional
        Called as ``(stage, done, total)``.

    Raises
    ------
    UnsupportedError
        The scene is empty, or larger than a WebP can be.
    UsageError
        ``palette`` is out of range.
    InvalidSceneError
        The scene holds NaN.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sog_parts(scene, losses, frame, palette, progress):
            archive.writestr(zipfile.ZipInfo(name), data)


def write_sog_folder(
    folder: Path, scene: Gaussians, losses: Losses, *, frame: str, palette: int | None = None,
    progress: Progress | None = None,
) -> None:  # fmt: skip
    """Write ``scene`` as textures and a ``meta.json`` to an empty folder; else as :func:`write_sog`."""
    for name, data in sog_parts(scene, losses, frame, palette, progress):
        (folder / name).write_bytes(data)


def default_palette(count: int) -> int:
    """Return how many entries the reference's palette has for ``count`` Gaussians: a power of two up to 64 K."""
    entries = 1 << max((count // 1024).bit_length() - 1, 0)
    return min(64, entries) * 1024 if count >= 1024 else 1 << (count.bit_length() - 1)


def visibility(scene: Gaussians) -> FloatArray:
    """Return how much an error in each Gaussian's colour or shape counts, float32 (N,), at least 0.1.

    The squared error of a picture grows with alpha^2 and with the area, here that of the two longest axes; the square
    root of that keeps what is small from being given up.
    """
    scales = np.clip(np.sort(scene.scales, axis=1)[:, 1:], -SCALE_LIMIT, SCALE_LIMIT).astype(np.float64)
    with np.errstate(over="ignore"):
        alpha = 1 / (1 + np.exp(-scene.opacities.astype(np.float64)))
    weight = alpha * np.exp(0.5 * (scales.sum(axis=1) - scales.sum(axis=1).max(initial=-np.inf)))
    mean = float(weight.mean()) if len(weight) else 1.0
    return np.asarray(weight / max(mean, 1e-300) + _HIDDEN, np.float32)


def sog_parts(
    scene: Gaussians, losses: Losses, frame: str, palette: int | None, progress: Progress | None,
    order: NDArray[np.int64] | None = None,
) -> Iterator[tuple[str, bytes]]:  # fmt: skip
    """Yield the files, ``meta.json`` last; the rows are in ``order``, which is that of Morton by default."""
    count = len(scene)
    if not count:
        raise UnsupportedError("0 Gaussians: SOG cannot hold an empty scene, expected at least 1.")
    if math.prod(texture_sides(count)) > MAX_PIXELS:
        raise UnsupportedError(
            f"{count:,} Gaussians: a SOG of more than {MAX_PIXELS:,} is not read by us. Write streamed SOG, or crop."
        )
    if palette is not None and not 1 <= palette <= MAX_CENTRES:
        raise UsageError(f"palette: {palette:,}, expected 1 to {MAX_CENTRES:,}.")
    order = morton_order(scene.means) if order is None else order
    textures, meta = _encode(scene, losses, frame, order, min(palette or default_palette(count), count), progress)
    pixels = iter(textures.items())
    names = list(textures)
    for i, (name, data) in enumerate(
        zip(names, ordered_map(lambda item: encode_texture(item[1]), pixels), strict=True)
    ):
        yield name, data
        if progress:
            progress("WebP", i + 1, len(names))
    yield FOLDER_FILE, json.dumps(meta, separators=(",", ":")).encode()


def _encode(
    scene: Gaussians, losses: Losses, frame: str, order: NDArray[np.int64], palette: int, progress: Progress | None
) -> tuple[Textures, dict[str, Any]]:
    """Return the textures by file name, and the meta data."""
    weight = visibility(scene)[order]
    columns = _columns(scene, losses, frame, order)
    books = {key: fit_levels(columns[key], np.repeat(weight, 3)) for key in ("scales", "sh0")}
    ends = np.stack([columns["means"].min(axis=0), columns["means"].max(axis=0)])
    span = ends[1] - ends[0]
    level = (columns["means"] - ends[0]) * (65535 / np.where(span > 0, span, 1))
    fixed = np.floor(level + 0.5).astype(np.uint16)
    alpha = columns["alpha"][:, None]
    names = {
        "means": ["means_l.webp", "means_u.webp"],
        "quats": ["quats.webp"],
        "scales": ["scales.webp"],
        "sh0": ["sh0.webp"],
    }
    meta: dict[str, Any] = {"version": 2, "asset": {"generator": "splatpack"}, "count": len(scene)}
    if scene.antialiased:
        meta |= {"antialias": True, "model": "antialiased"}
    meta["means"] = {"mins": ends[0].tolist(), "maxs": ends[1].tolist(), "files": names["means"]}
    meta["scales"] = {"codebook": books["scales"].tolist(), "files": names["scales"]}
    meta["quats"] = {"files": names["quats"]}
    meta["sh0"] = {"codebook": books["sh0"].tolist(), "files": names["sh0"]}
    rows = {
        "means_l.webp": (fixed & 255).astype(np.uint8),
        "means_u.webp": (fixed >> 8).astype(np.uint8),
        "quats.webp": columns["quats"],
        "scales.webp": nearest_level(columns["scales"], books["scales"]),
        "sh0.webp": np.concatenate([nearest_level(columns["sh0"], books["sh0"]), alpha], axis=1),
    }
    if scene.sh_degree:
        shn, levels = _palette(columns["shN"], weight, palette, progress)
        files = ["shN_centroids.webp", "shN_labels.webp"]
        meta["shN"] = {"count": len(shn.entries), "bands": scene.sh_degree, "codebook": levels.tolist(), "files": files}
        rows["shN_labels.webp"] = np.stack([shn.labels & 255, shn.labels >> 8, 0 * shn.labels], axis=1).astype(np.uint8)
    textures = {name: _texture(pixels) for name, pixels in rows.items()}
    if scene.sh_degree:
        textures["shN_centroids.webp"] = _centroids(shn.entries)
    return textures, meta


def _columns(scene: Gaussians, losses: Losses, frame: str, order: NDArray[np.int64]) -> dict[str, Any]:
    """Return what is to be written in the order of the file: positions as logarithms, quats and alpha as bytes."""
    n, d = len(scene), 3 * scene.shN.shape[1]
    out: dict[str, Any] = {
        "means": np.empty((n, 3)), "scales": np.empty((n, 3), np.float32), "sh0": np.empty((n, 3), np.float32),
        "quats": np.empty((n, 4), np.uint8), "alpha": np.empty(n, np.uint8), "shN": np.empty((n, d), np.float32),
    }  # fmt: skip
    for start, part in turned(scene, frame, order):
        rows = slice(start, start + len(part))
        losses.count(
            f"log-scale beyond +-{SCALE_LIMIT:g}, clamped", rows_outside(part.scales, -SCALE_LIMIT, SCALE_LIMIT)
        )
        for what, values in (("colour (sh0)", part.sh0), ("SH", part.shN)):
            losses.count(f"{what} beyond +-{REACH:g}, clamped", rows_outside(values, -REACH, REACH))
        means = part.means.astype(np.float64)
        out["means"][rows] = np.copysign(np.log1p(np.abs(means)), means)
        out["scales"][rows] = part.scales.clip(-SCALE_LIMIT, SCALE_LIMIT)
        out["sh0"][rows] = part.sh0[:, 0].clip(-REACH, REACH)
        out["shN"][rows] = part.shN.reshape(len(part), -1).clip(-REACH, REACH)
        out["alpha"][rows] = alpha_u8(part.opacities)
        which, three = drop_largest(part.quats)
        scaled = np.stack(three, axis=1) * (np.float32(127.5) * _SQRT2) + np.float32(127.5)
        out["quats"][rows, :3] = to_u8(scaled)
        out["quats"][rows, 3] = 252 + which
    return out


@dataclass(frozen=True)
class _Entries:
    """Levels of the entries, uint8 (k, d), and the entry of each Gaussian, int32 (n,)."""

    entries: Bytes
    labels: NDArray[np.int32]


def _palette(shn: FloatArray, weight: FloatArray, count: int, progress: Progress | None) -> tuple[_Entries, FloatArray]:
    """Fit a palette and its codebook; entries are in the order of the Gaussians that use them, which packs better."""
    fitted = fit_palette(shn, weight, count, progress=progress)
    mass = np.bincount(fitted.labels, weight, len(fitted.centres)).astype(np.float32)
    each = np.repeat(np.maximum(mass, np.float32(_HIDDEN)), shn.shape[1])
    levels = fit_levels(fitted.centres, each)
    entries = nearest_level(fitted.centres, levels)
    fitted.centres = levels[entries]
    match(fitted, shn)
    used = np.bincount(fitted.labels, minlength=len(entries))
    place = np.bincount(fitted.labels, np.arange(len(shn)), len(entries)) / np.maximum(used, 1)
    order = np.argsort(np.where(used > 0, place, np.inf), kind="stable")[: max(int((used > 0).sum()), 1)]
    rank = np.zeros(len(entries), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return _Entries(entries[order], rank[fitted.labels]), levels


def _texture(rows: Bytes) -> Bytes:
    """Return rows of pixels as a texture, the rest of which is zero."""
    width, height = texture_sides(len(rows))
    out = np.zeros((height * width, rows.shape[1]), np.uint8)
    out[: len(rows)] = rows
    return out.reshape(height, width, -1)


def _centroids(entries: Bytes) -> Bytes:
    """Return the texture of the palette: 64 entries a row, a pixel for each coefficient."""
    height = -(-len(entries) // PER_ROW)
    out = np.zeros((height * PER_ROW, entries.shape[1]), np.uint8)
    out[: len(entries)] = entries
    return out.reshape(height, -1, 3)
