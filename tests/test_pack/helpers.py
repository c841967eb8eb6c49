"""Encoding to memory, for tests."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from splatpack.container.reader import ContainerReader
from splatpack.container.source import MemorySource
from splatpack.pack.decode import decode
from splatpack.pack.encode import encode
from splatpack.pack.presets import settings
from splatpack.scene.gaussians import Gaussians


def encoded(scene: Gaussians, preset: str = "high", threads: int | None = None, **changes: Any) -> bytes:
    """Encode with a seeded importance."""
    out = io.BytesIO()
    weights = np.random.default_rng(5).lognormal(0, 2, len(scene)) / 43_200
    encode(scene, out, settings(preset, **changes), weights=weights, threads=threads)
    return out.getvalue()


def opened(data: bytes, **options: Any) -> ContainerReader:
    """Open bytes."""
    return ContainerReader(MemorySource(data), **options)


def decoded(data: bytes, **options: Any) -> Gaussians:
    """Decode bytes."""
    return decode(opened(data), **options)


def sorted_rows(scene: Gaussians) -> Gaussians:
    """Rows in an order that depends on their values only."""
    keys = np.concatenate([scene.means, scene.scales, scene.quats, scene.opacities[:, None]], axis=1)
    return scene.take(np.lexsort(keys.T))
