"""Make the dictionary of packed metadata: `python spec/make_dictionary.py OUT`.

It is the metadata of an ordinary file and of a lossless one, and before them the steps of the other presets: what
deflate finds there it need not spell out. `metadata.dict` is normative and was made once; it never changes.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from splatpack.container import meta
from splatpack.container.reader import ContainerReader
from splatpack.container.source import MemorySource
from splatpack.pack.encode import encode
from splatpack.pack.presets import PRESETS, settings
from splatpack.scene.gaussians import ATTRIBUTES
from tests import synth

QUALITY = {"psnr_mean": 50.5, "psnr_min": 45.5, "ssim_mean": 0.99, "views": 12, "seed": 20260101, "size": [320, 240]}


def metadata(preset: str, exact: tuple[str, ...] = ()) -> dict[str, Any]:
    """The metadata of a scene of SH degree 3 under a preset."""
    scene, out = synth.scene(64, 3, seed=1), io.BytesIO()
    encode(scene, out, settings(preset, exact=exact), weights=np.ones(len(scene)))
    values = ContainerReader(MemorySource(out.getvalue())).meta
    values["source"] = {"source": {"format": "ply", "comments": []}}
    values["quality"] = QUALITY
    return values


def main(out: str) -> None:
    """Write the dictionary."""
    steps = [
        meta.pack({name: metadata(preset)["profiles"][0]["splat"][name] for name in ("scale", "rotation", "opacity")})
        for preset in PRESETS
        if preset != "high"
    ]
    Path(out).write_bytes(b"".join([*steps, meta.pack(metadata("high", ATTRIBUTES)), meta.pack(metadata("high"))]))


if __name__ == "__main__":
    main(*sys.argv[1:])
