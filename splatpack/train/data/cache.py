"""Pictures that are kept in memory: those that were asked for last, up to a number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from splatpack.errors import UsageError
from splatpack.train.data.photo import Picture


class Cache:
    """Keeps pictures by number; safe to use from several threads.

    Parameters
    ----------
    max_bytes : int
        What all pictures together may take. One that is larger than that is never kept.
    """

    def __init__(self, max_bytes: int) -> None:
        if max_bytes < 0:
            raise UsageError(f"image cache: {max_bytes} bytes, expected 0 or more.")
        self.max_bytes, self.nbytes = max_bytes, 0
        self._kept: OrderedDict[int, Picture] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, number: int, load: Callable[[], Picture]) -> Picture:
        """Return a picture, from memory or from ``load``, which runs outside of the lock."""
        with self._lock:
            found = self._kept.get(number)
            if found is not None:
                self._kept.move_to_end(number)
                return found
        picture = load()
        with self._lock:
            if number not in self._kept and picture.nbytes <= self.max_bytes:
                self._kept[number] = picture
                self.nbytes += picture.nbytes
            while self.nbytes > self.max_bytes:
                self.nbytes -= self._kept.popitem(last=False)[1].nbytes
        return picture
