"""What a file lost, as one self-contained page: figures, pictures under a slider, bytes, and errors by attribute.

The page asks for nothing from elsewhere, and its own policy forbids it: pictures are data URIs, styles and the script
are inline. Without the script the pictures stand side by side.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from splatpack.bench.charts import Line, lines
from splatpack.bench.pairing import Errors, Floats
from splatpack.bench.report import STYLE
from splatpack.errors import UsageError
from splatpack.parallel import ordered_map
from splatpack.render.compare import CompareReport, psnr, ssim
from splatpack.render.cpu import render
from splatpack.render.image import to_uint8
from splatpack.render.views import evaluation_cameras, stage
from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import Gaussians

GAIN = 10.0
"""How much the error pictures amplify."""
SHOWN = 12
"""Views with pictures; the table has all."""
SIDE = 640
"""The longest side of a picture in the page, pixels."""
WEBP = 90


@dataclass(frozen=True)
class Pictures:
    """One view as data URIs: what it was, what it became, and the amplified absolute difference."""

    original: str
    decoded: str
    error: str
    width: int
    height: int


@dataclass(frozen=True)
class Drawn:
    """Figures of all views, and pictures of some, by index."""

    report: CompareReport
    pictures: Mapping[int, Pictures]


@dataclass(frozen=True)
class Facts:
    """What stands at the head of the page, and what is known beside the pictures.

    Attributes
    ----------
    title : str
    rows : sequence of (str, str)
        Label and text.
    command : str
        The command line that makes the page again.
    sections : mapping of str to int
        Bytes by section; may be empty.
    search : sequence of mapping
        What a search tried: q, bytes, and where they were measured psnr_mean and psnr_min; may be empty.
    """

    title: str
    rows: Sequence[tuple[str, str]]
    command: str = ""
    sections: Mapping[str, int] = field(default_factory=dict)
    search: Sequence[Mapping[str, Any]] = ()


# Pictures.


def draw(
    reference: Gaussians, test: Gaussians, cameras: Sequence[Camera] | None = None, *,
    background: tuple[float, float, float] = (0.0, 0.0, 0.0), threads: int | None = None,
) -> Drawn:  # fmt: skip
    """Render both scenes as :func:`splatpack.render.compare.compare` does, with the same figures, and keep pictures.

    Raises
    ------
    UsageError
        There is no camera.
    """
    views = evaluation_cameras(reference, threads=threads) if cameras is None else list(cameras)
    if not views:
        raise UsageError("draw: no cameras, expected at least one.")
    near = stage(reference).near

    def work(camera: Camera) -> tuple[float, float, Pictures]:
        a, b = (render(s, camera, background=background, near=near, threads=1).color for s in (reference, test))
        error = np.clip(np.abs(a - b) * np.float32(GAIN), 0, 1)
        uris = [uri(picture) for picture in (a, b, error)]
        return psnr(a, b), ssim(a, b), Pictures(uris[0], uris[1], uris[2], camera.width, camera.height)

    done = list(ordered_map(work, views, threads))
    names = [camera.name or f"view-{k:02d}" for k, camera in enumerate(views)]
    report = CompareReport(names, [d[0] for d in done], [d[1] for d in done])
    return Drawn(report, {k: done[k][2] for k in chosen(report)})


def chosen(report: CompareReport) -> list[int]:
    """Return the worst view and others spread evenly over the rest, ascending."""
    if report.views <= SHOWN:
        return list(range(report.views))
    worst = min(range(report.views), key=lambda k: report.psnr[k])
    spread = [round(k * (report.views - 1) / (SHOWN - 2)) for k in range(SHOWN - 1)]
    return sorted({worst, *spread})


def uri(picture: NDArray[np.float32]) -> str:
    """Return a picture as a data URI, WebP, at most :data:`SIDE` pixels a side."""
    image = Image.fromarray(to_uint8(picture))
    image.thumbnail((SIDE, SIDE))
    buffer = BytesIO()
    image.save(buffer, "webp", quality=WEBP, method=4)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


# Errors by attribute.


PAGE_STYLE = """
body { max-width: 1120px; overflow-wrap: anywhere } h1 { font-size: 26px } .lead { margin: 4px 0 20px }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(132px, 1fr)); gap: 10px; margin: 20px 0 }
.tile { border: 1px solid var(--line); border-radius: 8px; padding: 10px 12px }
.tile b { display: block; font-size: 21px; line-height: 1.3; font-weight: 600; font-variant-numeric: tabular-nums }
.tile span { color: var(--dim); font-size: 12px }
dl.facts { grid-template-columns: max-content minmax(0, 1fr) }
pre { background: color-mix(in srgb, var(--line) 45%, transparent); padding: 10px 12px; border-radius: 8px;
  font-size: 13px; white-space: pre-wrap; margin: 12px 0 }
