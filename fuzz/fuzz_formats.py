"""Damaged files of every foreign format but plain PLY, which has a harness of its own."""

from __future__ import annotations

import atexit
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from fuzz._common import mutate, run
from splatpack.formats.registry import read_scene
from splatpack.limits import Limits
from splatpack.scene.validate import validate
from tests.test_formats.samples import SAMPLES, content, repacked

NAMES = [name for name in SAMPLES if name != "a.ply"]
FOLDER = Path(tempfile.mkdtemp())
atexit.register(shutil.rmtree, FOLDER)


def attempt(rng: np.random.Generator) -> tuple[bytes, Callable[[], object]]:
    """One damaged file and what to do with it; half of the gzip ones are damaged inside."""
    name = NAMES[int(rng.integers(len(NAMES)))]
    inside = bool(rng.integers(2))
    data = repacked(name, mutate(rng, content(name))) if inside else mutate(rng, SAMPLES[name])

    def call() -> object:
        path = FOLDER / name
        path.write_bytes(data)
        return validate(read_scene(path, limits=Limits(memory=64 << 20), normalise=bool(len(data) % 2)))

    return data, call


if __name__ == "__main__":
    run(attempt, "formats")
