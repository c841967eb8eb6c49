"""A small procedural scene, so that ``splatpack bench`` says something without any file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from splatpack.scene.gaussians import C0, Gaussians

COUNT = 20_000
NAME = "procedural-20k"


def procedural(count: int = COUNT, seed: int = 7) -> Gaussians:
    """Return textured spheres on a floor: flat Gaussians along surfaces, with seeded noise, SH degree 3.

    Parameters
    ----------
    count : int
        At least 8.
    seed : int
        The same seed gives the same scene.
    """
    rng = np.random.default_rng(seed)
    means, normals, colours = _surfaces(rng, count)
    spacing = float(np.sqrt(60.0 / count))
    scales = np.log(spacing * np.exp(rng.normal(0.0, 0.45, (count, 3))) * (1.0, 0.7, 0.12))
    bands = np.repeat((0.10, 0.06, 0.04), (3, 5, 7))[None, :, None]
    shine = rng.gamma(0.7, 1.0, (count, 1, 1))
    shn = bands * shine * (0.8 * rng.normal(size=(count, 15, 1)) + 0.4 * rng.normal(size=(count, 15, 3)))
    return Gaussians(
        means=means.astype(np.float32),
        scales=scales.astype(np.float32),
        quats=_facing(normals, rng).astype(np.float32),
        opacities=rng.normal(2.5, 1.8, count).clip(-5, 8).astype(np.float32),
        sh0=((colours - 0.5) / C0).reshape(count, 1, 3).astype(np.float32),
        shN=shn.astype(np.float32),
    )


def _surfaces(
    rng: np.random.Generator, count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Points, unit normals and colours on a ring of spheres over a chequered floor; y points down.

    The middle is free: a camera there, with a Gaussian before its near plane, would measure that one Gaussian.
    """
    angles = 2 * np.pi * np.arange(6) / 6 + 0.3
    heights = -np.array([1.0, 0.6, 1.5, 0.8, 1.3, 0.5])
    centres = np.stack([2.3 * np.cos(angles), heights, 2.3 * np.sin(angles)], axis=1)
    radii = np.array([0.95, 0.55, 0.8, 0.7, 0.9, 0.5])
    tints = np.array(
        [(0.85, 0.3, 0.2), (0.2, 0.5, 0.8), (0.9, 0.75, 0.25), (0.3, 0.7, 0.4), (0.75, 0.75, 0.8), (0.6, 0.35, 0.7)]
    )
    share = np.append(radii**2, 2.0)
    part = rng.choice(len(share), count, p=share / share.sum())
    normals = rng.normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    ball = np.minimum(part, len(radii) - 1)
    means = centres[ball] + radii[ball, None] * normals
    stripes = 0.5 + 0.5 * np.sin(9 * normals[:, 1:2] + 4 * normals[:, :1])
    colours = tints[ball] * (0.55 + 0.45 * stripes)
    floor = part == len(radii)
    flat = rng.uniform(-3.5, 3.5, (int(floor.sum()), 2))
    means[floor] = np.stack([flat[:, 0], np.zeros(len(flat)), flat[:, 1]], axis=1)
    normals[floor] = (0.0, -1.0, 0.0)
    colours[floor] = np.where((np.floor(flat).sum(axis=1) % 2 == 0)[:, None], 0.75, 0.3)
    light = 0.45 + 0.55 * np.clip(normals @ np.array([-0.4, -0.8, -0.45]), 0, 1)[:, None]
    noise = rng.normal(scale=0.03, size=(count, 3))
    return means + rng.normal(scale=0.004, size=(count, 3)), normals, np.clip(colours * light + noise, 0.02, 0.98)


def _facing(normals: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Unit quats (w, x, y, z) that turn the z axis to the normals, after a random turn about it."""
    w = 1 + normals[:, 2]
    turn = np.stack([w, -normals[:, 1], normals[:, 0], np.zeros(len(w))], axis=1)
    turn[w < 1e-6] = (0.0, 1.0, 0.0, 0.0)
    turn /= np.linalg.norm(turn, axis=1, keepdims=True)
    half = rng.uniform(0, np.pi, len(w))
    c, s = np.cos(half), np.sin(half)
    a, b, d, _ = turn.T
    return np.stack([a * c, b * c + d * s, d * c - b * s, a * s], axis=1)
