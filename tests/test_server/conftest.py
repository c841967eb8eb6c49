from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_stream.net import spk


@pytest.fixture(scope="session")
def scene() -> bytes:
    return spk(12, size=20_000)


@pytest.fixture
def folder(tmp_path: Path, scene: bytes) -> Path:
    """A folder with two scenes and something else."""
    place = tmp_path / "scenes"
    place.mkdir()
    (place / "fox.spk").write_bytes(scene)
    (place / "paged.spk").write_bytes(spk(700, size=200))
    (place / "secret.txt").write_text("not for you")
    return place
