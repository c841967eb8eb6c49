from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from splatpack.edit import decimate, largest
from splatpack.edit.reduction import count_of
from splatpack.errors import UsageError
from splatpack.fit.importance import importance
from splatpack.render.compare import compare
from tests import synth

SCENE = replace(synth.scene(800, 0, seed=3), extras={"row": np.arange(800)})


def test_decimate_keeps_the_most_important_in_their_order() -> None:
    part = decimate(SCENE, 200, threads=1)
    weights = importance(SCENE)
    want = np.sort(np.argsort(-weights, kind="stable")[:200])
    assert part.extras["row"].tolist() == want.tolist()
    assert decimate(SCENE, 0.25, threads=2).extras["row"].tolist() == want.tolist()


def test_largest_is_by_opacity_times_area_of_the_longest_axes() -> None:
    s = np.sort(np.exp(SCENE.scales.astype(np.float64)), axis=1)
    size = s[:, 1] * s[:, 2] / (1 + np.exp(-SCENE.opacities.astype(np.float64)))
    assert largest(SCENE, 100).extras["row"].tolist() == np.sort(np.argsort(-size)[:100]).tolist()


def test_contribution_beats_size() -> None:
    by_contribution = compare(SCENE, decimate(SCENE, 0.5)).psnr_mean
    assert by_contribution > compare(SCENE, largest(SCENE, 0.5)).psnr_mean + 1


def test_amounts() -> None:
    assert [count_of(800, a) for a in (1, 800, 900, 1.0, 0.5, 1e-9)] == [1, 800, 800, 800, 400, 1]
    assert decimate(SCENE, 1000) is SCENE
    assert largest(SCENE, 1.0) is SCENE
    assert len(decimate(synth.scene(0), 0.5)) == 0
    for bad in (0, -1, 0.0, 1.5, float("nan"), -0.5):
        for reduce in (decimate, largest):
            with pytest.raises(UsageError, match="expected"):
                reduce(SCENE, bad)
