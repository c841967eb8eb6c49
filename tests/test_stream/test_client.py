"""The client against real servers on loopback, through a middle that cuts connections."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

import splatpack
from splatpack.container.reader import ContainerReader
from splatpack.errors import LimitError, PeerError, StorageError, TargetExistsError, UsageError
from splatpack.pack.verify import verify
from splatpack.scene.cameras import look_at
from splatpack.server.app import Server
from splatpack.stream import priority
from splatpack.stream.client import ATTEMPTS, BACKOFF_MAX, SceneStream, _quat, camera_view
from splatpack.stream.fetch import PartFile, fetch_async
from tests import synth
from tests.test_server.harness import running
from tests.test_stream.net import spk

CAMERA = look_at((2.25, 0.5, -3.0), (2.25, 0.5, 0.0), (0.0, -1.0, 0.0), 0.9, 640, 480)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "scenes"
    place.mkdir()
    (place / "fox.spk").write_bytes(spk(40, size=20_000))
    (place / "paged.spk").write_bytes(spk(700, size=500))
    return place


async def at_once(seconds: float) -> None:
    """Sleep that takes no time."""
    await asyncio.sleep(0)


class Middle:
    """A TCP balancer that cuts each connection after some bytes.

    Parameters
    ----------
    servers : list of Server
        They take turns.
    cut : callable
        Bytes after which the next connection is cut; None never.
    """

    def __init__(self, servers: list[Server], cut: Callable[[], int | None]) -> None:
        self.servers, self.cut, self.cuts, self.url = servers, cut, 0, ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = 0

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, most: int | None) -> bool:
        total = 0
        while data := await reader.read(4096):
            total += len(data)
            if most is not None and total > most:
                return True
            writer.write(data)
            await writer.drain()
        return False

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        server = self.servers[self._turn % len(self.servers)]
        self._turn += 1
        back, forth = await asyncio.open_connection(*server.address)
        down = asyncio.create_task(self._pipe(back, writer, self.cut()))
        up = asyncio.create_task(self._pipe(reader, forth, None))
        try:
            await asyncio.wait([down, up], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self.cuts += 1
        finally:
            for one in (down, up):
                one.cancel()
            done = await asyncio.gather(down, up, return_exceptions=True)
            self.cuts += done[0] is True
            for end in (writer, forth):
                end.transport.abort()
            self._tasks.discard(task)

    @contextlib.asynccontextmanager
    async def __call__(self) -> AsyncIterator[Middle]:
        listener = await asyncio.start_server(self._client, "127.0.0.1", 0)
        host, port = listener.sockets[0].getsockname()
        self.url = f"ws://{host}:{port}"
        try:
            yield self
        finally:
            listener.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)


def stream(url: str, **options: object) -> SceneStream:
    return SceneStream(url, sleep=at_once, rng=random.Random(0), **options)  # type: ignore[arg-type]


def test_the_package_is_the_function(folder: Path) -> None:
    async def main() -> list[int]:
        async with running(folder) as server:
            return [chunk.index async for chunk in splatpack.stream(f"{server.url}/fox")]  # type: ignore[operator]

    assert asyncio.run(main()) == list(range(40))


def test_a_camera_decides_the_order_and_may_move(folder: Path) -> None:
    async def main() -> list[int]:
        async with running(folder, bytes_per_second=1e6) as server:  # slow enough for a second view to matter
            scene = stream(f"{server.url}/fox", camera=CAMERA)
            order = []
            async for chunk in scene:
                order.append(chunk.index)
                if len(order) == 3:
                    scene.look(look_at((35.25, 0.5, -3.0), (35.25, 0.5, 0.0), (0.0, -1.0, 0.0), 0.9, 640, 480))
            return order

    order = asyncio.run(main())
    assert sorted(order[:3]) == [1, 2, 3]
    assert sorted(order) == list(range(40))
    assert order.index(35) < order.index(31)


def test_following_goes_on_after_everything_has_come(folder: Path) -> None:
    async def main() -> int:
        async with running(folder) as server:
            scene = stream(f"{server.url}/fox", camera=CAMERA, follow=True)
            count = 0
            async for _ in scene:
                count += 1
                if scene.mirror is not None and scene.mirror.complete:
                    break
            return count

    assert asyncio.run(main()) == 40


@pytest.mark.parametrize("name", ["fox", "paged"])
def test_two_servers_behind_a_balancer_that_cuts_lose_nothing(folder: Path, name: str) -> None:
    async def main() -> tuple[list[int], int, int]:
        rng = random.Random(1)
        async with running(folder) as one, running(folder) as two:
            middle = Middle([one, two], lambda: rng.randrange(30_000, 200_000))
            async with middle():
                scene = stream(f"{middle.url}/{name}")
                got = [chunk.index async for chunk in scene]
                return got, scene.resumed, middle.cuts

    got, resumed, cuts = asyncio.run(main())
    assert got == list(range(len(got)))
    assert len(got) == {"fox": 40, "paged": 700}[name]
    assert cuts >= 2
    assert 2 <= resumed <= cuts


def test_twenty_clients_with_forced_disconnects_0_lost_0_duplicate(folder: Path) -> None:
    async def main() -> int:
        rng = random.Random(2)
        async with running(folder) as server:
            middle = Middle([server], lambda: rng.choice([rng.randrange(60_000, 400_000), None]))
            async with middle():

                async def client() -> list[int]:
                    return [chunk.index async for chunk in stream(f"{middle.url}/fox")]

                results = await asyncio.gather(*(client() for _ in range(20)))
            assert results == [list(range(40))] * 20
            return middle.cuts

    assert asyncio.run(main()) > 10


def test_connections_that_break_in_the_handshake_are_tried_again(folder: Path) -> None:
    async def main() -> tuple[int, int]:
        left = [0, 10, 100]
        async with running(folder) as server:
            middle = Middle([server], lambda: left.pop(0) if left else None)
            async with middle():
                return len([chunk async for chunk in stream(f"{middle.url}/fox")]), middle.cuts

    assert asyncio.run(main()) == (40, 3)


def test_a_server_that_stays_away_is_given_up_with_growing_pauses() -> None:
    pauses: list[float] = []

    async def note(seconds: float) -> None:
        pauses.append(seconds)

    async def main() -> None:
        scene = SceneStream("ws://127.0.0.1:9/none", sleep=note, rng=random.Random(0))
        with pytest.raises(PeerError, match="cannot be reached"):
            await anext(aiter(scene))

    asyncio.run(main())
    assert len(pauses) == ATTEMPTS - 1
    assert max(pauses) <= BACKOFF_MAX
    assert pauses[-1] > 4 * pauses[0]


def test_a_restart_is_taken_up_and_a_refusal_is_not(folder: Path) -> None:
    async def main() -> None:
        async with running(folder, tokens=("long enough",)) as server:
            with pytest.raises(PeerError, match="auth"):
                await anext(aiter(stream(f"{server.url}/fox")))
            scene = stream(f"{server.url}/fox", token="long enough")
            got = []
            async for chunk in scene:
                got.append(chunk.index)
                if len(got) == 5:
                    for connection in server._sockets:
                        connection.shut(1012, "restart")
            assert got == list(range(40))
            assert scene.resumed == 1

    asyncio.run(main())


@pytest.mark.parametrize("url", ["http://x/y", "ws://", "x.spk"])
def test_urls_that_are_no_websocket(url: str) -> None:
    with pytest.raises(UsageError, match="ws://"):
        SceneStream(url)


def test_a_port_that_speaks_something_else_is_no_server() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        await writer.drain()
        writer.close()

    async def main() -> None:
        listener = await asyncio.start_server(answer, "127.0.0.1", 0)
        host, port = listener.sockets[0].getsockname()
        with pytest.raises(PeerError, match="HTTP status 200"):
            await anext(aiter(stream(f"ws://{host}:{port}/x")))
        listener.close()
        await asyncio.sleep(0)

    asyncio.run(main())


# Files


def run_fetch(folder: Path, act: Callable[[str], Awaitable[object]]) -> object:
    async def main() -> object:
        async with running(folder) as server:
            return await act(server.url)

    return asyncio.run(main())


@pytest.mark.parametrize("name", ["fox", "paged"])
def test_fetch_writes_the_file_and_resumes_what_was_left(folder: Path, tmp_path: Path, name: str) -> None:
    data, out = (folder / f"{name}.spk").read_bytes(), tmp_path / "out.spk"
    with ContainerReader.open(folder / f"{name}.spk") as reader:
        half = reader.chunks[len(reader.chunks) // 2]
        end = half.offset + half.length
    broken = bytearray(data[:end])
    broken[reader.chunks[3].offset] ^= 1
    (tmp_path / "out.spk.part").write_bytes(broken)

    async def act(url: str) -> None:
        report = await fetch_async(f"{url}/{name}", out)
        assert report.complete
        assert report.resumed == 1
        assert report.chunks == len(reader.chunks) - len(reader.chunks) // 2
        assert report.bytes < len(data)
        with pytest.raises(TargetExistsError):
            await fetch_async(f"{url}/{name}", out)
        again = await fetch_async(f"{url}/{name}", out, force=True)
        assert again.bytes == len(data)

    run_fetch(folder, act)
    assert out.read_bytes() == data
    assert not (tmp_path / "out.spk.part").exists()


@pytest.mark.parametrize("left", [b"", b"junk", spk(5, seed=77), spk(5, seed=77)[:300]])
def test_a_part_of_something_else_is_started_over(folder: Path, tmp_path: Path, left: bytes) -> None:
    (tmp_path / "out.spk.part").write_bytes(left)

    async def act(url: str) -> None:
        report = await fetch_async(f"{url}/fox", tmp_path / "out.spk")
        assert report.resumed == 0

    run_fetch(folder, act)
    assert (tmp_path / "out.spk").read_bytes() == (folder / "fox.spk").read_bytes()


def test_two_transfers_to_one_target_exclude_each_other(tmp_path: Path) -> None:
    part = PartFile(tmp_path / "x.part")
    with pytest.raises(StorageError, match="another transfer"):
        PartFile(tmp_path / "x.part")
    part.close()
    assert not (tmp_path / "x.part").exists()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a scene of real Gaussians in several chunks."""
    folder = tmp_path_factory.mktemp("real")
    splatpack.write(folder / "real.spk", synth.scene(40_000, 1, seed=4), importance_views=2)
    return folder


