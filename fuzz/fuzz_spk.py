"""Damaged .spk files: half of them with the checksums made right again, so that the damage reaches the codecs."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from fuzz._common import mutate, run
from spec.vectors.make import rebuilt
from splatpack.container import meta
from splatpack.container.layout import PACKED_METADATA, Header
from splatpack.container.reader import ContainerReader
from splatpack.container.source import MemorySource
from splatpack.pack.decode import decode
from splatpack.pack.encode import encode
from splatpack.pack.presets import settings
from splatpack.pack.verify import verify
from splatpack.scene.gaussians import ATTRIBUTES
from tests import synth
from tests.test_container.build import reseal


def _seeds() -> list[bytes]:
    out = []
    scene = synth.scene(120, 2, seed=1)
    scene = replace(scene, extras={"label": np.arange(120, dtype=np.int16)})
    for changes in ({}, {"exact": ATTRIBUTES}, {"max_error": {"means": 1e-3, "shN": 0.01}}, {"exact": ("quats",)}):
        file = io.BytesIO()
        encode(scene, file, settings("high", **changes), weights=np.random.default_rng(0).lognormal(0, 2, 120))
        out.append(file.getvalue())
    return out


SEEDS = _seeds()


def _damaged(rng: np.random.Generator, data: bytes) -> bytes:
    kind = int(rng.integers(5))
    if kind == 0:
        return mutate(rng, data)
    if kind == 1:
        return rebuilt(data, edit=lambda i, k, body: mutate(rng, body))
    if kind == 2:
        return rebuilt(data, tables=lambda t: mutate(rng, t))
    head = Header.unpack(data[:128])
    if kind == 3:
        stored = data[head.meta_offset : head.tables_offset]
        if head.required & PACKED_METADATA and rng.integers(2):
            return reseal(data, meta=meta.deflate(mutate(rng, meta.inflate(stored))))
        return reseal(data, meta=mutate(rng, stored))
    return reseal(data, root=mutate(rng, data[128 : head.meta_offset]), move=bool(rng.integers(2)))


def attempt(rng: np.random.Generator) -> tuple[bytes, Callable[[], object]]:
    """One damaged file and what to do with it."""
    try:
        data = _damaged(rng, SEEDS[int(rng.integers(len(SEEDS)))])
    except (IndexError, OverflowError, ValueError, meta.CorruptError):
        data = mutate(rng, SEEDS[0])

    def call() -> None:
        reader = ContainerReader(MemorySource(data))
        verify(reader)
        scene = decode(reader)
        if not all(np.isfinite(getattr(scene, a)).all() for a in ATTRIBUTES):
            raise AssertionError("a value that is not finite got through")

    return data, call


if __name__ == "__main__":
    run(attempt, "spk")
