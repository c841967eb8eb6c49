"""Profiles that contradict themselves or each other."""

from __future__ import annotations

import copy
import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from splatpack.codecs import defaults, model
from splatpack.codecs.defaults import PartedModel
from splatpack.container.layout import PARTED_MODELS
from splatpack.container.writer import rewrite
from splatpack.errors import CorruptError, UnsupportedError
from splatpack.pack.profile import Profile, read_profiles
from splatpack.scene.gaussians import ATTRIBUTES
from tests import synth
from tests.test_pack.helpers import decoded, encoded, opened


def _file(extras: dict[str, Any]) -> tuple[Any, bytes]:
    scene = replace(synth.scene(60, 0, seed=1), extras=extras)
    reader = opened(encoded(scene, exact=ATTRIBUTES))
    return reader.meta["profiles"], reader.tables


def test_the_profiles_of_two_files_go_together() -> None:
    profiles, tables = _file({"label": np.zeros(60, np.int32)})
    assert len(read_profiles(profiles * 2, tables * 2)) == 2


@pytest.mark.parametrize(
    "other",
    [np.zeros(60, np.float32), np.zeros((60, 1), np.int32), np.zeros((60, 2), np.int32), np.zeros(60, np.uint32)],
)
def test_an_extra_column_has_one_type(other: Any) -> None:
    a, b = _file({"label": np.zeros(60, np.int32)}), _file({"label": other})
    with pytest.raises(CorruptError, match="different types"):
        read_profiles([*a[0], *b[0]], a[1] + b[1])


def test_rows_of_an_extra_column_are_flat() -> None:
    profiles, tables = _file({"v": np.zeros((60, 6), np.float32)})
    bad = copy.deepcopy(profiles)
    bad[0]["columns"][-1]["shape"] = [2, 3]
    with pytest.raises(CorruptError, match="dimensions"):
        read_profiles(bad, tables)


@pytest.mark.parametrize("where", [0, 1, 2, 3])
def test_delta_has_one_place(where: int) -> None:
    profiles, _ = _file({})
    bad = copy.deepcopy(profiles[0])
    pipeline = [c for c in bad["columns"][0]["pipeline"] if c["id"] != "delta"]
    pipeline.insert(where, {"id": "delta"})
    bad["columns"][0]["pipeline"] = pipeline
    if where == 1:
        assert Profile.from_dict(bad).columns[0].pipeline.spec == pipeline
    else:
        with pytest.raises(CorruptError):
            Profile.from_dict(bad)


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "<f8"}, {"dtype": "<i4"}, {"name": ""}, {"name": 5}, {"attribute": 1}, {"shape": [4]}, {"shape": "x"},
        {"pipeline": []}, {"pipeline": [{"id": "raw"}]}, {"more": 1},
    ],
)  # fmt: skip
def test_columns_that_lie(change: dict[str, Any]) -> None:
    profiles, _ = _file({})
    bad = copy.deepcopy(profiles[0])
    bad["columns"][0].update(change)
    with pytest.raises(CorruptError):
        Profile.from_dict(bad)


def test_an_unknown_codec_is_unsupported() -> None:
    profiles, _ = _file({})
    bad = copy.deepcopy(profiles[0])
    bad["columns"][0]["pipeline"][-1] = {"id": "lzma"}
    with pytest.raises(UnsupportedError):
        Profile.from_dict(bad)


def test_a_small_file_takes_default_models_and_says_so() -> None:
    reader = opened(encoded(synth.scene(60, 3, seed=2)))
    assert reader.header.required & PARTED_MODELS
    assert reader.header.minor == 1
    (profile,) = read_profiles(reader.meta["profiles"], reader.tables, reader.header.required)
    assert isinstance(profile.geometry_model, PartedModel)
    assert isinstance(profile.sh_model, PartedModel)
    assert profile.tables() == reader.tables
    assert profile.required == PARTED_MODELS
    with pytest.raises(CorruptError, match="number of tables"):
        read_profiles(reader.meta["profiles"], reader.tables)


def test_default_models_change_the_size_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = synth.scene(60, 3, seed=2)
    small = encoded(scene)
    monkeypatch.setattr(defaults, "fit", lambda counts, kind: model.fit(counts, kind.groups))
    own = encoded(scene)
    assert opened(own).header.required & PARTED_MODELS == 0
    assert len(small) < len(own)
    for name in ATTRIBUTES:
        assert (getattr(decoded(small), name) == getattr(decoded(own), name)).all()


def test_a_rewritten_file_keeps_its_required_features() -> None:
    reader = opened(encoded(synth.scene(60, 1, seed=3)))
    out = io.BytesIO()
    rewrite(reader, reader.meta, out)
    assert opened(out.getvalue()).header == reader.header
