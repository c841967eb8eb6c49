from __future__ import annotations

import json

import numpy as np

from splatpack.bench.machine import machine, version
from splatpack.bench.scenes import procedural
from splatpack.bench.speed import PeakMemory, timed
from splatpack.scene.validate import validate


def test_timed_calls_once_more_than_it_reports() -> None:
    calls: list[int] = []
    timing = timed(lambda: calls.append(1) or len(calls), 3)  # type: ignore[func-returns-value]
    assert len(calls) == 4
    assert len(timing.seconds) == 3
    assert min(timing.seconds) <= timing.median <= max(timing.seconds)
    assert timing.spread >= 1
    assert timing.result == 4
    assert len(timed(lambda: 0, 0, warm=False).seconds) == 1


def test_peak_memory_sees_an_array() -> None:
    with PeakMemory() as small:
        pass
    with PeakMemory() as large:
        np.ones(80 << 17)
    assert large.bytes >= small.bytes
    assert large.bytes > 80 << 20


def test_machine_is_json() -> None:
    about = machine()
    assert {"cpu", "cores", "python", "numpy", "numba", "splatpack"} <= set(about)
    assert json.loads(json.dumps(about)) == about
    assert version("no-such-package") is None


def test_procedural_scene_is_seeded_and_clean() -> None:
    a, b = procedural(500), procedural(500)
    assert np.array_equal(a.means, b.means)
    assert not np.array_equal(a.means, procedural(500, seed=8).means)
    assert a.sh_degree == 3
    assert np.allclose(np.linalg.norm(a.quats, axis=1), 1, atol=1e-5)
    assert validate(a)[1].clean
