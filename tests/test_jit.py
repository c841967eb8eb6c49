"""The kernel decorator. The failures it guards against are built here, in a small package around a copy of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
import pytest
from numpy.typing import NDArray

from splatpack import jit
from splatpack.jit import kernel, ro, rw

INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT") == "1"
compiled_only = pytest.mark.skipif(INTERPRETED, reason="about compiled kernels, and NUMBA_DISABLE_JIT is set")

HELPER = """
from numba import int64
from pkg.jit import kernel

@kernel(int64(int64))
def helper(x):
    return x + {constant}
"""
MAIN = """
from numba import float64, int64
from pkg.jit import kernel, ro
from pkg.kernels.helper import helper

@kernel(int64(int64))
def use(x):
    return helper(x)

@kernel(float64(ro(float64), int64))
def item(values, i):
    return values[i]
"""
USE = "from pkg.kernels.main import use; print(use(1))"
HITS = (
    "from pkg.kernels.main import use; print(sum(use.stats.cache_hits.values()), sum(use.stats.cache_misses.values()))"
)
BEYOND = """
import numpy as np
from pkg.kernels.main import item
try:
    print(item(np.arange(8.0)[:4], 6))
except IndexError:
    print("IndexError")
"""


@kernel(numba.types.int64(ro(numba.types.float64), rw(numba.types.float64)))
def double(source: NDArray[np.float64], out: NDArray[np.float64]) -> int:
    for i in range(len(source)):
        out[i] = 2 * source[i]
    return len(source)


@kernel(numba.types.int64(numba.types.int64), inline=True)
def three(x: int) -> int:
    return x + 3


@kernel(numba.types.int64(numba.types.int64))
def six(x: int) -> int:
    return three(three(x))


Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that runs code in a fresh interpreter beside ``pkg``, with an environment of its own."""
    kernels = tmp_path / "pkg" / "kernels"
    kernels.mkdir(parents=True)
    shutil.copy(str(jit.__file__), tmp_path / "pkg" / "jit.py")
    for folder in (kernels, kernels.parent):
        (folder / "__init__.py").write_text("")
    (kernels / "helper.py").write_text(HELPER.format(constant=10))
    (kernels / "main.py").write_text(MAIN)
    mine = ("NUMBA_", "SPLATPACK_", "COV_")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(mine)}

    def run_code(code: str, **env: str) -> str:
        result = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            cwd=tmp_path,
            env=clean | {"PYTHONPATH": str(tmp_path)} | env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        assert result.stderr == "", "only a person at a terminal is told that kernels compile"
        return result.stdout.strip()

    return run_code


def test_a_kernel_computes() -> None:
    out = np.zeros(3)
    assert double(np.array([1.0, 2.0, 3.0]), out) == 3
    assert out.tolist() == [2.0, 4.0, 6.0]
    assert six(1) == 7


def test_read_only_inputs_are_taken() -> None:
    out = np.zeros(3)
    assert double(np.frombuffer(np.arange(3.0).tobytes()), out) == 3
    assert out.tolist() == [0.0, 2.0, 4.0]


@compiled_only
@pytest.mark.parametrize(
    "source",
    [np.zeros(3, np.float32), np.zeros(3, np.int64), np.zeros((3, 1)), np.zeros(6)[::2]],
    ids=["float32", "int64", "2d", "strided"],
)
def test_another_dtype_or_layout_is_refused(source: NDArray[np.float64]) -> None:
    with pytest.raises(TypeError, match="No matching definition"):
        double(source, np.zeros(3))


@compiled_only
def test_a_read_only_output_is_refused() -> None:
    with pytest.raises(TypeError, match="No matching definition"):
        double(np.zeros(3), np.frombuffer(bytes(24)))


@compiled_only
def test_one_compilation_and_no_lock() -> None:
    dispatcher: numba.core.dispatcher.Dispatcher = double  # type: ignore[assignment]
    assert len(dispatcher.signatures) == 1
    assert dispatcher.targetoptions["nogil"] is True
    assert "parallel" not in dispatcher.targetoptions


def test_disabled_gives_the_plain_function(run: Run) -> None:
    code = "from pkg.kernels.main import use; print(type(use).__name__, use(1))"
    assert run(code, NUMBA_DISABLE_JIT="1") == "function 11"


@pytest.mark.slow
def test_a_changed_helper_is_compiled_into_its_callers(run: Run, tmp_path: Path) -> None:
    """Plain ``cache=True`` still answers 11 in the end: its key is the text of the caller's file."""
    assert run(USE) == "11"
    assert run(HITS) == "1 0", "the second process compiles nothing"
    (tmp_path / "pkg" / "kernels" / "helper.py").write_text(HELPER.format(constant=20))
    assert run(USE) == "21"


def test_the_digest_is_of_all_kernels_and_of_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jit, "__file__", str(tmp_path / "jit.py"))
    digest = jit._digest.__wrapped__
    files = [tmp_path / room / "kernels" / f"{name}.py" for room in ("codecs", "render") for name in ("a", "b")]
    seen = set()
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# {file.parts[-3:]}")
        seen.add(digest())
    files[0].write_text("# changed")
    seen.add(digest())
    assert len(seen) == 5
    (tmp_path / "codecs" / "binding.py").write_text("# no kernel")
    assert digest() in seen


@pytest.mark.slow
def test_checked_and_unchecked_binaries_lie_side_by_side(run: Run) -> None:
    assert run(BEYOND) == "6.0"
    assert run(BEYOND, SPLATPACK_BOUNDSCHECK="1") == "IndexError", "the unchecked binary of the cache was taken"
    assert run(BEYOND) == "6.0"
    assert run(HITS, SPLATPACK_BOUNDSCHECK="1") == "1 0", "the checked binary is cached, too"


def test_it_goes_on_where_no_cache_folder_is_writable(run: Run, tmp_path: Path) -> None:
    """A file in the place of each cache folder: root may write anywhere, but not there."""
    (tmp_path / "pkg" / "kernels" / "__pycache__").write_text("")
    (tmp_path / "home").write_text("")
    home = str(tmp_path / "home")
    assert run(USE, HOME=home, XDG_CACHE_HOME=home, PYTHONDONTWRITEBYTECODE="1") == "11"
