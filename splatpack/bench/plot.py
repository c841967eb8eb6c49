"""A scene's rate-distortion curves as SVG: mean of the views, and the worst view, over bits per Gaussian.

The card brings its own light background, so that it reads the same on a light and on a dark page. Colours are those of
Okabe and Ito, one for each format; markers tell implementations apart, so colour is never alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from splatpack.bench.curves import front
from splatpack.bench.entrants import LOSSLESS, OWN
from splatpack.bench.row import Row
from splatpack.render.compare import CAP_DB

WIDTH, PANEL_TOP, PANEL_HEIGHT = 960, 66, 330
PANELS = ((56, 396), (528, 396))
"""Left edge and width of each."""
LEGEND_COLUMNS, LEGEND_LINE = 3, 20
INK, DIM, GRID, CARD, BORDER = "#1c1c1e", "#5f6368", "#e3e3e0", "#fcfcfa", "#d6d6d2"
COLOURS = {"SPZ": "#0072b2", "SOG": "#d55e00", "compressed.ply": "#009e73", "ksplat": "#b35a8c", "splat": "#b07d00"}
OTHER = "#6b6b6b"
FONT = "font-family=\"system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif\""


@dataclass(frozen=True)
class Style:
    """How a family is drawn."""

    colour: str
    marker: int
    width: float


@dataclass(frozen=True)
class Panel:
    """Axes: powers of two of bits per Gaussian, dB."""

    left: float
    width: float
    x_range: tuple[int, int]
    y_range: tuple[int, int]

    def x(self, bpg: float) -> float:
        """Pixels of bits per Gaussian."""
        a, b = self.x_range
        return self.left + (math.log2(bpg) - a) / (b - a) * self.width

    def y(self, db: float) -> float:
        """Pixels of dB."""
        a, b = self.y_range
        return PANEL_TOP + PANEL_HEIGHT * (b - db) / (b - a)


def plot(title: str, rows: Sequence[Row], *, standalone: bool = True) -> str:
    """Return the SVG, or nothing where no lossy codec gave a result.

    Parameters
    ----------
    title : str
    rows : sequence of Row
        Of one scene.
    standalone : bool
        A file of its own, with its name space; otherwise for the inside of an HTML page.
    """
    drawn = [r for r in rows if r.bpg and r.psnr is not None and (r.psnr_min or 0) < CAP_DB and r.family != LOSSLESS]
    if not drawn:
        return ""
    styles = _styles(dict.fromkeys(r.family for r in drawn))
    lines = math.ceil(len(styles) / LEGEND_COLUMNS)
    height = PANEL_TOP + PANEL_HEIGHT + 62 + LEGEND_LINE * lines
    parts = [
        f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8" fill="{CARD}" stroke="{BORDER}"/>',
        f'<text x="24" y="30" font-size="16" font-weight="600" fill="{INK}">{escape(title)}</text>',
    ]
    for (left, width), label, worst in zip(PANELS, ("mean of the views", "worst view"), (False, True), strict=True):
        panel = Panel(left, width, _powers(drawn), _levels(drawn, worst))
        parts += [_axes(panel, label), *(_family(panel, drawn, f, s, worst) for f, s in reversed(styles.items()))]
    lined = {f for f in styles if sum(r.family == f for r in drawn) > 1}
    parts.append(_legend(styles, lined, PANEL_TOP + PANEL_HEIGHT + 60))
    space = ' xmlns="http://www.w3.org/2000/svg"' if standalone else ""
    label = escape(f"{title}: PSNR over bits per Gaussian", quote=True)
    head = f'<svg{space} viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}" font-size="12" {FONT}>'
    return f"{head}{''.join(parts)}</svg>\n"


def _styles(families: dict[str, None]) -> dict[str, Style]:
    out: dict[str, Style] = {}
    seen: dict[str, int] = {}
    formats = [OWN, *COLOURS]
    for family in sorted(
        families, key=lambda f: formats.index(n) if (n := f.split(" ")[0]) in formats else len(formats)
    ):
        form = family.split(" ")[0]
        if family == OWN:
            out[family] = Style(INK, 0, 2.4)
            continue
        out[family] = Style(COLOURS.get(form, OTHER), seen.get(form, 0) % 4, 1.2)
        seen[form] = seen.get(form, 0) + 1
    return out


def _powers(rows: Sequence[Row]) -> tuple[int, int]:
    values = [math.log2(r.bpg or 1.0) for r in rows]
    low = math.floor(min(values))
    return low, max(math.ceil(max(values)), low + 1)


def _levels(rows: Sequence[Row], worst: bool) -> tuple[int, int]:
    values = [_quality(r, worst) for r in rows]
    low = 10 * math.floor((min(values) - 1) / 10)
    return low, max(10 * math.ceil((max(values) + 1) / 10), low + 10)


def _quality(row: Row, worst: bool) -> float:
    return (row.psnr_min if worst else row.psnr) or 0.0


def _axes(panel: Panel, label: str) -> str:
    bottom, right = PANEL_TOP + PANEL_HEIGHT, panel.left + panel.width
    out = [f'<text x="{panel.left}" y="{PANEL_TOP - 10}" font-weight="600" fill="{DIM}">PSNR (dB), {label}</text>']
    for p in range(panel.x_range[0], panel.x_range[1] + 1):
        at = panel.x(2.0**p)
        out.append(f'<path d="M{at:.1f} {PANEL_TOP}V{bottom}" stroke="{GRID}"/>')
        number = f"{2.0**p:g}"
        out.append(f'<text x="{at:.1f}" y="{bottom + 17}" text-anchor="middle" fill="{DIM}">{number}</text>')
    for db in range(panel.y_range[0], panel.y_range[1] + 1, 10):
        at = panel.y(db)
        out.append(f'<path d="M{panel.left} {at:.1f}H{right}" stroke="{GRID}"/>')
        out.append(f'<text x="{panel.left - 8}" y="{at + 4:.1f}" text-anchor="end" fill="{DIM}">{db}</text>')
    middle = panel.left + panel.width / 2
    text = "bits per Gaussian, logarithmic"
    out.append(f'<text x="{middle:.1f}" y="{bottom + 36}" text-anchor="middle" fill="{DIM}">{text}</text>')
    return "".join(out)


def _family(panel: Panel, rows: Sequence[Row], family: str, style: Style, worst: bool) -> str:
    """Every point of a family, and a line through its front."""
    points = [(r.bpg or 1.0, _quality(r, worst)) for r in rows if r.family == family]
    path = " ".join(f"{panel.x(a):.1f},{panel.y(b):.1f}" for a, b in front(points))
    line = f'<polyline points="{path}" fill="none" stroke="{style.colour}" stroke-width="{style.width}"/>'
    return line + "".join(_marker(panel.x(a), panel.y(b), style) for a, b in points)


def _marker(x: float, y: float, style: Style) -> str:
    """A circle, square, triangle or diamond with a thin rim, so that markers that meet stay apart."""
    shapes = (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.2"',
        f'<rect x="{x - 3.9:.1f}" y="{y - 3.9:.1f}" width="7.8" height="7.8"',
        f'<path d="M{x:.1f} {y - 5:.1f}l4.8 8.4h-9.6z"',
        f'<path d="M{x:.1f} {y - 5.4:.1f}l5.4 5.4l-5.4 5.4l-5.4 -5.4z"',
    )
    return f'{shapes[style.marker]} fill="{style.colour}" stroke="{CARD}" stroke-width="1"/>'


def _legend(styles: dict[str, Style], lined: set[str], top: float) -> str:
    out = []
    lines = math.ceil(len(styles) / LEGEND_COLUMNS)
    for k, (family, style) in enumerate(styles.items()):
        x, y = 30 + (k // lines) * (WIDTH - 40) / LEGEND_COLUMNS, top + LEGEND_LINE * (k % lines)
        weight = ' font-weight="600"' if family == OWN else ""
        if family in lined:
            out.append(f'<path d="M{x - 10:.1f} {y}h20" stroke="{style.colour}" stroke-width="{style.width}"/>')
        out.append(_marker(x, y, style))
        out.append(f'<text x="{x + 18:.1f}" y="{y + 4:.1f}" fill="{INK}"{weight}>{escape(family)}</text>')
    return "".join(out)
