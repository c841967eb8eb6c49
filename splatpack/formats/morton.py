"""Order along a Morton curve: neighbours in the file are neighbours in space."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from splatpack.scene.gaussians import FloatArray

BITS = 21


def morton_order(means: FloatArray) -> NDArray[np.int64]:
    """Return indices that sort positions along a Morton curve of 21 bits an axis; ties keep their order.

    Parameters
    ----------
    means : float32 (N, 3)
        Finite; a position that is not goes to one end.
    """
    if not len(means):
        return np.empty(0, np.int64)
    low = means.min(axis=0).astype(np.float64)
    span = float((means.max(axis=0) - low).max())
    scale = ((1 << BITS) - 1) / span if span > 0 and np.isfinite(span) else 0.0
    code = np.zeros(len(means), np.uint64)
    for axis in range(3):
        with np.errstate(invalid="ignore"):
            cell = (means[:, axis] - low[axis]) * scale
        code |= _spread(np.nan_to_num(cell).astype(np.uint64)) << np.uint64(axis)
    return np.argsort(code, kind="stable")


def _spread(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Put two zero bits between the 21 bits of each value."""
    masks = (0x1F00000000FFFF, 0x1F0000FF0000FF, 0x100F00F00F00F00F, 0x10C30C30C30C30C3, 0x1249249249249249)
    for shift, mask in zip((32, 16, 8, 4, 2), masks, strict=True):
        values = (values | values << np.uint64(shift)) & np.uint64(mask)
    return values
