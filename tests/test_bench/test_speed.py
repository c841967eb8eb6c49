from __future__ import annotations

import json

import numpy as np

from splatpack.bench.machine import machine, sources, version
from splatpack.bench.scenes import procedural
from splatpack.bench.speed import peak_memory, timed
from splatpack.scene.validate import validate


def test_timed_calls_once_more_than_it_reports() -> None:
    calls: list[int] = []
    timing = timed(lambda: calls.append(1) or len(calls), 3)  # type: ignore[func-returns-value]
    assert len(calls) == 4
    assert len(timing.seconds) == len(timing.cpu) == 3
    assert min(timing.seconds) <= timing.median <= max(timing.seconds)
    assert timing.spread >= 1
    assert timing.result == 4
    assert len(timed(lambda: 0, 0).seconds) == 1


def test_a_slow_call_is_made_once() -> None:
    calls: list[int] = []
    assert len(timed(lambda: calls.append(1), 3, slow=0).seconds) == 1
    assert calls == [1]


def test_peak_memory_sees_an_array() -> None:
    before = peak_memory()
    assert before > 10 << 20
    np.ones(before >> 2)  # twice as large as anything so far
    assert peak_memory() > before + (before >> 1)


def test_machine_is_json() -> None:
    about = machine()
    assert {"cpu", "cores", "python", "numpy", "numba", "splatpack"} <= set(about)
    assert json.loads(json.dumps(about)) == about
    assert version("no-such-package") is None


def test_digests_of_sources() -> None:
    assert sources() == sources()
    assert len({sources(), sources("render/"), sources("render/", "scene/"), sources("formats/ply")}) == 4


def test_procedural_scene_is_seeded_and_clean() -> None:
    a, b = procedural(500), procedural(500)
    assert np.array_equal(a.means, b.means)
    assert not np.array_equal(a.means, procedural(500, seed=8).means)
    assert a.sh_degree == 3
    assert np.allclose(np.linalg.norm(a.quats, axis=1), 1, atol=1e-5)
    assert validate(a)[1].clean
