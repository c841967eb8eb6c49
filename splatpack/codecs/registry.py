"""The allow-list of codecs: a file may only name what stands here, and a name never causes an import."""

from __future__ import annotations

from typing import Any

from splatpack.codecs.base import Codec
from splatpack.codecs.columns import BytePlanes, CodedPlanes, Delta, Ordered, Quantised, RawPlanes
from splatpack.codecs.floats import Floats
from splatpack.codecs.zstd import Zstd
from splatpack.errors import CorruptError, UnsupportedError

CODECS: dict[str, type[Codec]] = {
    c.id: c for c in (Ordered, Quantised, Delta, BytePlanes, RawPlanes, CodedPlanes, Floats, Zstd)
}


def build(spec: Any) -> Codec:
    """Return the codec that untrusted metadata describes: ``{"id": name, ...parameters}``.

    Raises
    ------
    CorruptError
        ``spec`` is not such a map, or a parameter is wrong.
    UnsupportedError
        The name is not on the allow-list.
    """
    if not isinstance(spec, dict) or not isinstance(spec.get("id"), str):
        raise CorruptError(f"codec {spec!r}: expected a map with an id.")
    if spec["id"] not in CODECS:
        raise UnsupportedError(f"codec {spec['id']!r} is not known here, expected one of {sorted(CODECS)}.")
    return CODECS[spec["id"]].from_params({k: v for k, v in spec.items() if k != "id"})
