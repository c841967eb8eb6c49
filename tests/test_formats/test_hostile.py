"""Every reader, every field: damaged files give a scene or one of our errors, and never more than was granted."""

from __future__ import annotations

import contextlib
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splatpack.errors import CorruptError, SplatpackError
from splatpack.formats.registry import read_scene
from splatpack.limits import Limits
from splatpack.scene.validate import validate
from tests.test_formats.samples import SAMPLES, content, repacked

MEMORY = 8 << 20
FLIPS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6)
WORDS = st.sampled_from(
    [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\x80", b"\x01\0\0\0", b"\0\0\xc0\x7f", b"\0\0\x80\xff"]
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


def attempt(folder: Path, name: str, data: bytes) -> None:
    """Read a damaged file; anything but a scene or an error of ours is a defect."""
    path = folder / name
    path.write_bytes(data)
    with contextlib.suppress(SplatpackError):
        validate(read_scene(path, limits=Limits(memory=MEMORY)))


@pytest.mark.parametrize("name", SAMPLES)
def test_the_samples_are_good(folder: Path, name: str) -> None:
    (folder / name).write_bytes(SAMPLES[name])
    assert len(read_scene(folder / name)) > 0


@pytest.mark.parametrize("name", SAMPLES)
def test_every_prefix_is_refused(folder: Path, name: str) -> None:
    path, data = folder / name, SAMPLES[name]
    step = max(1, len(data) // 400)
    for end in [*range(0, len(data), step), len(data) - 1]:
        if name.endswith(".splat") and end % 32 == 0 and end:
            continue
        path.write_bytes(data[:end])
        with pytest.raises(SplatpackError):
            read_scene(path)


@pytest.mark.parametrize("name", [n for n in SAMPLES if n != "a.splat"])
@pytest.mark.parametrize("tail", [b"\0", b"\xff" * 32])
def test_trailing_bytes_are_refused(folder: Path, name: str, tail: bytes) -> None:
    path = folder / name
    path.write_bytes(SAMPLES[name] + tail)
    with pytest.raises(CorruptError):
        read_scene(path)


@pytest.mark.parametrize("name", SAMPLES)
@given(flips=FLIPS)
def test_flipped_bytes(folder: Path, name: str, flips: list[tuple[float, int]]) -> None:
    data = bytearray(content(name))
    for at, value in flips:
        data[int(at * len(data))] = value
    attempt(folder, name, repacked(name, bytes(data)))


@pytest.mark.parametrize("name", SAMPLES)
@given(at=st.floats(0, 0.999), word=WORDS, cut=st.floats(0, 1))
def test_words_of_the_worst_kind(folder: Path, name: str, at: float, word: bytes, cut: float) -> None:
    """Counts of 0, 1, 2^31 and 2^32 - 1, NaN and infinities, anywhere in a header; then perhaps a shorter file."""
    data = bytearray(content(name))
    place = int(at * min(len(data), 6000)) & ~3
    data[place : place + 4] = word
    attempt(folder, name, repacked(name, bytes(data[: max(int(cut * 2 * len(data)), 1)])))


@pytest.mark.parametrize("name", SAMPLES)
def test_each_byte_of_the_header_at_its_worst(folder: Path, name: str) -> None:
    data = content(name)
    for at in range(min(len(data), 80)):
        for value in (0, 0x7F, 0x80, 0xFF):
            attempt(folder, name, repacked(name, data[:at] + bytes([value]) + data[at + 1 :]))


def test_refusing_a_lie_costs_little_memory(folder: Path) -> None:
    """A header of 4 billion Gaussians is refused before anything of that size is asked for."""
    tracemalloc.start()
    for name in SAMPLES:
        data = content(name)
        for at in range(0, min(len(data), 64), 4):
            attempt(folder, name, repacked(name, data[:at] + b"\xff\xff\xff\x0f" + data[at + 4 :]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * MEMORY
