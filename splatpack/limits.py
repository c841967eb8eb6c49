"""The budget of a read: what hostile input may make us allocate.

Nothing is allocated from a number that was read until :meth:`Limits.debit` agreed to it. The budget is what bounds a
decompression bomb: a small file can ask for 256 MiB, a larger one for a thousand times its own size, and no file for
more than ``memory``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from splatpack.errors import LimitError

MIB = 1 << 20


@dataclass
class Limits:
    """Bounds that a reader holds to, and the running count of what it has allocated.

    Parameters
    ----------
    memory : int
        Bytes of decoded arrays that one read may allocate in total.
    gaussians : int
        Gaussians that one scene may declare.
    chunks : int
        Chunks that one file may declare.
    free : int
        Bytes that any file may expand to, however small it is.
    ratio : int
        Above ``free``, decoded bytes per stored byte.
    """

    memory: int = 32 << 30
    gaussians: int = 500_000_000
    chunks: int = 1_000_000
    free: int = 256 * MIB
    ratio: int = 1000
    spent: int = field(default=0, init=False)
    _stored: int | None = field(default=None, init=False)

    def start(self, stored_bytes: int | None) -> Limits:
        """Return a fresh budget for reading a file of ``stored_bytes`` bytes (None: the size is not known)."""
        fresh = Limits(self.memory, self.gaussians, self.chunks, self.free, self.ratio)
        fresh._stored = stored_bytes
        return fresh

    @property
    def ceiling(self) -> int:
        """Bytes that this read may allocate in all."""
        if self._stored is None:
            return self.memory
        return min(self.memory, max(self.free, self.ratio * self._stored))

    def debit(self, nbytes: int, what: str) -> None:
        """Take ``nbytes`` from the budget before they are allocated for ``what``.

        Raises
        ------
        LimitError
            The budget does not hold so much.
        """
        if nbytes < 0 or self.spent + nbytes > self.ceiling:
            raise LimitError(
                f"{what} wants {nbytes:,} bytes, expected at most {self.ceiling - self.spent:,} more "
                f"(limit {self.ceiling:,}). If the file is trusted, raise the limit (Limits(memory=..., ratio=...))."
            )
        self.spent += nbytes

    def count(self, value: int, limit: int, what: str) -> int:
        """Return ``value`` if it lies in [0, limit].

        Raises
        ------
        LimitError
            It does not.
        """
        if not 0 <= value <= limit:
            raise LimitError(f"{what}: {value:,} declared, expected at most {limit:,}.")
        return value
