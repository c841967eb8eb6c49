from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from splatpack.edit import statistics
from splatpack.edit.stats import BINS
from tests import synth

SCENE = replace(
    synth.scene(3000, 1, seed=3),
    extras={
        "label": np.arange(3000) % 4,
        "v": np.ones((3000, 2), np.float32),
        "nan": np.full(3000, np.nan, np.float32),
    },
)


def test_every_attribute_and_column_is_there_and_is_json() -> None:
    found = statistics(SCENE)
    assert list(found)[:3] == ["x", "y", "z"]
    assert {"opacity", "scale_max", "red", "sh_norm", "label", "v[0]", "v[1]", "nan"} < set(found)
    assert "index" not in found
    json.dumps({name: summary.as_dict() for name, summary in found.items()}, allow_nan=False)


def test_counts_tell_the_whole_scene_and_match_numpy() -> None:
    for name, s in statistics(SCENE).items():
        assert sum(s.counts) + s.below + s.above + s.non_finite == 3000, name
    x = SCENE.means[:, 0].astype(np.float64)
    s = statistics(SCENE)["x"]
    assert s.counts == np.histogram(x, s.edges)[0].tolist()
    assert len(s.counts) == BINS
    assert (s.low, s.high) == (x.min(), x.max())
    assert s.median == pytest.approx(np.median(x))
    assert s.mean == pytest.approx(x.mean())
    assert (s.below, s.above) == (15, 15)
    assert np.allclose(np.diff(s.edges), s.edges[1] - s.edges[0])


def test_scales_have_bins_in_equal_ratios() -> None:
    edges = np.array(statistics(SCENE)["scale_max"].edges)
    assert np.allclose(edges[1:] / edges[:-1], edges[1] / edges[0])


def test_constant_and_hopeless_columns() -> None:
    found = statistics(SCENE)
    assert (found["v[0]"].edges, found["v[0]"].counts) == ([1.0, 1.0], [3000])
    assert found["nan"].low is None
    assert (found["nan"].edges, found["nan"].counts, found["nan"].non_finite) == ([], [], 3000)
    empty = statistics(synth.scene(0))["x"]
    assert (empty.low, empty.counts, empty.non_finite) == (None, [], 0)
