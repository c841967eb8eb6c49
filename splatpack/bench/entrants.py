"""What is measured: splatpack's presets, lossless modes, and every other codec that is installed here."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import numpy as np

from splatpack.codecs.zstd import Zstd
from splatpack.container.reader import ContainerReader
from splatpack.container.source import MemorySource
from splatpack.limits import Limits
from splatpack.pack.decode import decode
from splatpack.pack.encode import encode
from splatpack.pack.presets import PRESETS, Settings
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians


class Entrant(ABC):
    """A codec under test. Only :meth:`encode` and :meth:`decode` are on the clock.

    Attributes
    ----------
    name : str
    child_rss : int
        Peak memory of the process that did the work, bytes, where it was not this one; 0 otherwise.
    warm : bool
        Whether a first, untimed call is worth its time.
    """

    name: str
    child_rss: int = 0
    warm: bool = True

    def prepare(self, scene: Gaussians, folder: Path) -> Any:
        """Return what :meth:`encode` takes."""
        del folder
        return scene

    @abstractmethod
    def encode(self, prepared: Any) -> bytes:
        """Return the coded file."""

    @abstractmethod
    def decode(self, data: bytes) -> Any:
        """Return the decoded scene in the codec's own form."""

    def scene(self, decoded: Any) -> Gaussians:
        """Return the decoded scene in ours."""
        return cast(Gaussians, decoded)


class Splatpack(Entrant):
    """splatpack under some settings."""

    def __init__(self, settings: Settings, threads: int | None) -> None:
        self.name = f"splatpack {settings.name}"
        self._settings, self._threads = settings, threads

    def encode(self, prepared: Any) -> bytes:
        """Return a ``.spk``."""
        out = BytesIO()
        encode(prepared, out, self._settings, threads=self._threads)
        return out.getvalue()

    def decode(self, data: bytes) -> Gaussians:
        """Decode everything."""
        with ContainerReader(MemorySource(data)) as reader:
            return decode(reader, threads=self._threads)


class PlanesZstd(Entrant):
    """The lossless baseline that anybody could write: every float column as four byte planes, Zstandard 19."""

    name = "byte planes + zstd-19"

    def prepare(self, scene: Gaussians, folder: Path) -> Gaussians:
        """Drop what the baseline does not store."""
        return replace(scene, extras={}, metadata={})

    def encode(self, prepared: Any) -> bytes:
        """Return the count, the SH coefficients, the frame, then each column behind its length."""
        columns = np.concatenate([getattr(prepared, a).reshape(len(prepared), -1) for a in ATTRIBUTES], axis=1)
        parts = [struct.pack("<IB", len(prepared), prepared.shN.shape[1])]
        for column in columns.T:
            planes = np.ascontiguousarray(column, "<f4").view(np.uint8).reshape(-1, 4).T
            body = Zstd(19).encode(planes.tobytes())
            parts.append(struct.pack("<I", len(body)) + body)
        return b"".join(parts)

    def decode(self, data: bytes) -> Gaussians:
        """Undo :meth:`encode`. For the benchmark's own bytes only."""
        n, k = struct.unpack_from("<IB", data)
        at, columns = 5, []
        for _ in range(14 + 3 * k):
            (length,) = struct.unpack_from("<I", data, at)
            planes = np.frombuffer(Zstd().decode(data[at + 4 : at + 4 + length], Limits()), np.uint8).reshape(4, n)
            columns.append(np.ascontiguousarray(planes.T).view("<f4").reshape(n))
            at += 4 + length
        flat = np.stack(columns, axis=1)
        shapes = dict(zip(ATTRIBUTES, [(n, 3), (n, 3), (n, 4), (n,), (n, 1, 3), (n, k, 3)], strict=True))
        cuts = np.split(flat, np.cumsum([3, 3, 4, 1, 3]), axis=1)
        parts: dict[str, Any] = {}
        for (name, shape), part in zip(shapes.items(), cuts, strict=True):
            parts[name] = np.ascontiguousarray(part).reshape(shape)
        return Gaussians(**parts)


def own(threads: int | None = None) -> list[Entrant]:
    """Return splatpack's presets, its lossless mode, and the lossless baseline."""
    lossless = Settings(exact=ATTRIBUTES, name="lossless")
    return [*(Splatpack(s, threads) for s in (*PRESETS.values(), lossless)), PlanesZstd()]
