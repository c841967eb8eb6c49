"""Peak memory of `splatpack compress`, as a multiple of the float columns, above what an empty run takes (Linux)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from splatpack.formats.ply import write_ply
from tests import synth

_RUN = """
from pathlib import Path
from splatpack.cli.main import main
try:
    main()
finally:
    # Not getrusage: its maximum starts at that of the process that forked this one.
    lines = Path("/proc/self/status").read_text().splitlines()
    print(next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")))
"""


def _peak(source: Path, target: Path, *how: str) -> int:
    words = ["compress", str(source), "-o", str(target), "-f", "--quiet", "--no-measure", *how]
    command = [sys.executable, "-c", _RUN, *words]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
@pytest.mark.parametrize(
    ("count", "degree", "how", "most"),
    [
        (1_000_000, 0, ("--quality", "0.45"), 3.0),
        (400_000, 3, ("--quality", "0.45"), 3.0),
        (1_000_000, 0, (), 6.0),  # a search holds the pruned and the decoded scene, and draws them
    ],
)
def test_peak_memory_of_compress(
    benchmark: object, tmp_path: Path, count: int, degree: int, how: tuple[str, ...], most: float
) -> None:
    _peak_of = tmp_path / "tiny.ply"
    write_ply(_peak_of, synth.scene(100, degree))
    base = _peak(_peak_of, tmp_path / "out.spk", *how)
    scene = synth.scene(count, degree, seed=1)
    columns = scene.nbytes
    write_ply(tmp_path / "scene.ply", scene)
    del scene
    peak = benchmark.pedantic(_peak, args=(tmp_path / "scene.ply", tmp_path / "out.spk", *how), rounds=1)  # type: ignore[attr-defined]
    times = (peak - base) / columns
    benchmark.extra_info.update(columns=columns, base=base, peak=peak, times_columns=round(times, 2))  # type: ignore[attr-defined]
    print(
        f"SH {degree}, {count:,} Gaussians: {peak / 1e6:.0f} MB peak, {base / 1e6:.0f} MB empty, {times:.2f} x columns"
    )
    assert times < most
