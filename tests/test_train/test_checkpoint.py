"""Checkpoints: everything comes back, and nothing that is damaged or hostile gets in."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splatpack.container import meta
from splatpack.errors import (
    ChecksumError,
    CorruptError,
    LimitError,
    SplatpackError,
    StorageError,
    TruncatedError,
    UnsupportedError,
)
from splatpack.limits import Limits
from splatpack.train.checkpoint import Checkpoint, identity, load, save
from splatpack.train.record import Point
from splatpack.train.settings import TrainSettings
from splatpack.train.state import State
from tests import synth
from tests.test_train import photos

POINT = Point(3, 0.5, 1.25, 10, 0.1, 20.0, 2, 19.5, 0.8)


def checkpoint() -> Checkpoint:
    settings = TrainSettings(exposure=True, strategy="adc", rates={"means": 1e-3})
    state = State.first(synth.scene(10, 1), 4, settings)
    state.adam.averages["sh0"][:] = 0.5
    state.iteration, state.adam.steps, state.loss, state.error, state.seconds = 3, 3, 0.1, 0.01, 1.25
    state.history.append(POINT)
    return state.checkpoint(settings, "photos")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    where = tmp_path / "run.checkpoint"
    save(where, checkpoint())
    return where


def test_everything_comes_back(path: Path) -> None:
    want, got = checkpoint(), load(path)
    assert got.settings == want.settings
    assert got.numbers == want.numbers
    assert got.history == [POINT]
    assert got.photos == "photos"
    assert list(got.arrays) == list(want.arrays)
    for name, array in want.arrays.items():
        assert got.arrays[name].dtype == array.dtype
        assert (got.arrays[name] == array).all()
    state = State.restored(got, 4)
    assert state.iteration == state.adam.steps == 3
    assert (state.adam.averages["sh0"] == 0.5).all()
    assert state.checkpoint(want.settings, "photos").numbers == want.numbers


def test_every_prefix_and_more_bytes_fail(path: Path) -> None:
    data = path.read_bytes()
    for length in [*range(0, 60), *range(60, len(data), 331), len(data) - 1]:
        path.write_bytes(data[:length])
        with pytest.raises(CorruptError):
            load(path)
    path.write_bytes(data + b"\0")
    with pytest.raises(CorruptError, match="not what its arrays take"):
        load(path)


def test_every_changed_byte_is_found(path: Path) -> None:
    data = path.read_bytes()
    for at in range(0, len(data), 97):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :])
        with pytest.raises(SplatpackError):
            load(path)


def edited(path: Path, **changes: Any) -> Path:
    """Change fields of the head, and make its digest fit again."""
    data = path.read_bytes()
    length = struct.unpack_from("<I", data, 12)[0]
    head = meta.unpack(data[48 : 48 + length]) | changes
    head = {k: v for k, v in head.items() if v != "gone"}
    packed = meta.pack(head)
    start = struct.pack("<8sII32s", b"SPKTRAIN", 1, len(packed), hashlib.sha256(packed).digest())
    path.write_bytes(start + packed + data[48 + length :])
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {"photos": "gone"},
        {"more": 1},
        {"settings": {}},
        {"settings": TrainSettings().as_dict() | {"iterations": -1}},
        {"settings": TrainSettings().as_dict() | {"rates": [1]}},
        {"settings": TrainSettings().as_dict() | {"coarse": "wide"}},
        {"numbers": [1]},
        {"numbers": {"iteration": "3"}},
        {"history": 1},
        {"history": [{"iteration": 1}]},
        {"history": [{**dict.fromkeys(POINT.__dataclass_fields__), "loss": "x"}]},
        {"arrays": 1},
        {"arrays": [["means", "<f4", [10, 3]]]},
        {"arrays": [["means", "|O", [10, 3], ""]]},
        {"arrays": [["means", "<f4", [-10, 3], ""]]},
        {"arrays": [["a", "<f4", [0], ""], ["a", "<f4", [0], ""]]},
    ],
)
def test_heads_that_are_refused(path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(CorruptError):
        load(edited(path, **changes))


def test_other_files_and_versions(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:8] + struct.pack("<I", 2) + data[12:])
    with pytest.raises(UnsupportedError, match="version 2"):
        load(path)
    path.write_bytes(b"\x93NUMPY" + data)
    with pytest.raises(CorruptError, match="no checkpoint"):
        load(path)
    with pytest.raises(StorageError, match="cannot be read"):
        load(path.with_name("none"))


def test_limits_hold(path: Path) -> None:
    with pytest.raises(LimitError):
        load(path, Limits(memory=1000))
    data = path.read_bytes()
    path.write_bytes(data[:12] + struct.pack("<I", 0xFFFFFFF0) + data[16:])
    with pytest.raises(LimitError, match="head"):
        load(path)


def test_a_damaged_array(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ChecksumError, match="SHA-256"):
        load(path)
    path.write_bytes(data[:100])
    with pytest.raises(TruncatedError, match="head"):
        load(path)


@pytest.mark.parametrize("name", ["means", "adam/shN", "strategy/pull", "exposures/maps"])
def test_states_that_do_not_fit(name: str) -> None:
    good = checkpoint()
    without = {k: v for k, v in good.arrays.items() if k != name}
    with pytest.raises(CorruptError, match="missing"):
        State.restored(replace(good, arrays=without), 4)
    with pytest.raises(CorruptError, match="expected"):
        State.restored(replace(good, arrays=good.arrays | {name: good.arrays[name][1:]}), 4)


def test_states_of_impossible_numbers() -> None:
    good = checkpoint()
    means = good.arrays["means"].copy()
    means[0, 0] = np.nan
    with pytest.raises(CorruptError, match="not finite"):
        State.restored(replace(good, arrays=good.arrays | {"means": means}), 4)
    for numbers in ({"iteration": -1}, {"iteration": 0.5}, {"steps": None}, {"seconds": 1e300}):
        with pytest.raises(CorruptError):
            State.restored(replace(good, numbers={**good.numbers, **numbers}), 4)


def test_identity_is_names_and_cameras() -> None:
    data = photos.dataset(3, (16, 16))
    same = photos.dataset(3, (16, 16))
    assert identity(data.train) == identity(same.train)
    assert identity(data.train) != identity(data.train[:2])
    assert identity(data.train) != identity(photos.dataset(3, (17, 16)).train)