.view { border: 1px solid var(--line); border-radius: 8px; padding: 12px; margin: 0 0 16px }
.view h3 { font-size: 14px; margin: 0 0 8px; display: flex; flex-wrap: wrap; gap: 2px 14px; align-items: baseline }
.view h3 small { color: var(--dim); font-weight: 400; font-variant-numeric: tabular-nums }
.trio { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 10px }
figure { margin: 0 } figcaption { font-size: 12px; color: var(--dim); margin-top: 4px }
.trio img { display: block; width: 100%; height: auto; border-radius: 4px; background: #000 }
.pair { display: contents } .pair > input { display: none }
.js .trio { grid-template-columns: repeat(2, minmax(0, 1fr)); align-items: start }
.js .pair { display: block; position: relative; --at: 50% } .js .pair figure + figure { position: absolute; inset: 0 }
.js .pair figure + figure img { clip-path: inset(0 0 0 var(--at)) }
.js .pair figcaption { position: absolute; left: 6px; top: 6px; margin: 0; padding: 1px 6px; border-radius: 4px;
  color: #fff; background: #000a; pointer-events: none }
.js .pair figure + figure figcaption { left: auto; right: 6px }
.js .pair::after { content: ""; position: absolute; top: 0; bottom: 0; left: var(--at); width: 2px; margin-left: -1px;
  background: #fff; box-shadow: 0 0 3px #000; pointer-events: none }
.js .pair > input { display: block; position: absolute; inset: 0; z-index: 1; width: 100%; height: 100%; margin: 0;
  opacity: 0; cursor: ew-resize; touch-action: pan-y }
.js .pair:focus-within { outline: 2px solid var(--own); outline-offset: 2px; border-radius: 4px }
th button { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer }
th button:focus-visible, a:focus-visible { outline: 2px solid var(--own); outline-offset: 2px }
th[aria-sort] button { color: var(--ink) } th[aria-sort=ascending] button::after { content: " \\2191" }
th[aria-sort=descending] button::after { content: " \\2193" }
td a { color: inherit } td span.bar { display: inline-block; width: 90px; margin-left: 8px; vertical-align: middle }
.bar { background: var(--line); border-radius: 3px; overflow: hidden } .bar i { display: block; height: 8px;
  background: var(--own) }
.bytes td:nth-child(2) { width: 45% } .bytes td:first-child { white-space: normal }
td div.bar i { height: 12px } .dim { color: var(--dim) }
:root { --peer: #b45309 } @media (prefers-color-scheme: dark) { :root { --peer: #fbbf24 } }
svg { width: 100%; height: auto; font-size: 11px } svg text { fill: var(--dim) } svg .name { fill: var(--ink) }
.grid { stroke: var(--line) } .dot { fill: var(--peer) } .dot.own { fill: var(--own) }
.hists { display: grid; grid-template-columns: repeat(auto-fit, minmax(290px, 1fr)); gap: 18px }
.hists figcaption { color: var(--ink); font-size: 13px; margin: 0 0 2px } .hist rect { fill: var(--own) }
.curve { fill: none; stroke: var(--own); stroke-width: 1.5 } .curve.worst { stroke: var(--peer) }
.dot.chosen { stroke: var(--ink); stroke-width: 2 } svg.rd { max-width: 760px; min-width: 480px }
svg.hist { max-width: 420px; display: block } .hist .grid { stroke-dasharray: 3 3 }
@media (max-width: 620px) {
  body { margin: 20px auto; padding: 0 14px } .trio, .js .trio { grid-template-columns: minmax(0, 1fr) }
  td span.bar { display: none } dl.facts { grid-template-columns: 1fr } dl.facts dd { margin-bottom: 6px }
  .tiles { grid-template-columns: repeat(2, 1fr) } .bytes td:nth-child(2) { width: 30% }
  .bytes th, .bytes td { padding: 5px 4px }
}
@media print { .view { break-inside: avoid } }
"""

SCRIPT = """
"use strict";
document.documentElement.classList.add("js");
for (const input of document.querySelectorAll(".pair > input")) {
  const move = () => {
    input.parentElement.style.setProperty("--at", input.value + "%");
    input.setAttribute("aria-valuetext", Math.round(input.value) + " % " + input.dataset.name);
  };
  input.addEventListener("input", move);
  move();
}
for (const head of document.querySelectorAll("table.sort th")) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...head.childNodes);
  head.append(button);
  button.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const body = head.closest("table").tBodies[0], column = head.cellIndex;
    const key = row => row.cells[column].dataset.key;
    const order = head.dataset.text ? (a, b) => key(a).localeCompare(key(b)) : (a, b) => key(a) - key(b);
    body.append(...[...body.rows].sort((a, b) => (up ? 1 : -1) * order(a, b)));
  });
}
"""

TILES: tuple[str, ...] = ("size", "ratio", "rate")
"""Facts that stand in tiles and not in the list."""

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def page(facts: Facts, drawn: Drawn, errors: Errors | None = None) -> str:
    """Return the page as HTML."""
    command = f"<h2>Command</h2><pre><code>{escape(facts.command)}</code></pre>" if facts.command else ""
    listed = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.rows if k not in TILES)
    body = [
        f"<h1>{escape(facts.title)}</h1>",
        _tiles(facts, drawn.report),
        f'<dl class="facts">{listed}</dl>',
        command,
        table(drawn),
        stored(facts.sections),
        _search(facts.search),
        _histograms(errors),
        cards(drawn),
    ]
    return document(facts.title, "".join(part for part in body if part))


def document(title: str, body: str) -> str:
    """Return a whole page: styles, the script for sliders and tables, and a policy that forbids everything else."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}{PAGE_STYLE}</style></head>\n"
        f"<body><main>{body}</main>\n<script>{SCRIPT}</script></body></html>\n"
    )


