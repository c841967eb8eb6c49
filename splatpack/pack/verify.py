"""Checking a whole ``.spk``: every checksum, every hash, every bound, every chunk decoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.container.directory import Chunk
from splatpack.container.reader import ContainerReader
from splatpack.errors import CorruptError, SplatpackError
from splatpack.pack.decode import SceneInfo, check_chunk, decode_chunk, scene_info
from splatpack.parallel import ordered_map


@dataclass
class VerifyReport:
    """What :func:`verify` found.

    Attributes
    ----------
    chunks : int
        Chunks that were checked.
    bytes : int
        Length of the file.
    errors : list of SplatpackError
        Every problem, in file order; empty for a sound file.
    """

    chunks: int = 0
    bytes: int = 0
    errors: list[SplatpackError] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.errors

    def as_dict(self) -> dict[str, Any]:
        """Return the report of ``splatpack verify --json``."""
        errors = [{"code": e.code, "message": str(e)} for e in self.errors]
        return {"ok": self.ok, "chunks": self.chunks, "bytes": self.bytes, "errors": errors}


def verify(reader: ContainerReader, *, threads: int | None = None) -> VerifyReport:
    """Check everything in an open file and go on after the first problem where that is possible.

    Header and root page have been checked when ``reader`` was opened; here follow metadata, tables, leaf pages, the
    checksum and hash of every chunk, its decoding, and that its box and reach hold what was decoded.
    """
    report = VerifyReport(bytes=reader.source.size)
    try:
        info = scene_info(reader)
        chunks = reader.chunks
        if sum(c.count for c in chunks) != info.n:
            raise CorruptError(f"metadata: n {info.n}, the directory has {sum(c.count for c in chunks)}.")
    except SplatpackError as error:
        report.errors.append(error)
        return report

    def work(chunk: Chunk) -> SplatpackError | None:
        try:
            _check(reader, info, chunk)
        except SplatpackError as error:
            return error
        return None

    for problem in ordered_map(work, chunks, threads):
        report.chunks += 1
        if problem is not None:
            report.errors.append(problem)
    return report


def _check(reader: ContainerReader, info: SceneInfo, chunk: Chunk) -> None:
    check_chunk(chunk, info)
    reader.chunk_bytes(chunk)
    part = decode_chunk(reader, chunk, info.profiles[chunk.profile])
    _check_box(chunk, part["@means"], part["@scales"])


def _check_box(chunk: Chunk, means: NDArray[Any], scales: NDArray[Any]) -> None:
    low, high = means.min(axis=0), means.max(axis=0)
    slack = 1e-6 * np.maximum(np.abs(low), np.abs(high))
    if (low < np.array(chunk.low) - slack).any() or (high > np.array(chunk.high) + slack).any():
        raise CorruptError(f"chunk at {chunk.offset:,}: a decoded centre lies outside its box.")
    reach = 3.0 * float(np.exp(min(float(scales.max()), 80.0)))
    if reach > chunk.reach * (1 + 1e-5) and chunk.reach < 3e38:
        raise CorruptError(
            f"chunk at {chunk.offset:,}: a Gaussian reaches {reach:.6g}, the directory says {chunk.reach:.6g}."
        )
