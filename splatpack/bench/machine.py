"""What a figure was measured on, and with which code."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from splatpack import __version__
from splatpack.parallel import thread_count

PACKAGES = ("numpy", "numba", "zstandard", "pillow")

CALLERS = ("bench/", "cli/", "server/", "stream/", "edit/", "train/")
"""Rooms that cannot change what a codec does."""


def machine() -> dict[str, Any]:
    """Return the machine and the versions: cpu, cores, memory (bytes), load, system, python, splatpack, packages."""
    return {
        "cpu": _cpu(),
        "cores": thread_count(),
        "memory": _memory(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "splatpack": __version__,
        **{name: version(name) for name in PACKAGES},
    }


def version(package: str) -> str | None:
    """Return the version of an installed package, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def sources(*rooms: str) -> str:
    """Return a digest of the Python files of some parts of splatpack, or of all that can change what a codec does.

    Parameters
    ----------
    rooms : str
        Beginnings of paths below the package, such as ``scene/`` or ``formats/ply``; none stands for all rooms but
        those that only call a codec.

    Results that were kept are good for as long as what made them is the same.
    """
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if name.startswith(rooms) if rooms else not name.startswith(CALLERS):
            digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or "unknown"


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None
