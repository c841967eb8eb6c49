"""Runs splatpack, or a lossless baseline, on one file: the job of :mod:`splatpack.bench.protocol`."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from splatpack.bench.speed import Timing, peak_memory, timed
from splatpack.codecs.zstd import Zstd
from splatpack.container.reader import ContainerReader
from splatpack.container.source import MemorySource
from splatpack.formats.registry import read_scene, write_scene
from splatpack.limits import Limits
from splatpack.pack.api import write_with
from splatpack.pack.decode import decode
from splatpack.pack.presets import settings
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians
from splatpack.scene.validate import validate

Job = dict[str, Any]

LEVEL = 19
"""Of Zstandard, for the baselines."""


class Splatpack:
    """The codec under a preset and changes to it.

    ``options`` are ``preset``, fields of ``Settings``, and ``target_psnr``.
    """

    def __init__(self, job: Job) -> None:
        options = dict(job["options"])
        if "exact" in options:
            options["exact"] = tuple(options["exact"])
        self._target, self._threads = options.pop("target_psnr", None), job["threads"]
        self._how = settings(options.pop("preset"), **options)
        self.slow = job["slow"] if self._target is None and self._how.goal is None else 0.0

    def encode(self, scene: Gaussians) -> bytes:
        """Return a ``.spk``. Drawing the scene to find out what matters is a part of it, and so is a search."""
        path = Path("own.spk")
        write_with(path, scene, self._how, target_psnr=self._target, force=True, threads=self._threads)
        return path.read_bytes()

    def decode(self, data: bytes) -> Gaussians:
        """Decode everything."""
        with ContainerReader(MemorySource(data)) as reader:
            return decode(reader, threads=self._threads)


class Planes:
    """The lossless baseline that anybody could write: every float column as four byte planes, Zstandard over each."""

    def __init__(self, job: Job) -> None:
        self.slow = job["slow"]

    def encode(self, scene: Gaussians) -> bytes:
        """Return the count, the SH coefficients, then each column behind its length; what else a scene has is lost."""
        columns = np.concatenate([getattr(scene, a).reshape(len(scene), -1) for a in ATTRIBUTES], axis=1)
        parts = [struct.pack("<IB", len(scene), scene.shN.shape[1])]
        for column in columns.T:
            planes = np.ascontiguousarray(column, "<f4").view(np.uint8).reshape(-1, 4).T
            body = Zstd(LEVEL).encode(planes.tobytes())
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
        shapes = dict(zip(ATTRIBUTES, [(n, 3), (n, 3), (n, 4), (n,), (n, 1, 3), (n, k, 3)], strict=True))
        cuts = np.split(np.stack(columns, axis=1), np.cumsum([3, 3, 4, 1, 3]), axis=1)
        parts: dict[str, Any] = {}
        for (name, shape), part in zip(shapes.items(), cuts, strict=True):
            parts[name] = np.ascontiguousarray(part).reshape(shape)
        return Gaussians(**parts)


class General:
    """Zstandard over a PLY as it is: what ``zstd -19`` makes of one."""

    def __init__(self, job: Job) -> None:
        self.slow = job["slow"]

    def encode(self, scene: Gaussians) -> bytes:
        """Return the PLY, compressed."""
        out = BytesIO()
        write_scene(out, scene, ".ply")
        return Zstd(LEVEL).encode(out.getvalue())

    def decode(self, data: bytes) -> Gaussians:
        """Undo :meth:`encode`. For the benchmark's own bytes only."""
        path = Path("general.ply")
        path.write_bytes(Zstd().decode(data, Limits()))
        return read_scene(path)


CODECS: dict[str, Callable[[Job], Splatpack | Planes | General]] = {
    "splatpack": Splatpack,
    "planes": Planes,
    "general": General,
}


def main(path: str) -> None:
    """Do the job that a file describes, and write the answer where it says."""
    job: Job = json.loads(Path(path).read_text("utf-8"))
    codec = CODECS[job["codec"]](job)
    target = Path(job["target"])
    timing: Timing[bytes] | Timing[Gaussians]
    if job["action"] == "encode":
        scene = replace(validate(read_scene(job["source"]))[0], extras={})
        timing = timed(lambda: codec.encode(scene), job["repeat"], slow=codec.slow)
        target.write_bytes(timing.result)
    else:
        data = Path(job["source"]).read_bytes()
        timing = timed(lambda: codec.decode(data), job["repeat"], slow=job["slow"])
        with target.open("wb") as file:
            write_scene(file, timing.result, ".ply")
    answer = {"seconds": timing.seconds, "cpu": timing.cpu, "peak_rss": peak_memory()}
    Path(job["answer"]).write_text(json.dumps(answer), "utf-8")
