from __future__ import annotations

import io
from pathlib import Path

import pytest

from splatpack.container import meta
from splatpack.container.layout import HEADER_SIZE, MAGIC, Header, content_hash
from splatpack.container.reader import ContainerReader
from splatpack.container.source import FileSource, MemorySource
from splatpack.container.writer import ContainerWriter
from splatpack.errors import CorruptError, StorageError, TruncatedError, UsageError
from tests.test_container.build import META, container, opened


def test_golden_header() -> None:
    data = container(1, size=20_000)
    assert data[:24].hex() == "8953504b0d0a1a0a01000000010000000000000000000000"
    assert Header.unpack(data[:128]).pack() == data[:128]
    assert int.from_bytes(data[32:40], "little") == len(data)


@pytest.mark.parametrize("chunks", [1, 2, 50, 150])
def test_round_trip(chunks: int) -> None:
    reader = opened(container(chunks))
    assert reader.kind == "gaussians"
    assert reader.meta == META
    assert reader.tables == b"tables"
    assert len(reader.chunks) == chunks
    for i, chunk in enumerate(reader.chunks):
        assert chunk.count == 10 + i
        assert chunk.low == (float(i), 0.0, 0.0)
        assert reader.section(chunk, 0) == bytes((i * 7 + k) % 256 for k in range(40))
        assert reader.section(chunk, 1) == bytes((i * 7 + k) % 256 for k in range(5))
        assert reader.section(chunk, 2) is None
        assert content_hash(reader.chunk_bytes(chunk)) == chunk.hash


def test_a_large_directory_is_paged_and_read_by_page() -> None:
    data = container(1200)
    reader = opened(data)
    assert reader.header.root_len <= 16384 - HEADER_SIZE
    assert [p.chunks for p in reader.pages] == [512, 512, 176]
    assert [c.count for c in reader.chunks] == [10 + i for i in range(1200)]
    assert reader.section(reader.chunks[1100], 1) == bytes((1100 * 7 + k) % 256 for k in range(5))


class CountingSource(MemorySource):
    """Remembers what was read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.reads: list[tuple[int, int]] = []

    def _read(self, offset: int, length: int) -> bytes:
        self.reads.append((offset, length))
        return super()._read(offset, length)


def test_a_box_touches_only_its_chunks_and_pages() -> None:
    source = CountingSource(container(1200))
    reader = ContainerReader(source)
    chunks = list(reader.select(low=(1100.1, 0.0, 0.0), high=(1101.2, 1.0, 1.0)))
    assert [c.count - 10 for c in chunks] == [1100, 1101]
    assert len(source.reads) == 3  # header, root page, one leaf page of three
    for c in chunks:
        reader.section(c, 0)
    assert sum(length for _, length in source.reads[3:]) == 80
    assert list(reader.select(low=(-9.0, 0.0, 0.0), high=(-8.0, 1.0, 1.0))) == []


def test_levels_are_selected_from_coarse_to_fine() -> None:
    out = io.BytesIO()
    with ContainerWriter() as writer:
        for level in (2, 1, 0, 0):
            writer.add([(0, bytes([level]))], count=1, low=(0.0,) * 3, high=(1.0,) * 3, reach=0.0, level=level)
        writer.finish(META, b"", out)
    reader = opened(out.getvalue())
    assert [c.level for c in reader.select(level=1)] == [2, 1]
    assert [c.level for c in reader.select()] == [2, 1, 0, 0]


def test_streaming_figures_survive() -> None:
    out = io.BytesIO()
    with ContainerWriter() as writer:
        writer.add([(0, b"x")], count=1, low=(0.0,) * 3, high=(1.0,) * 3, reach=0.0, error=0.5, gain=2.0)
        writer.finish(META, b"", out, optional=1 << 63)
    chunk = opened(out.getvalue()).chunks[0]
    assert (chunk.error, chunk.gain) == (0.5, 2.0)


@pytest.mark.parametrize("chunks", [4, 1100])
def test_a_cut_file_is_refused_unless_asked_for(chunks: int) -> None:
    data = container(chunks)
    third = opened(data).chunks[2]
    cut = data[: third.offset + third.length + 3]
    with pytest.raises(TruncatedError):
        opened(cut)
    reader = opened(cut, partial=True)
    whole = [c for c in reader.chunks if reader.present(c)]
    assert [c.count for c in whole] == [10, 11, 12]
    assert all(reader.section(c, 0) is not None for c in whole)


def test_files_are_read_by_position(tmp_path: Path) -> None:
    path = tmp_path / "a.spk"
    path.write_bytes(container(3))
    with ContainerReader.open(path) as reader:
        assert len(reader.chunks) == 3
    with pytest.raises(StorageError):
        ContainerReader.open(tmp_path / "missing.spk")
    with pytest.raises(StorageError):
        ContainerReader.open(tmp_path)
    with FileSource(path) as source, pytest.raises(TruncatedError):
        source.read(source.size - 1, 2)


def test_the_same_chunks_give_the_same_bytes() -> None:
    assert container(600) == container(600)


def test_too_large_metadata_is_refused_by_the_writer() -> None:
    with ContainerWriter() as writer:
        writer.add([(0, b"x")], count=1, low=(0.0,) * 3, high=(1.0,) * 3, reach=0.0)
        with pytest.raises(UsageError):
            writer.finish({"a": "x" * (1 << 20)}, b"", io.BytesIO())


@pytest.mark.parametrize(
    "value", [{"a": [1, 2.5, None, True, "x", {"b": -1}]}, {}, {"long": "y" * 70_000, "big": 2**63}]
)
def test_metadata_round_trip(value: dict[str, object]) -> None:
    assert meta.unpack(meta.pack(value)) == value


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x01", b"\x80\x00", b"\x81\x01\x02", b"\x81\xa1a\xcb\x7f\xf8" + b"\0" * 6, b"\x82\xa1a\x01\xa1a\x02",
        b"\x81\xa1a\xc4\x01x", b"\x81\xa1a\xd4\x01x", b"\x81\xa1a" + b"\x91" * 5000 + b"\xc0",
        b"\x81\xa1a\xdd\xff\xff\xff\xff",
        b"\x81\xa1\xff\x01", b"\xdf\xff\xff\xff\xff",
    ],
)  # fmt: skip
def test_hostile_metadata_is_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptError):
        meta.unpack(data)


@pytest.mark.parametrize("value", [float("nan"), b"x", object(), {1: 2}])
def test_metadata_that_the_format_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(CorruptError):
        meta.pack({"a": value})


def test_signature_guards_against_text_mode_and_truncation() -> None:
    assert MAGIC[0] >= 0x80
    assert b"\r\n" in MAGIC
    for broken in (b"", b"PK\x03\x04" + b"\0" * 200, MAGIC[:7], MAGIC[:4] + b"\n\x1a\n" + b"\0" * 200):
        with pytest.raises(CorruptError):
            opened(broken)
