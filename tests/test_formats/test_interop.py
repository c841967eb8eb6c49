"""The interop report itself: what it says of peers that are not here, and that it finds a difference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.interop.__main__ import main, matched, row, table
from tests.interop.__main__ import test_scene as make_scene
from tests.interop.peers import PEERS


def test_missing_peers_have_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("not installed") == len(PEERS)
    assert all(peer.name in printed for peer in PEERS)


def test_the_folder_of_the_peers_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PEERS", raising=False)
    with pytest.raises(SystemExit):
        main([])


def test_another_order_is_matched_and_a_difference_is_found() -> None:
    scene = make_scene(200)
    order = np.random.default_rng(0).permutation(200)
    back = matched(scene, scene.take(order))
    head = ("peer", ".ply", "both")
    assert row(head, scene, back, {})[-1] == "ok"
    back.scales[7] += 0.1
    assert row(head, scene, back, {})[-1] == "OVER scales, covariances"
    back.opacities[7] = np.nan
    assert "alphas" in row(head, scene, back, {})[-1]
    assert table([row(head, scene, back, {})]).count("\n") == 2
