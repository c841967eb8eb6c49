"""Levels of detail in a file: round trip, cuts, every prefix, budgets, determinism, and what is refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import splatpack
from splatpack.container.layout import LEVELS
from splatpack.container.reader import ContainerReader
from splatpack.container.source import MemorySource
from splatpack.errors import UsageError
from splatpack.fit.importance import importance
from splatpack.pack.decode import decode
from splatpack.pack.encode import encode
from splatpack.pack.presets import settings
from splatpack.pack.verify import verify
from splatpack.render.compare import compare
from splatpack.render.views import orbit_cameras
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians
from tests import synth


def packed(scene: Gaussians, *, threads: int | None = None, lod: bool = True, **changes: Any) -> bytes:
    out = io.BytesIO()
    how = settings("high", goal=None, lod=lod, **{"lod_refine": 3, **changes})
    encode(scene, out, how, weights=importance(scene, views=8), threads=threads)
    return out.getvalue()


def opened(data: bytes, *, partial: bool = False) -> ContainerReader:
    return ContainerReader(MemorySource(data), partial=partial)


@pytest.fixture(scope="module")
def scene() -> Gaussians:
    return synth.scene(40_000, 1, seed=3)


@pytest.fixture(scope="module")
def file(scene: Gaussians) -> bytes:
    return packed(scene)


def test_the_file_is_sound_and_coarse_first(file: bytes, scene: Gaussians) -> None:
    reader = opened(file)
    assert verify(reader).ok
    assert reader.header.required & LEVELS
    levels = [c.level for c in reader.chunks]
    assert levels == sorted(levels, reverse=True)
    assert sorted(set(levels)) == list(range(levels[0] + 1))
    assert levels[0] >= 4
    assert reader.chunks[0].parent == -1
    assert all(c.parent >= 0 for c in reader.chunks[1:])
    assert {c.profile for c in reader.chunks if c.successors} == {1}
    errors = {c.index: c.error for c in reader.chunks}
    assert all(c.error <= errors[c.parent] for c in reader.chunks[1:])
    assert all(c.gain > 0 for c in reader.chunks)
    assert sum(c.count for c in reader.chunks) == reader.meta["n"] > len(scene)


def test_the_whole_file_is_the_flat_scene_in_another_order(file: bytes, scene: Gaussians) -> None:
    whole, flat = decode(opened(file)), decode(opened(packed(scene, lod=False)))
    assert len(whole) == len(flat) == len(scene)
    order = [np.lexsort(s.means.T) for s in (whole, flat)]
    for name in ATTRIBUTES:
        a, b = (getattr(s, name)[o] for s, o in zip((whole, flat), order, strict=True))
        assert np.array_equal(a, b), name


def test_levels_come_closer_to_the_scene(file: bytes, scene: Gaussians) -> None:
    cameras = orbit_cameras(scene, 3, 120, 90)
    coarsest = opened(file).chunks[0].level
    shown = [decode(opened(file), level=level) for level in range(coarsest, -1, -1)]
    assert [len(s) for s in shown] == sorted(len(s) for s in shown)
    quality = [compare(scene, s, cameras).psnr_mean for s in shown]
    assert quality == sorted(quality)
    finest = min(c.level for c in opened(file).chunks if c.successors)
    assert quality[-1] > quality[coarsest - finest] + 10


def test_a_layer_comes_while_the_stand_ins_of_the_others_stay(file: bytes) -> None:
    chunks = opened(file).chunks
    finest = min(c.level for c in chunks if c.successors)
    assert finest >= 2
    shown = list(opened(file).select(level=finest - 1))
    assert {c.level for c in shown} == {finest, finest - 1}
    assert all(c.successors and chunks[c.parent].successors for c in shown if c.level == finest)


def test_every_prefix_is_a_scene(file: bytes) -> None:
    reader = opened(file)
    before = 0
    for c in reader.chunks:
        part = opened(file[: c.offset + c.length], partial=True)
        there = decode(part)
        assert len(there) == sum(s.count for s in part.select())
        assert len(there) >= before
        before = len(there)
    assert before == len(decode(reader))


@pytest.mark.parametrize("budget", [1, 300, 5000, 20_000, 10**6])
def test_a_budget_is_a_cut(file: bytes, scene: Gaussians, budget: int) -> None:
    roots = opened(file).chunks[0].count
    cut = decode(opened(file), budget=budget)
    assert len(cut) <= max(budget, roots)
    assert (len(cut) == len(scene)) == (budget >= len(scene))


def test_a_box_is_cut_from_what_is_drawn(file: bytes) -> None:
    low, high = (-1.0, -1.0, -1.0), (1.0, 1.0, 1.0)
    whole = decode(opened(file), level=2)
    inside = ((whole.means >= low) & (whole.means <= high)).all(axis=1)
    part = decode(opened(file), level=2, box=(low, high))
    assert np.array_equal(part.means, whole.means[inside])


def test_the_same_bytes_for_any_number_of_threads() -> None:
    small = synth.scene(3000, 1, seed=5)
    assert packed(small, threads=1) == packed(small, threads=3)


def test_refitting_stand_ins_helps() -> None:
    small = synth.scene(4000, 0, seed=6)
    cameras = orbit_cameras(small, 4, 120, 90)
    shown = []
    for steps in (0, 40):
        reader = opened(packed(small, lod_refine=steps))
        finest = min(c.level for c in reader.chunks if c.successors)
        shown.append(compare(small, decode(reader, level=finest), cameras).psnr_mean)
    assert shown[1] > shown[0] + 0.5


@pytest.mark.parametrize("n", [1, 5, 255, 256, 700])
def test_small_scenes(n: int) -> None:
    tiny = synth.scene(n, 2, seed=n)
    data = packed(tiny)
    assert verify(opened(data)).ok
    assert len(decode(opened(data))) == n


def test_lossless_with_levels_and_extras() -> None:
    small = synth.scene(2000, 1, seed=8)
    small = Gaussians(**{a: getattr(small, a) for a in ATTRIBUTES}, extras={"label": np.arange(2000, dtype=np.int32)})
    data = packed(small, exact=ATTRIBUTES)
    whole = decode(opened(data))
    order = np.argsort(whole.extras["label"])
    for name in ATTRIBUTES:
        assert np.array_equal(getattr(whole, name)[order], getattr(small, name))
    assert not decode(opened(data), level=2).extras["label"].any()
    assert verify(opened(data)).ok


def test_what_does_not_go_together(tmp_path: Path) -> None:
    small = synth.scene(300, 0, seed=9)
    with pytest.raises(UsageError, match="keep_order"):
        packed(small, exact=ATTRIBUTES, keep_order=True)
    with pytest.raises(UsageError, match="target size"):
        splatpack.write(tmp_path / "a.spk", small, target_size=10_000, lod=True)
    with pytest.raises(UsageError, match="lod_refine"):
        settings("high", lod_refine=-1)


def test_a_goal_is_searched_without_levels_and_written_with_them(tmp_path: Path) -> None:
    small = synth.scene(3000, 0, seed=10)
    report = splatpack.write(tmp_path / "a.spk", small, target_psnr=38.0, lod=True, lod_refine=2, measure=True)
    assert report.psnr_mean is not None
    assert report.psnr_mean > 37.5
    with ContainerReader.open(tmp_path / "a.spk") as reader:
        assert reader.has_levels
    assert len(splatpack.read(tmp_path / "a.spk", budget=200)) <= 200
