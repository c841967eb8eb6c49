"""What is decided about a scene before a chunk of it is coded: quantisers, importance classes, order and cuts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from splatpack.codecs import splat
from splatpack.errors import UsageError
from splatpack.pack import layout
from splatpack.pack.columns import choose_columns
from splatpack.pack.presets import Settings
from splatpack.pack.profile import Profile
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians

SAMPLE = 4096
"""Gaussians from which sizes are estimated."""


@dataclass(frozen=True)
class Plan:
    """Everything that the chunk workers share.

    Attributes
    ----------
    scene : Gaussians
        What is coded.
    settings : Settings
    profile : Profile
        Its models are still missing.
    lattice : Lattice
    classes : uint8 (n,)
        Importance classes.
    weights : float64 (n,)
        Square root of the importance.
    codes : int64 (n,)
        Morton codes.
    order : int64 (n,)
        Rows in the order in which they are coded.
    runs : list of (int, int)
        The chunks, as ranges of ``order``.
    """

    scene: Gaussians
    settings: Settings
    profile: Profile
    lattice: layout.Lattice
    classes: NDArray[np.uint8]
    weights: NDArray[np.float64]
    codes: NDArray[np.int64]
    order: NDArray[np.int64]
    runs: list[tuple[int, int]]

    @property
    def sample(self) -> tuple[int, int]:
        """A range of ``order`` in its middle."""
        n = len(self.order)
        middle = max(0, n // 2 - SAMPLE // 2)
        return middle, min(n, middle + SAMPLE)

    def arranged(self, scene: Gaussians) -> Plan:
        """Return the plan for ``scene``, the same Gaussians moved a little, put in order; it is not cut yet."""
        codes = self.lattice.codes(scene.means)
        order = np.arange(len(scene)) if self.settings.keep_order else np.argsort(codes, kind="stable")
        plan = replace(self, scene=scene, codes=codes, order=order)
        columns = choose_columns(scene, self.settings, order[slice(*plan.sample)])
        return replace(plan, profile=replace(plan.profile, columns=columns))

    def cut(self, size: int) -> Plan:
        """Return the plan with chunks of about ``size`` Gaussians."""
        n = len(self.order)
        if self.settings.keep_order:
            return replace(self, runs=[(a, min(a + size, n)) for a in range(0, n, size)])
        return replace(self, runs=layout.cut(self.codes[self.order], size))


def lossy_attributes(scene: Gaussians, settings: Settings) -> tuple[str, ...]:
    """Return the attributes that go through the splat codec.

    Raises
    ------
    UsageError
        The settings name an attribute that the scene does not have.
    """
    single = {*settings.exact, *settings.max_error}
    unknown = single - set(ATTRIBUTES) - set(scene.extras)
    if unknown:
        raise UsageError(f"unknown attributes {sorted(unknown)}, expected some of {', '.join(ATTRIBUTES)}.")
    return tuple(a for a in ATTRIBUTES if a not in single and not (a == "shN" and scene.sh_degree == 0))


def quantisers(
    scene: Gaussians, settings: Settings, lossy: tuple[str, ...], w: NDArray[np.float64],
    core_bits: int = layout.CORE_BITS,
) -> Plan:  # fmt: skip
    """Return a plan with the quantisers of a scene of importance ``w`` (n,); it is neither arranged nor cut.

    ``core_bits`` is the size of the lattice (:func:`splatpack.pack.layout.lattice`).
    """
    grid = layout.lattice(scene, settings, core_bits)
    classes = layout.classes(w)
    gain = layout.colour_gain(w, classes) if settings.level else 1.0
    params = _params(scene, settings, lossy, grid, classes, gain) if lossy else None
    profile = Profile(scene.sh_degree, params, "shN" in lossy, ())
    none = np.zeros(0, np.int64)
    return Plan(scene, settings, profile, grid, classes, np.sqrt(np.maximum(w, 1e-12)), none, none, [])


def _params(
    scene: Gaussians,
    settings: Settings,
    lossy: tuple[str, ...],
    grid: layout.Lattice,
    classes: NDArray[np.uint8],
    gain: float,
) -> splat.SplatParams:
    q20 = {name: settings.q20(name) for name in ("scale", "rotation", "opacity")}
    q20.update({name: settings.q20(name, gain) for name in ("colour", "sh")})
    every = max(1, len(scene) // layout.SAMPLE)
    opacities = np.clip(scene.opacities[::every], *splat.OPACITY_RANGE)
    return splat.SplatParams(
        lattice=grid.array,
        position=grid.position,
        slope=grid.slope,
        **q20,
        scale_offset=_centres(scene.scales[::every].max(axis=1), q20["scale"], classes[::every]),
        opacity_offset=_centres(opacities, q20["opacity"], classes[::every]),
        attributes=tuple(a for a in lossy if a != "shN"),
    )


def _centres(values: NDArray[np.float32], steps: NDArray[np.int64], classes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Median symbol of each class, int64 (8,)."""
    out = np.zeros(splat.CLASSES, np.int64)
    for c in range(splat.CLASSES):
        member = values[classes == c]
        if len(member):
            centre = np.floor(float(np.median(member)) * splat.Q20 / float(steps[c]) + 0.5)
            out[c] = int(min(max(centre, -32767), 32767))
    return out
