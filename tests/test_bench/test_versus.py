from __future__ import annotations

import math
from dataclasses import replace

import pytest

from splatpack.bench.entrants import LOSSLESS, OWN
from splatpack.bench.row import Row
from splatpack.bench.tables import summary_cells
from splatpack.bench.versus import ALL, delta_rates, equal, summary


def row(codec: str, family: str, size: int, psnr: float, worst: float, scene: str = "it") -> Row:
    return Row(
        codec, scene, 1000, family, 1000, size, size * 8 / 1000, psnr, worst, 0.9, encode_s=0.5, decode_s=0.25,
        encode_cpu_s=0.4, decode_cpu_s=0.2, mgs_per_s=0.004,
    )  # fmt: skip


OURS = [row(f"splatpack {k}", OWN, 1000 * 2**k, 30.0 + 6 * k, 25.0 + 5 * k) for k in range(4)]
EXACT = row(LOSSLESS, LOSSLESS, 50_000, 100.0, 100.0)


def test_ratio_at_equal_quality() -> None:
    (found,) = equal([*OURS, row("a 1", "a", 8000, 36.0, 35.0)])
    assert found.ratio_mean == pytest.approx(2000 / 8000)
    assert found.ratio_worst == pytest.approx(4000 / 8000)
    assert (found.kind_mean, found.kind_worst) == ("within", "within")


def test_out_of_range_is_said() -> None:
    below, above = equal([*OURS, row("a", "a", 5000, 20.0, 10.0), row("b", "b", 9000, 60.0, 24.0)])
    assert (below.ratio_mean, below.kind_mean) == (0.2, "below")
    assert (above.ratio_mean, above.kind_mean) == (None, "above")
    assert above.kind_worst == "below"


def test_lossless_is_held_against_lossless() -> None:
    (found,) = equal([*OURS, EXACT, row("zstd", "zstd", 100_000, 100.0, 100.0)])
    assert (found.ratio_mean, found.kind_mean) == (0.5, "lossless")
    assert equal([*OURS, row("zstd", "zstd", 100_000, 100.0, 100.0)]) == []


def test_scenes_without_our_curve_or_their_result_give_nothing() -> None:
    failed = Row("b", "it", 1000, "b", status="failed", error="no")
    assert equal([row("a", "a", 5000, 36.0, 30.0, "other"), *OURS, failed]) == []


def test_delta_rates_of_families_and_of_all_peers() -> None:
    theirs = [row(f"a {k}", "a", 2000 * 2**k, 30.0 + 6 * k, 25.0 + 5 * k) for k in range(4)]
    rows = [*OURS, EXACT, *theirs, row("b", "b", 4000, 40.0, 31.0)]
    found = {(d["family"], d["of"]): d["rate"] for d in delta_rates(rows)}
    assert set(found) == {("a", "mean"), ("a", "worst"), (ALL, "mean"), (ALL, "worst")}
    assert found["a", "mean"] == pytest.approx(-0.5)
    assert found["a", "mean"] < found[ALL, "mean"] < 0


def test_what_is_out_of_reach_makes_no_median_better() -> None:
    rows = []
    for scene, psnr in (("x", 36.0), ("y", 36.0), ("z", 60.0)):
        rows += [replace(r, scene=scene) for r in OURS] + [row("a", "a", 4000, psnr, 30.0, scene)]
    (found,) = [s for s in summary(rows) if s.codec == "a"]
    assert found.mean == pytest.approx((0.5, math.inf))
    assert found.unreached_mean == 1
    assert summary_cells(found)[2:6] == ["0.50", "1 out of reach", "0.50", "0.50"]
    (worse,) = [s for s in summary([r for r in rows if r.scene != "x"]) if s.codec == "a"]
    assert summary_cells(worse)[2:4] == ["out of reach", "1 out of reach"]


def test_summary_takes_medians_and_the_largest() -> None:
    rows = []
    for scene, size in (("x", 4000), ("y", 5000), ("z", 20000)):
        rows += [replace(r, scene=scene) for r in OURS] + [row("a", "a", size, 36.0, 30.0, scene)]
    rows.append(row("b", "b", 9000, 60.0, 50.0, "x"))
    rows.append(Row("c", "x", 1000, "c", status="missing", error="not installed"))
    found = {s.codec: s for s in summary(rows)}
    assert found["a"].mean == pytest.approx((0.4, 0.5))
    assert (found["a"].scenes, found["a"].encode, found["a"].decode) == (3, 0.0025, 0.005)
    assert (found["b"].mean, found["b"].unreached_mean, found["b"].unreached_worst) == ((math.inf, math.inf), 1, 1)
    assert (found["c"].scenes, found["c"].missing, found["c"].decode) == (0, "not installed", None)
    assert found["splatpack 0"].mean is None
