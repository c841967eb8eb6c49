"""Levels of detail: how fast they are built, and what each level shows for its bytes, as a share of the flat file.

    python benchmarks/bench_lod.py SCENE.ply ...

prints, for each scene, the overhead of the levels and a row a level: what must have arrived, and the PSNR of what is
then drawn against the whole scene, over the 12 evaluation views. As a test it does so for a small synthetic scene.
"""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from splatpack.container.reader import ContainerReader
from splatpack.container.source import MemorySource
from splatpack.fit.importance import importance
from splatpack.lod.build import build
from splatpack.pack.api import read
from splatpack.pack.decode import decode
from splatpack.pack.encode import encode
from splatpack.pack.presets import settings
from splatpack.render.compare import compare
from splatpack.render.views import evaluation_cameras
from splatpack.scene.gaussians import Gaussians
from tests import synth

FIRST_REQUEST = 64 << 10


@dataclass(frozen=True)
class Row:
    """One level: Gaussians drawn, bytes that must be there as a share of the flat file, PSNR, dB."""

    level: int
    drawn: int
    share: float
    psnr_mean: float
    psnr_min: float


@dataclass(frozen=True)
class Curve:
    """One scene: bytes of the flat file and of that with levels, a row a level, PSNR of the first 64 KiB."""

    flat: int
    bytes: int
    rows: list[Row]
    first: float

    @property
    def overhead(self) -> float:
        return self.bytes / self.flat - 1


def measured(scene: Gaussians, refine: int = 200, size: tuple[int, int] = (240, 180)) -> Curve:
    weights = importance(scene)
    files = []
    for changes in ({}, {"lod": True, "lod_refine": refine}):
        out = io.BytesIO()
        encode(scene, out, settings("high", goal=None, **changes), weights=weights)
        files.append(out.getvalue())
    flat, data = files
    whole, cameras = decode(ContainerReader(MemorySource(flat))), evaluation_cameras(scene, *size)
    chunks = ContainerReader(MemorySource(data)).chunks
    rows = []
    for level in sorted({c.level for c in chunks}, reverse=True):
        cut = decode(ContainerReader(MemorySource(data)), level=level)
        quality = compare(whole, cut, cameras)
        end = max(c.offset + c.length for c in chunks if c.level >= level)
        rows.append(Row(level, len(cut), end / len(flat), quality.psnr_mean, quality.psnr_min))
    part = decode(ContainerReader(MemorySource(data[:FIRST_REQUEST]), partial=True))
    return Curve(len(flat), len(data), rows, compare(whole, part, cameras).psnr_mean)


def test_a_level_costs_little_and_shows_more_than_the_last() -> None:
    curve = measured(synth.scene(6000, 0, seed=1), 10, (80, 60))
    assert curve.overhead < 0.2
    assert [r.share for r in curve.rows] == sorted(r.share for r in curve.rows)
    assert [r.psnr_mean for r in curve.rows] == sorted(r.psnr_mean for r in curve.rows)


def test_building(benchmark: Any) -> None:
    scene, weights = synth.scene(20_000, 1, seed=2), np.random.default_rng(2).lognormal(0, 2, 20_000)
    tree = benchmark(build, scene, weights, threads=1)
    assert sum(len(leaf.rows) for leaf in tree.leaves) == 20_000


def main(paths: list[str]) -> None:
    for path in paths:
        scene = read(path)
        curve = measured(scene)
        print(f"{path}: {len(scene):,} Gaussians, flat {curve.flat:,} bytes, with levels {curve.overhead:+.1%}")
        for r in curve.rows:
            print(f"  level {r.level}: {r.drawn:,} drawn, {r.share:.3f} of the flat file, "
                  f"{r.psnr_mean:.2f} dB mean, {r.psnr_min:.2f} dB worst")  # fmt: skip
        print(f"  first 64 KiB: {curve.first:.2f} dB")


if __name__ == "__main__":
    main(sys.argv[1:])
