"""Streamed SOG and a file with levels of detail, made from its finest level: dB against seconds at three networks.

    python benchmarks/bench_sog.py playbot_lod/ playbot.spk --svg curve.svg

Both are seen by 6 evaluation cameras, against the finest level of the streamed SOG. Of that a client is given the best
case: its levels from coarse to fine, or the coarsest and then at once the one that is wanted; a round trip for the
index, and two for each level (its ``meta.json``, its pictures), at the full rate. As a test it runs on made-up numbers.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path as File
from xml.etree import ElementTree

sys.path.insert(0, str(File(__file__).resolve().parent.parent))

import numpy as np

from benchmarks._network import Path
from benchmarks.bench_stream import NETWORKS, Scene, psnr, streamed
from splatpack.bench.plot import BORDER, CARD, COLOURS, DIM, FONT, GRID, INK
from splatpack.pack.api import read
from splatpack.render.cpu import render
from splatpack.render.views import evaluation_cameras
from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import FloatArray, Gaussians

CAP = 50.0
CUTS = 0.012, 0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.2, 0.27, 0.35, 0.43, 0.52, 0.61, 0.7, 0.8, 0.9, 1.0
Curve = list[tuple[float, float]]
"""(seconds or bytes, mean dB) of what has arrived."""


def shown(scene: Gaussians, cameras: Sequence[Camera], full: Sequence[FloatArray]) -> float:
    """Return the mean PSNR, dB, of a scene's pictures."""
    return float(np.mean([min(psnr(render(scene, c).color, f), CAP) for c, f in zip(cameras, full, strict=True)]))


def sog_levels(folder: File, cameras: Sequence[Camera], full: Sequence[FloatArray]) -> list[tuple[int, float]]:
    """Return (bytes, dB) of each level from coarse to fine; a level is a folder ``L_0``."""
    places = sorted(folder.glob("[0-9]*_0"), key=lambda p: -int(p.name.split("_")[0]))
    return [
        (sum(f.stat().st_size for f in place.iterdir()), shown(read(place / "meta.json"), cameras, full))
        for place in places
    ]


def sog_curve(levels: Sequence[tuple[int, float]], index: int, path: Path, *, skip: bool) -> Curve:
    """Return when each level is there: after all coarser ones or, with ``skip``, after the coarsest alone."""
    out, before = [], 0
    for k, (size, db) in enumerate(levels):
        total = index + (before if not skip or k == 0 else levels[0][0]) + size
        trips = 1 + 2 * (min(k, 1) + 1 if skip else k + 1)
        out.append((total * 8 / path.rate + trips * path.rtt, db))
        before += size
    return out


def own_curve(scene: Scene, cameras: Sequence[Camera], full: Sequence[FloatArray]) -> tuple[Curve, dict[str, Curve]]:
    """Return dB against bytes, and against seconds by network, at :data:`CUTS` of the file."""
    db, when = np.zeros(len(CUTS)), {name: np.zeros(len(CUTS)) for name in NETWORKS}
    for camera, picture in zip(cameras, full, strict=True):
        arrivals = {name: streamed(scene, camera, path) for name, path in NETWORKS.items()}
        order = arrivals["20 Mbit/s"]
        value, at = 0.0, -1
        for k, cut in enumerate(CUTS):
            here = max(1, sum(b <= cut * order[-1][1] for _, b, _ in order))
            if here != at:
                at, value = (
                    here,
                    min(psnr(render(scene.of_chunks([i for *_, i in order[:here]]), camera).color, picture), CAP),
                )
            db[k] += value / len(cameras)
            for name, found in arrivals.items():
                when[name][k] += found[here - 1][0] / len(cameras)
    size = [cut * len(scene.data) for cut in CUTS]
    return list(zip(size, db.tolist(), strict=True)), {
        name: list(zip(seconds.tolist(), db.tolist(), strict=True)) for name, seconds in when.items()
    }


