"""Run every peer both ways and print a table; the exit status is 1 when a row fails."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splatpack.formats.registry import read_scene, write_scene
from splatpack.render.compare import compare
from splatpack.scene.gaussians import C0, FloatArray, Gaussians
from splatpack.scene.transform import change_frame
from tests import synth
from tests.interop.peers import PEERS, Case, Peer, PeerError, write_ours
from tests.test_formats.closeness import alphas, distances

SPZ = {"means": 1.3e-4, "scales": 0.0316, "covariances": 0.09, "alphas": 0.00198, "sh0": 0.0132, "shN": 0.0673}
FLOATS = {"scales": 1e-6, "covariances": 1e-5, "alphas": 1e-6, "sh0": 1e-6, "shN": 1e-6}
SOG = {"means": 1.2e-3, "scales": 0.05, "covariances": 0.1, "alphas": 0.004, "sh0": 0.03, "shN": 0.8}
OUR_SOG = {"scales": 0.12, "alphas": 0.002, "covariances": 0.06, "shN": 0.16}
"""What ours is held to: it rounds, and its levels are nearer to what can be seen than to what cannot."""

TOLERANCES: dict[str, dict[str, float]] = {
    ".ply": {"scales": 1e-6, "covariances": 1e-5, "alphas": 1e-6, "sh0": 1e-6, "shN": 1e-6},
    ".splat": {"means": 1e-6, "scales": 1e-5, "covariances": 0.06, "alphas": 0.004, "sh0": 0.0142},
    ".compressed.ply": SPZ | {"means": 0.02, "scales": 0.01, "covariances": 0.03, "sh0": 0.03, "shN": 0.0157},
    ".spz": SPZ,
    ".ksplat": {"means": 8e-5, "scales": 0.004, "covariances": 0.01, "alphas": 0.004, "sh0": 0.0142, "shN": 0.012},
    **dict.fromkeys((".glb", ".usdc", ".usdz"), FLOATS),
    **dict.fromkeys((".sog", "/meta.json", "/lod-meta.json"), SOG),
}  # fmt: skip
"""How far a decoded file may be from the scene: the format's own steps, of the coarser of the two writers."""

SAME = {"means": 1e-5, "scales": 1e-4, "covariances": 1e-4, "alphas": 1.1e-3, "sh0": 1e-5, "shN": 1e-5}
"""How far two readers may be from each other on the same file: each clamps alpha bytes 0 and 255 in its own way."""

NOTES = {
    ("splat-transform", ".splat"): {"covariances": 0.09},
    ("gaussforge", ".splat"): {"covariances": 0.09},
    ("fourdgs", ".glb"): {"shN": 0.0158, "sh0": 2e-6},
    ("fourdgs, USD", ".usdc"): {"shN": 0.0158, "sh0": 2e-6},
}
"""A rotation byte of 128 is 0.004 to the first two and zero to us; the others hold SH in 8 bits."""

HEADINGS = ("peer", "format", "direction", "means", "cov", "alpha", "sh0", "shN", "PSNR dB", "")
Row = tuple[str, ...]


def test_scene(count: int) -> Gaussians:
    """A scene inside what every format spans, so that nothing but rounding is seen."""
    scene = synth.scene(count, 3, seed=11)
    return replace(
        scene, sh0=scene.sh0.clip(-0.5 / C0, 0.5 / C0).astype(np.float32), shN=scene.shN.clip(-0.98, 0.98),
        scales=scene.scales.clip(-9.5, 5), opacities=scene.opacities.clip(-4, 8),
    )  # fmt: skip


def matched(reference: Gaussians, other: Gaussians) -> Gaussians:
    """Return ``other`` in the order of ``reference``: of the eight nearest means, the most similar Gaussian."""
    if len(other) != len(reference):
        raise PeerError(f"{len(other):,} Gaussians, expected {len(reference):,}.")
    near = np.concatenate([_nearest(other.means, block) for block in np.array_split(reference.means, 16)])
    mine, theirs = (np.concatenate([g.scales, g.sh0[:, 0], alphas(g)[:, None]], axis=1) for g in (reference, other))
    best = np.square(theirs[near] - mine[:, None]).sum(axis=2).argmin(axis=1)
    return other.take(np.take_along_axis(near, best[:, None], axis=1)[:, 0])


