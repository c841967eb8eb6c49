"""How far two scenes are from each other, in what can be seen: covariances, never quaternions."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.formats.registry import read_scene, write_scene
from splatpack.scene.gaussians import Gaussians

Array = NDArray[np.float64]


def covariances(scene: Gaussians) -> Array:
    """R S S R^T of each Gaussian, float64 (N, 3, 3)."""
    w, x, y, z = scene.quats.astype(np.float64).T
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    half = np.stack(rows, axis=1).reshape(-1, 3, 3) * np.exp(scene.scales.astype(np.float64))[:, None]
    return np.asarray(half @ half.transpose(0, 2, 1))


def alphas(scene: Gaussians) -> Array:
    return np.asarray(1 / (1 + np.exp(-scene.opacities.astype(np.float64))))


def distances(a: Gaussians, b: Gaussians) -> dict[str, float]:
    """Greatest distance of each kind: ``means``; ``covariances`` as a share of a Gaussian's largest; ``alphas``..."""
    ca, cb = covariances(a), covariances(b)
    size = np.abs(ca).max(axis=(1, 2))
    k = min(a.shN.shape[1], b.shN.shape[1])
    return {
        "means": float(np.abs(a.means - b.means).max()),
        "scales": float(np.abs(a.scales - b.scales).max()),
        "covariances": float((np.abs(ca - cb).max(axis=(1, 2)) / size).max()),
        "alphas": float(np.abs(alphas(a) - alphas(b)).max()),
        "sh0": float(np.abs(a.sh0 - b.sh0).max()),
        "shN": float(np.abs(a.shN[:, :k] - b.shN[:, :k]).max(initial=0.0)),
    }


def assert_close(a: Gaussians, b: Gaussians, **bounds: float) -> None:
    """Hold every distance to its bound; a bound that is not given is zero."""
    assert len(a) == len(b)
    found = distances(a, b)
    over = {name: value for name, value in found.items() if not value <= bounds.get(name, 0.0)}
    assert not over, f"{over} over {bounds}"


def encode(scene: Gaussians, extension: str, **settings: Any) -> tuple[bytes, list[str]]:
    """The bytes and the losses of a scene in a format."""
    file = io.BytesIO()
    said = write_scene(file, scene, extension, **settings)
    return file.getvalue(), said


def decode(folder: Path, data: bytes, extension: str, **settings: Any) -> Gaussians:
    path = folder / f"scene{extension}"
    path.write_bytes(data)
    return read_scene(path, **settings)
