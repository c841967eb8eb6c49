"""A file with levels of detail on its way: what is drawn at each moment, budgets, resuming, and the commands."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

import splatpack
from splatpack.container.levels import drawn
from splatpack.container.reader import ContainerReader
from splatpack.container.source import MemorySource
from splatpack.fit.importance import importance
from splatpack.pack.encode import encode
from splatpack.pack.presets import settings
from splatpack.pack.verify import verify
from splatpack.render.compare import compare
from splatpack.render.views import orbit_cameras
from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import Gaussians
from splatpack.stream.client import camera_view
from splatpack.stream.clientside import Event, Opened
from splatpack.stream.explode import explode
from splatpack.stream.fetch import fetch_async
from splatpack.stream.index import SceneIndex
from splatpack.stream.scheduler import Scheduler
from splatpack.stream.wire import View
from tests import synth
from tests.test_cli.conftest import Runner
from tests.test_server.harness import running
from tests.test_stream.net import Pair, chunks


@pytest.fixture(scope="module")
def scene() -> Gaussians:
    return synth.scene(60_000, 0, seed=8)


@pytest.fixture(scope="module")
def data(scene: Gaussians) -> bytes:
    out = io.BytesIO()
    encode(scene, out, settings("high", goal=None, lod=True, lod_refine=0), weights=importance(scene, views=8))
    return out.getvalue()


@pytest.fixture(scope="module")
def place(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("levels")
    (folder / "levels.spk").write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def cameras(scene: Gaussians) -> tuple[Camera, Camera]:
    """One outside, and one inside that looks along +z."""
    outside = orbit_cameras(scene, 3, 120, 90)[0]
    inside = splatpack.scene.cameras.look_at((0.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0), 0.7, 120, 90)
    return outside, inside


def ancestors(reader: ContainerReader, chunk: int) -> Iterator[int]:
    while (chunk := reader.chunks[chunk].parent) >= 0:
        yield chunk


@pytest.mark.parametrize("camera", [0, 1])
def test_nothing_is_drawn_twice_and_nothing_is_missing_at_any_moment(
    data: bytes, cameras: tuple[Camera, Camera], camera: int
) -> None:
    reader, pair = ContainerReader(MemorySource(data)), Pair({"scene": data}, max_fragment=1 << 15)
    pair.client.open("scene", 0)
    pair.client.send(camera_view(cameras[camera]))
    arrived = chunks(pair.run())
    assert sorted(arrived) == list(range(len(reader.chunks)))
    here = [False] * len(reader.chunks)
    leaves = set(range(len(here))) - {c.parent for c in reader.chunks}
    for item in arrived:
        here[item] = True
        assert all(here[above] for above in ancestors(reader, item))
        shown = drawn(reader.chunks, here)
        for one, there in enumerate(shown):
            if there:
                assert not any(shown[a] for a in ancestors(reader, one) if reader.chunks[a].successors)
        for leaf in leaves:
            assert any(shown[i] for i in (leaf, *ancestors(reader, leaf)))


def test_what_is_sent_can_be_drawn_when_its_group_is_there(data: bytes, cameras: tuple[Camera, Camera]) -> None:
    reader = ContainerReader(MemorySource(data))
    scheduler = Scheduler(SceneIndex.of(reader, "scene"), prefix=True)
    scheduler.look(camera_view(cameras[1]))
    here = [False] * len(reader.chunks)
    while (item := scheduler.next()) is not None:
        parent = reader.chunks[item].parent
        assert parent < 0 or drawn(reader.chunks, here)[parent]
        scheduler.mark(item)
        here[item] = True
    assert all(here)


def test_a_view_far_away_needs_the_coarse_levels_only(data: bytes, cameras: tuple[Camera, Camera]) -> None:
    index = SceneIndex.of(ContainerReader(MemorySource(data)), "scene")
    near = camera_view(cameras[0])
    counts = []
    for factor in (1.0, 30.0, 1000.0):
        pos = tuple(factor * v for v in near.pos)
        scheduler = Scheduler(index, prefix=True)
        scheduler.look(View(0, 1, pos, near.quat, near.fov_y, near.viewport))  # type: ignore[arg-type]
        count = 0
        while (item := scheduler.next()) is not None:
            scheduler.mark(item)
            count += 1
        counts.append(count)
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == len(index.chunks)
    assert counts[-1] == 1


def test_a_client_that_comes_back_gets_the_rest_once(data: bytes, cameras: tuple[Camera, Camera]) -> None:
    first = Pair({"scene": data}, max_fragment=1 << 15)
    first.client.open("scene", 0)
    first.client.send(camera_view(cameras[0]))
    events: list[Event] = []
    while len(chunks(events)) < 9:
        events += first.step()
    got = chunks(events)
    mirror = next(e.mirror for e in events if isinstance(e, Opened))
    second = Pair({"scene": data}, max_fragment=1 << 15)
    second.client.open("scene", 0, mirror)
    second.client.send(camera_view(cameras[0]))
    rest = chunks(second.run())
    assert sorted(got + rest) == list(range(len(mirror)))


@pytest.mark.parametrize("camera", [None, 0, 1])
def test_budgets_give_valid_scenes_that_come_closer(
    place: Path, tmp_path: Path, data: bytes, scene: Gaussians, cameras: tuple[Camera, Camera], camera: int | None
) -> None:
    look = None if camera is None else cameras[camera]
    budgets = [32_768, 131_072, len(data) // 2, 2 * len(data)]

    async def main() -> list[bool]:
        async with running(place) as server:
            url = f"{server.url}/levels"
            return [
                (await fetch_async(url, tmp_path / f"{b}.spk", camera=look, budget=b)).complete for b in budgets
            ]  # fmt: skip

    assert asyncio.run(main()) == [False, False, False, True]
    assert (tmp_path / f"{budgets[-1]}.spk").read_bytes() == data
    quality = []
    for budget in budgets[:-1]:
        with ContainerReader.open(tmp_path / f"{budget}.spk") as reader:
            assert reader.has_levels
            assert reader.source.size <= budget
            assert verify(reader).ok
        part = splatpack.read(tmp_path / f"{budget}.spk")
        quality.append(compare(scene, part, [cameras[0] if look is None else look]).psnr_mean)
    assert quality[-1] > quality[0] + 3


def test_the_commands_read_what_has_arrived(
    cli: Runner, place: Path, tmp_path: Path, cameras: tuple[Camera, Camera]
) -> None:
    part, whole = tmp_path / "part.spk", place / "levels.spk"

    async def main() -> None:
        async with running(place) as server:
            await fetch_async(f"{server.url}/levels", part, camera=cameras[0], budget=200_000)

    asyncio.run(main())
    assert cli("verify", part, "--json").json["ok"] is True
    levels = {row["level"]: row for row in cli("info", whole, "--json").json["levels"]}
    some = {row["level"]: row for row in cli("info", part, "--json").json["levels"]}
    assert set(some) <= set(levels)
    coarsest = max(levels)
    assert some[coarsest]["chunks"] == levels[coarsest]["chunks"]
    assert sum(row["chunks"] for row in some.values()) < sum(row["chunks"] for row in levels.values())
    size = ("--size", "64x48", "--json")
    for how in (("--level", coarsest), ("--level", 0), ("--budget", 500)):
        assert cli("render", part, "-o", tmp_path / "x.png", "-f", *how, *size).status == 0
    report = cli("compare", whole, part, "--size", "64x48", "--json")
    assert report.status == 0, report.err
    assert 10 < report.json["psnr_mean"] < 60
    assert cli("decompress", part, "-o", tmp_path / "part.ply").status == 0


def test_an_exploded_file_with_levels_is_the_file_again(cli: Runner, place: Path, tmp_path: Path) -> None:
    made = explode(place / "levels.spk", tmp_path / "out")
    assert cli("verify", made.manifest, "--json").json["ok"] is True
    whole = cli("info", place / "levels.spk", "--json").json
    assert cli("info", made.manifest, "--json").json["levels"] == whole["levels"]
