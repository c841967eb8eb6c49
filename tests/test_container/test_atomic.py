from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from splatpack.container.atomic import atomic_write
from splatpack.errors import StorageError, TargetExistsError


def test_a_save_becomes_the_target(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a") as f:
        f.write(b"new")
        assert not (tmp_path / "a").exists()
    assert (tmp_path / "a").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


def test_an_existing_target_needs_force(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(TargetExistsError), atomic_write(tmp_path / "a"):
        pass
    assert (tmp_path / "a").read_bytes() == b"old"
    with atomic_write(tmp_path / "a", force=True) as f:
        f.write(b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


def test_a_target_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    with pytest.raises(TargetExistsError), atomic_write(tmp_path / "a") as f:  # noqa: PT012
        f.write(b"new")
        (tmp_path / "a").write_bytes(b"other")
    assert (tmp_path / "a").read_bytes() == b"other"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("x"), KeyboardInterrupt()]
)
def test_the_old_file_survives_a_failure(tmp_path: Path, error: BaseException) -> None:
    (tmp_path / "a").write_bytes(b"old")
    want = StorageError if isinstance(error, OSError) else type(error)
    with pytest.raises(want), atomic_write(tmp_path / "a", force=True) as f:  # noqa: PT012
        f.write(b"half")
        raise error
    assert (tmp_path / "a").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_full_disk_at_the_flush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"), atomic_write(tmp_path / "a", force=True) as f:
        f.write(b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(StorageError), atomic_write(tmp_path / "no" / "a"):
        pass
