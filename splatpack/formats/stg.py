"""Spacetime Gaussians in a PLY: one frame of a moving scene.

Layout: ``oppo-us-research/SpacetimeGaussians``, ``scene/oursfull.py`` and ``ourslite.py`` (MIT): Inria's PLY with
``trbf_center``, ``trbf_scale`` (a logarithm), ``motion_0..8`` and ``omega_0..3``. ``f_dc`` is plain rgb, not SH.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np

from splatpack.errors import CorruptError
from splatpack.formats.motion import Moment
from splatpack.formats.ply import read_ply
from splatpack.limits import Limits
from splatpack.scene.gaussians import C0, FloatArray, Gaussians
from splatpack.scene.validate import normalise_quats

MOTION = tuple(f"motion_{i}" for i in range(9))
OMEGA = tuple(f"omega_{i}" for i in range(4))


def read_stg(
    path: str | os.PathLike[str], *, limits: Limits | None = None, normalise: bool = True, time: float = 0.0
) -> Gaussians:
    """Read one frame of a PLY of Spacetime Gaussians. Safe on untrusted input.

    Memory: the columns of the file, and those of the frame.

    Parameters
    ----------
    path : path-like
        A regular file; ASCII, little-endian or big-endian.
    limits : Limits, optional
        What the file may make us allocate. Default: ``Limits()``.
    normalise : bool
        Make the quats unit length.
    time : float
        When: 0 to 1 from the first frame to the last.

    Returns
    -------
    Gaussians
        Those that can be seen at that time, with the columns of motion evaluated and gone. ``notes`` say so, and that
        the colours of the full model, which a network shades, are shown unshaded.

    Raises
    ------
    CorruptError, TruncatedError, UnsupportedError, LimitError, StorageError
        As :func:`splatpack.formats.ply.read_ply`; also columns of motion that are missing.
    UsageError
        The time is no finite number.
    """
    stored = read_ply(path, limits=limits, normalise=False, moving=True)
    wanted = ("trbf_center", "trbf_scale", *MOTION, *OMEGA)
    missing = [name for name in wanted if name not in stored.extras]
    if missing:
        raise CorruptError(f"Spacetime Gaussians without {', '.join(missing[:6])}.")
    with np.errstate(all="ignore"):
        width = np.exp(_columns(stored, ("trbf_scale",))[:, 0])
    moment = Moment.of(_columns(stored, ("trbf_center",))[:, 0], width, time)
    seen = stored.take(moment.seen)
    notes = [f"a moving scene: the {len(seen):,} of {len(stored):,} Gaussians that are seen at time {time:g}."]
    if any(name.startswith("f_t_") for name in stored.extras):
        notes.append("colours of the full model: shown without the network that shades them.")
    with np.errstate(all="ignore"):
        alpha = 1.0 / (1.0 + np.exp(-seen.opacities.astype(np.float64)))
        sh0 = (seen.sh0 - np.float32(0.5)) / np.float32(C0)
    quats = moment.quats(seen.quats, _columns(seen, OMEGA))
    if normalise:
        normalise_quats(quats)
    arrays: dict[str, Any] = {
        "means": moment.means(seen.means, _columns(seen, MOTION)), "quats": quats, "sh0": sh0,
        "opacities": moment.logits(alpha).astype(np.float32),
    }  # fmt: skip
    known = (*wanted, "nx", "ny", "nz")
    extras = {n: c for n, c in seen.extras.items() if n not in known and not n.startswith(("f_t_", "f_dc_"))}
    source = {**stored.metadata["source"], "format": "stg", "time": float(time), "notes": notes}
    return replace(seen, **arrays, extras=extras, metadata={"source": source})


def _columns(scene: Gaussians, names: tuple[str, ...]) -> FloatArray:
    return np.stack([scene.extras[name] for name in names], axis=1).astype(np.float32)
