"""Kernels that order what is visible and list it by tile: a radix sort, and a counting sort per band of tiles."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int16, int32, int64, uint32
from numpy.typing import NDArray

from splatpack.jit import kernel, ro, rw

TILE = 16
"""Side of a tile, pixels. The shading kernels are written for 16."""

BITS = 11
BUCKETS = 1 << BITS


@kernel(int64(ro(uint32), ro(int16, 2), rw(int64, 2), rw(uint32, 2), rw(int32, 2)))
def sort_visible(
    keys: NDArray[Any], boxes: NDArray[Any], starts: NDArray[Any], key: NDArray[Any], index: NDArray[Any]
) -> int:
    """Sort the visible Gaussians by key, ties by index: a stable radix sort in three passes. Return their count.

    Parameters
    ----------
    keys : uint32 (N,)
        Bits of the positive float32 depths.
    boxes : int16 (N, 4)
        An empty box is not visible.
    starts : int64 (3, 2048), zeroed, overwritten
    key : uint32 (2, N), overwritten
    index : int32 (2, N), written
        The result is the front of row 0.
    """
    count = 0
    mask = BUCKETS - 1
    for i in range(keys.shape[0]):
        if boxes[i, 0] < boxes[i, 1]:
            k = np.int64(keys[i])
            starts[0, k & mask] += 1
            starts[1, (k >> BITS) & mask] += 1
            starts[2, k >> (2 * BITS)] += 1
            key[1, count] = keys[i]
            index[1, count] = i
            count += 1
    for p in range(3):
        total = 0
        for b in range(BUCKETS):
            here = starts[p, b]
            starts[p, b] = total
            total += here
    for p in range(3):
        source = 1 - (p & 1)
        shift = p * BITS
        for j in range(count):
            digit = (np.int64(key[source, j]) >> shift) & mask
            at = starts[p, digit]
            starts[p, digit] = at + 1
            key[1 - source, at] = key[source, j]
            index[1 - source, at] = index[source, j]
    return count


@kernel(int64(ro(int16, 2), int64, rw(int64), rw(int32)))
def count_band(boxes: NDArray[Any], band: int, counts: NDArray[Any], hits: NDArray[Any]) -> int:
    """Count the Gaussians of each tile of a band (a row of tiles); return how many touch the band.

    Parameters
    ----------
    boxes : int16 (V, 4)
        Pixel boxes in depth order.
    band : int
        The row of tiles.
    counts : int64 (columns + 1,), zeroed, written
        Where the list of each tile starts; the last element is the total.
    hits : int32 (V,), front written
        Places in the depth order of those that touch the band.
    """
    top = band * TILE
    found = 0
    for j in range(boxes.shape[0]):
        if boxes[j, 2] < top + TILE and boxes[j, 3] > top:
            hits[found] = j
            found += 1
            for column in range(np.int64(boxes[j, 0]) // TILE, (np.int64(boxes[j, 1]) - 1) // TILE + 1):
                counts[column] += 1
    total = 0
    for column in range(counts.shape[0]):
        here = counts[column]
        counts[column] = total
        total += here
    return found


@kernel(int64(ro(int16, 2), ro(int32), ro(int32), rw(int64), rw(int32)))
def fill_band(
    boxes: NDArray[Any], order: NDArray[Any], hits: NDArray[Any], cursors: NDArray[Any], members: NDArray[Any]
) -> int:
    """Write the lists that :func:`count_band` counted, each in depth order.

    Parameters
    ----------
    boxes, hits
        As in :func:`count_band`, ``hits`` cut to its length.
    order : int32 (V,)
        Index of the Gaussian at each place of the depth order.
    cursors : int64 (columns + 1,), overwritten
        The starts; each moves to the end of its list.
    members : int32 (total,), written
    """
    for h in range(hits.shape[0]):
        j = np.int64(hits[h])
        for column in range(np.int64(boxes[j, 0]) // TILE, (np.int64(boxes[j, 1]) - 1) // TILE + 1):
            members[cursors[column]] = order[j]
            cursors[column] += 1
    return 0
