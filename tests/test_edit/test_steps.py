"""Steps in order, and the names of the package."""

from __future__ import annotations

import pytest

import splatpack.edit
from splatpack.edit import scale, select, translate
from splatpack.edit.steps import Count, Step, run
from splatpack.errors import UsageError
from tests import synth
from tests.test_imports import loaded_by

SCENE = synth.scene(100, 0, seed=1)
MOVE = Step("--translate 10,0,0", lambda s: translate(s, (10, 0, 0)))
KEEP = Step("--select 'x > 5'", lambda s: select(s, "x > 5"))


def test_the_order_is_the_order_of_the_list() -> None:
    few, counts = run(SCENE, [Step("--scale 2", lambda s: scale(s, 2)), KEEP, MOVE])
    assert 0 < len(few) < 100
    assert counts[1] == Count("--select 'x > 5'", 100, len(few))
    assert [c.name for c in counts] == ["--scale 2", "--select 'x > 5'", "--translate 10,0,0"]
    more, _ = run(SCENE, [MOVE, KEEP])
    assert len(more) > len(few)
    assert run(SCENE, []) == (SCENE, [])


def test_nothing_left_names_the_step() -> None:
    with pytest.raises(UsageError, match=r"--select z > 99: nothing is left of 100 Gaussians"):
        run(SCENE, [MOVE, Step("--select z > 99", lambda s: select(s, "z > 99")), MOVE])


def test_progress_tells_each_step() -> None:
    heard: list[tuple[str, int, int]] = []
    run(SCENE, [MOVE, KEEP], lambda *news: heard.append(news))
    assert heard == [("--translate", 0, 2), ("--select", 1, 2)]


def test_every_name_is_there_and_loads_on_use() -> None:
    for name in splatpack.edit.__all__:
        assert callable(getattr(splatpack.edit, name)), name
    assert dir(splatpack.edit) == sorted(splatpack.edit.__all__)
    with pytest.raises(AttributeError, match="no attribute 'crop'"):
        _ = splatpack.edit.crop
    assert not loaded_by("import splatpack.edit") & {"numpy", "numba"}
    assert not loaded_by("from splatpack import edit; edit.select; edit.merge; edit.rotate") & {"numba", "rich"}
