"""Small files that this package wrote once, and the scene that they were made from.

``python -m tests.test_formats.golden`` writes them anew. Do that only for a change of bytes that is meant.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from splatpack.scene.gaussians import Gaussians
from tests import synth

FOLDER = Path(__file__).parent
FILES: dict[str, dict[str, Any]] = {
    "scene.ply": {},
    "scene.splat": {},
    "scene.compressed.ply": {},
    "v2.spz": {"version": 2},
    "v3.spz": {"version": 3},
    "v4.spz": {"version": 4},
    "scene.sog": {},
    "scene.glb": {},
}


def original() -> Gaussians:
    """40 Gaussians of SH degree 2, within what every format spans."""
    scene = synth.scene(40, 2, seed=7)
    return replace(
        scene, sh0=scene.sh0.clip(-1.7, 1.7), shN=scene.shN.clip(-0.9, 0.9), scales=scene.scales.clip(-9, 5),
        opacities=scene.opacities.clip(-5, 5), means=np.round(scene.means, 3).astype(np.float32), antialiased=True,
    )  # fmt: skip
