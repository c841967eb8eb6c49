"""What an import drags in: import-linter does not see it, so fresh interpreters look at ``sys.modules``."""

from __future__ import annotations

import pkgutil
import resource
import subprocess
import sys

import pytest

import splatpack.container

CONTAINER = [
    "splatpack.container",
    *(f"splatpack.container.{m.name}" for m in pkgutil.iter_modules(splatpack.container.__path__)),
]
HELP_CPU_SECONDS = 0.25


def loaded_by(code: str) -> set[str]:
    """Return the top-level packages, and our own rooms, that a fresh interpreter has loaded after ``code``."""
    show = "import sys; print('\\n' + ' '.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", f"{code}\n{show}"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    names = run.stdout.splitlines()[-1].split()
    return {n.split(".")[0] for n in names} | {".".join(n.split(".")[:2]) for n in names if n.startswith("splatpack.")}


def test_the_package_alone_loads_nothing() -> None:
    loaded = loaded_by("import splatpack; splatpack.__version__; dir(splatpack)")
    assert not loaded & {"numpy", "numba", "torch", "click", "rich", "PIL", "zstandard", "msgpack"}


@pytest.mark.parametrize("module", CONTAINER)
def test_container_has_no_compiler_and_no_codec_behind_it(module: str) -> None:
    assert not loaded_by(f"import {module}") & {"numba", "llvmlite", "torch", "zstandard", "splatpack.codecs"}


@pytest.mark.parametrize(
    "module", ["splatpack.server.run", "splatpack.stream.fetch", "splatpack.stream.ranges", "splatpack.stream.http"]
)
def test_what_faces_the_network_has_no_compiler_and_no_codec_behind_it(module: str) -> None:
    loaded = loaded_by(f"import {module}")
    assert not loaded & {"numba", "llvmlite", "torch", "zstandard", "splatpack.codecs", "splatpack.pack", "click"}


def test_a_scene_needs_no_compiler() -> None:
    loaded = loaded_by("import splatpack; splatpack.Gaussians; splatpack.Camera; import splatpack.formats.ply")
    assert not loaded & {"numba", "torch", "click", "rich"}


def test_packing_needs_no_torch() -> None:
    assert not loaded_by("import splatpack; splatpack.read; splatpack.write") & {"torch", "click", "rich", "plyfile"}


def test_help_loads_no_numpy_and_no_command() -> None:
    loaded = loaded_by("from splatpack.cli.main import main\nassert main(['--help']) == 0")
    assert not loaded & {"numpy", "numba", "torch", "rich", "PIL", "splatpack.pack"}


def test_help_answers_at_once() -> None:
    """The best of a few runs: CPU time also grows when neighbours fight for the caches."""
    used = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "splatpack.cli.main", "--help"], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(used) < HELP_CPU_SECONDS, used
