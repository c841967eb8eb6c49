from __future__ import annotations

import inspect

import pytest

from splatpack import errors
from splatpack.errors import SplatpackError

CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, SplatpackError)]
EXIT = {
    "error": 1,
    "usage": 2,
    "corrupt": 3,
    "truncated": 3,
    "checksum": 3,
    "invalid-scene": 3,
    "unsupported": 4,
    "limit": 5,
    "io": 6,
    "exists": 6,
    "peer": 6,
}
"""The contract with scripts: these codes and statuses never change."""


def test_codes_and_statuses_are_the_contract() -> None:
    assert {c.code: c.exit_code for c in CLASSES} == EXIT
    assert len(CLASSES) == len(EXIT), "two classes share a code"


@pytest.mark.parametrize("cls", [c for c in CLASSES if c is not SplatpackError], ids=lambda c: c.__name__)
def test_each_is_the_builtin_that_a_caller_expects(cls: type[SplatpackError]) -> None:
    expected = OSError if issubclass(cls, (errors.StorageError, errors.PeerError)) else ValueError
    with pytest.raises(expected, match="what, where"):
        raise cls("what, where")
    assert issubclass(cls, SplatpackError)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_message_survives_as_it_was_written(cls: type[SplatpackError]) -> None:
    text = "chunk 3 at offset 128: crc32 0x0, expected 0x1. Fetch the file again."
    assert str(cls(text)) == text
    assert cls.__doc__
