from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from splatpack.edit import label, select
from splatpack.errors import UsageError
from tests import synth

SCENE = synth.scene(100, 0, seed=1)


def test_a_new_label_is_int32_and_zero_elsewhere() -> None:
    done = label(SCENE, "part", 3, where="x > 0")
    assert done.extras["part"].dtype == np.int32
    assert np.array_equal(done.extras["part"], np.where(SCENE.means[:, 0] > 0, 3, 0))
    assert "part" not in SCENE.extras
    assert len(select(done, "part == 3")) == (SCENE.means[:, 0] > 0).sum()


def test_a_label_is_written_over_in_its_own_type() -> None:
    scene = replace(SCENE, extras={"part": np.full(100, 7, np.uint8)})
    done = label(label(scene, "part", 9, where=np.arange(100) < 10), "part", 8, where="part == 9 and index < 5")
    assert done.extras["part"].dtype == np.uint8
    assert done.extras["part"].tolist() == [8] * 5 + [9] * 5 + [7] * 90
    assert scene.extras["part"].tolist() == [7] * 100
    floats = label(replace(SCENE, extras={"f": np.zeros(100, np.float32)}), "f", -5)
    assert (floats.extras["f"] == -5).all()
    assert floats.extras["f"].dtype == np.float32


@pytest.mark.parametrize("name", ["", "x", "opacity", "two words", "3d", "extra", "sqrt", "and", "é", "a" * 65])
def test_names_that_cannot_be_selected(name: str) -> None:
    with pytest.raises(UsageError, match="no name of an attribute"):
        label(SCENE, name, 1)


def test_values_that_do_not_fit() -> None:
    extras: dict[str, NDArray[Any]] = {
        "b": np.zeros(100, np.uint8),
        "f": np.zeros(100, np.float32),
        "v": np.zeros((100, 2), np.int32),
    }
    scene = replace(SCENE, extras=extras)
    for name, value in (("new", 1 << 31), ("b", 256), ("b", -1), ("f", (1 << 24) + 1), ("v", 1)):
        with pytest.raises(UsageError, match=f"label {name}={value}: the column is"):
            label(scene, name, value)


def test_masks_of_another_shape() -> None:
    for mask in (np.ones(99, bool), np.ones((100, 1), bool)):
        with pytest.raises(UsageError, match=r"expected bool"):
            label(SCENE, "part", 1, where=mask)
