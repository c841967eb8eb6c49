"""The backward pass against central differences of the plain float64 renderer, and against autograd."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from splatpack.errors import UsageError
from splatpack.render.backward import Gradients, backward, forward
from splatpack.render.cpu import render
from splatpack.scene.cameras import Camera, look_at
from splatpack.scene.gaussians import ATTRIBUTES, SH_COEFFICIENTS, Gaussians
from tests import synth
from tests.test_render import reference

TOLERANCE = 1e-4
BACKGROUND = (0.3, 0.1, 0.8)


def camera(width: int = 37, height: int = 26) -> Camera:
    view = look_at((0.5, -1.0, -4.5), (0, 0, 0), (0.1, -1, 0), math.radians(50), width, height)
    return replace(view, fx=1.2 * view.fx, cx=view.cx - 2.3)


def small(n: int = 14, degree: int = 3, seed: int = 0) -> Gaussians:
    """A scene with everything that has its own branch: held alphas, colours and Jacobians, quats of any length."""
    rng = np.random.default_rng(seed)
    means = rng.uniform(-1.2, 1.2, (n, 3))
    means[0], means[1] = (6.0, 0.3, 0.2), (-0.4, 4.5, 0.5)  # outside of 1.3 times the field of view
    scales = rng.uniform(-3.5, -0.7, (n, 3))
    scales[:2] = rng.uniform(0.3, 0.9, (2, 3))
    opacities = rng.uniform(-2.0, 3.0, n)
    opacities[2:4] = 7.0
    sh0 = rng.uniform(-2.4, 1.1, (n, 1, 3))
    shN = rng.normal(scale=0.08, size=(n, SH_COEFFICIENTS[degree], 3))
    quats = rng.normal(size=(n, 4)) * rng.uniform(0.3, 4.0, (n, 1))
    arrays: list[Any] = [a.astype(np.float32) for a in (means, scales, quats, opacities, sh0, shN)]
    return Gaussians(*arrays)


def pull(view: Camera, seed: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(view.height, view.width, 3)).astype(np.float32)


def error(got: NDArray[Any], want: NDArray[Any]) -> float:
    return float(np.linalg.norm(got - want)) / max(float(np.linalg.norm(want)), 1e-30)


def same(a: Gradients, b: Gradients) -> bool:
    return all(getattr(a, name).tobytes() == getattr(b, name).tobytes() for name in ATTRIBUTES)


@pytest.mark.parametrize("background", [(0.0, 0.0, 0.0), BACKGROUND])
@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_finite_differences(degree: int, antialiased: bool, background: tuple[float, float, float]) -> None:
    scene = replace(small(degree=degree, seed=degree), antialiased=antialiased)
    view = camera()
    weights = pull(view)
    smooth = reference.Smooth(scene, view, background)
    picture = smooth.picture({})
    assert picture.max() < 1
    result, tape = forward(scene, view, background=background)
    assert np.abs(result.color - picture).max() < 1e-5
    grads = backward(tape, weights)
    rng = np.random.default_rng(degree)
    for name in ATTRIBUTES:
        got = getattr(grads, name)
        assert got.shape == getattr(scene, name).shape
        assert got.dtype == np.float32
        picks = rng.permutation(got.size)[:24]
        want = smooth.slopes(name, weights.astype(np.float64), picks)
        assert error(got.reshape(-1)[picks], want) < TOLERANCE, name


@pytest.mark.parametrize("seed", range(4))
def test_finite_differences_of_each_gaussian(seed: int) -> None:
    """Not only over all: the gradient of the mean of the faintest Gaussian is right, too."""
    scene, view = small(seed=10 + seed), camera()
    weights = pull(view, seed)
    smooth = reference.Smooth(scene, view, BACKGROUND)
    grads = backward(forward(scene, view, background=BACKGROUND)[1], weights)
    want = smooth.slopes("means", weights.astype(np.float64), np.arange(scene.means.size)).reshape(-1, 3)
    length = np.linalg.norm(want, axis=1)
    assert (np.linalg.norm(grads.means - want, axis=1) <= 1e-3 * length + 1e-4 * np.median(length)).all()


def test_opaque_pixels_and_long_lists() -> None:
    """Many Gaussians behind each other: transmittance is divided back out over hundreds of steps, and pixels end."""
    scene, view = small(260, 1, seed=3), camera(20, 18)
    scene = replace(scene, opacities=np.linspace(-3, 5, len(scene), dtype=np.float32))
    weights = pull(view)
    smooth = reference.Smooth(scene, view, BACKGROUND)
    result, tape = forward(scene, view, background=BACKGROUND)
    assert result.alpha.max() > 1 - 1e-4
    assert len(tape.bands[0].members) > 200
    grads = backward(tape, weights)
    rng = np.random.default_rng(0)
    for name in ATTRIBUTES:
        got = getattr(grads, name).reshape(-1)
        picks = rng.permutation(got.size)[:40]
        assert error(got[picks], smooth.slopes(name, weights.astype(np.float64), picks)) < 1e-3, name


@pytest.mark.parametrize("antialiased", [False, True])
def test_autograd(antialiased: bool) -> None:
    torch = pytest.importorskip("torch")
    scene, view = replace(small(seed=5), antialiased=antialiased), camera()
    weights = pull(view)
    smooth = reference.Smooth(scene, view, BACKGROUND)
    leaves = {name: torch.tensor(smooth.base[name], requires_grad=True) for name in ATTRIBUTES}
    (torch.tensor(weights.astype(np.float64)) * _picture(torch, smooth, leaves)).sum().backward()
    grads = backward(forward(scene, view, background=BACKGROUND)[1], weights)
    for name in ATTRIBUTES:
        assert error(getattr(grads, name), leaves[name].grad.numpy()) < TOLERANCE, name


def _picture(torch: Any, smooth: reference.Smooth, p: dict[str, Any]) -> Any:
    """The formulas of ``reference.Smooth`` once more, for autograd."""
    cam = smooth.camera
    world = torch.tensor(cam.viewmat)
    view = p["means"] @ world[:3, :3].T + world[:3, 3]
    w, x, y, z = (p["quats"] / p["quats"].norm(dim=1, keepdim=True)).T
    turn = torch.stack(
        [
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ],
        dim=1,
    ).reshape(-1, 3, 3)  # fmt: skip
    depth = view[:, 2]
    low = [-cam.cx / cam.fx - 0.15 * cam.width / cam.fx, -cam.cy / cam.fy - 0.15 * cam.height / cam.fy]
    hx = (view[:, 0] / depth).clamp(low[0], low[0] + 1.3 * cam.width / cam.fx)
    hy = (view[:, 1] / depth).clamp(low[1], low[1] + 1.3 * cam.height / cam.fy)
    none = torch.zeros_like(depth)
    rows = [cam.fx / depth, none, -cam.fx * hx / depth, none, cam.fy / depth, -cam.fy * hy / depth]
    m = torch.stack(rows, dim=1).reshape(-1, 2, 3) @ world[:3, :3] @ turn * p["scales"].exp()[:, None, :]
    cov = m @ m.transpose(1, 2)
    wide = cov + 0.3 * torch.eye(2)
    opacity = torch.sigmoid(p["opacities"])
    if smooth.antialiased:
        opacity = opacity * (torch.linalg.det(cov) / torch.linalg.det(wide)).sqrt()
    centre = torch.stack([cam.fx * view[:, 0] / depth + cam.cx, cam.fy * view[:, 1] / depth + cam.cy], dim=1)
    xs, ys = np.meshgrid(np.arange(cam.width) + 0.5, np.arange(cam.height) + 0.5)
    d = torch.tensor(np.stack([xs, ys], axis=-1))[None] - centre[:, None, None]
    power = -0.5 * torch.einsum("nyxi,nij,nyxj->nyx", d, torch.linalg.inv(wide), d)
    order = torch.tensor(smooth.order)
    alpha = (opacity[:, None, None] * power.exp()).clamp(max=0.99)[order] * torch.tensor(smooth.blended)
    through = torch.cumprod(1 - alpha, dim=0)
    weight = alpha * torch.cat([torch.ones_like(through[:1]), through[:-1]])
    way = p["means"] - torch.tensor(cam.position)
    x, y, z = (way / way.norm(dim=1, keepdim=True)).T
    basis = [
        -0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x,
        1.0925484305920792 * x * y, -1.0925484305920792 * y * z, 0.31539156525252005 * (3 * z * z - 1),
        -1.0925484305920792 * x * z, 0.5462742152960396 * (x * x - y * y),
        -0.5900435899266435 * y * (3 * x * x - y * y), 2.890611442640554 * x * y * z,
        -0.4570457994644658 * y * (5 * z * z - 1), 0.3731763325901154 * z * (5 * z * z - 3),
        -0.4570457994644658 * x * (5 * z * z - 1), 1.445305721320277 * z * (x * x - y * y),
        -0.5900435899266435 * x * (x * x - 3 * y * y),
    ]  # fmt: skip
    rgb = 0.5 + 0.28209479177387814 * p["sh0"][:, 0] + torch.einsum("nk,nkc->nc", torch.stack(basis, 1), p["shN"])
    color = torch.einsum("nyx,nc->yxc", weight, rgb.clamp(min=0)[order])
    return color + through[-1][..., None] * torch.tensor(smooth.background)


@pytest.mark.parametrize("size", [(130, 70), (1, 1), (17, 16), (33, 200)])
def test_forward_is_render_and_threads_change_no_byte(size: tuple[int, int]) -> None:
    scene, view = synth.scene(5000, 1, seed=4), camera(*size)
    plain = render(scene, view, background=BACKGROUND)
    runs = []
    for threads in (1, 2, 3):
        result, tape = forward(scene, view, background=BACKGROUND, threads=threads)
        for name in ("color", "depth", "alpha"):
            assert getattr(result, name).tobytes() == getattr(plain, name).tobytes()
        runs.append(backward(tape, pull(view), threads=threads))
    assert same(runs[0], runs[1])
    assert same(runs[0], runs[2])
    assert np.abs(runs[0].means).max() > 0


def test_scene_order_does_not_matter() -> None:
    scene, view = small(40), camera()
    turned = scene.take(np.arange(40)[::-1])
    ours, theirs = (backward(forward(s, view)[1], pull(view)) for s in (scene, turned))
    for name in ATTRIBUTES:
        assert error(getattr(theirs, name)[::-1], getattr(ours, name)) < 1e-6


def test_invisible_gaussians_get_zeros() -> None:
    scene, view = small(20), camera()
    scene.means[4] = -3 * (np.array([0, 0, 0]) - view.position) + view.position
    scene.opacities[5] = -9.0
    grads = backward(forward(scene, view)[1], pull(view))
    for name in ATTRIBUTES:
        assert not getattr(grads, name)[4:6].any()
        assert getattr(grads, name)[6:].any()


def test_nothing_in_the_picture() -> None:
    view = camera()
    for n in (0, 3):
        scene = small(max(n, 2)).take(slice(0, n))
        scene.opacities[:] = -9.0
        result, tape = forward(scene, view, background=BACKGROUND)
        assert (result.color == np.array(BACKGROUND, np.float32)).all()
        assert not any(getattr(backward(tape, pull(view)), name).any() for name in ATTRIBUTES)


def test_a_saturated_channel_passes_only_what_leads_back() -> None:
    scene, view = small(8, 0), camera()
    scene.sh0[:] = 9.0
    scene.opacities[:] = 4.0
    result, tape = forward(scene, view)
    assert result.color.max() == 1
    held = (result.color >= 1).astype(np.float32)
    down, up = backward(tape, held), backward(tape, -held)
    assert down.sh0.min() >= 0
    assert down.sh0.max() > 0
    assert not any(getattr(up, name).any() for name in ATTRIBUTES)


def test_extreme_scenes_give_finite_numbers() -> None:
    rng = np.random.default_rng(0)
    scene = small(60, 3)
    scene.scales[:20] = rng.uniform(-80, 20, (20, 3))
    scene.quats[20] = 0
    scene.opacities[21:24] = (80.0, 3e38, 800.0)
    scene.means[24] = camera().position
    scene.shN[25] = 50
    for antialiased in (False, True):
        grads = backward(forward(replace(scene, antialiased=antialiased), camera())[1], pull(camera()))
        for name in ATTRIBUTES:
            assert np.isfinite(getattr(grads, name)).all(), name
        assert not grads.scales[scene.scales < -60].any()
        assert not grads.quats[20].any()


def test_gradient_of_another_shape() -> None:
    tape = forward(small(), camera())[1]
    for wrong in (pull(camera())[1:], pull(camera()).astype(np.float64)):
        with pytest.raises(UsageError, match="grad_color"):
            backward(tape, wrong)  # type: ignore[arg-type]


def test_gradients_of_the_centres_are_those_of_a_moved_picture() -> None:
    """A camera whose principal point moves moves all centres alike: the sum of their gradients is its own."""
    scene, view = small(9, 0), camera()
    scene.means[:2] = (0.1, 0.1, 0.4)  # nothing held: the Jacobian does not depend on the principal point
    weights = pull(view)
    grads = backward(forward(scene, view, background=BACKGROUND)[1], weights)
    assert grads.centres is not None
    smooth = reference.Smooth(scene, view, BACKGROUND)  # what reaches a pixel is settled here
    step, ends = 1e-4, []
    for sign in (1, -1):
        smooth.camera = replace(view, cx=view.cx + sign * step)
        ends.append(float((weights * smooth.picture({})).sum()))
    assert grads.centres[:, 0].sum() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-3)
