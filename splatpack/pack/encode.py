"""Scene to ``.spk``: importance, classes, order, two passes over the chunks, and the container.

The same scene and settings give the same bytes for any number of threads, and with the JIT off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from splatpack import __version__
from splatpack.container.layout import LEVELS
from splatpack.container.writer import ContainerWriter
from splatpack.errors import InvalidSceneError, UsageError
from splatpack.fit.importance import importance
from splatpack.fit.refit import refit
from splatpack.pack import layout
from splatpack.pack.hierarchy import in_levels
from splatpack.pack.passes import Clock, EncodeReport, Place, Progress, chunk_size, first_pass, fit_models, second_pass
from splatpack.pack.plan import Plan, lossy_attributes, quantisers
from splatpack.pack.presets import Settings
from splatpack.pack.profile import Profile
from splatpack.scene.gaussians import Gaussians


def encode(
    scene: Gaussians,
    out: BinaryIO,
    settings: Settings,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
    spool: str | None = None,
    weights: NDArray[np.float64] | None = None,
    pull: Callable[[Plan], Gaussians] | None = None,
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
    pull : callable or None
        Returns the scene of a plan, moved on the grid of its quantisers: training on photos, say, instead of the refit
        to pictures of ``scene``.

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
    clock = Clock(report, progress)
    if settings.lod and settings.keep_order:
        raise UsageError("lod: levels of detail put the rows in an order of their own. Leave out keep_order.")
    original = scene
    if settings.sh_degree is not None and settings.sh_degree < scene.sh_degree:
        scene = scene.with_sh_degree(settings.sh_degree)
    lossy = lossy_attributes(scene, settings)
    if settings.keep_order and lossy:
        raise UsageError(f"keep_order: {', '.join(lossy)} would be coded in spatial order. Make every attribute exact.")
    w = _importance(scene, settings, lossy, weights, threads, clock)
    if lossy:
        keep = layout.keep_important(w, settings.prune or 0.0, settings.spare)
        if len(keep) < len(scene):  # a copy of the scene is the most that encoding needs
            scene, w = scene.take(keep), w[keep]
    clock.done("importance")
    plan = quantisers(scene, settings, lossy, w)
    if pull is not None:
        scene = pull(plan)
        clock.done("refine")
    elif settings.refined:
        scene = _refined(plan, original, report, threads, clock)
        clock.done("refine")
    if settings.lod:
        plans, places = in_levels(replace(plan, scene=scene), original, w, threads, clock)
    else:
        plans = [_ready(plan, scene)]
        places = [Place(0, run) for run in range(len(plans[0].runs))]
        clock.done("order")
    drafted = [first_pass(one, threads, clock) for one in plans]
    clock.done("quantise")
    profiles = [fit_models(one.profile, *counts) for one, (_, counts) in zip(plans, drafted, strict=True)]
    clock.done("model")
    required = LEVELS if settings.lod else 0
    for profile in profiles:
        required |= profile.required
    with ContainerWriter(folder=spool) as writer:
        second_pass(profiles, [drafts for drafts, _ in drafted], places, writer, threads, clock, report)
        report.n_out = len(scene)
        tables = b"".join(profile.tables() for profile in profiles)
        report.bytes_out = writer.finish(_metadata(plans, profiles, report), tables, out, required=required)
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
    return first_pass(plan, threads, Clock(EncodeReport(n_in=len(scene)), None))[1]


def _importance(
    scene: Gaussians, settings: Settings, lossy: tuple[str, ...], weights: NDArray[np.float64] | None,
    threads: int | None, clock: Clock,
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


def _refined(plan: Plan, original: Gaussians, report: EncodeReport, threads: int | None, clock: Clock) -> Gaussians:
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
    return plan.cut(plan.settings.chunk or chunk_size(plan))


def _metadata(plans: list[Plan], profiles: list[Profile], report: EncodeReport) -> dict[str, Any]:
    scene, settings = plans[0].scene, plans[0].settings
    flags = [name for name, on in (("antialiased", scene.antialiased), ("surfels", scene.surfels)) if on]
    return {
        "generator": f"splatpack {__version__}",
        "n": sum(len(plan.scene) for plan in plans),
        "sh_degree": scene.sh_degree,
        "frame": scene.frame,
        "flags": flags,
        "order_kept": settings.keep_order,
        "profiles": [profile.to_dict() for profile in profiles],
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
