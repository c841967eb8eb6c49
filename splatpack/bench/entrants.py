"""What is measured: splatpack along its curve, its lossless mode, two lossless baselines; and what an entrant is."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from splatpack.bench.machine import sources
from splatpack.pack.presets import PRESETS
from splatpack.scene.gaussians import ATTRIBUTES

OWN = "splatpack"
"""The family of splatpack's own curve."""

LOSSLESS = "splatpack lossless"

CURVE = (40.0, 46.0, 50.0, 54.0, 58.0)
"""Mean PSNR that is asked for beside the goals of the presets, dB."""

FINE = (0.08, 0.03)
"""Values of q beyond the finest of the curve, encoded once without a search: they reach what the best peers reach."""

_WORKER = (
    f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r}); "
    "from splatpack.bench.workers.own import main; main(sys.argv[1])"
)
"""Runs this splatpack, the one whose digest is the version of its results, and not another that is installed."""

REFITTED = 42.0
"""Up to this PSNR, dB, a point of the curve is refitted, as ``medium`` and ``small`` are."""


@dataclass(frozen=True)
class Entrant:
    """A codec under one setting.

    Attributes
    ----------
    name : str
        What its rows are called.
    family : str
        The codec without its setting: entrants of a family are points of one curve.
    version : str
        Of what does the work; figures that were kept are good for it alone.
    words : tuple of str
        The command line of the worker that encodes.
    codec : str
        The worker's name for it.
    suffix : str
        Of the coded file.
    options : mapping
        What the worker hands to the library.
    decoder : ((str, ...), str) or None
        Worker and codec that decode, where they are not those that encode.
    needs_sh : bool
        The setting says something about SH only: scenes of degree 0 leave it out.
    missing : str
        Why it cannot be run here; empty when it can.
    """

    name: str
    family: str
    version: str
    words: tuple[str, ...]
    codec: str
    suffix: str
    options: Mapping[str, Any] = field(default_factory=dict)
    decoder: tuple[tuple[str, ...], str] | None = None
    needs_sh: bool = False
    missing: str = ""

    def key(self) -> dict[str, Any]:
        """Return what its results depend on, apart from the scene and the machine."""
        return {"version": self.version, "codec": self.codec, "options": dict(self.options)}


def own(curve: Sequence[float] = CURVE) -> list[Entrant]:
    """Return splatpack under each preset and for further qualities, its lossless mode, and the lossless baselines.

    Parameters
    ----------
    curve : sequence of float
        Mean PSNR to ask for, dB. Without any, the points of :data:`FINE` are left out too.
    """
    version = sources()
    points: dict[str, dict[str, Any]] = {f"{OWN} {name}": {"preset": name} for name in PRESETS}
    points[f"{OWN} high, no search"] = {"preset": "high", "goal": None}
    for db in curve:
        points[f"{OWN} {db:g} dB"] = {"preset": "medium" if db <= REFITTED else "high", "target_psnr": db}
    for q in FINE if curve else ():
        points[f"{OWN} q={q:g}"] = {"preset": "near-lossless", "goal": None, "q": q}
    words = (sys.executable, "-c", _WORKER)
    lossless = {"preset": "high", "goal": None, "exact": list(ATTRIBUTES)}
    return [
        *(Entrant(n, OWN, version, words, OWN, ".spk", o) for n, o in points.items()),
        Entrant(LOSSLESS, LOSSLESS, version, words, OWN, ".spk", lossless),
        Entrant("byte planes + zstd-19", "byte planes + zstd-19", version, words, "planes", ".zst"),
        Entrant("zstd-19 of the .ply", "zstd-19 of the .ply", version, words, "general", ".zst"),
    ]