def decibel(value: float) -> str:
    """Return a PSNR for people."""
    return f"{value:.2f} dB" if value < 100 else "identical"


def _tiles(facts: Facts, report: CompareReport) -> str:
    known = dict(facts.rows)
    shown: list[tuple[str, str]] = [(label, known[label]) for label in TILES if label in known]
    shown += [("PSNR, mean", decibel(report.psnr_mean)), ("PSNR, worst view", decibel(report.psnr_min))]
    return tiles([*shown, ("SSIM, mean", f"{report.ssim_mean:.4f}")])


def tiles(shown: Sequence[tuple[str, str]]) -> str:
    """Return labels and values as tiles."""
    cells = "".join(f'<div class="tile"><span>{escape(k)}</span><b>{escape(v)}</b></div>' for k, v in shown)
    return f'<div class="tiles">{cells}</div>'


def table(drawn: Drawn) -> str:
    """Return the figures of all views as a table that sorts."""
    report = drawn.report
    floor = min(math.floor(report.psnr_min / 10) * 10, 90)
    top = max(*report.psnr, floor + 10.0)
    rows = []
    for k, (name, db, similar) in enumerate(zip(report.names, report.psnr, report.ssim, strict=True)):
        label = f'<a href="#view-{k}">{escape(name)}</a>' if k in drawn.pictures else escape(name)
        rows.append(
            f'<tr><td class="left" data-key="{escape(name)}">{label}</td>'
            f'<td data-key="{db:.6f}">{decibel(db)}{_bar((db - floor) / (top - floor))}</td>'
            f'<td data-key="{similar:.8f}">{similar:.4f}{_bar(similar)}</td></tr>'
        )
    note = f"PSNR bars begin at {floor} dB, SSIM bars at 0. Figures are of the renders before any picture was packed."
    return (
        f"<h2>Views</h2><p>{note}</p>"
        '<div class="wide"><table class="sort"><thead><tr><th class="left" data-text="1">view</th><th>PSNR</th>'
        f"<th>SSIM</th></tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _bar(share: float) -> str:
    return f'<span class="bar" aria-hidden="true"><i style="width:{100 * min(max(share, 0.0), 1.0):.1f}%"></i></span>'


def stored(sections: Mapping[str, int]) -> str:
    """Return the bytes of each section as a table with bars; nothing where there are none."""
    total = sum(sections.values())
    if not total:
        return ""
    most = max(sections.values())
    rows = "".join(
        f'<tr><td class="left">{escape(name)}</td><td><div class="bar" aria-hidden="true">'
        f'<i style="width:{100 * n / most:.1f}%"></i></div></td><td>{n:,}</td><td>{100 * n / total:.1f} %</td></tr>'
        for name, n in sorted(sections.items(), key=lambda item: -item[1])
    )
    head = '<tr><th class="left">section</th><th></th><th>bytes</th><th>share</th></tr>'
    return f'<h2>Bytes</h2><table class="bytes"><thead>{head}</thead><tbody>{rows}</tbody></table>'


def cards(drawn: Drawn, before: str = "original", after: str = "decoded", gain: float = GAIN) -> str:
    """Return the pictures of the views: two of them under a slider, and their difference."""
    report = drawn.report
    left = report.views - len(drawn.pictures)
    more = f" {left} more views are in the table only." if left else ""
    sections = []
    for k, p in sorted(drawn.pictures.items()):
        name = escape(report.names[k])
        size = f'width="{p.width}" height="{p.height}" loading="lazy"'
        sections.append(
            f'<section class="view" id="view-{k}"><h3>{name} <small>PSNR {decibel(report.psnr[k])}</small> '
            f'<small>SSIM {report.ssim[k]:.4f}</small></h3><div class="trio"><div class="pair">'
            f'<figure><img src="{p.original}" alt="{before}, {name}" {size}><figcaption>{before}</figcaption></figure>'
            f'<figure><img src="{p.decoded}" alt="{after}, {name}" {size}><figcaption>{after}</figcaption></figure>'
            f'<input type="range" min="0" max="100" value="50" data-name="{before}" '
            f'aria-label="{before} against {after}, {name}"></div>'
            f'<figure><img src="{p.error}" alt="absolute error, {name}" {size}>'
            f"<figcaption>absolute error x{gain:g}</figcaption></figure></div></section>"
        )
    note = f"Pictures are packed as WebP, quality {WEBP}, at most {SIDE} pixels wide.{more}"
    return f"<h2>Pictures</h2><p>{note}</p>{''.join(sections)}"


def _histograms(errors: Errors | None) -> str:
    if errors is None:
        return ""
    charts = "".join(_histogram(*value) for value in errors.values)
    what = (
        "The largest error of a row's components, on a logarithmic axis; rotations up to the half turns that leave an "
    )
    what += "ellipsoid as it is, so that axes of nearly equal length may count as turned. "
    return (
        f"<h2>Errors by attribute</h2><p>{what if errors.values else ''}{escape(errors.note)}</p>"
        f'<div class="hists">{charts}</div>'
    )


def _histogram(name: str, unit: str, values: Floats) -> str:
    some = values[values > 0]
    exact = 1 - len(some) / max(len(values), 1)
    title = f"<b>{escape(name)}</b> <span class='dim'>{escape(unit)}</span>"
    if not len(some):
        return f"<figure><figcaption>{title}</figcaption><p>All {len(values):,} are exact.</p></figure>"
    high = math.ceil(math.log10(float(some.max())) + 1e-9)
    low = max(math.floor(math.log10(float(np.percentile(some, 0.5)))), high - 9)
    low = min(low, high - 1)
    bins = 12 * (high - low) if high - low < 4 else 48
    counts, _ = np.histogram(np.clip(np.log10(some), low, high), bins, (low, high))
    width, height, foot = 300, 120, 18
    step = width / bins
    rects = "".join(
        f'<rect x="{k * step:.2f}" y="{height - h:.2f}" width="{max(step - 0.6, 0.4):.2f}" height="{h:.2f}"/>'
        for k, h in enumerate((height - 6) * counts / counts.max())
        if h > 0
    )
    ticks = "".join(
        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}"/>'
        f'<text x="{x:.1f}" y="{height + 14}" text-anchor="{anchor}">{_power(p)}</text>'
        for p in range(low, high + 1, 1 if high - low <= 5 else 2)
        for x in [width * (p - low) / (high - low)]
        for anchor in ["start" if p == low else "end" if p == high else "middle"]
    )
    median, most = float(np.median(values)), float(values.max())
    note = f"median {median:.3g}, 99 % below {float(np.percentile(values, 99)):.3g}, largest {most:.3g}"
    note += f", {100 * exact:.1f} % exact" if exact else ""
    label = f'role="img" aria-label="{escape(f"{name}: {note}")}"'
    svg = f'<svg class="hist" viewBox="0 0 {width} {height + foot}" {label}>{ticks}{rects}</svg>'
    return f"<figure><figcaption>{title}</figcaption>{svg}<div class='dim'><small>{note}</small></div></figure>"


