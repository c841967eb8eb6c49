"""Seeded synthetic scenes with the statistics of trained ones, for every test that needs Gaussians."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from splatpack.scene.gaussians import SH_COEFFICIENTS, Gaussians


def _surfaces(rng: np.random.Generator, n: int, extent: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Points on bent sheets around cluster centres, a few floaters; also the cluster of each point."""
    clusters = max(1, min(12, n // 50))
    centres = rng.uniform(-extent, extent, (clusters, 3)) * (1.0, 0.4, 1.0)
    frames = np.linalg.qr(rng.normal(size=(clusters, 3, 3)))[0]
    label = rng.integers(0, clusters, n)
    uv = rng.normal(scale=0.18 * extent, size=(n, 2))
    bend = 0.35 * np.sin(uv[:, :1] * 3 / extent) * np.cos(uv[:, 1:] * 2 / extent) * extent * 0.3
    local = np.concatenate([uv, bend + rng.normal(scale=0.004 * extent, size=(n, 1))], axis=1)
    means = centres[label] + np.einsum("nij,nj->ni", frames[label], local)
    floaters = rng.random(n) < 0.03
    means[floaters] = rng.normal(scale=1.5 * extent, size=(int(floaters.sum()), 3))
    return means, label


def _colours(
    rng: np.random.Generator, means: NDArray[np.float64], label: NDArray[np.int64], extent: float
) -> NDArray[np.float64]:
    """SH constants: a base colour per cluster, a smooth texture, a little noise."""
    base = rng.normal(scale=0.9, size=(int(label.max(initial=0)) + 1, 3))[label]
    wave = np.sin(means @ rng.normal(scale=4 / extent, size=(3, 3)) + rng.uniform(0, 6, 3))
    return np.asarray(base + 0.5 * wave + rng.normal(scale=0.12, size=means.shape))


def scene(n: int, degree: int = 3, seed: int = 0, extent: float = 4.0) -> Gaussians:
    """Return ``n`` Gaussians on bent sheets, with seeded, realistic statistics.

    Parameters
    ----------
    n : int
        Count of Gaussians, 0 allowed.
    degree : int
        SH degree, 0 to 3.
    seed : int
        The same seed gives the same scene.
    extent : float
        Half the size of the populated box, scene units.

    Returns
    -------
    Gaussians
        Unit quats, log-scales about N(-4, 1) with one flat axis, logits from -5 to 8, SH that decays with the band.
    """
    rng = np.random.default_rng(seed)
    means, label = _surfaces(rng, n, extent)
    size = rng.normal(-4.0 + np.log(extent / 4.0), 0.9, (n, 1))
    scales = size + rng.normal(scale=0.5, size=(n, 3)) - (0.0, 0.0, 1.2)
    quats = rng.normal(size=(n, 4))
    quats /= np.linalg.norm(quats, axis=1, keepdims=True)
    opacities = np.where(rng.random(n) < 0.6, rng.normal(3.0, 2.0, n), rng.normal(-1.5, 1.5, n)).clip(-5.0, 8.0)
    bands = np.repeat((0.12, 0.07, 0.045), (3, 5, 7))[: SH_COEFFICIENTS[degree]]
    strength = rng.gamma(1.0, 1.0, (n, 1, 1))
    grey = rng.normal(size=(n, len(bands), 1))
    shn = bands[None, :, None] * strength * (0.8 * grey + 0.6 * rng.normal(size=(n, len(bands), 3)))
    return Gaussians(
        means=means.astype(np.float32),
        scales=scales.astype(np.float32),
        quats=quats.astype(np.float32),
        opacities=opacities.astype(np.float32),
        sh0=_colours(rng, means, label, extent).astype(np.float32).reshape(n, 1, 3),
        shN=shn.astype(np.float32),
    )