def svg(title: str, panels: dict[str, dict[str, Curve]]) -> str:
    """Return one panel for each network, dB over seconds; the curves of a panel by name, a step each."""
    width, height, left, top = 300, 240, 46, 60
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {len(panels) * width + 20} {top + height + 74}" {FONT}>',
        f'<rect width="100%" height="100%" rx="8" fill="{CARD}" stroke="{BORDER}"/>',
        f'<text x="20" y="28" font-size="16" font-weight="600" fill="{INK}">{title}</text>',
    ]
    colours = dict(zip(next(iter(panels.values())), (INK, COLOURS["SOG"], COLOURS["SPZ"]), strict=False))
    for p, (name, curves) in enumerate(panels.items()):
        x0, wide = p * width + left, width - left - 14
        end = max(c[-1][0] for c in curves.values())
        parts.append(f'<text x="{x0}" y="{top - 8}" font-size="13" fill="{INK}">{name}</text>')
        for db in range(15, 51, 5):
            y = top + height * (50 - db) / 35
            parts.append(f'<path d="M{x0} {y:.1f}h{wide}" stroke="{GRID}"/>')
            parts.append(
                f'<text x="{x0 - 6}" y="{y + 4:.1f}" font-size="11" text-anchor="end" fill="{DIM}">{db}</text>'
            )
        for k in range(5):
            x, label = x0 + wide * k / 4, f"{end * k / 4:.3g}"
            style = f'font-size="11" text-anchor="middle" fill="{DIM}"'
            parts.append(f'<text x="{x:.1f}" y="{top + height + 18}" {style}>{label}</text>')
        for label, curve in curves.items():
            path, last = "", top + height
            for seconds, db in curve:
                x, y = x0 + wide * seconds / end, top + height * (50 - min(max(db, 15), 50)) / 35
                path += f"M{x:.1f} {y:.1f}" if not path else f"L{x:.1f} {last:.1f}L{x:.1f} {y:.1f}"
                last = y
            path += f"L{x0 + wide} {last:.1f}"
            dash = ' stroke-dasharray="5 3"' if label.endswith("wanted") else ""
            parts.append(f'<path d="{path}" fill="none" stroke="{colours[label]}" stroke-width="2"{dash}/>')
    for k, (label, colour) in enumerate(colours.items()):
        x, y = 46 + 280 * k, top + height + 52
        parts.append(f'<path d="M{x} {y - 4}h24" stroke="{colour}" stroke-width="3"/>')
        parts.append(f'<text x="{x + 32}" y="{y}" font-size="12" fill="{INK}">{label}</text>')
    parts.append(
        f'<text x="20" y="{top + height + 36}" font-size="11" fill="{DIM}">seconds; mean PSNR of 6 views, dB</text>'
    )
    return "\n".join([*parts, "</svg>"]) + "\n"


def test_a_streamed_sog_takes_its_bytes_and_round_trips() -> None:
    levels, path = [(1000, 20.0), (3000, 30.0), (9000, 50.0)], Path(8000.0, 1.0)
    assert sog_curve(levels, 500, path, skip=False) == [(4.5, 20.0), (9.5, 30.0), (20.5, 50.0)]
    assert sog_curve(levels, 500, path, skip=True) == [(4.5, 20.0), (9.5, 30.0), (15.5, 50.0)]


def test_the_plot_is_well_formed_and_has_every_curve() -> None:
    curves = {"a": [(0.1, 20.0), (2.0, 40.0)], "b, as wanted": [(0.5, 10.0), (4.0, 60.0)]}
    root = ElementTree.fromstring(svg("t", {"5": curves, "20": curves}))
    assert sum(e.get("fill") == "none" for e in root.iter("{http://www.w3.org/2000/svg}path")) == 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=File, help="a streamed SOG")
    parser.add_argument("spk", type=File, help="compress --lod of its finest level")
    parser.add_argument("--svg", type=File)
    args = parser.parse_args()
    finest = read(args.folder / "0_0" / "meta.json")
    cameras = evaluation_cameras(finest, 200, 150)[::2]
    full = [render(finest, c).color for c in cameras]
    levels = sog_levels(args.folder, cameras, full)
    index = (args.folder / "lod-meta.json").stat().st_size
    by_bytes, by_time = own_curve(Scene.of(args.spk.read_bytes()), cameras, full)
    print(json.dumps({"sog": levels, "spk": [(round(b), round(d, 2)) for b, d in by_bytes]}))
    panels = {
        f"{name}, 50 ms": {
            ".spk with levels": by_time[name],
            "streamed SOG, level by level": sog_curve(levels, index, path, skip=False),
            "streamed SOG, the level that is wanted": sog_curve(levels, index, path, skip=True),
        }
        for name, path in NETWORKS.items()
    }
    for name, curves in panels.items():
        for label, curve in curves.items():
            print(name, label, [(round(t, 2), round(d, 1)) for t, d in curve])
    if args.svg:
        args.svg.write_text(svg(f"{args.folder.name}: picture quality while it loads", panels))


if __name__ == "__main__":
    main()
