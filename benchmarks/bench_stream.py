"""Streaming in simulated time: dB against bytes and seconds, and how soon a turn of the head is served.

``python benchmarks/bench_stream.py SCENE.spk...`` prints the tables of docs/streaming.md; as a plain test it runs on a
small synthetic scene. No figure depends on the speed of the machine.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path as File

sys.path.insert(0, str(File(__file__).resolve().parent.parent))

import numpy as np
import pytest

from benchmarks._network import Path, Simulation
from splatpack.container.directory import Chunk
from splatpack.container.levels import drawn
from splatpack.container.reader import ContainerReader
from splatpack.container.source import MemorySource
from splatpack.fit.importance import importance
from splatpack.pack.decode import decode_chunk, scene_info
from splatpack.pack.encode import encode
from splatpack.pack.presets import settings
from splatpack.render.cpu import render
from splatpack.render.views import orbit_cameras
from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import ATTRIBUTES, SH_COEFFICIENTS, FloatArray, Gaussians, concatenate
from splatpack.stream import wire
from splatpack.stream.client import camera_view
from splatpack.stream.clientside import Received
from splatpack.stream.index import SceneIndex
from tests import synth
from tests.test_stream.net import spk, view

NETWORKS = {"5 Mbit/s": Path(5e6, 0.05), "20 Mbit/s": Path(20e6, 0.05), "100 Mbit/s": Path(100e6, 0.05)}
LEVELS = (20.0, 25.0, 30.0, 35.0, 40.0)
POINTS = 16


@dataclass
class Scene:
    """A file, and the Gaussians of each of its chunks."""

    data: bytes
    index: SceneIndex
    chunks: list[Chunk]
    parts: list[Gaussians]

    @classmethod
    def of(cls, data: bytes) -> Scene:
        reader = ContainerReader(MemorySource(data))
        info = scene_info(reader)
        parts = []
        for chunk in reader.chunks:
            found = decode_chunk(reader, chunk, info.profiles[chunk.profile])
            sh = np.zeros((chunk.count, SH_COEFFICIENTS[info.sh_degree], 3), np.float32)
            if "@shN" in found:
                sh[:, : found["@shN"].shape[1]] = found["@shN"]
            shape = (found[f"@{name}"] for name in ATTRIBUTES if name != "shN")
            parts.append(Gaussians(*shape, sh))
        return cls(data, SceneIndex.of(reader, "scene"), reader.chunks, parts)

    @cached_property
    def gaussians(self) -> Gaussians:
        """The whole scene."""
        return self.of_chunks(range(len(self.chunks)))

    def of_chunks(self, items: Sequence[int]) -> Gaussians:
        """What is drawn when these chunks are at hand."""
        shown = drawn(self.chunks, np.isin(np.arange(len(self.chunks)), items).tolist())
        return concatenate([part for part, there in zip(self.parts, shown, strict=True) if there])


def psnr(a: FloatArray, b: FloatArray) -> float:
    error = float(np.mean((a - b) ** 2))
    return 100.0 if error < 1e-10 else -10 * math.log10(error)


def curve(scene: Scene, camera: Camera, order: Sequence[int]) -> list[tuple[int, int, float]]:
    """Return (chunks, bytes, dB) at about :data:`POINTS` cuts of an order of chunks."""
    full = render(scene.gaussians, camera).color
    sizes = np.cumsum(scene.index.table.size[np.array(order)]) + scene.index.prefix
    cuts = sorted({max(1, round(len(order) * (k / POINTS) ** 1.5)) for k in range(1, POINTS + 1)})
    out = []
    for n in cuts:
        image = full if n == len(order) else render(scene.of_chunks(order[:n]), camera).color
        out.append((n, int(sizes[n - 1]), psnr(image, full)))
    return out


def contribution(scene: Scene, camera: Camera) -> list[tuple[int, int, float]]:
    """The same for single Gaussians by their contribution to pictures, at an even share of the bytes each."""
    full, weight = render(scene.gaussians, camera).color, importance(scene.gaussians)
    best, n = np.argsort(-weight, kind="stable"), len(scene.gaussians)
    out = []
    for k in range(1, POINTS + 1):
        take = max(1, round(n * (k / POINTS) ** 1.5))
        image = full if take == n else render(scene.gaussians.take(np.sort(best[:take])), camera).color
        out.append((take, int(len(scene.data) * take / n), psnr(image, full)))
    return out


def reached(points: Sequence[tuple[float, float]], level: float) -> float | None:
    """Return the first x from which the curve never falls below ``level`` again."""
    for i, (x, _) in enumerate(points):
        if all(y >= level for _, y in points[i:]):
            return x
    return None


def streamed(scene: Scene, camera: Camera, path: Path) -> list[tuple[float, int, int]]:
    """Return (seconds, bytes on the wire, chunk) as a client with this camera gets them."""
    sim = Simulation(path, scene.index, scene.data)
    sim.client.send(camera_view(camera))
    sim.flush()
    sim.run(stop=lambda: sum(isinstance(a.event, Received) for a in sim.arrivals) >= len(scene.index.chunks))
    return [
        (a.time, a.bytes, a.event.item)
        for a in sim.arrivals
        if isinstance(a.event, Received) and a.event.item < wire.PAGE
    ]


def turns(path: Path, trials: int = 200, size: int = 90_000) -> list[float]:
    """Return the seconds from a new view to the first byte that it brought, in the middle of a transfer, ascending.

    The scene is a line of 150 chunks of 99 kB; the camera jumps along it.
    """
    data = spk(150, size=size)
    index = SceneIndex.of(ContainerReader(MemorySource(data)), "scene")
    rng, out = random.Random(1), []
    for trial in range(trials):
        sim = Simulation(path, index, data, seed=trial)
        sim.client.send(view(0, 1, rng.uniform(0, 150)))
        sim.flush()
        when = rng.uniform(0.3, 2.0)
        sim.at(when, lambda s=sim: (s.client.send(view(0, 2, rng.uniform(0, 150))), s.flush()))
        sim.run(stop=lambda s=sim: bool(s.fragments) and s.fragments[-1][1].seq == 2)
        out.append(sim.fragments[-1][0] - when)
    return sorted(out)


def report(name: str, scene: Scene, size: tuple[int, int] = (480, 360)) -> dict[str, object]:
    """Return and print all figures of one scene."""
    camera = orbit_cameras(scene.gaussians, 4, *size)[1]
    got = {label: streamed(scene, camera, path) for label, path in NETWORKS.items()}
    order = [item for _, _, item in got["20 Mbit/s"]]
    by_view = curve(scene, camera, order)
    by_file = curve(scene, camera, range(len(order)))
    by_weight = contribution(scene, camera)
    rows = {
        "view order": [(b, d) for _, b, d in by_view], "file order": [(b, d) for _, b, d in by_file],
        "contribution order": [(b, d) for _, b, d in by_weight],
    }  # fmt: skip
    total = len(scene.data)
    print(f"\n{name}: {len(scene.gaussians):,} Gaussians, {total:,} bytes, {len(order)} chunks")
    for label, points in rows.items():
        shares = [reached(points, level) for level in LEVELS]
        _say(label, [None if share is None else f"at {share / total:.2f}" for share in shares])
    timed = {}
    for label, arrivals in got.items():
        timed[label] = [(arrivals[n - 1][0], d) for n, _, d in by_view]
        seconds = [reached(timed[label], level) for level in LEVELS]
        _say(label, [None if s is None else f"in {s:.2f} s" for s in seconds])
    first = {label: arrivals[0] for label, arrivals in got.items()}
    print("  first chunk           ", *(f"{label}: {t:.3f} s, {b:,} bytes;" for label, (t, b, _) in first.items()))
    return {"scene": name, "bytes": total, "chunks": len(order), "curves": rows, "timed": timed}


def _say(label: str, found: Sequence[str | None]) -> None:
    words = [f"{level:.0f} dB {text}" for level, text in zip(LEVELS, found, strict=True) if text is not None]
    print(f"  {label:20}", ", ".join(words))


@pytest.fixture(scope="module", params=[False, True], ids=["flat", "levels"])
def scene(request: pytest.FixtureRequest) -> Scene:
    made, file = synth.scene(40_000, 0, seed=2), io.BytesIO()
    how = settings("medium", lod=request.param, lod_refine=0)
    encode(made, file, how, weights=np.random.default_rng(0).lognormal(0, 2, len(made)))
    return Scene.of(file.getvalue())


def test_a_curve_ends_with_the_whole_scene(scene: Scene) -> None:
    assert len(scene.gaussians) == 40_000
    camera = orbit_cameras(scene.gaussians, 4, 64, 48)[1]
    order = [item for _, _, item in streamed(scene, camera, NETWORKS["20 Mbit/s"])]
    points = curve(scene, camera, order)
    assert points[-1] == (len(scene.chunks), len(scene.data), 100.0)
    assert points[0][2] < 60


def test_a_transfer_takes_what_the_path_allows(scene: Scene) -> None:
    camera = orbit_cameras(scene.gaussians, 4, 64, 48)[1]
    for path in NETWORKS.values():
        arrivals = streamed(scene, camera, path)
        assert sorted(item for _, _, item in arrivals) == list(range(len(scene.index.chunks)))
        floor = len(scene.data) * 8 / path.rate + path.rtt
        assert floor < arrivals[-1][0] < 1.35 * floor + 0.1
    assert streamed(scene, camera, path) == streamed(scene, camera, path)


def test_loss_stalls_and_loses_nothing(scene: Scene) -> None:
    camera = orbit_cameras(scene.gaussians, 4, 64, 48)[1]
    clean, lossy = (streamed(scene, camera, Path(20e6, 0.05, loss)) for loss in (0.0, 0.02))
    assert len(clean) == len(lossy)
    assert lossy[-1][0] > clean[-1][0]


def test_a_turn_of_the_head_is_served_soon() -> None:
    wait = turns(NETWORKS["20 Mbit/s"], trials=20)
    assert wait[int(0.95 * len(wait))] <= 0.150


def test_speed_of_the_machines(benchmark: object, scene: Scene) -> None:
    camera = orbit_cameras(scene.gaussians, 4, 64, 48)[1]
    benchmark(streamed, scene, camera, NETWORKS["100 Mbit/s"])  # type: ignore[operator]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenes", nargs="*", help=".spk files")
    parser.add_argument("--json", help="write the curves here")
    args = parser.parse_args()
    for loss in (0.0, 0.01):
        found = turns(Path(20e6, 0.05, loss))
        middle, late = found[len(found) // 2], found[int(0.95 * len(found))]
        print(f"view change to bytes, 20 Mbit/s, 50 ms, loss {loss}: median {middle:.3f} s, p95 {late:.3f} s")
    rows = [report(File(path).stem, Scene.of(File(path).read_bytes())) for path in args.scenes]
    if args.json:
        File(args.json).write_text(json.dumps(rows) + "\n")


if __name__ == "__main__":
    main()
