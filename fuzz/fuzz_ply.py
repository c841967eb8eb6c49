"""Damaged PLY files, binary and ASCII."""

from __future__ import annotations

import atexit
import io
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from fuzz._common import mutate, run
from splatpack.formats.ply import read_ply, write_ply
from splatpack.limits import Limits
from splatpack.scene.validate import validate
from tests import synth

_ASCII = b"""ply
format ascii 1.0
element vertex 2
property float x
property float y
property double z
property float f_dc_0
property float f_dc_1
property float f_dc_2
property float opacity
property float scale_0
property float scale_1
property float scale_2
property float rot_0
property float rot_1
property float rot_2
property float rot_3
end_header
0 1 2 .1 .2 .3 1 -3 -3 -4 1 0 0 0
1 1 2 .1 .2 .3 1 -3 -3 -4 0 1 0 0
"""


def _seeds() -> list[bytes]:
    file = io.BytesIO()
    write_ply(file, synth.scene(20, 1, seed=1))
    return [file.getvalue(), _ASCII, _ASCII.replace(b"\n", b"\r\n")]


SEEDS = _seeds()
FOLDER = Path(tempfile.mkdtemp())
atexit.register(shutil.rmtree, FOLDER)
PATH = FOLDER / "scene.ply"


def attempt(rng: np.random.Generator) -> tuple[bytes, Callable[[], object]]:
    """One damaged file and what to do with it."""
    data = mutate(rng, SEEDS[int(rng.integers(len(SEEDS)))])

    def call() -> object:
        PATH.write_bytes(data)
        return validate(read_ply(PATH, limits=Limits(memory=64 << 20)))

    return data, call


if __name__ == "__main__":
    run(attempt, "ply")