def _power(p: int) -> str:
    return f"{10.0**p:g}" if -3 <= p <= 3 else f"1e{p}"


# The curve of a search.


def _search(walked: Sequence[Mapping[str, Any]]) -> str:
    """PSNR over bytes where trials were rendered, with and without a refit; else bytes over q."""
    rendered = sorted((t for t in walked if t.get("psnr_mean") is not None), key=lambda t: float(t["bytes"]))
    if rendered:
        drawn: list[Line] = []
        for refit in (False, True):
            some = [t for t in rendered if bool(t.get("refine")) == refit]
            for key, name in (("psnr_mean", "mean"), ("psnr_min", "worst")):
                values = [(float(t["bytes"]), float(t.get(key) or t["psnr_mean"])) for t in some]
                text = f"{name}, refitted" if refit else name
                drawn += (
                    [("" if key == "psnr_mean" else "worst", text, values, [_trial(t) for t in some])] if some else []
                )
        svg = lines("bytes", drawn, "PSNR, dB")
        text = f"{len(walked)} trials: the mean over the search's own views, and below it the worst view."
    elif walked:
        tried = sorted(walked, key=lambda t: float(t["q"]))
        values = [(float(t["q"]), float(t["bytes"]) / 1e6) for t in tried]
        svg = lines("q", [("", "", values, [_trial(t) for t in tried])], "MB")
        text = f"{len(walked)} trials for a size; none was rendered."
    else:
        return ""
    return f'<h2>Search</h2><p>{text}</p><div class="wide">{svg}</div>'


def _trial(t: Mapping[str, Any]) -> str:
    more = f", mean {float(t['psnr_mean']):.2f} dB" if t.get("psnr_mean") is not None else ""
    return f"q {float(t['q']):.4g}, {int(t['bytes']):,} bytes{more}"