def _nearest(points: FloatArray, to: FloatArray) -> NDArray[np.int64]:
    """Return the indices of the eight points nearest to each of ``to``."""
    distance = np.square(points[None] - to[:, None]).sum(axis=2)
    return np.argpartition(distance, min(8, len(points) - 1), axis=1)[:, :8]


def row(head: tuple[str, str, str], a: Gaussians, b: Gaussians, bounds: dict[str, float]) -> Row:
    """Compare two scenes and say whether they are within the bounds."""
    found = distances(a, b)
    over = [name for name, value in found.items() if not value <= bounds.get(name, 0.0)]
    psnr = compare(a, b).psnr_mean
    keys = ("means", "covariances", "alphas", "sh0", "shN")
    shown = "same" if not np.isfinite(psnr) else f"{psnr:.1f}"
    return (*head, *(f"{found[k]:.2g}" for k in keys), shown, f"OVER {', '.join(over)}" if over else "ok")


def rows_of(peer: Peer, case: Case, scene: Gaussians, folder: Path) -> list[Row]:
    """Both directions of one format."""
    scene = scene.with_sh_degree(case.degree)
    label = f"{case.ending.removeprefix('/')} {case.label}".strip()
    bounds = dict(TOLERANCES[case.ending]) | NOTES.get((peer.name, case.ending), {})
    if dict(case.settings).get("version") == 2:
        bounds["covariances"] = 0.6
    rows: list[Row] = []

    def attempt(direction: str, check: Callable[[tuple[str, str, str]], list[Row]]) -> None:
        head = (peer.name, label, direction)
        try:
            rows.extend(check(head))
        except (PeerError, OSError, ValueError) as error:
            rows.append((*head, "", "", "", "", "", "", f"FAILED {error}"))

    def peer_reads(head: tuple[str, str, str]) -> list[Row]:
        path = folder / f"ours{case.ending}"
        write_ours(scene, path, case)
        theirs = peer.decode(path, case)
        tight = OUR_SOG if TOLERANCES[case.ending] is SOG else {}
        ours = change_frame(read_scene(path, frame=case.frame), "rdf")
        same = SAME | ({"covariances": 0.04, "shN": 0.0158} if (peer.name, case.ending) in NOTES else {})
        return [
            row(head, scene, matched(scene, theirs), bounds | tight),
            row((*head[:2], "two readers, our file"), ours, theirs, same),
        ]

    def peer_writes(head: tuple[str, str, str]) -> list[Row]:
        source, path = folder / "source.ply", folder / f"theirs{case.ending}"
        with source.open("wb") as file:
            write_scene(file, scene, ".ply")
        peer.encode(source, path, case)
        return [row(head, scene, matched(scene, change_frame(read_scene(path, frame=case.frame), "rdf")), bounds)]

    if case.reads:
        attempt("peer reads ours", peer_reads)
    if case.writes:
        attempt("we read peer's", peer_writes)
    return rows


def table(rows: list[Row]) -> str:
    """Return a Markdown table."""
    lines = [HEADINGS, tuple("---" for _ in HEADINGS), *rows]
    widths = [max(len(r[i]) for r in lines) for i in range(len(HEADINGS))]
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) + " |" for r in lines)


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="scripts/interop", description=__doc__)
    parser.add_argument("peers", nargs="?", default=os.environ.get("PEERS"), help="folder with node_modules and venv")
    parser.add_argument("--count", type=int, default=3000, help="Gaussians of the synthetic scene")
    parser.add_argument("--only", help="one peer by name")
    args = parser.parse_args(words)
    if args.peers is None:
        parser.error("name the folder of the peers, as an argument or in PEERS")
    scene, rows = test_scene(args.count), []
    for kind in PEERS:
        peer = kind(Path(args.peers).resolve())
        if args.only not in (None, peer.name):
            continue
        if not peer.present():
            rows.append((peer.name, *[""] * (len(HEADINGS) - 2), "not installed"))
            continue
        for case in peer.cases:
            with tempfile.TemporaryDirectory() as folder:
                rows += rows_of(peer, case, scene, Path(folder))
                print(rows[-1], file=sys.stderr)
    print(table(rows))
    failed = sum(1 for r in rows if r[-1].startswith(("OVER", "FAILED")))
    print(f"\n{len(rows)} rows, {failed} over their bound or failed. Scene: {args.count:,} Gaussians, SH degree 3.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
