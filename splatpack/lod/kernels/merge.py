"""The kernels that merge Gaussians by their moments: what a pair costs, who goes with whom, and what comes out.

A Gaussian is a row of :data:`ROW` numbers: mass, area, mean (3), covariance (6: xx xy xz yy yz zz), colour (3), and
how much it is seen. The mass is opacity times area, what it takes away from the light behind it. The area is the root
of the second invariant of the covariance (the sum of its principal minors), which for axes s is
sqrt((s0 s1)^2 + (s0 s2)^2 + (s1 s2)^2): no eigenvalues are needed while pairs are compared, and a factor common to all
areas drops out everywhere.
"""

from __future__ import annotations

import math
from typing import Any

from numba import float64, int64, void
from numpy.typing import NDArray

from splatpack.jit import Float, Int, kernel, ro, rw

ROW = 15
MASS, AREA, MEAN, COV, COLOUR, SEEN = 0, 1, 2, 5, 11, 14

EMPTIED = 0.05
"""What area that a merged Gaussian covers and its parts did not costs, and mass that it cannot hold; per unit seen."""


@kernel(float64(ro(float64, 2), int64), inline=True)
def area(rows: NDArray[Any], i: Int) -> Float:
    """Return the area of the covariance of row ``i``."""
    xx = rows[i, COV]
    xy = rows[i, COV + 1]
    xz = rows[i, COV + 2]
    yy = rows[i, COV + 3]
    yz = rows[i, COV + 4]
    zz = rows[i, COV + 5]
    minors = (xx * yy - xy * xy) + (xx * zz - xz * xz) + (yy * zz - yz * yz)
    trace = xx + yy + zz
    return math.sqrt(max(minors, 1e-14 * trace * trace))


@kernel(void(ro(float64, 2), int64, int64, rw(float64, 2), int64), inline=True)
def unite(rows: NDArray[Any], i: Int, j: Int, out: NDArray[Any], k: Int) -> None:
    """Write the Gaussian with the mass, mean, covariance and colour of rows ``i`` and ``j`` together."""
    mass = rows[i, MASS] + rows[j, MASS]
    a = rows[i, MASS] / mass
    b = 1.0 - a
    out[k, MASS] = mass
    out[k, SEEN] = rows[i, SEEN] + rows[j, SEEN]
    for c in range(3):
        out[k, COLOUR + c] = a * rows[i, COLOUR + c] + b * rows[j, COLOUR + c]
    dx = rows[i, MEAN] - rows[j, MEAN]
    dy = rows[i, MEAN + 1] - rows[j, MEAN + 1]
    dz = rows[i, MEAN + 2] - rows[j, MEAN + 2]
    for c in range(6):
        out[k, COV + c] = a * rows[i, COV + c] + b * rows[j, COV + c]
    out[k, COV] += a * b * dx * dx
    out[k, COV + 1] += a * b * dx * dy
    out[k, COV + 2] += a * b * dx * dz
    out[k, COV + 3] += a * b * dy * dy
    out[k, COV + 4] += a * b * dy * dz
    out[k, COV + 5] += a * b * dz * dz
    out[k, MEAN] = rows[j, MEAN] + a * dx
    out[k, MEAN + 1] = rows[j, MEAN + 1] + a * dy
    out[k, MEAN + 2] = rows[j, MEAN + 2] + a * dz
    out[k, AREA] = area(out, k)


@kernel(float64(ro(float64, 2), int64, int64, rw(float64, 2)), inline=True)
def cost(rows: NDArray[Any], i: Int, j: Int, scratch: NDArray[Any]) -> Float:
    """Return what merging two rows costs, in what is seen times squared colour; ``scratch`` is float64 (1, ROW)."""
    unite(rows, i, j, scratch, 0)
    mass = scratch[0, MASS]
    merged = scratch[0, AREA]
    a = rows[i, MASS] / mass
    apart = 0.0
    for c in range(3):
        d = rows[i, COLOUR + c] - rows[j, COLOUR + c]
        apart += d * d
    emptied = max(0.0, merged / (rows[i, AREA] + rows[j, AREA]) - 1.0)
    lost = max(0.0, mass / merged - 1.0)
    return scratch[0, SEEN] * (4.0 * a * (1.0 - a) * apart + EMPTIED * (emptied + lost))


@kernel(void(ro(float64, 2), ro(int64), int64, rw(int64), rw(float64), rw(float64, 2)))
def seek_partners(
    rows: NDArray[Any], order: NDArray[Any], window: Int, partner: NDArray[Any], price: NDArray[Any],
    scratch: NDArray[Any],
) -> None:  # fmt: skip
    """Find each row's cheapest partner among its neighbours in an order, unless a cheaper one is known already.

    Parameters
    ----------
    rows : float64 (n, ROW)
    order : int64 (n,)
        Rows along a curve that keeps neighbours in space together.
    window : int
        Rows ahead that are looked at.
    partner, price : int64 (n,), float64 (n,), updated
        The best partner so far, and its cost.
    scratch : float64 (1, ROW)
    """
    n = order.shape[0]
    for at in range(n):
        i = order[at]
        for other in range(at + 1, min(at + 1 + window, n)):
            j = order[other]
            value = cost(rows, i, j, scratch)
            if value < price[i]:
                price[i] = value
                partner[i] = j
            if value < price[j]:
                price[j] = value
                partner[j] = i


@kernel(int64(rw(float64, 2), ro(int64), ro(int64), ro(float64), int64, rw(int64), rw(float64), rw(float64, 2)))
def merge_pairs(
    rows: NDArray[Any], ranked: NDArray[Any], partner: NDArray[Any], price: NDArray[Any], quota: Int,
    into: NDArray[Any], spent: NDArray[Any], scratch: NDArray[Any],
) -> int:  # fmt: skip
    """Merge disjoint pairs in the order of their cost, at most ``quota``; return how many were merged.

    Parameters
    ----------
    rows : float64 (n, ROW), updated
        A merged pair stands in the row of its lower index.
    ranked : int64 (n,)
        Rows by the cost of their best partner.
    partner, price : int64 (n,), float64 (n,)
        From :func:`seek_partners`; a partner of -1 is none.
    quota : int
    into : int64 (n,), updated
        Where each row went: -1 on entry; then itself, or the row that it was merged into.
    spent : float64 (n,), updated
        What the merges of each row have cost so far, all together.
    scratch : float64 (1, ROW)
    """
    merged = 0
    for at in range(ranked.shape[0]):
        i = ranked[at]
        j = partner[i]
        if merged == quota:
            break
        if j < 0 or into[i] >= 0 or into[j] >= 0:
            continue
        low = min(i, j)
        high = max(i, j)
        unite(rows, low, high, scratch, 0)
        rows[low] = scratch[0]
        spent[low] += spent[high] + price[i]
        into[low] = low
        into[high] = low
        merged += 1
    for i in range(into.shape[0]):
        if into[i] < 0:
            into[i] = i
    return merged
