from __future__ import annotations

import os
import re
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from splatpack import __version__
from splatpack.cli.main import COMMANDS, main
from tests.test_cli.conftest import Runner

PROBE = "import sys; from splatpack.cli.main import main; main({args!r}); print(*sorted(sys.modules), file=sys.stderr)"


def modules(*args: str) -> set[str]:
    """Return what a fresh interpreter has imported after a command."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(args=list(args))], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


def test_help_lists_every_command(cli: Runner) -> None:
    done = cli("--help")
    assert done.status == 0
    for name, what in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(what)}", done.out, re.MULTILINE)
    assert cli().out == done.out


def test_version(cli: Runner) -> None:
    assert cli("--version").out == f"splatpack {__version__}\n"


SERVING = {"serve", "fetch"}
"""Commands whose examples need each other: tests/test_server/test_run.py runs them."""


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in SERVING])
def test_help_ends_with_an_example_that_runs(
    name: str, cli: Runner, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = cli(name, "--help")
    assert text.status == 0
    *_, title, example = text.out.rstrip().splitlines()
    assert title.strip() == "Example:"
    words = shlex.split(example)
    assert words[:2] == ["splatpack", name]
    monkeypatch.chdir(folder)
    for unwanted in {"compress": ["scene.spk"], "decompress": ["scene.ply"], "train": ["scene.spk"]}.get(name, []):
        Path(unwanted).unlink()
    done = cli(*words[1:])
    if name == "train":  # ten minutes: that it looks for the photos shows that the words are right
        assert (done.status, "no such folder" in done.err) == (6, True), done.err
    else:
        assert done.status == 0, done.err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_the_common_options(name: str, cli: Runner) -> None:
    text = cli(name, "-h").out
    for option in ("--json", "--quiet", "--debug", "--threads"):
        assert option in text


def test_help_is_quick_and_imports_no_numpy() -> None:
    def cpu() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "splatpack.cli.main", "--help"], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert not {"numpy", "numba", "rich", "PIL"} & modules("--help")
    if not os.environ.get("COV_CORE_SOURCE"):
        assert min(cpu() for _ in range(3)) <= 0.25


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_imports_no_numpy(name: str) -> None:
    assert not {"numpy", "numba", "rich", "PIL"} & modules(name, "--help")


def test_info_of_a_spk_needs_no_numba(folder: Path) -> None:
    loaded = modules("info", str(folder / "scene.spk"), "--json")
    assert "splatpack.container.reader" in loaded
    assert not {"numpy", "numba", "rich", "torch"} & loaded


def test_compress_needs_no_torch(folder: Path) -> None:
    loaded = modules("compress", str(folder / "scene.ply"), "-o", str(folder / "new.spk"), "--quiet")
    assert "numba" in loaded
    assert "torch" not in loaded


def test_the_installed_command_exits_with_the_status(folder: Path) -> None:
    words = [sys.executable, "-m", "splatpack.cli.main", "verify", "--json"]
    assert subprocess.run([*words, folder / "scene.spk"], capture_output=True, check=False).returncode == 0
    assert subprocess.run([*words, folder / "none.spk"], capture_output=True, check=False).returncode == 6


def test_a_closed_pipe_is_quiet(folder: Path) -> None:
    words = [sys.executable, "-m", "splatpack.cli.main", "info", str(folder / "scene.spk"), "--json"]
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        done = subprocess.run(words, stdout=closed, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert done.stderr == b""


def test_main_takes_sys_argv(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["splatpack", "--version"])
    assert main() == 0
    assert capsys.readouterr().out.startswith("splatpack ")
