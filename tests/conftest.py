"""What all tests share: hypothesis profiles, a warm kernel cache under xdist, and the folder of real scenes."""

from __future__ import annotations

import contextlib
import os
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

# No deadline: a first example that compiles a kernel takes seconds. too_slow is about the machine, not about the code.
_SLOW_MACHINES = [HealthCheck.too_slow]
settings.register_profile("fast", deadline=None, max_examples=30, suppress_health_check=_SLOW_MACHINES)
settings.register_profile(
    "ci", deadline=None, max_examples=60, derandomize=True, print_blob=True, suppress_health_check=_SLOW_MACHINES
)
settings.register_profile("nightly", deadline=None, max_examples=2000, suppress_health_check=_SLOW_MACHINES)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") == "true" else "fast"))


def pytest_configure(config: pytest.Config) -> None:
    """Compile all kernels in the controller: xdist's workers then find them in the cache, and none compiles its own."""
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        return
    for path in sorted((ROOT / "splatpack").glob("**/kernels/*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        with contextlib.suppress(Exception):  # a kernel that does not compile is its own tests' failure to report
            import_module(name)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder of real scenes: ``$SPLATPACK_DATA``, or ``shared/data`` beside the checkout or above it."""
    given = os.environ.get("SPLATPACK_DATA")
    places = [Path(given)] if given else [parent / "shared" / "data" for parent in (ROOT, *ROOT.parents)]
    for place in places:
        if (place / "splats").is_dir():
            return place
    pytest.skip("the real scenes are not here: set SPLATPACK_DATA to a folder that holds splats/")
