"""Reads a USD file in a process of its own: ``python -m splatpack.formats.usdworker FILE TARGET MEMORY``.

The library that reads USD is C++; a file that crashes it, or makes it ask for too much, ends this process and no other.
TARGET becomes an ``.npz`` of float32 arrays, ``0.positions`` and so on for each prim, and ``meta``, a JSON as bytes.
"""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

import numpy as np

REFUSED = 9
"""Exit status where the file is sound, but not one that is read; stderr says why."""

ATTRIBUTES = {
    "positions": 3, "orientations": 4, "scales": 3, "opacities": 1, "radiance:sphericalHarmonicsCoefficients": 3,
}  # fmt: skip
"""Attributes of a particle field, and the width of their elements; each has a twin of half floats, named with an h."""


def main(source: str, target: str, memory: str) -> int:
    """Read ``source`` and write its particle fields to ``target``; return the exit status."""
    _limit_memory(int(memory))
    from pxr import Sdf, Usd, UsdGeom

    layer = Sdf.Layer.FindOrOpen(source)
    if layer is None:
        print("no readable USD layer", file=sys.stderr)
        return 1
    outside = sorted(str(path) for path in layer.GetCompositionAssetDependencies())
    if outside:
        print(f"refers to {outside[0][:80]}, nothing but the file itself is read; flatten it first", file=sys.stderr)
        return REFUSED
    stage = Usd.Stage.Open(layer)
    cache, arrays, fields = UsdGeom.XformCache(), {}, []
    for prim in stage.Traverse():
        if prim.GetTypeName() == "ParticleField3DGaussianSplat":
            fields.append({
                "path": str(prim.GetPath()), "degree": prim.GetAttribute("radiance:sphericalHarmonicsDegree").Get(),
                "world": [list(row) for row in cache.GetLocalToWorldTransform(prim)],
            })  # fmt: skip
            for name, width in ATTRIBUTES.items():
                arrays[f"{len(fields) - 1}.{name}"] = _values(prim, name, width)
    meta = {"up": str(UsdGeom.GetStageUpAxis(stage)), "fields": fields}
    np.savez(target, **arrays, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8))
    return 0


def _limit_memory(memory: int) -> None:
    """Hold this process to ``memory`` bytes and what libraries need, where the system can."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory + (4 << 30),) * 2)


def _values(prim: Any, name: str, width: int) -> Any:
    """Return an attribute, or its twin of half floats, as rows; quaternions real part first."""
    for each in (name, name + "h"):
        value = prim.GetAttribute(each).Get() if prim.HasAttribute(each) else None
        if value is not None and len(value):
            rows = np.array(value, np.float32).reshape(-1, width)
            return np.roll(rows, 1, axis=1) if width == 4 else rows  # numpy sees i, j, k, real
    return np.empty((0, width), np.float32)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
