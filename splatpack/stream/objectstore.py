"""A file in an object store (``s3://``, ``gs://``, ``az://``) as a :class:`ByteSource`, through obstore.

Needs the extra ``remote``. Credentials, region and endpoint are those of the store's own environment variables, such as
``AWS_ACCESS_KEY_ID``, ``AWS_REGION`` and ``AWS_ENDPOINT_URL``; obstore retries with growing pauses by itself.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from splatpack.container.source import ByteSource
from splatpack.errors import StorageError, UnsupportedError, UsageError

SCHEMES = ("s3", "gs", "az")
FIRST = 64 << 10
"""Bytes of the first request, which also tells size and ETag."""


def is_object(path: object) -> bool:
    """Whether a name is an address in an object store."""
    return isinstance(path, str) and path.partition("://")[0] in SCHEMES and "://" in path


class ObjectStoreSource(ByteSource):
    """An object by its address. Every request names the ETag of the first, so that two versions are never mixed.

    Parameters
    ----------
    url : str
        ``s3://BUCKET/KEY`` and the like.
    **options
        Passed to ``obstore.store.from_url``: settings of the store beside the environment's.

    Raises
    ------
    UnsupportedError
        obstore is not installed.
    UsageError
        No such address.
    StorageError
        The store refuses or cannot be reached.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self._obstore = _load()
        parts = urlsplit(url)
        self._key = parts.path.lstrip("/")
        if not is_object(url) or not parts.netloc or not self._key:
            raise UsageError(f"{url}: expected SCHEME://BUCKET/KEY, with one of the schemes {', '.join(SCHEMES)}.")
        self.name = url
        self._tag: str | None = None
        try:
            self._store = self._obstore.store.from_url(f"{parts.scheme}://{parts.netloc}", **options)
        except (self._obstore.exceptions.BaseError, ValueError) as error:
            raise UsageError(f"{url}: {_line(error)}") from error
        self._begin = b""
        self.size, self._begin = self._first()

    def _first(self) -> tuple[int, bytes]:
        """Read the beginning; return the object's size and that."""
        try:
            found = self._obstore.get(self._store, self._key, options={"range": (0, FIRST)})
            data = bytes(found.bytes())
        except (self._obstore.exceptions.BaseError, OSError) as error:
            raise StorageError(f"{self.name}: {_line(error)}") from error
        self._tag = found.meta["e_tag"]
        return int(found.meta["size"]), data

    def _read(self, offset: int, length: int) -> bytes:
        if length == 0 or offset + length <= len(self._begin):
            return self._begin[offset : offset + length]
        options: dict[str, Any] = {"range": (offset, offset + length)}
        if self._tag is not None:
            options["if_match"] = self._tag
        try:
            return bytes(self._obstore.get(self._store, self._key, options=options).bytes())
        except self._obstore.exceptions.PreconditionError as error:
            raise StorageError(f"{self.name}: the object has changed while it was read. Open it again.") from error
        except (self._obstore.exceptions.BaseError, OSError) as error:
            raise StorageError(f"{self.name}: {_line(error)}") from error


def _load() -> Any:
    try:
        import obstore
        import obstore.store
    except ImportError as error:
        raise UnsupportedError(
            "object stores need obstore, which is not installed. Install splatpack[remote]."
        ) from error
    return obstore


def _line(error: Exception) -> str:
    """Return the first line of an error of obstore, without the reply's body; what follows are its internals."""
    return str(error).strip().partition("\n")[0].partition(": <?xml")[0][:300].rstrip(".") + "."
