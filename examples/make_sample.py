"""Build the sample scene: a porcelain tea set, a gilded knot and a marble ball on an inlaid table, as Gaussians.

    python examples/make_sample.py sample.ply [--count 150000]

Everything is made here, from formulas and a seed: the same bytes on every run, and nobody's copyright. Surfaces are
covered by flat Gaussians along a golden-ratio lattice, lit by two lamps and a soft sky, and what changes with the view
(glaze, metal, wax) is fitted to spherical harmonics of degree 3 by least squares, as training would do it. Sizes,
opacities and colours carry some noise, so that the scene compresses like a trained one.

The best seat: at (0.45, -1.45, -3.6), looking at (0.22, -0.36, 0), up (0, -1, 0), vertical field of view 30 degrees.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from splatpack.formats.ply import write_ply
from splatpack.scene.gaussians import C0, Gaussians, concatenate
from splatpack.scene.transform import change_frame, sh_basis

Array = NDArray[np.float64]
Shape = Callable[[Array, Array], tuple[Array, Array, Array]]
"""(u, v) in [0, 1) to points, unit normals and unit tangents along u, each (N, 3); y is up while we model."""

GOLDEN: float = 0.6180339887498949
KEY = np.array([-0.66, 0.58, 0.36])
FILL = np.array([0.83, 0.35, -0.43])
OCCLUDERS = np.array(
    [
        (-0.30, 0.42, -0.05, 0.47),  # teapot
        (1.04, 0.60, -0.50, 0.42),  # knot
        (0.60, 0.27, 0.66, 0.27),  # marble ball
        (-0.60, 0.13, 0.92, 0.17),  # cup
        (0.02, 0.085, 0.96, 0.085),  # beads
        (0.24, 0.06, 1.10, 0.06),
        (-0.13, 0.05, 1.13, 0.05),
        (1.22, 0.07, 0.10, 0.07),
    ]
)
"""Spheres (x, y, z, radius) that stand for the objects when shadows are cast."""


@dataclass(frozen=True)
class Material:
    """How a surface answers light: its colour, the strength of its mirror image, and whether that is tinted (metal)."""

    colour: Callable[[Array, Array, Array], Array]
    gloss: float = 0.0
    metal: float = 0.0
    stretch: float = 1.0


def unit(x: ArrayLike) -> Array:
    """Return vectors of length one."""
    v = np.asarray(x, np.float64)
    return np.asarray(v / np.linalg.norm(v, axis=-1, keepdims=True))


def mix(a: ArrayLike, b: ArrayLike, t: Array) -> Array:
    """Return the colours between ``a`` and ``b``."""
    return np.asarray(np.asarray(a) + (np.asarray(b) - np.asarray(a)) * np.clip(t, 0, 1)[:, None])


def step(x: Array, edge: float, width: float | Array) -> Array:
    """Return a smooth step from 0 to 1 around ``edge``."""
    t = np.clip((x - edge) / width + 0.5, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def noise(p: Array, octaves: int = 4) -> Array:
    """Return smooth value noise in about [-1, 1] at points (N, 3), summed over octaves."""
    total = np.zeros(len(p))
    for octave in range(octaves):
        q = p * 2.03**octave + 17.3 * octave
        cell = np.floor(q).astype(np.int64)
        f = q - cell
        f = f * f * (3 - 2 * f)
        for corner in range(8):
            bits = np.array([corner & 1, corner >> 1 & 1, corner >> 2])
            h = (cell + bits) @ np.array([73856093, 19349663, 83492791])
            h = (h ^ (h >> 13)) * 1274126177 & 0x7FFFFFFF
            weight = np.where(bits, f, 1 - f).prod(axis=1)
            total += weight * ((h ^ (h >> 15)) % 65536 / 32768 - 1) * 0.5**octave
    return total


def spline(through: ArrayLike, t: Array) -> tuple[Array, Array]:
    """Return points and derivatives of a Catmull-Rom curve through (K, d) knots, t in [0, 1]."""
    k = np.asarray(through, np.float64)
    k = np.concatenate([2 * k[:1] - k[1:2], k, 2 * k[-1:] - k[-2:-1]])
    i = np.minimum((t * (len(k) - 3)).astype(np.int64), len(k) - 4)
    s = (t * (len(k) - 3) - i)[:, None]
    a, b, c, d = (k[i + j] for j in range(4))
    c1, c2, c3 = c - a, 2 * a - 5 * b + 4 * c - d, 3 * b - a - 3 * c + d
    return b + 0.5 * s * (c1 + s * (c2 + s * c3)), 0.5 * (c1 + s * (2 * c2 + s * 3 * c3))


def lathe(profile: ArrayLike, centre: ArrayLike = (0, 0, 0)) -> Shape:
    """Turn a profile of (radius, height) around the vertical axis."""

    def shape(u: Array, v: Array) -> tuple[Array, Array, Array]:
        (r, y), (dr, dy) = (x.T for x in spline(profile, v))
        cos, sin = np.cos(2 * np.pi * u), np.sin(2 * np.pi * u)
        point = np.stack([r * cos, y, r * sin], axis=1) + np.asarray(centre)
        normal = unit(np.stack([dy * cos, -dr, dy * sin], axis=1) + 1e-12)
        return point, normal, np.stack([-sin, np.zeros_like(u), cos], axis=1)

    return shape


def tube(curve: ArrayLike | None, centre: ArrayLike = (0, 0, 0)) -> Shape:
    """Sweep a circle along a curve of (x, y, z, radius); None is the knot of two windings through three."""

    def path(v: Array) -> Array:
        if curve is not None:
            return spline(curve, v)[0]
        a = 2 * np.pi * v
        ring = 0.30 + 0.125 * np.cos(3 * a)
        return np.stack([ring * np.cos(2 * a), ring * np.sin(2 * a), 0.15 * np.sin(3 * a), np.full_like(v, 0.088)], 1)

    def shape(u: Array, v: Array) -> tuple[Array, Array, Array]:
        at = path(v)
        along = unit(path(np.clip(v + 1e-4, 0, 1))[:, :3] - path(np.clip(v - 1e-4, 0, 1))[:, :3])
        side = unit(np.cross(along, (0.02, 0.03, 1.0)))
        up = np.cross(side, along)
        cos, sin = np.cos(2 * np.pi * u)[:, None], np.sin(2 * np.pi * u)[:, None]
        normal = cos * side + sin * up
        return at[:, :3] + at[:, 3:] * normal + np.asarray(centre), normal, cos * up - sin * side

    return shape


def sample(shape: Shape, n: int, rng: np.random.Generator) -> tuple[tuple[Array, Array, Array], Array, Array, float]:
    """Cover a shape evenly with ``n`` points; also their u and v, and the distance of neighbours."""
    grid = (np.arange(400) + 0.5) / 400
    ring = np.linspace(0, 1, 48, endpoint=False)
    ru, rv = (x.ravel() for x in np.meshgrid(ring, grid))
    du = shape(ru + 1e-4, rv)[0] - shape(ru, rv)[0]
    dv = shape(ru, rv + 1e-4)[0] - shape(ru, rv)[0]
    area = np.linalg.norm(np.cross(du, dv), axis=1).reshape(400, 48).mean(axis=1) * 1e8
    cdf = np.concatenate([[0], np.cumsum(area)])
    gap = float(np.sqrt(cdf[-1] / 400 / n))
    i = np.arange(n) + 0.5
    at = (i + rng.normal(scale=0.2, size=n)).clip(0, n) / n
    v: Array = np.interp(at * cdf[-1], cdf, np.linspace(0, 1, 401)).astype(np.float64)
    u: Array = np.mod(i * GOLDEN, 1.0)
    around = np.linalg.norm(shape(u + 1e-4, v)[0] - shape(u, v)[0], axis=1) * 1e4
    u = np.mod(u + rng.normal(scale=0.15, size=n) * gap / around, 1.0)
    return shape(u, v), u, v, gap


def porcelain(p: Array, u: Array, v: Array) -> Array:
    """White glaze with cobalt bands, a ring of flowers and a running scroll."""
    white = mix((0.93, 0.92, 0.88), (0.86, 0.89, 0.92), step(noise(p * 3.0, 2), 0.2, 1.0))
    y = p[:, 1]
    x, h = (u * 9) % 1 - 0.5, (y - 0.40) / 0.17
    angle, rho = np.arctan2(h * 0.8, x * 2), np.hypot(h * 0.8, x * 2)
    petal = 0.46 + 0.17 * np.cos(6 * angle)
    flower = step(petal - rho, 0, 0.09) * step(rho, 0.17, 0.07) * (0.72 + 0.28 * step(rho / petal, 0.75, 0.2))
    dot = step(0.10 - rho, 0, 0.05)
    scroll = step(0.016 - np.abs(y - 0.175 - 0.022 * np.sin(2 * np.pi * 18 * u)), 0, 0.012)
    bands = sum(step(w - np.abs(y - at), 0, 0.006) for at, w in ((0.115, 0.012), (0.235, 0.008), (0.585, 0.008)))
    lace = step(0.645 + 0.022 * np.abs(np.sin(np.pi * 24 * u)) - y, 0, 0.01) * step(y, 0.605, 0.01)
    ink = np.clip(flower + dot + scroll + bands + lace, 0, 1) * (0.88 + 0.12 * noise(p * 40, 2))
    return mix(white, (0.05, 0.13, 0.46), ink)


def cobalt(p: Array, u: Array, v: Array) -> Array:
    """Deep blue glaze, paler where it ran thin."""
    return mix((0.04, 0.10, 0.38), (0.16, 0.30, 0.62), step(noise(p * 14, 3), 0.25, 1.2))


def gold(p: Array, u: Array, v: Array) -> Array:
    """Gilding with hammer marks."""
    return mix((0.98, 0.70, 0.30), (0.86, 0.50, 0.20), step(noise(p * 16, 3), 0.1, 1.4))


def marble(p: Array, u: Array, v: Array) -> Array:
    """Dark green stone with pale veins."""
    warp = noise(p * 4.5, 5)
    vein = (1 - np.abs(np.sin(9 * p[:, 0] + 6 * p[:, 1] + 5 * warp))) ** 9
    fine = (1 - np.abs(np.sin(22 * p[:, 2] - 13 * p[:, 1] + 7 * warp))) ** 14
    stone = mix((0.02, 0.13, 0.10), (0.10, 0.33, 0.23), step(warp, 0.1, 1.3))
    return mix(stone, (0.90, 0.88, 0.78), 0.95 * vein + 0.55 * fine)


def jade(p: Array, u: Array, v: Array) -> Array:
    """Milky orange-red carnelian for the beads."""
    return mix((0.72, 0.16, 0.07), (0.95, 0.42, 0.16), step(noise(p * 12, 3), 0.0, 1.2))


def table(p: Array, u: Array, v: Array) -> Array:
    """Walnut planks, a ring of ebony and maple checks between brass lines, a rose of 16 points."""
    x, z, r = p[:, 0], p[:, 2], np.hypot(p[:, 0], p[:, 2])
    plank = np.floor(z / 0.235)
    q = np.stack([x * 1.3 + plank * 3.7, plank * 5.1, z * 17], axis=1)
    grain = noise(q, 4) + 0.35 * np.sin(38 * z + 5 * noise(q * (1, 1, 0.13), 3))
    wood = mix((0.19, 0.085, 0.04), (0.50, 0.27, 0.125), step(grain + 0.25 * np.sin(plank * 2.4), 0.05, 1.9))
    wood *= (0.55 + 0.45 * step(np.abs((z / 0.235) % 1 - 0.5), 0.492, -0.02))[:, None]
    angle = np.arctan2(z, x) / (2 * np.pi) % 1
    check = (np.floor(angle * 72) + np.floor((r - 1.34) / 0.058)) % 2
    inlay = mix((0.86, 0.68, 0.42), (0.045, 0.035, 0.03), check) * (0.9 + 0.1 * noise(p * (60, 1, 60), 2))[:, None]
    wood = mix(wood, inlay, step(r, 1.34, 0.008) * step(r, 1.456, -0.008))
    brass = step(0.010 - np.minimum(np.abs(r - 1.325), np.abs(r - 1.471)), 0, 0.006)
    point = np.abs((angle * 16) % 1 - 0.5)
    star = step(1.16 * (0.50 + 0.50 * (2 * point) ** 2.2) - r, 0, 0.012) * step(r, 0.0, 0.01)
    wood = mix(wood, mix((0.60, 0.40, 0.20), (0.13, 0.06, 0.035), ((angle * 32) % 2).astype(int)), 0.85 * star)
    return mix(wood, (0.95, 0.72, 0.34), brass * step(r, 1.60, -0.01))


def environment(d: Array) -> Array:
    """Return the light from directions (..., 3): two soft boxes, a dim sky, a brown floor."""
    up = d[..., 1:2]
    sky = np.array((0.10, 0.15, 0.20)) + np.array((0.20, 0.24, 0.28)) * np.clip(up, 0, 1)
    floor = np.array((0.20, 0.115, 0.06))
    base = floor + (sky - floor) / (1 + np.exp(-9 * up))
    key = np.exp(16 * (d @ unit(KEY) - 1))[..., None] * np.array((7.5, 7.0, 6.0))
    fill = np.exp(12 * (d @ unit(FILL) - 1))[..., None] * np.array((1.0, 1.5, 2.1))
    return np.asarray(base + key + fill)


def visible(p: Array, n: Array, own: int) -> tuple[Array, Array]:
    """Return how much of the key lamp and of the sky reaches points, with spheres in the way (not their own)."""
    light, sky = np.ones(len(p)), np.ones(len(p))
    for i, (*centre, radius) in enumerate(OCCLUDERS):
        if i == own:
            continue
        to = np.array(centre) - p
        along = to @ unit(KEY)
        miss = np.linalg.norm(to - along[:, None] * unit(KEY), axis=1)
        soft = 0.05 + 0.16 * np.clip(along, 0, None)
        light *= 1 - 0.92 * (along > 0) * (1 - step(miss, radius * 0.92, 2 * soft))
        far = np.linalg.norm(to, axis=1)
        facing = np.clip((to * n).sum(axis=1) / far * 0.75 + 0.35, 0, 1)
        sky *= 1 - 0.95 * facing * np.clip(radius / far, 0, 1) ** 2
    return light, sky


def directions(n: int) -> Array:
    """Return ``n`` directions, evenly spread."""
    i = np.arange(n) + 0.5
    polar, turn = np.arccos(1 - 2 * i / n), 2 * np.pi * GOLDEN * i
    return np.stack([np.cos(turn) * np.sin(polar), np.cos(polar), np.sin(turn) * np.sin(polar)], axis=1)


def shade(p: Array, n: Array, albedo: Array, material: Material, own: int) -> Array:
    """Return the SH coefficients (N, 16, 3), fitted to what cameras on the outer side would see."""
    light, sky = visible(p, n, own)
    lamp = np.clip(n @ unit(KEY), 0, 1) * light
    rim = np.clip(n @ unit(FILL), 0, 1) * 0.35
    ambient = (0.30 + 0.20 * n[:, 1]) * sky
    lit = lamp[:, None] * (1.42, 1.28, 1.06) + rim[:, None] * (0.55, 0.8, 1.0) + ambient[:, None] * (0.85, 0.95, 1.1)
    lit += (np.clip(-n[:, 1] + 0.4, 0, 1) * 0.10)[:, None] * (1.0, 0.6, 0.35)
    view = directions(56)
    basis = np.concatenate([np.full((56, 1), C0), sh_basis(-view)], axis=1)
    outer = (basis[:, :, None] * basis[:, None, :]).reshape(56, 256)
    damp = np.diag(np.repeat((1e-3, 0.03, 0.06, 0.10), (1, 3, 5, 7)))
    out = np.empty((len(p), 16, 3))
    for i in range(0, len(p), 4096):
        s = slice(i, i + 4096)
        facing = n[s] @ view.T
        mirror = 2 * facing[..., None] * n[s, None, :] - view
        fresnel = 0.10 + 0.65 * (1 - np.clip(facing, 0, 1)) ** 4
        shine = environment(mirror) * (0.15 + 0.85 * np.minimum(light, sky)[s, None, None])
        coat = material.gloss * fresnel[..., None] * shine
        metal = albedo[s, None, :] * shine * 1.5 + 0.16 * (albedo * lit)[s, None, :]
        colour = (1 - material.metal) * ((albedo * lit)[s, None, :] + coat) + material.metal * metal
        colour = 1 - np.exp(-1.20 * colour)
        weight = step(facing, 0.0, 0.5) + 0.02
        left = (weight @ outer).reshape(-1, 16, 16) + 56 * damp * 0.1
        right = np.einsum("jk,njc->nkc", basis, weight[..., None] * (colour**0.85 - 0.5))
        out[s] = np.linalg.solve(left, right)
    return out


def quats_of(t: Array, b: Array, n: Array) -> Array:
    """Return the quaternions (w, x, y, z) of rotations with the columns ``t, b, n``, (N, 4)."""
    m = np.stack([t, b, n], axis=2)
    xx, yy, zz = m[:, 0, 0], m[:, 1, 1], m[:, 2, 2]
    wx, wy, wz = m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1]
    xy, xz, yz = m[:, 0, 1] + m[:, 1, 0], m[:, 0, 2] + m[:, 2, 0], m[:, 1, 2] + m[:, 2, 1]
    square = [1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz]
    rows = ((square[0], wx, wy, wz), (wx, square[1], xy, xz), (wy, xy, square[2], yz), (wz, xz, yz, square[3]))
    table = np.stack([np.stack(r, axis=1) for r in rows], axis=1)
    return unit(table[np.arange(len(m)), np.argmax(square, axis=0)])


def surface(shape: Shape, material: Material, n: int, rng: np.random.Generator, own: int = -1) -> Gaussians:
    """Cover a shape with flat, noisy Gaussians."""
    (p, normal, along), u, v, gap = sample(shape, n, rng)
    albedo = material.colour(p, u, v) * (1 + rng.normal(scale=0.03, size=(n, 1)))
    if material.stretch != 1:
        along = unit(np.cross(normal, (0.0, 0.01, 1.0)) + 1e-9)
    normal = unit(normal + rng.normal(scale=0.03, size=(n, 3)))
    along = unit(along - (along * normal).sum(axis=1, keepdims=True) * normal)
    sigma = np.log(gap * 0.62) + rng.normal(scale=0.20, size=(n, 3)) + (0.0, 0.0, -1.7)
    sigma += np.array([0.5, -0.5, 0]) * np.log(material.stretch)
    alpha = 0.985 - 0.55 * rng.beta(0.8, 3.2, n)
    stray = rng.random(n) < 0.05
    alpha[stray] = rng.uniform(0.1, 0.45, int(stray.sum()))
    p = p + normal * (rng.normal(scale=0.10, size=n) + 0.5 * stray * rng.random(n))[:, None] * gap
    sh = shade(p, normal, albedo, material, own)
    sh[:, 1:] += rng.normal(size=(n, 15, 3)) * np.repeat((0.012, 0.010, 0.007), (3, 5, 7))[:, None]
    return assemble(p, sigma, quats_of(along, np.cross(normal, along), normal), alpha, sh)


def assemble(p: Array, sigma: Array, quats: Array, alpha: Array, sh: Array) -> Gaussians:
    """Return the arrays as a scene, y still up."""
    f = np.float32
    logit = np.log(alpha / (1 - alpha))
    shn = np.ascontiguousarray(sh[:, 1:], f)
    return Gaussians(
        p.astype(f), sigma.astype(f), quats.astype(f), logit.astype(f), sh[:, :1].astype(f), shn, frame="rub"
    )


def backdrop(n: int, rng: np.random.Generator) -> Gaussians:
    """Return a dim room far away: a dome of big Gaussians, and lamps out of focus."""
    lamps = n // 10
    d = directions(n - lamps)
    colour = mix((0.055, 0.04, 0.035), (0.06, 0.10, 0.13), step(d[:, 1], -0.05, 0.5))
    colour += np.exp(5 * (d @ unit((-0.75, 0.25, -0.6)) - 1))[:, None] * (0.20, 0.13, 0.07)
    colour += np.exp(5 * (d @ unit((0.75, 0.20, -0.65)) - 1))[:, None] * (0.03, 0.08, 0.11)
    colour *= 1 + 0.12 * noise(d * 3, 3)[:, None]
    a, h = rng.uniform(0, 2 * np.pi, lamps), rng.normal(0.13, 0.09, lamps)
    spots = unit(np.stack([np.cos(a), h, np.sin(a)], axis=1))
    warm = mix((1.0, 0.62, 0.26), (0.45, 0.72, 0.95), step(rng.random(lamps), 0.72, 0.2)) * rng.uniform(
        0.4, 1.0, (lamps, 1)
    )
    p = np.concatenate([d * 9.0, spots * rng.uniform(6.5, 8.5, (lamps, 1))])
    size = np.concatenate(
        [np.full(n - lamps, 9.0 * np.sqrt(4 * np.pi / (n - lamps)) * 0.75), rng.uniform(0.05, 0.20, lamps)]
    )
    sigma = np.log(size)[:, None] + rng.normal(scale=0.08, size=(n, 3)) * (1, 1, 2) + (0, 0, -1.5)
    alpha = np.concatenate([rng.uniform(0.9, 0.99, n - lamps), rng.uniform(0.15, 0.75, lamps)])
    sh = rng.normal(scale=0.004, size=(n, 16, 3))
    sh[:, 0] += (np.concatenate([colour, warm]) - 0.5) / C0
    normal = unit(-p)
    along = unit(np.cross(normal, (0.01, 1.0, 0.02)))
    return assemble(p, sigma, quats_of(along, np.cross(normal, along), normal), alpha, sh)


BODY = (
    "0.16 0, 0.235 0, 0.25 0.035, 0.30 0.075, 0.42 0.19, 0.49 0.36, 0.465 0.52, 0.36 0.64, 0.25 0.69, 0.225 0.70",
    "0.235 0.695, 0.25 0.71, 0.21 0.745, 0.11 0.785, 0.04 0.80, 0.03 0.815",
    "0.025 0.805, 0.03 0.825, 0.062 0.855, 0.055 0.895, 0.02 0.91, 0.002 0.912",
)
"""The pot, its lid and its knob: knots (radius, height) of a profile."""

SPOUT = (
    "0.36 0.22 0 0.115, 0.50 0.27 0 0.10, 0.60 0.40 0 0.072, 0.66 0.54 0 0.052, 0.74 0.655 0 0.042, 0.79 0.68 0 0.043",
    "-0.4 0.6 0 0.034, -0.58 0.64 0 0.036, -0.74 0.55 0 0.036, -0.75 0.38 0 0.034, -0.62 0.24 0 0.03, -0.43 0.2 0 0.04",
)
"""Spout and handle: knots (x, y, z, radius)."""

CUP = (
    "0.07 0, 0.10 0.002, 0.105 0.02, 0.15 0.075, 0.185 0.16, 0.20 0.245, 0.196 0.249, 0.18 0.17, 0.14 0.08, "
    "0.08 0.035, 0.002 0.03"
)
FOOT = "0.30 0, 0.31 0.03, 0.22 0.07, 0.13 0.10, 0.002 0.105"
TABLE = "1.60 -0.15, 1.70 -0.13, 1.73 -0.08, 1.72 -0.03, 1.67 -0.002, 1.60 0, 1.1 0, 0.55 0, 0.004 0"


def knots(text: str) -> Array:
    """Parse knots: numbers parted by spaces, knots by commas."""
    return np.array([[float(v) for v in knot.split()] for knot in text.split(",")])


def ball(radius: float) -> list[tuple[float, float]]:
    """Return the profile of a sphere that lies on the table."""
    a = np.linspace(-np.pi / 2 + 0.02, np.pi / 2 - 0.02, 24)
    return [(radius * float(np.cos(t)), radius * float(1 + np.sin(t))) for t in a]


def build(count: int = 150_000, seed: int = 7) -> Gaussians:
    """Return the scene in frame ``rdf``: exactly ``count`` Gaussians of SH degree 3."""
    rng = np.random.default_rng(seed)
    pot, knot, stone, cup, *beads = (np.array([x, 0, z]) for x, _, z, _ in OCCLUDERS)
    glaze, blue = Material(porcelain, gloss=1.6), Material(cobalt, gloss=2.4)
    gilt, carnelian = Material(gold, metal=1.0), Material(jade, gloss=2.0)
    parts: list[tuple[float, Shape, Material, int]] = [
        (0.400, lathe(knots(TABLE)), Material(table, gloss=0.35, stretch=1.6), -1),
        (0.210, lathe(knots(BODY[0]), pot), glaze, 0),
        (0.038, lathe(knots(BODY[1]), pot), blue, 0),
        (0.008, lathe(knots(BODY[2]), pot), gilt, 0),
        (0.032, tube(knots(SPOUT[0]), pot), blue, 0),
        (0.034, tube(knots(SPOUT[1]), pot), gilt, 0),
        (0.085, tube(None, knot + np.array([0, 0.56, 0])), gilt, 1),
        (0.020, lathe(knots(FOOT), knot), blue, 1),
        (0.066, lathe(ball(0.27), stone), Material(marble, gloss=2.6), 2),
        (0.045, lathe(knots(CUP), cup), glaze, 3),
    ]
    for i, (bead, r) in enumerate(zip(beads, OCCLUDERS[4:, 3], strict=True), 4):
        parts.append((0.10 * r, lathe(ball(r), bead), carnelian, i))
    scenes = [surface(shape, material, int(count * share), rng, own) for share, shape, material, own in parts]
    scenes.append(backdrop(count - sum(len(s) for s in scenes), rng))
    scene = concatenate(scenes)
    return change_frame(scene.take(rng.permutation(len(scene))), "rdf")


def main() -> None:
    """Write the scene to the path on the command line."""
    parser = argparse.ArgumentParser(description="Write the sample scene as PLY.")
    parser.add_argument("out", help="the .ply file to write")
    parser.add_argument("--count", type=int, default=150_000, help="Gaussians, at least 2000 (default: 150000)")
    args = parser.parse_args()
    if args.count < 2000:
        parser.error(f"--count {args.count}: expected at least 2000.")
    scene = replace(build(args.count), metadata={})
    print(f"{args.out}: {len(scene):,} Gaussians, {write_ply(args.out, scene):,} bytes")


if __name__ == "__main__":
    main()
