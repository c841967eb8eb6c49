"""The kernel of the Adam optimiser."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, int64, uint8
from numpy.typing import NDArray

from splatpack.jit import kernel, ro, rw

ONE = np.float32(1.0)
ZERO = np.float32(0.0)
HUGE = np.float32(1e18)
"""Above this the square of a gradient is not a float32."""


@kernel(
    int64(
        ro(float32), rw(float32), rw(float32), rw(float32), float32, float32, float32, float32, float32, int64, int64
    )
)  # fmt: skip
def adam(
    grads: NDArray[Any],
    values: NDArray[Any],
    first: NDArray[Any],
    second: NDArray[Any],
    rate: Any,
    beta1: Any,
    beta2: Any,
    eps: Any,
    unbias: Any,
    start: int,
    stop: int,
) -> int:
    """Take one step of Adam (Kingma and Ba 2015, algorithm 1) for the elements ``start`` to ``stop``.

    Parameters
    ----------
    grads : float32 (n,)
        What is not a number, or beyond 1e18, counts as 0.
    values, first, second : float32 (n,), updated
        Parameters, and the moving averages of gradients and of their squares.
    rate : float32
        Learning rate over 1 - beta1^t.
    eps : float32
        Above 0.
    unbias : float32
        1 / sqrt(1 - beta2^t).
    """
    for i in range(start, stop):
        g = grads[i]
        g = g if -HUGE < g < HUGE else ZERO
        m = beta1 * first[i] + (ONE - beta1) * g
        v = beta2 * second[i] + (ONE - beta2) * (g * g)
        first[i] = m
        second[i] = v
        # np.divide, since / looks for a zero first, and the loop is then not vector code
        values[i] -= np.divide(rate * m, np.sqrt(v) * unbias + eps)
    return 0


@kernel(
    int64(
        ro(float32, 2), rw(float32, 2), rw(float32, 2), rw(float32, 2), ro(uint8), float32, float32, float32, float32,
        float32, int64, int64,
    )
)  # fmt: skip
def adam_rows(
    grads: NDArray[Any],
    values: NDArray[Any],
    first: NDArray[Any],
    second: NDArray[Any],
    chosen: NDArray[Any],
    rate: Any,
    beta1: Any,
    beta2: Any,
    eps: Any,
    unbias: Any,
    start: int,
    stop: int,
) -> int:
    """Take one step of Adam, as :func:`adam` does, for those of the rows ``start`` to ``stop`` that are ``chosen``.

    Parameters
    ----------
    chosen : uint8 (n,)
        Rows of 0 keep their values and their averages.
    """
    width = values.shape[1]
    for i in range(start, stop):
        if chosen[i] == 0:
            continue
        for k in range(width):
            g = grads[i, k]
            g = g if -HUGE < g < HUGE else ZERO
            m = beta1 * first[i, k] + (ONE - beta1) * g
            v = beta2 * second[i, k] + (ONE - beta2) * (g * g)
            first[i, k] = m
            second[i, k] = v
            values[i, k] -= np.divide(rate * m, np.sqrt(v) * unbias + eps)
    return 0
