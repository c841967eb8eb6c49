"""How a scene was trained, as one self-contained page: curves, held-out photos under a slider, size against quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

from splatpack.bench.charts import Line, lines
from splatpack.bench.page import Drawn, Pictures, cards, chosen, decibel, document, stored, table, tiles, uri
from splatpack.render.compare import CompareReport
from splatpack.train.record import Point
from splatpack.train.verdict import Rate, Verdict

GAIN = 3.0
"""How much the error pictures amplify: photos are never met as closely as renders."""


@dataclass(frozen=True)
class Run:
    """What is known of a run when its scene is written.

    Attributes
    ----------
    title, command : str
    facts : sequence of (str, str)
        Label and text.
    bytes, gaussians : int
        Of the file.
    history : sequence of Point
    verdicts : sequence of Verdict
        The held-out photos, as the file shows them; may be empty.
    rates : sequence of Rate
        The scene under coarser and coarser steps; may be empty.
    sections : mapping of str to int
        Bytes of the file by section.
    """

    title: str
    command: str
    facts: Sequence[tuple[str, str]]
    bytes: int
    gaussians: int
    history: Sequence[Point]
    verdicts: Sequence[Verdict] = ()
    rates: Sequence[Rate] = ()
    sections: Mapping[str, int] = field(default_factory=dict)


def page(run: Run) -> str:
    """Return the page as HTML."""
    drawn = _drawn(run.verdicts) if run.verdicts else None
    shown = [("size", _size(run.bytes)), ("Gaussians", f"{run.gaussians:,}")]
    if drawn is not None:
        shown += [("held-out PSNR", decibel(drawn.report.psnr_mean)), ("worst photo", decibel(drawn.report.psnr_min))]
        shown += [("held-out SSIM", f"{drawn.report.ssim_mean:.4f}")]
    listed = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in run.facts)
    body = [
        f"<h1>{escape(run.title)}</h1>",
        tiles(shown),
        f'<dl class="facts">{listed}</dl>',
        f"<h2>Command</h2><pre><code>{escape(run.command)}</code></pre>" if run.command else "",
        _curves(run.history),
        _rates(run, drawn),
        stored(run.sections),
        "" if drawn is None else table(drawn) + cards(drawn, "photo", "render", GAIN),
    ]
    return document(run.title, "".join(body))


def _size(n: int) -> str:
    return f"{n / 1e6:.3g} MB" if n >= 999_500 else f"{n / 1e3:.3g} kB"


def _drawn(verdicts: Sequence[Verdict]) -> Drawn:
    report = CompareReport(
        [v.name for v in verdicts], [v.psnr for v in verdicts], [float(np.nan_to_num(v.ssim)) for v in verdicts]
    )
    return Drawn(report, {k: _pictures(verdicts[k]) for k in chosen(report)})


def _pictures(v: Verdict) -> Pictures:
    error = np.clip(np.abs(v.photo - v.picture) * np.float32(GAIN), 0, 1)
    if v.weight is not None:
        error = error * v.weight[..., None]
    height, width = v.photo.shape[:2]
    return Pictures(uri(v.photo), uri(v.picture), uri(error), width, height)


def _curves(history: Sequence[Point]) -> str:
    if len(history) < 2:
        return ""
    held = [p for p in history if p.psnr_test is not None]
    psnr: list[Line] = [("worst", "training", [(p.iteration, p.psnr_train) for p in history], [])]
    if held:
        names = [f"step {p.iteration:,}: {p.psnr_test:.2f} dB" for p in held]
        psnr.append(("", "held out", [(p.iteration, float(p.psnr_test or 0)) for p in held], names))
    loss: list[Line] = [("", "", [(p.iteration, p.loss) for p in history], [])]
    count: list[Line] = [("", "", [(p.iteration, p.gaussians) for p in history], [])]
    charts = (
        lines("steps", psnr, "PSNR, dB", log=False),
        lines("steps", loss, "loss", log=False, least=1e-3),
        lines("steps", count, "Gaussians", log=False, least=1.0),
    )
    text = (
        "PSNR and loss of training are running means over the photos at the size that was trained on: reduced "
        "first. Held-out photos are drawn at full size."
    )
    return f"<h2>Training</h2><p>{text}</p>" + "".join(f'<div class="wide">{svg}</div>' for svg in charts)


def _rates(run: Run, drawn: Drawn | None) -> str:
    if not run.rates or drawn is None:
        return ""
    walked = sorted(run.rates, key=lambda r: r.bytes)
    names = [f"{r.name}: {r.bytes:,} bytes, {r.psnr:.2f} dB" for r in walked]
    own = f"the file: {run.bytes:,} bytes, {drawn.report.psnr_mean:.2f} dB"
    both: list[Line] = [
        ("worst", "other steps", [(r.bytes, r.psnr) for r in walked], names),
        ("", "the file", [(run.bytes, drawn.report.psnr_mean)], [own]),
    ]
    text = (
        "The trained scene, coded with steps from fine to coarse and nothing else, against the file that was written; "
        "mean PSNR of the held-out photos."
    )
    return f'<h2>Size and quality</h2><p>{text}</p><div class="wide">{lines("bytes", both, "PSNR, dB")}</div>'
