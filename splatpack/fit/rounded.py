"""A scene on the grid of its quantisers, and the numbers behind it: gradient steps that survive the rounding.

What is drawn is always what a decoder would give; the gradient is taken there and moves the number behind it (the
straight-through estimator of Bengio et al. 2013). A step is measured in steps of the quantisers.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.codecs.splat import CLASSES, OPACITY_RANGE, Q20, SplatParams, oriented, sub_cell_sides
from splatpack.fit.kernels import units as kernels
from splatpack.parallel import ordered_map, thread_count
from splatpack.render.backward import Gradients
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians

BETAS = 0.9, 0.99
EPS = 1e-12
LEAST_MEAN = 0.1
"""Mean magnitude of symbols below which they do not get cheaper: some 7 bits to leave 0."""

_COLUMNS = {
    "means": (kernels.MEAN, kernels.SCALE),
    "scales": (kernels.SCALE, kernels.ROTATION),
    "quats": (kernels.ROTATION, kernels.OPACITY),
    "opacities": (kernels.OPACITY, kernels.COLOUR),
    "sh0": (kernels.COLOUR, kernels.SH),
    "shN": (kernels.SH, None),
}


class Rounded:
    """A scene on the grid of its quantisers, and the numbers behind it.

    Attributes
    ----------
    scene : Gaussians
        The rounded scene; its arrays are replaced in place by :meth:`step`.

    Parameters
    ----------
    scene : Gaussians
    params : SplatParams
        The quantisers.
    classes : uint8 (n,)
        Importance class of each Gaussian.
    sh : bool
        ``shN`` goes through the quantisers too.
    threads : int or None
        The result does not depend on it.
    """

    def __init__(
        self, scene: Gaussians, params: SplatParams, classes: NDArray[np.uint8], sh: bool, threads: int | None
    ) -> None:
        n, k = len(scene), scene.shN.shape[1]
        self._coded = (*params.attributes, "shN") if sh else params.attributes
        self._classes = np.ascontiguousarray(classes)
        names = ("scale", "rotation", "opacity", "colour", "sh")
        self._steps = np.stack([getattr(params, name) for name in names]) / float(Q20)
        self._block = max(1, -(-n // (2 * thread_count(threads))))
        self._threads = threads
        scales, quats = oriented(scene.scales, scene.quats, params)
        opacities = np.clip(scene.opacities, *OPACITY_RANGE)
        self._units = np.empty((n, kernels.SH + 3 * k), np.float32)
        kernels.to_units(
            scales, quats, opacities, np.ascontiguousarray(scene.sh0).reshape(n, 3), np.ascontiguousarray(scene.shN),
            self._classes, self._steps, self._units,
        )  # fmt: skip
        middle = np.floor(scales[:, 1] / self._steps[0, classes] + 0.5).astype(np.int64)
        self._side = sub_cell_sides(middle, self._classes, params)
        low = params.lattice[:3]
        self._origin = low + (np.floor((scene.means - low) / self._side[:, None]) + 0.5) * self._side[:, None]
        self._first, self._second = np.zeros_like(self._units), np.zeros_like(self._units)
        self._steps_taken = 0
        self._free: dict[str, Any] = {name: np.empty(getattr(scene, name).shape, np.float32) for name in ATTRIBUTES}
        self.scene = replace(scene, **{name: self._free[name] for name in self._coded})
        self._rates = np.zeros(self._units.shape[1], np.float32)
        for name in self._coded:
            self._rates[slice(*_COLUMNS[name])] = 1.0
        self._round()

    def prices(self, name: str, bit: float) -> NDArray[np.float32]:
        """Return what a step away from 0 of the units of an attribute costs, float32 (D, 8), for :meth:`step`.

        As if each unit of a class followed a Laplace distribution of the mean magnitude that is found now: a step then
        takes 1 / (mean ln 2) bits.

        Parameters
        ----------
        name : str
            An attribute that is coded here.
        bit : float
            What a bit adds to the loss.
        """
        out = np.zeros((self._units.shape[1], CLASSES), np.float32)
        columns = slice(*_COLUMNS[name])
        for c in range(CLASSES):
            rows = self._units[self._classes == c, columns]
            if rows.size:
                mean = np.abs(np.floor(rows + 0.5)).mean(axis=0)
                out[columns, c] = bit / (np.maximum(mean, LEAST_MEAN) * math.log(2))
        return out

    def step(self, gradients: Gradients, rate: float, prices: NDArray[np.float32] | None = None) -> None:
        """Take a step of Adam against gradients at :attr:`scene`, and round again.

        Parameters
        ----------
        gradients : Gradients
        rate : float
            Learning rate, in steps of the quantisers.
        prices : float32 (D, 8), optional
            What bits cost: a sum of :meth:`prices`.
        """
        self._steps_taken += 1
        shrink = 1 / (1 - BETAS[0] ** self._steps_taken)
        unbias = 1 / math.sqrt(1 - BETAS[1] ** self._steps_taken)
        g, n = gradients, len(self._classes)
        rates = self._rates * np.float32(rate)
        bits = np.zeros((0, CLASSES), np.float32) if prices is None else prices

        def work(start: int) -> None:
            kernels.descend(
                g.means, g.scales, g.quats, g.opacities, g.sh0.reshape(n, 3), g.shN, self._free["quats"], self._side,
                self._classes, self._steps, start, min(start + self._block, n), rates, bits, *BETAS, shrink, unbias,
                EPS, np.empty((1, self._units.shape[1]), np.float32), self._units, self._first, self._second,
            )  # fmt: skip

        for _ in ordered_map(work, range(0, n, self._block), self._threads):
            pass
        self._round()

    def _round(self) -> None:
        n, free = len(self._classes), self._free

        def work(start: int) -> None:
            kernels.on_grid(
                self._units, self._origin, self._side, self._classes, self._steps, start, min(start + self._block, n),
                free["means"], free["scales"], free["quats"], free["opacities"], free["sh0"].reshape(n, 3), free["shN"],
            )  # fmt: skip

        for _ in ordered_map(work, range(0, n, self._block), self._threads):
            pass
