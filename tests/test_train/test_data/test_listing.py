from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splatpack.errors import CorruptError
from splatpack.train.data.listing import rigid


@given(st.lists(st.floats(-1, 1), min_size=9, max_size=9), st.floats(0, 0.004))
def test_brings_a_rounded_rotation_to_the_nearest_one(values: list[float], noise: float) -> None:
    u, _, vt = np.linalg.svd(np.array(values).reshape(3, 3) + np.eye(3) * 1e-3)
    turn = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
    viewmat = np.eye(4)
    viewmat[:3, :3] = turn + noise * np.sin(np.arange(9)).reshape(3, 3)
    found = rigid(viewmat, "here")[:3, :3]
    assert np.abs(found @ found.T - np.eye(3)).max() < 1e-12
    assert np.linalg.det(found) == pytest.approx(1)
    assert np.abs(found - turn).max() <= 2 * noise + 1e-9


@pytest.mark.parametrize("scale", [0, 1.1, -1, np.nan, np.inf])
def test_refuses_what_is_none(scale: float) -> None:
    viewmat = np.eye(4)
    viewmat[[0, 1, 2], [0, 1, 2]] = scale
    with pytest.raises(CorruptError, match="here"):
        rigid(viewmat, "here")
