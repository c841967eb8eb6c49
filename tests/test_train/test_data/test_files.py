from __future__ import annotations

from pathlib import Path

import pytest

from splatpack.errors import CorruptError
from splatpack.train.data.files import locate, plain


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("images/a.png", "images/a.png"),
        ("./a b.jpg", "a b.jpg"),
        ("sub\\c.png", "sub/c.png"),
        ("a//b", "a/b"),
        ("..a/b..png", "..a/b..png"),
    ],
)
def test_plain_names(name: str, want: str) -> None:
    assert plain(name) == want


@pytest.mark.parametrize(
    "name",
    [
        "../a.png",
        "a/../../b.png",
        "/etc/passwd",
        "\\\\host\\a",
        "C:\\a.png",
        "c:a.png",
        "",
        ".",
        "a\0.png",
        "a\n.png",
        "x" * 5000,
    ],
)
def test_names_that_leave_the_folder_or_are_none(name: str) -> None:
    with pytest.raises(CorruptError):
        plain(name)


def test_finds_a_file_with_another_suffix(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.PNG", "c.tar.png", "d"):
        (tmp_path / name).touch()
    (tmp_path / "sub").mkdir()
    for name, want in (("a.png", "a.jpg"), ("b", "b.PNG"), ("c.tar", "c.tar.png"), ("d", "d")):
        found = locate([tmp_path / "none", tmp_path], name)
        assert found is not None
        assert found.name == want
    assert locate([tmp_path], "sub") is None  # a folder
    assert locate([tmp_path], "e.png") is None
    assert locate([tmp_path], "a.png", ()) is None
    assert locate([tmp_path], "x" * 300) is None  # longer than the file system takes
