from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from splatpack.edit import merge
from splatpack.errors import UsageError
from splatpack.scene.transform import change_frame
from tests import synth

A = replace(synth.scene(30, 1, seed=1), metadata={"source": {"format": "ply"}, "note": "first"})
B = replace(synth.scene(20, 3, seed=2), frame="rub", metadata={"source": {"format": "spz"}})


def with_extra(n: int, **extras: NDArray[Any]) -> Any:
    return replace(synth.scene(n, 0, seed=n), extras=extras)


def test_frames_and_degrees_are_reconciled() -> None:
    both = merge([A, B])
    turned = change_frame(B, "rdf")
    assert (len(both), both.frame, both.sh_degree) == (50, "rdf", 3)
    assert np.array_equal(both.means, np.concatenate([A.means, turned.means]))
    assert np.array_equal(both.shN[:30, :3], A.shN)
    assert not both.shN[:30, 3:].any()
    assert np.array_equal(both.shN[30:], turned.shN)
    other = merge([B, A])
    assert other.frame == "rub"
    assert np.allclose(change_frame(other, "rdf").means[20:], A.means)


def test_where_it_came_from() -> None:
    assert merge([A, B]).metadata == {"note": "first", "source": {"merged": [{"format": "ply"}, {"format": "spz"}]}}


def test_one_scene_is_itself() -> None:
    assert merge([A]) is A
    with pytest.raises(UsageError, match="no scene to merge"):
        merge([])


def test_extra_columns_are_united() -> None:
    one = with_extra(3, label=np.array([1, 2, 3], np.uint8), both=np.full((3, 2), 5, np.float32))
    two = with_extra(2, label=np.array([-4, 300], np.int16), score=np.array([0.5, 0.25], np.float32))
    done = merge([one, two])
    assert list(done.extras) == ["label", "both", "score"]
    assert done.extras["label"].dtype == np.int16
    assert done.extras["label"].tolist() == [1, 2, 3, -4, 300]
    assert done.extras["both"].tolist() == [[5, 5]] * 3 + [[0, 0]] * 2
    assert done.extras["score"].tolist() == [0, 0, 0, 0.5, 0.25]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (np.zeros(3, np.float32), np.zeros(2, np.int32)),
        (np.zeros(3, np.int8), np.zeros(2, np.float32)),
        (np.zeros((3, 2), np.float32), np.zeros(2, np.float32)),
        (np.zeros(3, np.int64), np.zeros(2, np.uint64)),
    ],
)
def test_columns_that_no_type_holds_together(one: NDArray[Any], two: NDArray[Any]) -> None:
    with pytest.raises(UsageError, match=r"extra column 'c': .* in one scene, .* in another"):
        merge([with_extra(3, c=one), with_extra(2, c=two)])


def test_an_unknown_frame_is_not_guessed() -> None:
    unknown = replace(A, frame="unknown")
    assert len(merge([unknown, unknown])) == 60
    for scenes in ([unknown, B], [B, unknown]):
        with pytest.raises(UsageError, match="scene 2 of the merge is in frame"):
            merge(scenes)
