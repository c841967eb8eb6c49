"""Runs one codec of a Python package on one file: ``python python.py JOB.json``, with the peers' own interpreter.

The job and the answer are those of ``splatpack.bench.protocol``. Nothing of splatpack is imported: it is not installed
where this runs.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

Job = dict[str, Any]
Result = tuple[Any, list[float], list[float]]


def timed(call: Callable[[], Any], job: Job) -> Result:
    """Return the last result, and wall and processor seconds.

    A first call warms up; where it takes longer than ``job["slow"]`` seconds it is the only one, and the figure.
    """

    def once() -> tuple[Any, float, float]:
        cpu, wall = time.process_time(), time.perf_counter()
        result = call()
        return result, time.perf_counter() - wall, time.process_time() - cpu

    calls = [once()]
    if calls[0][1] < job["slow"]:
        calls = [once() for _ in range(job["repeat"])]
    return calls[-1][0], [c[1] for c in calls], [c[2] for c in calls]


def peak_memory() -> int:
    """Return the largest resident size of this process, bytes; 0 where there is no ``/proc``."""
    try:
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


class Gsply:
    """gsply, SPZ version 4 with eight bits for every SH coefficient."""

    def __init__(self) -> None:
        self.library = import_module("gsply")

    def encode(self, job: Job) -> Result:
        """Write from its arrays in memory."""
        data = self.library.plyread(job["source"])
        return timed(lambda: self.library.write_spz(job["target"], data, version=4), job)

    def decode(self, job: Job) -> Result:
        """Read into its arrays, and write those as PLY."""
        done = timed(lambda: self.library.read_spz(job["source"]), job)
        self.library.plywrite(job["target"], done[0])
        return done


class GsplyCompressed(Gsply):
    """gsply, PlayCanvas's compressed PLY."""

    def encode(self, job: Job) -> Result:
        """Write from its arrays in memory."""
        data = self.library.plyread(job["source"])
        columns = {name: getattr(data, name) for name in ("scales", "quats", "opacities", "sh0", "shN")}
        return timed(lambda: self.library.plywrite(job["target"], data.means, **columns, compressed=True), job)

    def decode(self, job: Job) -> Result:
        """Read into its arrays, and write those as PLY."""
        done = timed(lambda: self.library.plyread(job["source"]), job)
        self.library.plywrite(job["target"], done[0])
        return done


class GaussForge:
    """gaussforge, C++: from its own form in memory to the bytes of a format."""

    def __init__(self) -> None:
        self.library = import_module("gaussforge").GaussForge()

    def encode(self, job: Job) -> Result:
        """Write ``options.format`` to memory."""
        scene = self._taken(self.library.read(Path(job["source"]).read_bytes(), "ply"))
        options = dict(job["options"])
        name = options.pop("format")
        done = timed(lambda: self._taken(self.library.write(scene, name, **options)), job)
        Path(job["target"]).write_bytes(done[0])
        return done

    def decode(self, job: Job) -> Result:
        """Read ``options.format`` from memory, and write PLY."""
        data = Path(job["source"]).read_bytes()
        done = timed(lambda: self._taken(self.library.read(data, job["options"]["format"])), job)
        Path(job["target"]).write_bytes(self._taken(self.library.write(done[0], "ply")))
        return done

    @staticmethod
    def _taken(answer: dict[str, Any]) -> Any:
        if "error" in answer:
            raise RuntimeError(str(answer["error"]))
        return answer["data"]


class Sogpy:
    """sogpy, SOG from file to file: it has no other way, so reading the PLY is on the clock. It has no decoder."""

    def encode(self, job: Job) -> Result:
        """Convert."""
        library = import_module("SogPython")
        return timed(lambda: library.convert_ply_to_sog(job["source"], job["target"]), job)


CODECS: dict[str, Callable[[], Any]] = {
    "gsply": Gsply,
    "gsply-compressed": GsplyCompressed,
    "gaussforge": GaussForge,
    "sogpy": Sogpy,
}


def main(path: str) -> None:
    """Do the job that a file describes, and write the answer where it says."""
    job = json.loads(Path(path).read_text("utf-8"))
    _, seconds, cpu = getattr(CODECS[job["codec"]](), job["action"])(job)
    answer = {"seconds": seconds, "cpu": cpu, "peak_rss": peak_memory()}
    Path(job["answer"]).write_text(json.dumps(answer), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
