"""Metadata, plain and packed."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import splatpack.container
from splatpack.container import meta
from splatpack.container.layout import META_MAX, PACKED_METADATA
from splatpack.container.writer import ContainerWriter, rewrite
from splatpack.errors import CorruptError, LimitError
from splatpack.limits import Limits
from tests.test_container.build import opened, reseal

SPEC = Path(__file__).resolve().parents[2] / "spec"
USUAL: dict[str, Any] = {"n": 1, "sh_degree": 3, "frame": "rdf", "flags": [], "order_kept": False, "source": {}}


def _file(size: int, metadata: dict[str, Any], required: int = 0) -> bytes:
    out = io.BytesIO()
    with ContainerWriter() as writer:
        writer.add([(0, bytes(size))], count=1, low=(0.0,) * 3, high=(1.0,) * 3, reach=0.0)
        writer.finish(metadata, b"", out, required=required)
    return out.getvalue()


def test_the_package_ships_the_dictionary_of_the_specification() -> None:
    package = Path(splatpack.container.__path__[0])
    assert (package / "metadata.dict").read_bytes() == (SPEC / "metadata.dict").read_bytes()


@given(st.binary(max_size=3000))
def test_round_trip_of_anything(data: bytes) -> None:
    assert meta.inflate(meta.deflate(data)) == data


@given(st.binary(max_size=300))
def test_random_bytes_are_corrupt_or_expand(data: bytes) -> None:
    with suppress(CorruptError):
        assert len(meta.inflate(data)) <= META_MAX


def test_a_stored_block_stands_in_for_the_dictionary() -> None:
    dictionary = (SPEC / "metadata.dict").read_bytes()
    block = b"\0" + struct.pack("<HH", len(dictionary), len(dictionary) ^ 0xFFFF) + dictionary
    packed = meta.deflate(meta.pack(USUAL))
    assert zlib.decompress(block + packed, wbits=-15) == dictionary + meta.pack(USUAL)


def test_every_prefix_and_extra_bytes_fail() -> None:
    packed = meta.deflate(meta.pack(USUAL))
    for n in range(len(packed)):
        with pytest.raises(CorruptError):
            meta.inflate(packed[:n])
    with pytest.raises(CorruptError):
        meta.inflate(packed + b"\0")


def test_no_more_is_expanded_than_the_format_allows() -> None:
    assert len(meta.inflate(meta.deflate(bytes(META_MAX)))) == META_MAX
    with pytest.raises(CorruptError, match="1,048,576"):
        meta.inflate(meta.deflate(bytes(META_MAX + 1)))


def test_a_small_file_packs_its_metadata_and_a_large_one_does_not() -> None:
    small, large = opened(_file(100, USUAL)), opened(_file(200_000, USUAL))
    assert (small.header.required, small.header.minor) == (PACKED_METADATA, 1)
    assert (large.header.required, large.header.minor) == (0, 0)
    assert small.header.meta_len < large.header.meta_len == len(meta.pack(USUAL))
    assert small.meta == large.meta == USUAL


def test_rewriting_decides_again() -> None:
    small = opened(_file(3000, USUAL, required=1))
    out = io.BytesIO()
    rewrite(small, {"x": 1.0625e-9}, out)
    again = opened(out.getvalue())
    assert (small.header.required, again.header.required) == (1 | PACKED_METADATA, 1)
    assert again.meta == {"x": 1.0625e-9}


def test_expanded_metadata_are_debited() -> None:
    packed = meta.deflate(meta.pack({"x": "y" * 1_000_000}))
    data = reseal(_file(100, USUAL), meta=packed)
    assert opened(data).meta == {"x": "y" * 1_000_000}
    with pytest.raises(LimitError, match="metadata"):
        _ = opened(data, limits=Limits(memory=500_000, ratio=1)).meta
