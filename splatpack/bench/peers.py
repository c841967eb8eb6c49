"""Other people's codecs: which there are, and which are installed in the folder that ``scripts/peers`` fills."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from splatpack.bench.entrants import Entrant

ENVIRONMENT = "SPLATPACK_PEERS"
"""Names the folder of the peers."""

_WORKERS = Path(__file__).with_name("workers")
_ST = "@playcanvas/splat-transform"


def default_home() -> Path:
    """Return the folder that ``scripts/peers`` fills: ``$SPLATPACK_PEERS``, or one in the user's cache."""
    named = os.environ.get(ENVIRONMENT)
    if named:
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "splatpack" / "peers"


class Home:
    """A folder of installed peers.

    Parameters
    ----------
    folder : Path
        Holds ``node_modules`` and ``venv``, or neither.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.node = shutil.which("node")
        self.python = self.folder / "venv" / "bin" / "python"
        places = [str(p) for p in self.folder.glob("venv/lib/python*/site-packages")]
        found = metadata.distributions(path=places) if places else ()
        self._wheels = {str(d.metadata["Name"]).lower(): d.version for d in found}

    def npm(self, package: str) -> str:
        """Return the version of an npm package, or nothing."""
        try:
            text = (self.folder / "node_modules" / package / "package.json").read_text("utf-8")
            return str(json.loads(text)["version"])
        except (OSError, ValueError, KeyError):
            return ""

    def node_version(self) -> str | None:
        """Return what node says that it is, or None."""
        if self.node is None:
            return None
        try:
            done = subprocess.run([self.node, "--version"], capture_output=True, text=True, timeout=20, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip().removeprefix("v")

    def wheel(self, package: str) -> str:
        """Return the version of a Python package in the peers' environment, or nothing."""
        return self._wheels.get(package, "")

    def in_node(
        self, package: str, what: str, codec: str, suffix: str, setting: str = "",
        options: Mapping[str, Any] | None = None, *, needs_sh: bool = False,
    ) -> Entrant:  # fmt: skip
        """Return an entrant that the node worker runs."""
        version = self.npm(package)
        reason = "" if self.node else "node is not on the PATH"
        family = f"{what} ({_short(package)}{version and ' ' + version})"
        return Entrant(
            name=f"{family}{setting and ', ' + setting}", family=family, version=f"{package} {version}",
            words=(self.node or "node", "--expose-gc", str(_WORKERS / "node.mjs")), codec=codec, suffix=suffix,
            options=options or {}, needs_sh=needs_sh, missing=self._missing(package, version, reason),
        )  # fmt: skip

    def in_python(
        self, package: str, what: str, codec: str, suffix: str, options: Mapping[str, Any] | None = None,
        decoder: tuple[tuple[str, ...], str] | None = None,
    ) -> Entrant:  # fmt: skip
        """Return an entrant that the Python worker runs."""
        version = self.wheel(package)
        reason = "" if self.python.exists() else f"there is no {self.python}"
        family = f"{what} ({package}{version and ' ' + version})"
        return Entrant(
            name=family, family=family, version=f"{package} {version}",
            words=(str(self.python), str(_WORKERS / "python.py")), codec=codec, suffix=suffix, options=options or {},
            decoder=decoder, missing=self._missing(package, version, reason),
        )  # fmt: skip

    def _missing(self, package: str, version: str, reason: str) -> str:
        if version and not reason:
            return ""
        return f"not installed: {reason or f'{package} is not in {self.folder}'}. scripts/peers installs it."


def peers(home: Path | None = None) -> list[Entrant]:
    """Return every peer that splatpack knows, installed or not.

    Parameters
    ----------
    home : Path or None
        Where they are; :func:`default_home` when None.
    """
    return list(_peers(Home(home or default_home())))


def _peers(home: Home) -> Iterator[Entrant]:
    spz = "@adobe/spz"  # Niantic's C++ as WebAssembly, the encoder inside splat-transform
    yield home.in_node(spz, "SPZ 4", "spz", ".spz")
    for first, rest in ((4, 3), (6, 5), (7, 6), (8, 8)):
        bits = {"sh1Bits": first, "shRestBits": rest}
        yield home.in_node(spz, "SPZ 4", "spz", ".spz", f"SH {first}/{rest} bits", bits, needs_sh=True)
    yield home.in_node("spz-js", "SPZ 2", "spz-js", ".spz")
    yield home.in_python("gsply", "SPZ 4, SH 8 bits", "gsply", ".spz")
    yield home.in_python("gaussforge", "SPZ 4", "gaussforge", ".spz", {"format": "spz", "spz_version": 4})

    sog = home.in_node(_ST, "SOG", "sog", ".sog")
    yield sog
    yield home.in_python("gaussforge", "SOG", "gaussforge", ".sog", {"format": "sog"})
    yield home.in_python("sogpy", "SOG", "sogpy", ".sog", decoder=(sog.words, sog.codec))

    yield home.in_node(_ST, "compressed.ply", "compressed", ".compressed.ply")
    yield home.in_python("gsply", "compressed.ply", "gsply-compressed", ".compressed.ply")
    compressed = {"format": "compressed.ply"}
    yield home.in_python("gaussforge", "compressed.ply", "gaussforge", ".compressed.ply", compressed)

    viewer = "@mkkellogg/gaussian-splats-3d"
    for level in (0, 1, 2):
        yield home.in_node(viewer, "ksplat", "ksplat", ".ksplat", f"level {level}", {"level": level})
    yield home.in_python("gaussforge", "ksplat", "gaussforge", ".ksplat", {"format": "ksplat"})

    yield home.in_node(_ST, "splat", "splat", ".splat")
    yield home.in_node("gsplat", "splat", "gsplat", ".splat")


def _short(package: str) -> str:
    """The name without its scope, but where it would be that of a format."""
    return package if package == "@adobe/spz" else package.rpartition("/")[2]
