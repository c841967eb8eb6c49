"""A plain float64 renderer, written from the formulas: every Gaussian over every pixel, no tiles, no bounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import Gaussians

Array = NDArray[np.float64]


@dataclass
class Picture:
    color: Array
    depth: Array
    alpha: Array
    weights: Array
    """Sum over the pixels of w^2, per Gaussian."""


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


def colours(scene: Gaussians, camera: Camera) -> Array:
    way = scene.means.astype(np.float64) - camera.position
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    k = scene.shN.shape[1]
    rgb = 0.5 + 0.28209479177387814 * scene.sh0[:, 0].astype(np.float64)
    rgb += np.einsum("nk,nkc->nc", basis(way)[:, :k], scene.shN.astype(np.float64))
    return np.asarray(np.maximum(rgb, 0.0))


def covariances(scene: Gaussians, camera: Camera, view: Array) -> Array:
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
