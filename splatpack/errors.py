"""The exception tree of splatpack.

Every error is a :class:`SplatpackError` and also the builtin that a caller would expect (``ValueError``, ``OSError``).
Each class has a stable ``code`` (printed by the CLI and used in the test vectors) and an ``exit_code`` (the CLI's exit
status). A message says what is wrong, where, what was expected and what was found, and what to do about it.
"""

from __future__ import annotations


class SplatpackError(Exception):
    """Base of all errors that splatpack raises on purpose."""

    code: str = "error"
    exit_code: int = 1


class UsageError(SplatpackError, ValueError):
    """The caller asked for something impossible: a wrong option, a name that does not exist."""

    code = "usage"
    exit_code = 2


class CorruptError(SplatpackError, ValueError):
    """The bytes break a rule of their format: damaged, truncated or hostile."""

    code = "corrupt"
    exit_code = 3


class TruncatedError(CorruptError):
    """The file ends before what its header promises."""

    code = "truncated"


class ChecksumError(CorruptError):
    """A stored checksum or hash does not match the bytes."""

    code = "checksum"


class InvalidSceneError(SplatpackError, ValueError):
    """A scene holds values that no renderer can draw (NaN, infinities, zero quaternions), or nothing at all."""

    code = "invalid-scene"
    exit_code = 3


class UnsupportedError(SplatpackError, ValueError):
    """A well-formed file that this version cannot read: a future version, an unknown feature, another kind of data."""

    code = "unsupported"
    exit_code = 4


class LimitError(SplatpackError, ValueError):
    """Reading on would pass a limit of :class:`splatpack.limits.Limits`."""

    code = "limit"
    exit_code = 5


class StorageError(SplatpackError, OSError):
    """The file system refused: no such file, a full disk, a target that exists."""

    code = "io"
    exit_code = 6


class TargetExistsError(StorageError):
    """The output exists already and overwriting was not asked for."""

    code = "exists"


class PeerError(SplatpackError, ConnectionError):
    """The other end of a connection refused, broke the protocol, or was lost.

    Attributes
    ----------
    close_code : int or None
        The WebSocket close code that says why (``spec/protocol.md``, section 9), where there is one.
    """

    code = "peer"
    exit_code = 6

    def __init__(self, message: str, close_code: int | None = None) -> None:
        super().__init__(message)
        self.close_code = close_code
