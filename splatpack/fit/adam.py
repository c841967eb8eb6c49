"""Adam over the attributes of a scene, each with its own learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from splatpack.errors import UsageError
from splatpack.fit.kernels.adam import adam
from splatpack.parallel import ordered_map
from splatpack.render.backward import Gradients
from splatpack.scene.gaussians import ATTRIBUTES, FloatArray, Gaussians

_BLOCK = 1 << 17


class Adam:
    """The optimiser of Kingma and Ba (2015), with states in float32.

    Parameters
    ----------
    scene : Gaussians
        Where to start; it is copied.
    rates : mapping of str to float
        Learning rate of each attribute, in its own domain. What is missing stays as it is, and has no state.
    betas : tuple of 2 float
        Decay of the averages of the gradient and of its square, in [0, 1).
    eps : float
        Added to the root of the second average. Gradients of a mean over pixels are small, hence the default.

    Attributes
    ----------
    scene : Gaussians
        The current scene. :meth:`step` changes its arrays in place.
    rates : dict
        May be changed between steps, for a schedule; no attribute can be added.
    steps : int
        Steps taken.

    Raises
    ------
    UsageError
        An unknown attribute, or a number out of its range.
    """

    def __init__(
        self,
        scene: Gaussians,
        rates: Mapping[str, float],
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-15,
    ) -> None:
        for name, rate in rates.items():
            if name not in ATTRIBUTES:
                raise UsageError(f"Adam: attribute {name!r}, expected one of {', '.join(ATTRIBUTES)}.")
            if not (rate >= 0 and math.isfinite(rate)):
                raise UsageError(f"Adam: learning rate {rate} of {name}, expected a number that is not negative.")
        if not all(0 <= beta < 1 for beta in betas) or not 1e-30 <= eps < math.inf:
            raise UsageError(f"Adam: betas {betas}, eps {eps}, expected betas in [0, 1) and an eps from 1e-30.")
        copies: dict[str, Any] = {name: np.array(getattr(scene, name), np.float32, order="C") for name in ATTRIBUTES}
        self.scene = replace(scene, **copies)
        self.rates = dict(rates)
        self.betas, self.eps, self.steps = betas, eps, 0
        self._states: dict[str, FloatArray] = {name: np.zeros((2, copies[name].size), np.float32) for name in rates}

    def step(self, gradients: Gradients, *, threads: int | None = None) -> Gaussians:
        """Take a step against ``gradients``; return the scene, the same object each time.

        Parameters
        ----------
        gradients : Gradients
            Of the current scene. Values that are not finite, or beyond 1e18, count as 0.
        threads : int, optional
            The result is the same, to the byte, for any number.

        Raises
        ------
        UsageError
            A gradient has another shape than its attribute.
        """
        for name in self._states:
            got, want = getattr(gradients, name), getattr(self.scene, name)
            if got.shape != want.shape or got.dtype != np.float32:
                raise UsageError(f"Adam: gradient of {name} {got.dtype} {got.shape}, expected float32 {want.shape}.")
        self.steps += 1
        beta1, beta2 = self.betas
        shrink, unbias = 1 - beta1**self.steps, 1 / math.sqrt(1 - beta2**self.steps)
        flat = {name: np.ascontiguousarray(getattr(gradients, name)).reshape(-1) for name in self._states}

        def work(task: tuple[str, int]) -> None:
            name, start = task
            state, values = self._states[name], getattr(self.scene, name).reshape(-1)
            stop = min(start + _BLOCK, len(values))
            rate = self.rates[name] / shrink
            adam(flat[name], values, state[0], state[1], rate, beta1, beta2, self.eps, unbias, start, stop)

        tasks = [(name, start) for name in self._states for start in range(0, len(flat[name]), _BLOCK)]
        for _ in ordered_map(work, tasks, threads):
            pass
        return self.scene
