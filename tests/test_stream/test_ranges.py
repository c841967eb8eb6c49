from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splatpack.container.reader import ContainerReader
from splatpack.container.source import ByteSource, FileSource, MemorySource
from splatpack.errors import ChecksumError, SplatpackError, StorageError
from splatpack.stream.explode import explode, open_exploded
from splatpack.stream.http import HttpClient
from splatpack.stream.ranges import RangeReader, open_url, plan
from tests.test_cli.conftest import Runner
from tests.test_stream.net import spk
from tests.test_stream.test_http import Host

RANGES = st.lists(st.tuples(st.integers(0, 900), st.integers(0, 100)), max_size=20)
BLOB = bytes(i * 7 % 251 for i in range(1000))


class Counting(MemorySource):
    """Notes what is read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.calls: list[tuple[int, int]] = []

    def _read(self, offset: int, length: int) -> bytes:
        self.calls.append((offset, length))
        return super()._read(offset, length)


@given(RANGES, st.integers(0, 60), st.integers(1, 300))
def test_a_plan_covers_each_range_once_within_its_bounds(ranges: list[tuple[int, int]], gap: int, most: int) -> None:
    runs = plan(ranges, gap, most)
    assert sorted(i for run in runs for i in run.members) == list(range(len(ranges)))
    longest = max([most, *(length for _, length in ranges)])
    for run in runs:
        assert run.length <= longest
        for i in run.members:
            offset, length = ranges[i]
            assert run.offset <= offset
            assert offset + length <= run.offset + run.length


@given(RANGES, st.integers(0, 60))
def test_many_ranges_come_in_the_order_in_which_they_were_asked(ranges: list[tuple[int, int]], gap: int) -> None:
    reader = RangeReader(MemorySource(BLOB), gap=gap, most=200, requests=3)
    assert list(reader.read_many(ranges)) == [BLOB[o : o + n] for o, n in ranges]
    reader.prefetch(ranges)
    assert [reader.read(o, n) for o, n in ranges] == [BLOB[o : o + n] for o, n in ranges]


def test_neighbours_are_joined_and_memory_answers_later_reads() -> None:
    source = Counting(BLOB)
    reader = RangeReader(source, gap=20, most=100, requests=1)
    assert list(reader.read_many([(0, 30), (40, 30), (200, 10), (90, 30)])) == [
        BLOB[0:30], BLOB[40:70], BLOB[200:210], BLOB[90:120],
    ]  # fmt: skip
    assert source.calls == [(0, 70), (90, 30), (200, 10)]
    reader.prefetch([(500, 50)])
    source.calls.clear()
    assert reader.read(510, 20) == BLOB[510:530]
    assert source.calls == []
    assert reader.read(540, 20) == BLOB[540:560]
    assert source.calls == [(540, 20)]


@pytest.mark.parametrize("chunks", [12, 700])
def test_an_exploded_scene_is_the_file_again(tmp_path: Path, chunks: int) -> None:
    data = spk(chunks, size=60)
    (tmp_path / "a.spk").write_bytes(data)
    first = explode(tmp_path / "a.spk", tmp_path / "out")
    assert first.written == first.objects == chunks + 1 + (2 if chunks > 512 else 0)
    assert first.bytes_written == len(data)
    again = explode(tmp_path / "a.spk", tmp_path / "out")
    assert (again.written, again.manifest) == (0, first.manifest)
    with open_exploded(first.manifest) as source:
        assert source.size == len(data)
        assert source.read(0, source.size) == data
        with ContainerReader(source) as reader:
            assert all(reader.chunk_bytes(c) for c in reader.chunks)


def test_scenes_share_objects(tmp_path: Path) -> None:
    (tmp_path / "a.spk").write_bytes(spk(8, size=60))
    (tmp_path / "b.spk").write_bytes(spk(10, size=60))
    explode(tmp_path / "a.spk", tmp_path / "out")
    assert explode(tmp_path / "b.spk", tmp_path / "out").written == 3


def test_a_damaged_or_missing_object_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.spk").write_bytes(spk(8, size=60))
    manifest = explode(tmp_path / "a.spk", tmp_path / "out").manifest
    victim = sorted((tmp_path / "out" / "c").rglob("*.spkc"))[0]
    good = victim.read_bytes()
    victim.write_bytes(bytes(len(good)))
    with open_exploded(manifest) as source, pytest.raises(ChecksumError, match="object c/"):
        source.read(0, source.size)
    victim.unlink()
    with open_exploded(manifest) as source, pytest.raises(StorageError):
        source.read(0, source.size)
    Path(manifest).write_bytes(b"junk")
    with pytest.raises(SplatpackError):
        open_exploded(manifest)


def test_a_damaged_file_is_not_exploded(tmp_path: Path) -> None:
    data = bytearray(spk(8, size=60))
    data[-1] ^= 1
    (tmp_path / "a.spk").write_bytes(data)
    with pytest.raises(ChecksumError):
        explode(tmp_path / "a.spk", tmp_path / "out")
    assert list((tmp_path / "out").glob("*.spkm")) == []


class Objects(Host):
    """Serves a folder of objects without ranges."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        files = {"/" + p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        self.script = lambda h, r, n: h.send(r, 200, files[r.path]) if r.path in files else h.send(r, 404)
        self.base = self.url.removesuffix("scene.spk")


def test_an_exploded_scene_over_http(tmp_path: Path) -> None:
    data = spk(700, size=60)
    (tmp_path / "a.spk").write_bytes(data)
    report = explode(tmp_path / "a.spk", tmp_path / "out")
    host = Objects(tmp_path / "out")
    with open_url(host.base + Path(report.manifest).name, client=HttpClient()) as reader:
        some = reader.chunks[5]
        assert reader.chunk_bytes(some) == data[some.offset : some.offset + some.length]
        assert len(host.seen) == 1 + 2 + 1
    host.close()


def test_commands_read_urls_and_objects(cli: Runner, folder: Path) -> None:
    host = Host()
    host.data = (folder / "scene.spk").read_bytes()
    local = cli("info", folder / "scene.spk", "--json").json
    assert cli("info", host.url, "--json").json == {**local, "input": host.url}
    assert cli("verify", host.url, "--json").json["ok"] is True
    done = cli("decompress", host.url, "-o", folder / "back.ply", "--json")
    assert done.json["bytes_in"] == len(host.data)
    assert cli("decompress", folder / "scene.spk", "-o", folder / "same.ply").status == 0
    assert (folder / "back.ply").read_bytes() == (folder / "same.ply").read_bytes()
    report = json.loads(cli("explode", folder / "scene.spk", "-o", folder / "objects", "--json").out)
    assert {"manifest", "objects", "written", "bytes"} <= set(report)
    assert cli("info", report["manifest"], "--json").json["root_hash"] == local["root_hash"]
    host.close()
    missing = cli("info", folder / "none.spkm")
    assert (missing.status, missing.err.count("\n")) == (6, 1)


def test_a_local_file_is_a_source_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(BLOB)
    source: ByteSource = FileSource(tmp_path / "blob")
    reader = RangeReader(source)
    assert list(reader.read_many([(5, 5), (0, 5)])) == [BLOB[5:10], BLOB[:5]]
    reader.close()
