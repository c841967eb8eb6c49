"""Scene to ``.spk``: importance, classes, order, two passes over the chunks, and the container.

The same scene and settings give the same bytes for any number of threads, and with the JIT off.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from splatpack import __version__
from splatpack.codecs import defaults, model, splat
from splatpack.codecs.rans import Tokens
from splatpack.container.writer import ContainerWriter
from splatpack.errors import InvalidSceneError, UsageError
from splatpack.fit.importance import importance
from splatpack.fit.refit import refit
from splatpack.pack import layout
from splatpack.pack.plan import Plan, lossy_attributes, quantisers
from splatpack.pack.presets import Settings
from splatpack.pack.profile import COLUMN_SECTION, GEOMETRY_SECTION, SH_SECTION, Column, Profile
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
class _Draft:
    """One chunk after the first pass."""

    count: int
    geometry: Tokens | None
    first: int
    sh: Tokens | None
    columns: bytes
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    reach: float


class _Clock:
    """Collects the wall time of stages and forwards progress."""

    def __init__(self, report: EncodeReport, progress: Progress | None) -> None:
        self._report, self._progress = report, progress
        self._last = time.perf_counter()

    def done(self, stage: str) -> None:
        now = time.perf_counter()
        self._report.stages.append((stage, now - self._last))
        self._last = now

    def tick(self, stage: str, at: int, of: int) -> None:
        if self._progress:
            self._progress(stage, at, of)


def encode(
    scene: Gaussians,
    out: BinaryIO,
    settings: Settings,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
    spool: str | None = None,
    weights: NDArray[np.float64] | None = None,
) -> EncodeReport:
    """Encode a scene as a ``.spk``.

    Parameters
    ----------
    scene : Gaussians
        Validated (see :mod:`splatpack.scene.validate`).
    out : binary file
        Receives the file from its current position.
    settings : Settings
    threads : int or None
        None uses all cores; the bytes do not depend on it.
    progress : callable or None
    spool : str or None
        Folder of the spool file for large scenes.
    weights : float64 (N,) or None
        Importance of each Gaussian where it is known already; measured by rendering when None.

    Raises
    ------
    InvalidSceneError
        The scene is empty.
    UsageError
        Settings that contradict each other or the scene.
    """
    if len(scene) == 0:
        raise InvalidSceneError("the scene has no Gaussians: there is nothing to compress.")
    report = EncodeReport(n_in=len(scene))
    clock = _Clock(report, progress)
    original = scene
    if settings.sh_degree is not None and settings.sh_degree < scene.sh_degree:
        scene = scene.with_sh_degree(settings.sh_degree)
    lossy = lossy_attributes(scene, settings)
    if settings.keep_order and lossy:
        raise UsageError(f"keep_order: {', '.join(lossy)} would be coded in spatial order. Make every attribute exact.")
    w = _importance(scene, settings, lossy, weights, threads, clock)
    if lossy:
        keep = layout.keep_important(w, settings.prune or 0.0, settings.spare)
        scene, w = scene.take(keep), w[keep]
    clock.done("importance")
    plan = quantisers(scene, settings, lossy, w)
    if settings.refined:
        scene = _refined(plan, original, report, threads, clock)
        clock.done("refine")
    plan = _ready(plan, scene)
    clock.done("order")
    drafts, counts = _first_pass(plan, threads, clock)
    clock.done("quantise")
    profile = _fit(plan.profile, *counts)
    clock.done("model")
    with ContainerWriter(folder=spool) as writer:
        _second_pass(plan, profile, drafts, writer, threads, clock, report)
        report.n_out = len(scene)
        report.bytes_out = writer.finish(
            _metadata(plan, profile, report), profile.tables(), out, required=profile.required
        )
    report.bytes_by_section["overhead"] = report.bytes_out - sum(report.bytes_by_section.values())
    clock.done("write")
    return report


def token_counts(
    scene: Gaussians, settings: Settings, weights: NDArray[np.float64], threads: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how often each token occurs under each context of geometry and SH: that to which models are fitted.

    Parameters
    ----------
    scene : Gaussians
    settings : Settings
        Nothing is pruned.
    weights : float64 (N,)
        Importance of each Gaussian.

    Returns
    -------
    geometry, sh : int64 (C, 256)
    """
    plan = _ready(quantisers(scene, settings, lossy_attributes(scene, settings), weights), scene)
    return _first_pass(plan, threads, _Clock(EncodeReport(n_in=len(scene)), None))[1]


def _importance(
    scene: Gaussians, settings: Settings, lossy: tuple[str, ...], weights: NDArray[np.float64] | None,
    threads: int | None, clock: _Clock,
) -> NDArray[np.float64]:  # fmt: skip
    if weights is not None:
        if weights.shape != (len(scene),):
            raise UsageError(f"weights: shape {weights.shape}, expected ({len(scene)},).")
        return weights
    clock.tick("importance", 0, 1)
    return weigh(scene, settings if lossy else replace(settings, importance_views=0), threads)


