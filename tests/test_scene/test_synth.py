from __future__ import annotations

import numpy as np
import pytest

from tests import synth


@pytest.mark.parametrize("n", [0, 1, 2, 49, 1000])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_sizes(n: int, degree: int) -> None:
    scene = synth.scene(n, degree)
    assert len(scene) == n
    assert scene.sh_degree == degree


def test_seeded_and_realistic() -> None:
    a, b, c = synth.scene(4000), synth.scene(4000), synth.scene(4000, seed=1)
    assert np.array_equal(a.means, b.means)
    assert np.array_equal(a.shN, b.shN)
    assert not np.array_equal(a.means, c.means)
    assert np.allclose(np.linalg.norm(a.quats, axis=1), 1, atol=1e-6)
    assert -5 < a.scales.mean() < -3.5
    assert a.shN[:, :3].std() > a.shN[:, 3:8].std() > a.shN[:, 8:].std() > 0.01