@pytest.mark.parametrize("camera", [None, CAMERA])
def test_a_budget_gives_a_smaller_valid_scene(place: Path, tmp_path: Path, camera: object) -> None:
    size, budget = (place / "real.spk").stat().st_size, 250_000

    async def act(url: str) -> None:
        report = await fetch_async(f"{url}/real", tmp_path / "part.spk", budget=budget, camera=camera)  # type: ignore[arg-type]
        assert not report.complete
        assert 0.3 * budget < report.bytes <= budget
        assert report.bytes_out <= budget < size
        with pytest.raises(LimitError, match="no chunk fits"):
            await fetch_async(f"{url}/real", tmp_path / "none.spk", budget=100, camera=camera)  # type: ignore[arg-type]

    run_fetch(place, act)
    with ContainerReader.open(tmp_path / "part.spk") as reader:
        assert verify(reader).ok
        assert 0 < reader.meta["n"] < 40_000
        assert "quality" not in reader.meta
    part = splatpack.read(tmp_path / "part.spk")
    assert {tuple(m) for m in part.means.tolist()} <= {
        tuple(m) for m in splatpack.read(place / "real.spk").means.tolist()
    }


def test_what_is_left_by_an_interruption_is_kept(folder: Path, tmp_path: Path) -> None:
    async def act(url: str) -> None:
        task = asyncio.create_task(fetch_async(f"{url}/fox", tmp_path / "out.spk", progress=lambda *a: seen.set()))
        seen = asyncio.Event()
        await seen.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (tmp_path / "out.spk.part").stat().st_size > 0
        report = await fetch_async(f"{url}/fox", tmp_path / "out.spk")
        assert report.resumed == 1

    run_fetch(folder, act)
    assert (tmp_path / "out.spk").read_bytes() == (folder / "fox.spk").read_bytes()


def test_quaternions_turn_as_their_matrices_do() -> None:
    rng = np.random.default_rng(0)
    cases = [np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(50)]
    cases += [np.diag(d) for d in ([1.0, 1, 1], [1.0, -1, -1], [-1.0, 1, -1], [-1.0, -1, 1])]
    for r in cases:
        r = r * np.sign(np.linalg.det(r))
        np.testing.assert_allclose(priority.rotation(_quat(r)), r, atol=1e-12)


def test_a_camera_becomes_its_view() -> None:
    made = camera_view(CAMERA, 7)
    assert made.seq == 7
    np.testing.assert_allclose(made.pos, (2.25, 0.5, -3.0), atol=1e-12)
    np.testing.assert_allclose(priority.rotation(made.quat)[:, 2], (0, 0, 1), atol=1e-12)
    assert made.fov_y == pytest.approx(0.9)
