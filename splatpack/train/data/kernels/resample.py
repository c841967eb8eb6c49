"""A picture through a map: bilinear samples, averaged over squares of them."""

from __future__ import annotations

from typing import Any

from numba import float32, float64, int64, uint16

from splatpack.jit import Int, kernel, ro, rw

__all__ = ["resample"]


@kernel(int64(ro(uint16, 3), ro(float64, 2), ro(float64, 2), int64, int64, rw(float64, 1), rw(float32, 3)))
def resample(source: Any, x: Any, y: Any, square: Int, weighed: Int, total: Any, out: Any) -> Int:
    """Fill ``out`` with means of samples of ``source``; return how many of its pixels no sample fell into.

    Parameters
    ----------
    source : uint16 (H, W, C)
        Planes; with ``weighed`` the last one says how much a pixel counts.
    x, y : float64 (h * square, w * square)
        Where each sample is taken, pixels of ``source``, the first one's centre at (0.5, 0.5). Outside of the picture,
        and NaN: nothing is there.
    square : int
        Samples a side that are averaged to a pixel.
    weighed : int
        1 or 0.
    total : float64 (C,)
        Scratch.
    out : float32 (h, w, C + 1 - weighed)
        Planes, 65535 is 1, as means over what counts; the last one is the share that counts, 65535 is 1.
    """
    rows, columns, planes = source.shape
    colours = planes - weighed
    empty = 0
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            total[:] = 0.0
            share = 0.0
            for a in range(i * square, (i + 1) * square):
                for b in range(j * square, (j + 1) * square):
                    px, py = x[a, b], y[a, b]
                    if not (0 <= px <= columns and 0 <= py <= rows):
                        continue
                    px, py = min(max(px - 0.5, 0.0), columns - 1.0), min(max(py - 0.5, 0.0), rows - 1.0)
                    c0, r0 = int(px), int(py)
                    c1, r1 = min(c0 + 1, columns - 1), min(r0 + 1, rows - 1)
                    fx, fy = px - c0, py - r0
                    w00, w01, w10, w11 = (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy
                    counts = 1.0
                    if weighed:
                        k = colours
                        counts = w00 * source[r0, c0, k] + w01 * source[r0, c1, k]
                        counts = (counts + w10 * source[r1, c0, k] + w11 * source[r1, c1, k]) / 65535.0
                    share += counts
                    for k in range(colours):
                        value = w00 * source[r0, c0, k] + w01 * source[r0, c1, k]
                        total[k] += counts * (value + w10 * source[r1, c0, k] + w11 * source[r1, c1, k])
            if share <= 0:
                empty += 1
            for k in range(colours):
                out[i, j, k] = total[k] / share if share > 0 else 0.0
            out[i, j, colours] = 65535.0 * share / (square * square)
    return empty
