from __future__ import annotations

from pathlib import Path

import pytest

from splatpack.bench.store import Store
from splatpack.errors import StorageError


def test_records_come_back_under_their_key_only(tmp_path: Path) -> None:
    store = Store(tmp_path / "a" / "b")
    key = {"scene": "x", "options": {"q": 0.5}, "size": [3, 4]}
    assert store.get(key) is None
    store.put(key, {"bytes": 7})
    assert Store(tmp_path / "a" / "b").get(key) == {"bytes": 7}
    assert store.get({**key, "scene": "y"}) is None
    assert store.get({**key, "size": (3, 4)}) == {"bytes": 7}
    assert store.file(key) != store.file({**key, "scene": "y"})


@pytest.mark.parametrize("damage", ["", "{", "[1]", '{"key": 1, "value": 2}'])
def test_what_cannot_be_read_is_absent(tmp_path: Path, damage: str) -> None:
    store = Store(tmp_path)
    store.put({"a": 1}, {"b": 2})
    (record,) = tmp_path.iterdir()
    record.write_text(damage)
    assert store.get({"a": 1}) is None


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Name another folder"):
        Store(tmp_path / "file" / "folder")
