"""How a codec is run: as a process of its own, from a file to a file, by a worker that knows its library.

The worker is given the path of a job, a JSON object:

``action``   ``encode`` or ``decode``
``codec``    a name that the worker knows
``options``  an object that the codec knows
``source``   the file to read: a PLY of float32, or the coded file
``target``   the file to write: the coded file, or a PLY of float32
``answer``   where the answer goes: ``{"seconds": [...], "cpu": [...], "peak_rss": bytes}``; the times are those of the
             codec's call alone
``home``     the folder of the peers
``repeat``, ``slow``, ``threads``   as in :func:`splatpack.bench.speed.timed`; threads for splatpack

So a start of Python or node, and reading and writing PLY, are on no clock; a codec that hangs, dies or takes all memory
harms nobody else; and the peak memory is that of the whole process, the same for everyone.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from splatpack.errors import SplatpackError


class PeerError(SplatpackError):
    """A codec under test failed."""

    code = "peer"


class SlowPeerError(PeerError):
    """A codec under test took too long, and was stopped."""

    code = "peer_slow"


@dataclass(frozen=True)
class Clock:
    """Figures of one direction.

    Attributes
    ----------
    seconds, cpu : list of float
        Wall and processor seconds of each timed call.
    peak_rss : int
        Largest resident size of the whole process, bytes.
    """

    seconds: list[float]
    cpu: list[float]
    peak_rss: int

    @property
    def median(self) -> float:
        """Median wall seconds."""
        return median(self.seconds)

    @property
    def spread(self) -> float:
        """Slowest over fastest call."""
        return max(self.seconds) / max(min(self.seconds), 1e-9)


def work(words: list[str], job: dict[str, Any], folder: Path, timeout: float) -> Clock:
    """Have a worker do a job.

    Parameters
    ----------
    words : list of str
        The worker's command line; the path of the job is added.
    job : dict
        See above, without ``answer``.
    folder : Path
        Empty or reused; the worker runs in it.
    timeout : float
        Seconds of the whole process.

    Raises
    ------
    PeerError, SlowPeerError
        It failed, left no file or no sensible answer, or took longer.
    """
    answer, target = folder / "answer.json", Path(job["target"])
    for path in (answer, target):
        path.unlink(missing_ok=True)
    (folder / "job.json").write_text(json.dumps({**job, "answer": str(answer)}), "utf-8")
    status, text = run([*words, str(folder / "job.json")], folder, timeout)
    if status != 0 or not answer.exists() or not target.exists():
        raise PeerError(f"{job['action']}: exit status {status}: {_point(text)}")
    try:
        said = json.loads(answer.read_text("utf-8"))
        return Clock([float(s) for s in said["seconds"]], [float(s) for s in said["cpu"]], int(said["peak_rss"]))
    except (ValueError, KeyError, TypeError) as error:
        raise PeerError(f"{job['action']}: the worker's answer is not as agreed: {error}.") from error


def run(words: list[str], folder: Path, timeout: float) -> tuple[int, str]:
    """Run a program in a process group of its own; return exit status and the end of stderr.

    Raises
    ------
    PeerError, SlowPeerError
        It cannot be started; it took longer than ``timeout`` seconds, and all of the group was killed.
    """
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    with (folder / "stderr").open("w+b") as err:
        try:
            child = subprocess.Popen(
                words, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise PeerError(f"{words[0]} cannot be started: {error.strerror or error}.") from error
        try:
            status = child.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise SlowPeerError(f"stopped after {timeout:g} s, unfinished.") from error
        finally:
            _end(child)
        err.seek(max(0, err.tell() - 4096) if err.seek(0, os.SEEK_END) else 0)
        return status, err.read(4096).decode("utf-8", "replace")


def _point(text: str) -> str:
    """The line of a traceback that says what happened: the last one that names an error, or the last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [line for line in lines if "rror" in line.split(":")[0]]
    return (named or lines or ["no message"])[-1][:300]


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a process group, and take its exit status."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
