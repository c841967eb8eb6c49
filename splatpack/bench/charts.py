"""Line charts as inline SVG, in the colours of the page around them."""

from __future__ import annotations

import math
from html import escape

CHART = (720, 320)
MARGIN = (64, 112, 20, 44)
"""Left, right, top, bottom."""

Line = tuple[str, str, list[tuple[float, float]], list[str]]
"""Class, name at the end, points, and what each dot says."""


def lines(label: str, drawn: list[Line], unit: str, *, log: bool = True, least: float = 0.5) -> str:
    """Return lines over an axis, logarithmic or not, as SVG; each dot says its name, and a line without names has none.

    Parameters
    ----------
    label : str
        Of the axis below.
    drawn : list of Line
    unit : str
        Of the values.
    log : bool
    least : float
        Room above and below the values, at least.
    """
    (width, height), (left, right, top, bottom) = CHART, MARGIN

    def place(value: float) -> float:
        return math.log10(max(value, 1e-30)) if log else value

    xs = [place(x) for _, _, line, _ in drawn for x, _ in line]
    ys = [y for _, _, line, _ in drawn for _, y in line]
    across = _range(xs, 0.02) if log else (min(0.0, *xs), max(1e-9, *xs))
    up = _range(ys, least)

    def at(value: float) -> float:
        return left + (value - across[0]) / (across[1] - across[0]) * (width - left - right)

    def rise(value: float) -> float:
        return height - bottom - (value - up[0]) / (up[1] - up[0]) * (height - top - bottom)

    parts = [
        f'<line class="grid" x1="{left}" x2="{width - right}" y1="{rise(v):.1f}" y2="{rise(v):.1f}"/>'
        f'<text x="{left - 8}" y="{rise(v) + 4:.1f}" text-anchor="end">{_short(v)}</text>'
        for v in _ticks(*up)
    ]
    parts += [
        f'<text x="{at(h):.1f}" y="{height - bottom + 18}" text-anchor="middle">{_short(10**h if log else h)}</text>'
        for h in ([across[0] + k * (across[1] - across[0]) / 4 for k in range(5)] if log else _ticks(*across))
    ]
    for kind, title, line, names in drawn:
        points = [(at(place(a)), rise(b)) for a, b in line]
        parts.append(f'<polyline class="curve {kind}" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in points)}"/>')
        dot = "dot" if kind else "dot own"
        if title:
            end = f'x="{points[-1][0] + 9:.1f}" y="{points[-1][1] + 4:.1f}"'
            parts.append(f'<text class="name" {end}>{escape(title)}</text>')
        parts += [
            f'<circle class="{dot}" cx="{a:.1f}" cy="{b:.1f}" r="4"><title>{escape(name)}</title></circle>'
            for (a, b), name in zip(points, names, strict=False)
        ]
    parts.append(f'<text x="{(left + width - right) / 2}" y="{height - 6}" text-anchor="middle">{escape(label)}</text>')
    parts.append(f'<text x="{left}" y="{top - 5}">{escape(unit)}</text>')
    aria = f'role="img" aria-label="{escape(f"{unit} over {label}")}"'
    return f'<svg class="rd" viewBox="0 0 {width} {height}" {aria}>{"".join(parts)}</svg>'


def _range(values: list[float], least: float) -> tuple[float, float]:
    """Return the ends of an axis, a little outside the values."""
    low, high = min(values), max(values)
    room = max(0.06 * (high - low), least)
    return low - room, high + room


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers between the ends of an axis, four to nine of them."""
    rough = (high - low) / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step = unit * next(k for k in (1, 2, 5, 10) if k * unit >= rough * 0.8)
    return [k * step for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _short(value: float) -> str:
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value:.3g}"
