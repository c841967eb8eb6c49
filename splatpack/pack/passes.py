"""The two passes over the chunks of a plan: quantised and counted, then coded with the models that fit the counts."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.codecs import defaults, model, splat
from splatpack.codecs.rans import Tokens
from splatpack.container.writer import ContainerWriter
from splatpack.pack import layout
from splatpack.pack.plan import Plan
from splatpack.pack.profile import COLUMN_SECTION, GEOMETRY_SECTION, SECTION_NAMES, SH_SECTION, Column, Profile
from splatpack.parallel import ordered_map
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians

Progress = Callable[[str, int, int], None]
"""Called with a stage, and how much of it is done."""

CHUNK_BYTES = 128 << 10
"""What a chunk should be: the unit of a request, 26 ms at 40 Mbit/s, with its fixed cost below 1 %."""

_LENGTH = struct.Struct("<I")


@dataclass
class EncodeReport:
    """What encoding did.

    Attributes
    ----------
    n_in, n_out : int
        Gaussians before and after pruning.
    bytes_out : int
    bytes_by_section : dict of str to int
        ``geometry``, ``sh``, ``columns`` and ``overhead`` (header, directory, metadata, tables).
    refine_iterations : int
        Steps of the refit.
    stages : list of (str, float)
        Wall seconds of each stage.
    """

    n_in: int
    n_out: int = 0
    bytes_out: int = 0
    bytes_by_section: dict[str, int] = field(default_factory=dict)
    refine_iterations: int = 0
    stages: list[tuple[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Draft:
    """One chunk after the first pass."""

    count: int
    geometry: Tokens | None
    first: int
    sh: Tokens | None
    columns: bytes
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    reach: float


@dataclass(frozen=True)
class Place:
    """Where a chunk stands in the file.

    Attributes
    ----------
    profile, run : int
        Which of the plans it belongs to, and which of that plan's runs it is.
    level, parent, successors, error, gain
        As in :class:`splatpack.container.directory.Chunk`.
    """

    profile: int
    run: int
    level: int = 0
    parent: int = -1
    successors: int = 0
    error: float = 0.0
    gain: float = 0.0


class Clock:
    """Collects the wall time of stages and forwards progress."""

    def __init__(self, report: EncodeReport, progress: Progress | None) -> None:
        self._report, self._progress = report, progress
        self._last = time.perf_counter()

    def done(self, stage: str) -> None:
        """Note that a stage, begun when the last one ended, is over."""
        now = time.perf_counter()
        self._report.stages.append((stage, now - self._last))
        self._last = now

    def tick(self, stage: str, at: int, of: int) -> None:
        """Tell how far a stage is."""
        if self._progress:
            self._progress(stage, at, of)


def chunk_size(plan: Plan) -> int:
    """Gaussians whose sections are about :data:`CHUNK_BYTES`, estimated from a run in the middle of the scene."""
    start, stop = plan.sample
    draft = _draft(plan, start, stop)
    size = float(len(draft.columns))
    for tokens, contexts in ((draft.geometry, splat.GEOMETRY_CONTEXTS), (draft.sh, splat.SH_CONTEXTS)):
        if tokens is not None:
            size += len(tokens.bits) + model.entropy(tokens.tokens, tokens.contexts, contexts) / 8
    count = int(CHUNK_BYTES * (stop - start) / max(size, 1.0)) // 1024 * 1024
    return min(max(count, 4096), 32768)


def first_pass(plan: Plan, threads: int | None, clock: Clock) -> tuple[list[Draft], tuple[Any, Any]]:
    """Quantise and tokenise every chunk; count tokens under their contexts."""
    geometry = np.zeros((splat.GEOMETRY_CONTEXTS, 256), np.int64)
    sh = np.zeros((splat.SH_CONTEXTS, 256), np.int64)
    drafts = []
    for draft in ordered_map(lambda run: _draft(plan, *run), plan.runs, threads):
        if draft.geometry is not None:
            model.count(draft.geometry.tokens, draft.geometry.contexts, geometry)
        if draft.sh is not None:
            model.count(draft.sh.tokens, draft.sh.contexts, sh)
        drafts.append(draft)
        clock.tick("quantise", len(drafts), len(plan.runs))
    return drafts, (geometry, sh)


def _draft(plan: Plan, a: int, b: int) -> Draft:
    index = plan.order[a:b]
    part = plan.scene.take(index)
    profile = plan.profile
    geometry, first, sh = None, 0, None
    if profile.params is not None:
        classes = plan.classes[index]
        arrays = {name: getattr(part, name) for name in ATTRIBUTES}
        symbols = splat.quantise(
            arrays, plan.codes[index], classes, plan.weights[index], profile.params, plan.settings.beta
        )
        geometry, first = splat.geometry_tokens(symbols, part.means, profile.params)
        if profile.sh:
            sh = splat.sh_tokens(part.shN, classes, profile.params)
    columns = b"".join(_column_bytes(part, c) for c in profile.columns)
    low, high, reach = _chunk_bounds(plan, part)
    return Draft(b - a, geometry, first, sh, columns, low, high, reach)


def _column_bytes(part: Gaussians, column: Column) -> bytes:
    array = getattr(part, column.name) if column.attribute else part.extras[column.name]
    rows = np.ascontiguousarray(array.astype(column.dtype, copy=False)).reshape(len(part), column.components)
    data = column.pipeline.encode(rows)
    return _LENGTH.pack(len(data)) + data


def _chunk_bounds(plan: Plan, part: Gaussians) -> tuple[tuple[float, float, float], tuple[float, float, float], float]:
    """Box of the decoded centres, rounded outwards, and the reach of the decoded scales."""
    params = plan.profile.params
    margin = 0.0
    if params is not None and "means" in params.attributes:
        margin = 0.5 * plan.lattice.cell
    elif "means" in plan.settings.max_error:
        margin = plan.settings.max_error["means"]
    low, high = layout.extent(part.means)
    low, high = low - margin, high + margin
    slack = 1e-6 * np.maximum(np.abs(low), np.abs(high)) + 1e-30
    log_scale = float(part.scales.max())
    if params is not None and "scales" in params.attributes:
        log_scale += float(params.scale.max()) / splat.Q20 / 2
    log_scale += plan.settings.max_error.get("scales", 0.0)
    reach = min(3.0 * float(np.exp(min(log_scale, 80.0))) * (1 + 1e-6), 3e38)
    x0, y0, z0 = (float(v) for v in np.maximum(low - slack, -3e38))
    x1, y1, z1 = (float(v) for v in np.minimum(high + slack, 3e38))
    return (x0, y0, z0), (x1, y1, z1), reach


def fit_models(profile: Profile, geometry: NDArray[np.int64], sh: NDArray[np.int64]) -> Profile:
    """Return the profile with entropy models for these counts of tokens under their contexts."""
    if profile.params is None:
        return profile
    g = defaults.fit(geometry, defaults.GEOMETRY)
    s = defaults.fit(sh, defaults.SH) if profile.sh else None
    return replace(profile, geometry_model=g, sh_model=s)


def sections(draft: Draft, profile: Profile) -> list[tuple[int, bytes]]:
    """Return the sections of a chunk, coded with the models of its profile."""
    out: list[tuple[int, bytes]] = []
    if draft.geometry is not None and profile.geometry_model is not None:
        out.append((GEOMETRY_SECTION, splat.geometry_bytes(draft.geometry, draft.first, profile.geometry_model)))
    if draft.sh is not None and profile.sh_model is not None:
        out.append((SH_SECTION, draft.sh.encode(profile.sh_model)))
    if profile.columns:
        out.append((COLUMN_SECTION, draft.columns))
    return out


def second_pass(
    profiles: list[Profile], drafts: list[list[Draft]], places: list[Place], writer: ContainerWriter,
    threads: int | None, clock: Clock, report: EncodeReport,
) -> None:  # fmt: skip
    """Code every chunk with the models of its profile, and write them in the order of ``places``."""
    report.bytes_by_section = dict.fromkeys(SECTION_NAMES.values(), 0)

    def code(place: Place) -> list[tuple[int, bytes]]:
        return sections(drafts[place.profile][place.run], profiles[place.profile])

    for i, parts in enumerate(ordered_map(code, places, threads)):
        p, d = places[i], drafts[places[i].profile][places[i].run]
        writer.add(
            parts, count=d.count, low=d.low, high=d.high, reach=d.reach, level=p.level, profile=p.profile,
            error=p.error, gain=p.gain, parent=p.parent, successors=p.successors,
        )  # fmt: skip
        for kind, body in parts:
            report.bytes_by_section[SECTION_NAMES[kind]] += len(body)
        clock.tick("entropy code", i + 1, len(places))
