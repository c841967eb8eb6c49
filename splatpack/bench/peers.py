"""Other people's codecs, where they are installed: gsply in this process, splat-transform as a program."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from splatpack.bench.entrants import Entrant
from splatpack.bench.machine import version
from splatpack.errors import SplatpackError
from splatpack.formats.registry import read_scene, write_scene
from splatpack.scene.gaussians import Gaussians
from splatpack.scene.validate import validate

TIMEOUT = 300.0
"""Seconds that a program may take for one file."""


class PeerError(SplatpackError):
    """A peer failed, or took too long."""

    code = "peer"


class _FilePeer(Entrant):
    """A peer that goes from PLY file to coded file and back."""

    suffix: str

    def prepare(self, scene: Gaussians, folder: Path) -> Any:
        """Write the scene as PLY, the one format that all of them read."""
        self._folder = folder
        self._ply = folder / "peer.ply"
        with self._ply.open("wb") as file:
            write_scene(file, scene, ".ply")
        return self._ply

    def _coded(self) -> Path:
        return self._folder / f"peer{self.suffix}"

    def scene(self, decoded: Any) -> Gaussians:
        """Read the PLY that the peer wrote."""
        return validate(read_scene(decoded))[0]


class Gsply(_FilePeer):
    """gsply (Python, numba): SPZ or PlayCanvas compressed PLY, arrays in memory to a file."""

    def __init__(self, suffix: str) -> None:
        self.suffix = suffix
        self.name = f"gsply {version('gsply') or ''} {suffix}"
        self._library = import_module("gsply")

    def prepare(self, scene: Gaussians, folder: Path) -> Any:
        """Return gsply's own arrays."""
        return self._library.plyread(str(super().prepare(scene, folder)))

    def encode(self, prepared: Any) -> bytes:
        """Write the format and return its bytes."""
        path = self._coded()
        if self.suffix == ".spz":
            self._library.write_spz(str(path), prepared, version=3)
        else:
            names = ("scales", "quats", "opacities", "sh0", "shN")
            columns = {name: getattr(prepared, name) for name in names}
            self._library.plywrite(str(path), prepared.means, **columns, compressed=True)
        return path.read_bytes()

    def decode(self, data: bytes) -> Any:
        """Read the file that :meth:`encode` wrote, which ``data`` came from."""
        del data
        read = self._library.read_spz if self.suffix == ".spz" else self._library.plyread
        return read(str(self._coded()))

    def scene(self, decoded: Any) -> Gaussians:
        """Go through an uncompressed PLY."""
        path = self._folder / "decoded.ply"
        self._library.plywrite(str(path), decoded)
        return super().scene(path)


class SplatTransform(_FilePeer):
    """PlayCanvas splat-transform (node): its times include its start and the reading and writing of PLY."""

    warm = False

    def __init__(self, suffix: str, program: str) -> None:
        self.suffix, self._program = suffix, program
        self.name = f"splat-transform {suffix}"

    def encode(self, prepared: Any) -> bytes:
        """Run the program on the PLY."""
        self._run(prepared, self._coded())
        return self._coded().read_bytes()

    def decode(self, data: bytes) -> Any:
        """Run the program the other way."""
        self._coded().write_bytes(data)
        path = self._folder / "decoded.ply"
        self._run(self._coded(), path)
        return path

    def _run(self, source: Path, target: Path) -> None:
        gpu = ["-g", "cpu"] if self.suffix == ".sog" and target.suffix == ".sog" else []
        words = [self._program, "-q", "-w", *gpu, str(source), str(target)]
        status, text, peak = run(words, TIMEOUT)
        self.child_rss = max(self.child_rss, peak)
        if status != 0 or not target.exists():
            raise PeerError(f"{self.name}: exit status {status}: {text.strip()[-200:] or 'no message'}.")


def run(words: list[str], timeout: float) -> tuple[int, str, int]:
    """Run a program with its own process group; return exit status, stderr and peak memory in bytes.

    Raises
    ------
    PeerError
        It took longer than ``timeout`` seconds, or cannot be started.
    """
    with TemporaryDirectory() as folder, (Path(folder) / "err").open("w+b") as err:
        try:
            child = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err, start_new_session=True
            )
        except OSError as error:
            raise PeerError(f"{words[0]} cannot be started: {error.strerror or error}.") from error
        late = threading.Event()

        def stop() -> None:
            late.set()
            os.killpg(child.pid, signal.SIGKILL)

        timer = threading.Timer(timeout, stop)
        timer.start()
        try:
            _, status, usage = os.wait4(child.pid, 0)
        finally:
            timer.cancel()
        child.returncode = os.waitstatus_to_exitcode(status)
        if late.is_set():
            raise PeerError(f"{Path(words[0]).name} took more than {timeout:g} s and was stopped.")
        err.seek(0)
        return child.returncode, err.read(4096).decode("utf-8", "replace"), usage.ru_maxrss * 1024


def installed() -> list[Entrant]:
    """Return the peers that can be run here."""
    found: list[Entrant] = []
    with contextlib.suppress(ImportError):
        found += [Gsply(".spz"), Gsply(".compressed.ply")]
    program = shutil.which("splat-transform")
    if program is not None and hasattr(os, "wait4"):
        found += [SplatTransform(".spz", program), SplatTransform(".sog", program)]
    return found
