"""Containers that lie. Each is refused with its documented error, and nothing large is allocated."""

from __future__ import annotations

import struct
import tracemalloc

import pytest

from splatpack.container.layout import Header
from splatpack.errors import CorruptError, LimitError, SplatpackError, UnsupportedError
from splatpack.limits import Limits
from tests.test_container.build import container, opened, patched_column, patched_header, reseal

U32 = [2**31, 2**32 - 1]


def _read_everything(data: bytes, limits: Limits | None = None) -> None:
    reader = opened(data, limits=limits)
    _ = reader.meta, reader.tables
    for chunk in reader.chunks:
        reader.chunk_bytes(chunk)
        for s in chunk.sections:
            reader.section(chunk, s.kind)


@pytest.mark.parametrize("chunks", [1, 3])
def test_every_truncation_is_refused(chunks: int) -> None:
    data = container(chunks)
    for n in range(len(data)):
        with pytest.raises(CorruptError):
            _read_everything(data[:n])


@pytest.mark.parametrize("chunks", [1, 2])
def test_every_single_bit_flip_is_detected(chunks: int) -> None:
    data = container(chunks)
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit >> 3] ^= 1 << (bit & 7)
        with pytest.raises(SplatpackError) as caught:
            _read_everything(bytes(flipped))
        assert isinstance(caught.value, CorruptError)


def test_a_flip_in_a_leaf_page_is_detected() -> None:
    data = container(600)
    page = opened(data).pages[0]
    for at in range(page.offset, page.offset + page.length, 97):
        flipped = bytearray(data)
        flipped[at] ^= 1
        with pytest.raises(CorruptError):
            _read_everything(bytes(flipped))


@pytest.mark.parametrize("extra", [b"\0", b"x" * 1000])
def test_trailing_bytes_are_refused(extra: bytes) -> None:
    with pytest.raises(CorruptError, match="behind the end"):
        opened(container() + extra)


@pytest.mark.parametrize("at", [13, 14, 15, 112, 123])
def test_reserved_header_bytes(at: int) -> None:
    with pytest.raises(CorruptError, match="reserved"):
        opened(patched_header(container(), at, b"\1"))


@pytest.mark.parametrize("bit", [3, 7, 63])
def test_an_unknown_required_feature(bit: int) -> None:
    with pytest.raises(UnsupportedError, match="required features"):
        opened(patched_header(container(), 16, struct.pack("<Q", 1 << bit)))


def test_an_unknown_optional_feature_is_ignored() -> None:
    _read_everything(patched_header(container(), 24, struct.pack("<Q", 1 << 40)))


def test_versions() -> None:
    with pytest.raises(UnsupportedError, match=r"version 2\.0"):
        opened(patched_header(container(), 8, struct.pack("<HH", 2, 0)))
    _read_everything(patched_header(container(), 8, struct.pack("<HH", 1, 9)))


@pytest.mark.parametrize("kind", [0, 4, 255])
def test_unknown_kinds(kind: int) -> None:
    with pytest.raises(UnsupportedError, match="asset kind"):
        opened(patched_header(container(), 12, bytes([kind])))


@pytest.mark.parametrize("at", [40, 48, 56])
@pytest.mark.parametrize("length", U32)
def test_lying_lengths_in_the_header(at: int, length: int) -> None:
    with pytest.raises(CorruptError):
        opened(patched_header(container(), at, struct.pack("<I", length)))


@pytest.mark.parametrize("length", [0, 127, 2**31, 2**32, 2**63, 2**64 - 1])
def test_lying_file_lengths(length: int) -> None:
    with pytest.raises(CorruptError):
        opened(patched_header(container(), 32, struct.pack("<Q", length)))


@pytest.mark.parametrize("ident", [1, 2, 11])
@pytest.mark.parametrize("value", [0, *U32])
def test_lying_lengths_and_counts_in_the_directory(ident: int, value: int) -> None:
    with pytest.raises((CorruptError, LimitError)):
        opened(patched_column(container(), ident, struct.pack("<I", value)))


def test_chunks_that_overlap_or_leave_a_gap() -> None:
    data = container(2)
    for first, second in ((45, 44), (44, 46), (46, 45)):
        with pytest.raises(CorruptError):
            opened(patched_column(data, 1, struct.pack("<II", first, second)))


@pytest.mark.parametrize("delta", [-1, 1, 2**40])
def test_a_directory_that_starts_elsewhere(delta: int) -> None:
    data = container()
    head = Header.unpack(data[:128])
    root = bytearray(data[128 : head.meta_offset])
    struct.pack_into("<Q", root, 8, struct.unpack_from("<Q", root, 8)[0] + delta)
    with pytest.raises(CorruptError):
        opened(reseal(data, root=bytes(root), move=False))


@pytest.mark.parametrize("n", [0, 2, 4, 2**31, 2**32 - 1])
def test_lying_entry_counts(n: int) -> None:
    data = container(3)
    root = bytearray(data[128 : Header.unpack(data[:128]).meta_offset])
    struct.pack_into("<I", root, 4, n)
    with pytest.raises((CorruptError, LimitError)):
        opened(reseal(data, root=bytes(root)))


@pytest.mark.parametrize(
    ("ident", "value"),
    [
        (3, b"\x20"), (5, struct.pack("<f", float("nan"))), (5, struct.pack("<f", 99.0)), (7, struct.pack("<f", -1.0)),
        (6, struct.pack("<f", float("inf"))), (9, b"\0"), (9, b"\xff"), (10, b"\1\1"), (10, b"\5\1"),
    ],
)  # fmt: skip
def test_entries_out_of_range(ident: int, value: bytes) -> None:
    with pytest.raises(CorruptError):
        opened(patched_column(container(), ident, value))


@pytest.mark.parametrize("at", [0, 2, 3, 17, 18, 19])
def test_reserved_bytes_and_kinds_of_pages(at: int) -> None:
    data = container()
    root = bytearray(data[128 : Header.unpack(data[:128]).meta_offset])
    root[at] = 9
    with pytest.raises(CorruptError):
        opened(reseal(data, root=bytes(root)))


def test_an_unknown_column() -> None:
    data = container()
    root = bytearray(data[128 : Header.unpack(data[:128]).meta_offset])
    root[1] += 1
    with pytest.raises(UnsupportedError):
        opened(reseal(data, root=bytes(root) + struct.pack("<BxxxI", 77, 1) + b"x"))
    _read_everything(reseal(data, root=bytes(root) + struct.pack("<BxxxI", 200, 1) + b"x"))


def test_an_index_page_that_disagrees_with_its_leaf() -> None:
    data = container(600)
    for ident, value in ((21, struct.pack("<I", 511)), (2, struct.pack("<Q", 1)), (20, b"\0\0\0\0"), (8, b"\0" * 16)):
        with pytest.raises(CorruptError):
            _read_everything(patched_column(data, ident, value))


def test_limits_on_chunks_and_gaussians() -> None:
    with pytest.raises(LimitError, match="entries"):
        opened(container(5), limits=Limits(chunks=4))
    with pytest.raises(LimitError, match="Gaussians"):
        opened(container(5), limits=Limits(gaussians=20))


def test_nothing_large_is_allocated_for_a_lie() -> None:
    lies = [
        patched_header(container(), 40, struct.pack("<I", 2**31)),
        patched_header(container(), 32, struct.pack("<Q", 2**63)),
        patched_column(container(), 1, struct.pack("<I", 2**32 - 1)),
    ]
    tracemalloc.start()
    try:
        for lie in lies:
            with pytest.raises(SplatpackError):
                _read_everything(lie)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