def weigh(scene: Gaussians, settings: Settings, threads: int | None = None) -> NDArray[np.float64]:
    """Return the importance of each Gaussian as :func:`encode` measures it, float64 (N,)."""
    if settings.importance_views == 0:
        return np.full(len(scene), layout.TYPICAL_ERROR / len(scene))
    return importance(scene, views=settings.importance_views, cameras=settings.cameras, threads=threads)


def _refined(plan: Plan, original: Gaussians, report: EncodeReport, threads: int | None, clock: _Clock) -> Gaussians:
    """The scene of ``plan`` after a refit to pictures of ``original``."""
    params = plan.profile.params
    if params is None:
        return plan.scene
    settings = plan.settings
    found = refit(
        plan.scene, original, params, plan.classes, sh=plan.profile.sh, iterations=settings.refine,
        seconds=settings.refine_seconds or None, threads=threads,
        progress=lambda done, of: clock.tick("refine", done, of),
    )  # fmt: skip
    report.refine_iterations = found.iterations
    return found.scene


def _ready(plan: Plan, scene: Gaussians) -> Plan:
    """Put a scene in order and cut it into chunks."""
    plan = plan.arranged(scene)
    return plan.cut(plan.settings.chunk or _chunk_size(plan))


def _chunk_size(plan: Plan) -> int:
    """Gaussians whose sections are about :data:`CHUNK_BYTES`, estimated from a run in the middle of the scene."""
    start, stop = plan.sample
    draft = _draft(plan, start, stop)
    size = float(len(draft.columns))
    for tokens, contexts in ((draft.geometry, splat.GEOMETRY_CONTEXTS), (draft.sh, splat.SH_CONTEXTS)):
        if tokens is not None:
            size += len(tokens.bits) + model.entropy(tokens.tokens, tokens.contexts, contexts) / 8
    count = int(CHUNK_BYTES * (stop - start) / max(size, 1.0)) // 1024 * 1024
    return min(max(count, 4096), 32768)


def _first_pass(plan: Plan, threads: int | None, clock: _Clock) -> tuple[list[_Draft], tuple[Any, Any]]:
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


def _draft(plan: Plan, a: int, b: int) -> _Draft:
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
    return _Draft(b - a, geometry, first, sh, columns, low, high, reach)


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


def _fit(profile: Profile, geometry: NDArray[np.int64], sh: NDArray[np.int64]) -> Profile:
    if profile.params is None:
        return profile
    g = defaults.fit(geometry, defaults.GEOMETRY)
    s = defaults.fit(sh, defaults.SH) if profile.sh else None
    return replace(profile, geometry_model=g, sh_model=s)


def _second_pass(
    plan: Plan, profile: Profile, drafts: list[_Draft], writer: ContainerWriter, threads: int | None, clock: _Clock,
    report: EncodeReport,
) -> None:  # fmt: skip
    names = {GEOMETRY_SECTION: "geometry", SH_SECTION: "sh", COLUMN_SECTION: "columns"}
    report.bytes_by_section = dict.fromkeys(names.values(), 0)

    def sections(i: int) -> list[tuple[int, bytes]]:
        draft = drafts[i]
        out: list[tuple[int, bytes]] = []
        if draft.geometry is not None and profile.geometry_model is not None:
            out.append((GEOMETRY_SECTION, splat.geometry_bytes(draft.geometry, draft.first, profile.geometry_model)))
        if draft.sh is not None and profile.sh_model is not None:
            out.append((SH_SECTION, draft.sh.encode(profile.sh_model)))
        if profile.columns:
            out.append((COLUMN_SECTION, draft.columns))
        return out

    for i, parts in enumerate(ordered_map(sections, range(len(drafts)), threads)):
        d = drafts[i]
        writer.add(parts, count=d.count, low=d.low, high=d.high, reach=d.reach)
        for kind, body in parts:
            report.bytes_by_section[names[kind]] += len(body)
        clock.tick("entropy code", i + 1, len(drafts))


def _metadata(plan: Plan, profile: Profile, report: EncodeReport) -> dict[str, Any]:
    scene, settings = plan.scene, plan.settings
    flags = [name for name, on in (("antialiased", scene.antialiased), ("surfels", scene.surfels)) if on]
    return {
        "generator": f"splatpack {__version__}",
        "n": len(scene),
        "sh_degree": scene.sh_degree,
        "frame": scene.frame,
        "flags": flags,
        "order_kept": settings.keep_order,
        "profiles": [profile.to_dict()],
        "encoder": {
            "preset": settings.name,
            "q": float(settings.q),
            "prune": round(1 - report.n_out / report.n_in, 4),
            "refine": report.refine_iterations,
            "n_in": report.n_in,
            "steps": {k: float(v) for k, v in sorted(settings.steps.items())},
            "exact": sorted(settings.exact),
            "max_error": {k: float(v) for k, v in sorted(settings.max_error.items())},
        },
        "source": dict(scene.metadata),
    }
