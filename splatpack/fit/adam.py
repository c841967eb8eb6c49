"""Adam over the attributes of a scene, each with its own learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import UsageError
from splatpack.fit.kernels.adam import adam, adam_rows
from splatpack.parallel import ordered_map, thread_count
from splatpack.render.backward import Gradients
from splatpack.scene.gaussians import ATTRIBUTES, FloatArray, Gaussians

_BLOCK = 1 << 17

_Pairs = Mapping[str, tuple[FloatArray, FloatArray]]
"""Gradient and values by attribute."""


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
    averages : dict of str to float32 (2, ...)
        The moving averages of the gradient and of its square, shaped like the attribute behind the first axis.

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
        self.averages: dict[str, FloatArray] = {n: np.zeros((2, *copies[n].shape), np.float32) for n in rates}

    def replant(self, scene: Gaussians, source: NDArray[np.int64]) -> None:
        """Go on with another scene, whose rows come from rows of the current one, perhaps of a higher SH degree.

        Parameters
        ----------
        scene : Gaussians
            Its arrays are taken over, not copied.
        source : int64 (M,)
            The row of the current scene whose averages each row takes over, or -1 for none: they begin at 0.

        Raises
        ------
        UsageError
            There is not one source per row, or a source that is not a row.
        """
        n = len(self.scene)
        if source.shape != (len(scene),) or (len(source) and not -1 <= source.min() <= source.max() < n):
            raise UsageError(f"Adam: sources {source.shape} for {len(scene)} rows, expected one each, of {n} rows.")
        arrays: dict[str, Any] = {k: np.ascontiguousarray(getattr(scene, k), np.float32) for k in ATTRIBUTES}
        known = source >= 0
        for name, state in self.averages.items():
            if not arrays[name].size or not state.size:
                self.averages[name] = np.zeros((2, *arrays[name].shape), np.float32)
                continue
            fresh = np.zeros((2, *arrays[name].shape), np.float32)
            width, wide = math.prod(state.shape[2:]), math.prod(fresh.shape[2:])
            fresh.reshape(2, -1, wide)[:, known, :width] = state.reshape(2, -1, width)[:, source[known]]
            self.averages[name] = fresh
        self.scene = replace(scene, **arrays)

    def step(
        self, gradients: Gradients, *, chosen: NDArray[np.uint8] | None = None, threads: int | None = None
    ) -> Gaussians:
        """Take a step against ``gradients``; return the scene, the same object each time.

        Parameters
        ----------
        gradients : Gradients
            Of the current scene. Values that are not finite, or beyond 1e18, count as 0.
        chosen : uint8 (N,), optional
            The Gaussians that take the step; what is 0 keeps its values and its averages. All by default.
        threads : int, optional
            The result is the same, to the byte, for any number.

        Raises
        ------
        UsageError
            A gradient has another shape than its attribute.
        """
        for name in self.averages:
            got, want = getattr(gradients, name), getattr(self.scene, name)
            if got.shape != want.shape or got.dtype != np.float32:
                raise UsageError(f"Adam: gradient of {name} {got.dtype} {got.shape}, expected float32 {want.shape}.")
        self.steps += 1
        values = {name: (getattr(gradients, name), getattr(self.scene, name)) for name in self.averages}
        pairs = {name: pair for name, pair in values.items() if pair[1].size}
        if chosen is None:
            self._step_all(pairs, threads)
        else:
            self._step_rows(pairs, chosen, threads)
        return self.scene

    def _constants(self, name: str) -> tuple[float, float, float, float, float]:
        beta1, beta2 = self.betas
        rate = self.rates[name] / (1 - beta1**self.steps)
        return rate, beta1, beta2, self.eps, 1 / math.sqrt(1 - beta2**self.steps)

    def _step_all(self, pairs: _Pairs, threads: int | None) -> None:
        def work(task: tuple[str, int]) -> None:
            name, start = task
            grad, values = (np.ascontiguousarray(array).reshape(-1) for array in pairs[name])
            first, second = (average.reshape(-1) for average in self.averages[name])
            adam(grad, values, first, second, *self._constants(name), start, min(start + _BLOCK, len(values)))

        tasks = [(name, start) for name, (_, values) in pairs.items() for start in range(0, values.size, _BLOCK)]
        for _ in ordered_map(work, tasks, threads):
            pass

    def _step_rows(self, pairs: _Pairs, chosen: NDArray[np.uint8], threads: int | None) -> None:
        n = len(self.scene)
        rows = max(1, -(-n // (2 * thread_count(threads))))

        def work(start: int) -> None:
            for name, (grad, values) in pairs.items():
                first, second = (average.reshape(n, -1) for average in self.averages[name])
                grad, flat = np.ascontiguousarray(grad).reshape(n, -1), values.reshape(n, -1)
                adam_rows(grad, flat, first, second, chosen, *self._constants(name), start, min(start + rows, n))

        for _ in ordered_map(work, range(0, n, rows), threads):
            pass
