"""A plain float64 renderer, written from the formulas: every Gaussian over every pixel, no tiles, no bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians

Array = NDArray[np.float64]


@dataclass
class Picture:
    color: Array
    depth: Array
    alpha: Array
    weights: Array
    """Sum over the pixels of w^2, per Gaussian."""


@dataclass
class Exact:
    """The attributes of a scene in float64."""

    means: Array
    scales: Array
    quats: Array
    opacities: Array
    sh0: Array
    shN: Array
    antialiased: bool


def rotations(quats: Array) -> Array:
    q = quats / np.linalg.norm(quats, axis=1, keepdims=True)
    v = q[:, 1:]
    cross = np.zeros((len(q), 3, 3))
    cross[:, 0, 1], cross[:, 0, 2], cross[:, 1, 2] = -v[:, 2], v[:, 1], -v[:, 0]
    cross -= cross.transpose(0, 2, 1)
    return np.asarray(np.eye(3) + 2 * q[:, :1, None] * cross + 2 * cross @ cross)


def basis(d: Array) -> Array:
    """Real spherical harmonics 1 to 15 at unit directions (N, 3)."""
    x, y, z = d.T
    return np.stack(
        [
            -0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x,
            1.0925484305920792 * x * y, -1.0925484305920792 * y * z, 0.31539156525252005 * (3 * z * z - 1),
            -1.0925484305920792 * x * z, 0.5462742152960396 * (x * x - y * y),
            -0.5900435899266435 * y * (3 * x * x - y * y), 2.890611442640554 * x * y * z,
            -0.4570457994644658 * y * (5 * z * z - 1), 0.3731763325901154 * z * (5 * z * z - 3),
            -0.4570457994644658 * x * (5 * z * z - 1), 1.445305721320277 * z * (x * x - y * y),
            -0.5900435899266435 * x * (x * x - 3 * y * y),
        ],
        axis=1,
    )  # fmt: skip


def colours(scene: Gaussians | Exact, camera: Camera) -> Array:
    way = scene.means.astype(np.float64) - camera.position
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    k = scene.shN.shape[1]
    rgb = 0.5 + 0.28209479177387814 * scene.sh0[:, 0].astype(np.float64)
    rgb += np.einsum("nk,nkc->nc", basis(way)[:, :k], scene.shN.astype(np.float64))
    return np.asarray(np.maximum(rgb, 0.0))


def covariances(scene: Gaussians | Exact, camera: Camera, view: Array) -> Array:
    """Screen covariances before dilation, (N, 2, 2)."""
    turn = rotations(scene.quats.astype(np.float64))
    sigma = turn * np.exp(2 * scene.scales.astype(np.float64))[:, None, :] @ turn.transpose(0, 2, 1)
    z = view[:, 2]
    slack = 0.15 * np.array([camera.width / camera.fx, camera.height / camera.fy])
    low = -np.array([camera.cx / camera.fx, camera.cy / camera.fy]) - slack
    high = np.array([(camera.width - camera.cx) / camera.fx, (camera.height - camera.cy) / camera.fy]) + slack
    held = np.clip(view[:, :2] / z[:, None], low, high)
    jacobian = np.zeros((len(z), 2, 3))
    jacobian[:, 0, 0] = camera.fx / z
    jacobian[:, 1, 1] = camera.fy / z
    jacobian[:, 0, 2] = -camera.fx * held[:, 0] / z
    jacobian[:, 1, 2] = -camera.fy * held[:, 1] / z
    t = jacobian @ camera.viewmat[:3, :3]
    return np.asarray(t @ sigma @ t.transpose(0, 2, 1))


def render(
    scene: Gaussians, camera: Camera, background: tuple[float, float, float] = (0.0, 0.0, 0.0), near: float = 0.05
) -> Picture:
    view = scene.means.astype(np.float64) @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
    front = np.flatnonzero(view[:, 2] >= near)
    part, view = scene.take(front), view[front]
    cov = covariances(part, camera, view)
    wide = cov + 0.3 * np.eye(2)
    opacity = 1 / (1 + np.exp(-part.opacities.astype(np.float64)))
    if scene.antialiased:
        opacity *= np.sqrt(np.maximum(0, np.linalg.det(cov) / np.linalg.det(wide)))
    rgb = colours(part, camera)
    x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    through = np.ones(x.shape)
    color, depth = np.zeros((*x.shape, 3)), np.zeros(x.shape)
    weights = np.zeros(len(scene))
    for i in np.argsort(view[:, 2].astype(np.float32), kind="stable"):
        centre = (camera.K @ view[i] / view[i, 2])[:2]
        d = np.stack([x - centre[0], y - centre[1]], axis=-1)
        power = -0.5 * np.einsum("yxi,ij,yxj->yx", d, np.linalg.inv(wide[i]), d)
        alpha = np.minimum(0.99, opacity[i] * np.exp(power))
        w = np.where((alpha >= 1 / 255) & (through >= 1e-4), alpha * through, 0)
        color += w[..., None] * rgb[i]
        depth += w * view[i, 2]
        through -= w
        weights[front[i]] = (w * w).sum()
    alpha = 1 - through
    depth = np.divide(depth, alpha, out=np.zeros_like(depth), where=alpha > 0)
    return Picture(np.clip(color + through[..., None] * np.array(background), 0, 1), depth, alpha, weights)


class Smooth:
    """The picture as a smooth function of the attributes, for finite differences.

    What makes the real one jump is fixed as it is for ``scene``: the order, which pixels a Gaussian reaches (alpha of
    1/255), where a pixel is opaque. No Gaussian may be behind the near plane; the picture is not clamped to [0, 1].
    """

    def __init__(self, scene: Gaussians, camera: Camera, background: tuple[float, float, float]) -> None:
        self.camera, self.background, self.antialiased = camera, np.array(background), scene.antialiased
        self.base: dict[str, Array] = {name: getattr(scene, name).astype(np.float64) for name in ATTRIBUTES}
        depth = scene.means.astype(np.float64) @ camera.viewmat[2, :3] + camera.viewmat[2, 3]
        self.order = np.argsort(depth.astype(np.float32), kind="stable")
        alpha = self.alphas(Exact(**self.base, antialiased=self.antialiased))[self.order]
        self.blended = np.zeros(alpha.shape, bool)
        through = np.ones(alpha.shape[1:])
        for mask, a in zip(self.blended, alpha, strict=True):
            mask[:] = (a >= 1 / 255) & (through >= 1e-4)
            through *= 1 - np.where(mask, a, 0)

    def alphas(self, scene: Exact) -> Array:
        view = scene.means @ self.camera.viewmat[:3, :3].T + self.camera.viewmat[:3, 3]
        cov = covariances(scene, self.camera, view)
        wide = cov + 0.3 * np.eye(2)
        opacity = 1 / (1 + np.exp(-scene.opacities))
        if scene.antialiased:
            opacity = opacity * np.sqrt(np.linalg.det(cov) / np.linalg.det(wide))
        centre = (view @ self.camera.K.T)[:, :2] / view[:, 2:]
        grid = np.meshgrid(np.arange(self.camera.width) + 0.5, np.arange(self.camera.height) + 0.5)
        d = np.stack(grid, axis=-1)[None] - centre[:, None, None]
        power = -0.5 * np.einsum("nyxi,nij,nyxj->nyx", d, np.linalg.inv(wide), d)
        return np.asarray(np.minimum(0.99, opacity[:, None, None] * np.exp(power)))

    def picture(self, attributes: Mapping[str, Any]) -> Array:
        scene = Exact(**{**self.base, **attributes}, antialiased=self.antialiased)
        alpha = np.where(self.blended, self.alphas(scene)[self.order], 0)
        through = np.cumprod(1 - alpha, axis=0)
        weights = alpha * np.concatenate([np.ones_like(through[:1]), through[:-1]])
        color = np.einsum("nyx,nc->yxc", weights, colours(scene, self.camera)[self.order])
        return np.asarray(color + through[-1][..., None] * self.background)

    def slopes(self, name: str, weights: Array, picks: NDArray[Any], step: float = 1e-5) -> Array:
        """Central differences of sum(weights * picture) for the elements ``picks`` of the flattened attribute."""
        out = np.empty(len(picks))
        for k, pick in enumerate(picks):
            sides = []
            for way in (step, -step):
                moved = self.base[name].copy()
                moved.reshape(-1)[pick] += way
                sides.append(float((weights * self.picture({name: moved})).sum()))
            out[k] = (sides[0] - sides[1]) / (2 * step)
        return out
