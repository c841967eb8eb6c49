"""Quaternions as their three smallest components and the index of the largest, which is made positive and left out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from splatpack.scene.gaussians import FloatArray

Columns = tuple[FloatArray, FloatArray, FloatArray]


def drop_largest(quats: FloatArray) -> tuple[NDArray[np.uint32], Columns]:
    """Return the index of the component of largest size, and the other three with the sign that makes it positive.

    Parameters
    ----------
    quats : float32 (N, 4)
        Unit length, components in the order that the file counts them in.

    Returns
    -------
    tuple of uint32 (N,) and three float32 (N,)
        The three in index order, each within +-sqrt(1/2) up to rounding. Of equal sizes the first is the largest.
    """
    size = np.abs(quats)
    a, b, c, d = size.T
    low, high = b > a, d > c
    upper = np.maximum(c, d) > np.maximum(a, b)
    which = np.where(upper, 2 + high.astype(np.uint32), low.astype(np.uint32))
    largest = np.take_along_axis(quats, which[:, None].astype(np.int64), axis=1)[:, 0]
    q0, q1, q2, q3 = (np.where(largest < 0, -q, q) for q in quats.T)
    return which, (
        np.where(which == 0, q1, q0),
        np.where(which <= 1, q2, q1),
        np.where(which <= 2, q3, q2),
    )


def restore_largest(which: NDArray[np.uint32], three: Columns) -> FloatArray:
    """Return the quats of which :func:`drop_largest` is the reverse, float32 (N, 4).

    Three that are longer than 1 together, which no writer makes, are scaled to unit length.
    """
    a, b, c = three
    rest = np.float32(1.0) - (a * a + b * b + c * c)
    d = np.sqrt(np.maximum(rest, np.float32(0.0)))
    out = np.empty((len(which), 4), np.float32)
    first, second, third = which == 0, which == 1, which == 2
    last = which == 3
    out[:, 0] = np.where(first, d, a)
    out[:, 1] = np.where(first, a, np.where(second, d, b))
    out[:, 2] = np.where(first | second, b, np.where(third, d, c))
    out[:, 3] = np.where(last, d, c)
    long = rest < 0
    if long.any():
        out[long] /= np.sqrt(np.float32(1.0) - rest[long])[:, None]
    return out
