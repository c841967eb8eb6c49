"""The rasteriser of gsplat (Ye et al. 2025) behind :class:`splatpack.train.backend.Backend`, on a CUDA device.

gsplat and torch are not dependencies: both are looked for when this backend is asked for.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import UnsupportedError
from splatpack.render.backward import Gradients
from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians
from splatpack.train.backend import Drawn

Plane = NDArray[np.float32]


def missing() -> str | None:
    """Return what keeps gsplat from being used here, or None."""
    for name in ("torch", "gsplat"):
        if find_spec(name) is None:
            return f"the package {name} is not installed"
    return None if import_module("torch").cuda.is_available() else "torch sees no CUDA device"


class GsplatBackend:
    """gsplat's ``rasterization`` with autograd. Arrays go to the device and come back in each step.

    Its pictures differ from ours where a Gaussian ends (it cuts at three standard deviations), and its sums are atomic:
    a run is not reproducible to the bit.

    Raises
    ------
    UnsupportedError
        gsplat, torch or a CUDA device is not there.
    """

    name = "gsplat"

    def __init__(self) -> None:
        reason = missing()
        if reason is not None:
            raise UnsupportedError(
                f"backend gsplat: {reason}. Install gsplat with a CUDA build of torch, or use --backend cpu."
            )
        self._torch, self._gsplat = import_module("torch"), import_module("gsplat")

    def draw(self, scene: Gaussians, camera: Camera, background: tuple[float, float, float], near: float) -> Drawn:
        """Draw a scene."""
        torch = self._torch
        leaves = {name: self._tensor(getattr(scene, name)).requires_grad_(True) for name in ATTRIBUTES}
        colors, _, info = self._gsplat.rasterization(
            leaves["means"], leaves["quats"], leaves["scales"].exp(), leaves["opacities"].sigmoid(),
            torch.cat([leaves["sh0"], leaves["shN"]], dim=1), self._tensor(camera.viewmat)[None],
            self._tensor(camera.K)[None], camera.width, camera.height, near_plane=near, packed=False,
            sh_degree=scene.sh_degree, backgrounds=self._tensor(np.array(background))[None],
            rasterize_mode="antialiased" if scene.antialiased else "classic",
        )  # fmt: skip
        info["means2d"].retain_grad()
        picture = colors[0].clamp(0.0, 1.0)
        radii = info["radii"][0]
        seen = (radii > 0).all(dim=-1) if radii.ndim == 2 else radii > 0
        return Drawn(
            picture.detach().cpu().numpy(), seen.to(torch.uint8).cpu().numpy(), (leaves, colors[0], info["means2d"])
        )

    def pull(self, drawn: Drawn, grad: Plane) -> Gradients:
        """Return the gradients of a loss, given its gradient with respect to the picture."""
        leaves, color, centres = drawn.tape
        # a channel that is held at 1 passes its gradient only where a descent makes it darker, as on the CPU
        slope = np.where((drawn.color >= 1) & (grad < 0), np.float32(0), grad)
        color.backward(self._tensor(slope))
        arrays = {name: self._array(leaves[name].grad, leaves[name].shape) for name in ATTRIBUTES}
        return Gradients(**arrays, centres=self._array(centres.grad, centres.shape)[0])

    def _tensor(self, array: NDArray[Any]) -> Any:
        return self._torch.as_tensor(np.ascontiguousarray(array, np.float32), device="cuda")

    @staticmethod
    def _array(tensor: Any, shape: Any) -> Plane:
        if tensor is None:
            return np.zeros(tuple(shape), np.float32)
        return np.ascontiguousarray(tensor.detach().cpu().numpy(), np.float32)
