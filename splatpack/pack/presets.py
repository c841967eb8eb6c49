"""What a preset is: the steps of the quantisers, one scalar q times a base set, and how much may be pruned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from splatpack.codecs.splat import CLASSES, Q20
from splatpack.errors import UsageError
from splatpack.scene.cameras import Camera

BASE_STEPS: Mapping[str, float] = {
    "scale": 0.155,  # nat of log-scale
    "rotation": 0.02,  # component of the modified Rodrigues vector, a quarter of the angle in radians
    "opacity": 0.25,  # logit
    "colour": 0.04,  # sh0, luma and chroma
    "sh": 0.0675,  # shN, luma and chroma
    "position": 0.16,  # of the median middle axis of the scene
}
"""Steps at q = 1, from one-at-a-time probes on rendered quality (docs/design/0004-splat-codec.md)."""

GAMMA: Mapping[str, float] = {
    "scale": 0.5, "rotation": 0.5, "opacity": 0.5, "colour": 0.7, "sh": 0.7, "position": 0.5,
}  # fmt: skip
"""Powers of two by which a step grows from one importance class to the next."""

PIVOT: Mapping[str, int] = {"scale": 3, "rotation": 3, "opacity": 3, "colour": 0, "sh": 0, "position": 3}
"""The class at which the base step holds."""


@dataclass(frozen=True)
class Goal:
    """A rendered quality to reach, on views that the encoder did not use: mean and worst PSNR, dB."""

    psnr_mean: float
    psnr_min: float

    def lowered(self, db: float) -> Goal:
        """Return a goal that is lower by ``db``."""
        return self.raised(-db, -db)

    def raised(self, mean: float, least: float) -> Goal:
        """Return a goal that is higher by so many dB."""
        return Goal(self.psnr_mean + mean, self.psnr_min + least)


@dataclass(frozen=True)
class Settings:
    """How to encode a scene.

    Attributes
    ----------
    q : float
        Multiplies all steps; halving it costs about 1 bit per coded number and gains about 6 dB.
    goal : Goal or None
        What :func:`splatpack.pack.api.write` looks for, with q as the place to start; None takes q as it is.
    prune : float or None
        Share of the Gaussians, the least important ones, that is dropped; None leaves it to the search.
    spare : float
        What the dropped Gaussians may weigh together, as a share of the importance of all: the least important ones go.
        Of this and ``prune`` the one that drops more counts.
    refine : int
        Steps by which what is left is refitted to pictures of the original (:mod:`splatpack.fit.refit`).
    refine_seconds : float
        Refit for this time instead; the result then depends on the machine. 0: no limit.
    steps : mapping of str to float
        Overrides of single base steps (names of :data:`BASE_STEPS`), not multiplied by q.
    exact : tuple of str
        Attributes kept bit-exact.
    max_error : mapping of str to float
        Attributes whose every component keeps within this distance of the original.
    sh_degree : int or None
        Drop SH bands above; None keeps them.
    keep_order : bool
        Keep the order of the rows (bit-exact and error-bounded modes only; costs space).
    follow : float
        How the position step grows with the middle axis: its power, 1 for in proportion, 0 for not at all.
    level : bool
        Scale the colour steps so that their predicted rendered error is the same in every scene.
    beta : float
        Colour error diffusion.
    lod : bool
        Write levels of detail: merged stand-ins before the Gaussians themselves.
    lod_refine : int
        Steps by which the stand-ins of each level are refitted to pictures of the scene.
    lod_seconds : float
        Refit them for this time instead, all levels together; the result then depends on the machine. 0: no limit.
    chunk : int
        Gaussians per chunk, about; 0 makes chunks of about 128 KiB.
    importance_views : int
        Cameras that the importance is measured from, at most; 0 treats all Gaussians alike.
    cameras : tuple of Camera
        The scene's own, where they are known, in its frame: a half of the importance's cameras is taken from them.
    name : str
        The preset this came from.
    """

    q: float = 0.45
    goal: Goal | None = None
    prune: float | None = None
    spare: float = 0.0
    refine: int = 0
    refine_seconds: float = 0.0
    steps: Mapping[str, float] = field(default_factory=dict)
    exact: tuple[str, ...] = ()
    max_error: Mapping[str, float] = field(default_factory=dict)
    sh_degree: int | None = None
    keep_order: bool = False
    follow: float = 0.0
    level: bool = True
    beta: float = 0.0
    lod: bool = False
    lod_refine: int = 200
    lod_seconds: float = 0.0
    chunk: int = 0
    importance_views: int = 64
    cameras: tuple[Camera, ...] = field(default=(), compare=False)
    name: str = "custom"

    def __post_init__(self) -> None:
        if not (0 < self.q <= 64 and 0 <= (self.prune or 0) < 1 and (self.chunk == 0 or 256 <= self.chunk <= 32768)):
            raise UsageError(f"q {self.q}, prune {self.prune}, chunk {self.chunk}: out of range.")
        if not (0 <= self.spare < 1 and self.refine >= 0 and 0 <= self.refine_seconds < 1e9):
            raise UsageError(f"spare {self.spare}, refine {self.refine} ({self.refine_seconds} s): out of range.")
        if not (self.lod_refine >= 0 and 0 <= self.lod_seconds < 1e9):
            raise UsageError(f"lod_refine {self.lod_refine} ({self.lod_seconds} s): out of range.")
        unknown = set(self.steps) - set(BASE_STEPS)
        if unknown:
            raise UsageError(f"unknown step names {sorted(unknown)}, expected some of {sorted(BASE_STEPS)}.")
        for name, value in {**self.steps, **self.max_error}.items():
            if not 0 < value < 1e6:
                raise UsageError(f"{name}={value}: expected a number above 0 and below 1e6.")

    @property
    def refined(self) -> bool:
        """Whether there is a refit."""
        return self.refine > 0 or self.refine_seconds > 0

    def step(self, name: str) -> float:
        """Return the base step of ``name`` under these settings."""
        return float(self.steps[name]) if name in self.steps else BASE_STEPS[name] * self.q

    def q20(self, name: str, gain: float = 1.0) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Return the steps of ``name`` times ``gain`` by importance class, int64 (8,), Q20."""
        values = [gain * self.step(name) * 2.0 ** (GAMMA[name] * (c - PIVOT[name])) for c in range(CLASSES)]
        return np.array([min(max(1, math.floor(v * Q20 + 0.5)), 1 << 31) for v in values], np.int64)


REFINE = 300
"""Steps of a refit where it pays: 10 to 30 s on two cores."""

PRESETS: Mapping[str, Settings] = {
    "near-lossless": Settings(q=0.2, goal=Goal(48.0, 44.0), name="near-lossless"),
    "high": Settings(q=0.55, goal=Goal(42.0, 36.0), name="high"),
    "medium": Settings(q=1.2, goal=Goal(36.0, 31.0), refine=REFINE, name="medium"),
    "small": Settings(q=2.0, goal=Goal(31.0, 27.0), refine=REFINE, name="small"),
}
"""Goals hold on views that the encoder has not seen, or the report says which one does not."""


def settings(preset: str = "high", **changes: object) -> Settings:
    """Return the settings of a preset with some of them changed.

    Raises
    ------
    UsageError
        There is no such preset, or a value is out of range.
    """
    if preset not in PRESETS:
        raise UsageError(f"preset {preset!r}, expected one of {', '.join(PRESETS)}.")
    return replace(PRESETS[preset], **changes)  # type: ignore[arg-type]
