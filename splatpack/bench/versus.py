"""splatpack against every other codec at equal quality, scene by scene, and over all scenes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from splatpack.bench.curves import Curve, Match, bd_rate, match
from splatpack.bench.entrants import LOSSLESS, OWN
from splatpack.bench.row import Row
from splatpack.render.compare import CAP_DB

ALL = "all peers, their front"
"""The family of the best that any of the peers reaches."""


@dataclass(frozen=True)
class Equal:
    """A codec on a scene, and what splatpack takes for the same quality.

    Attributes
    ----------
    scene, codec, family : str
    bytes : int
        Of the codec.
    ratio_mean, ratio_worst : float or None
        splatpack's bytes over the codec's at the codec's mean PSNR, and at the PSNR of its worst view. None where
        splatpack's curve does not reach that.
    kind_mean, kind_worst : str
        ``within``, ``below`` or ``above`` splatpack's curve, as :class:`splatpack.bench.curves.Match` says;
        ``lossless`` where both are.
    """

    scene: str
    codec: str
    family: str
    bytes: int
    ratio_mean: float | None
    kind_mean: str
    ratio_worst: float | None
    kind_worst: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def equal(rows: Iterable[Row]) -> list[Equal]:
    """Return the comparisons of every row that is not splatpack's, where its scene has a curve of splatpack's."""
    done = [r for r in rows if r.psnr is not None]
    out = []
    for scene in dict.fromkeys(r.scene for r in done):
        mine = [r for r in done if r.scene == scene]
        lossless = next((r for r in mine if r.family == LOSSLESS), None)
        curves = [_curve(mine, OWN, worst) for worst in (False, True)]
        for row in mine:
            if row.family not in (OWN, LOSSLESS):
                found = _equal(row, curves, lossless)
                out += [found] if found else []
    return out


def _equal(row: Row, curves: list[Curve | None], lossless: Row | None) -> Equal | None:
    mean, worst = row.psnr or 0.0, row.psnr_min or 0.0
    if worst >= CAP_DB:
        if lossless is None:
            return None
        ratio = lossless.bytes / row.bytes
        return Equal(row.scene, row.codec, row.family, row.bytes, ratio, "lossless", ratio, "lossless")
    if curves[0] is None or curves[1] is None:
        return None
    at: list[Match] = [match(c, q) for c, q in zip(curves, (mean, worst), strict=True) if c is not None]
    ratios = [None if m.bytes is None else m.bytes / row.bytes for m in at]
    return Equal(row.scene, row.codec, row.family, row.bytes, ratios[0], at[0].kind, ratios[1], at[1].kind)


def _curve(rows: Sequence[Row], family: str, worst: bool) -> Curve | None:
    points = _points(rows, family, worst)
    return Curve(points) if points else None


def _points(rows: Sequence[Row], family: str, worst: bool) -> list[tuple[float, float]]:
    """Bytes and dB of a family, or of all that are not splatpack's; a lossless result is on no curve."""
    picked = [r for r in rows if (r.family not in (OWN, LOSSLESS) if family == ALL else r.family == family)]
    values = [(float(r.bytes), (r.psnr_min if worst else r.psnr) or 0.0) for r in picked if r.psnr is not None]
    return [v for v in values if v[1] < CAP_DB]


def delta_rates(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return splatpack's Bjøntegaard delta rates: ``scene family of rate low high``; ``of`` is ``mean`` or ``worst``.

    Against each family with points enough on a scene, and against the front of all peers together.
    """
    done = [r for r in rows if r.psnr is not None]
    out: list[dict[str, Any]] = []
    for scene in dict.fromkeys(r.scene for r in done):
        mine = [r for r in done if r.scene == scene]
        families = [f for f in dict.fromkeys(r.family for r in mine) if f not in (OWN, LOSSLESS)]
        for family in (*families, ALL):
            for worst, name in ((False, "mean"), (True, "worst")):
                found = bd_rate(_points(mine, OWN, worst), _points(mine, family, worst))
                if found is not None:
                    out.append({"scene": scene, "family": family, "of": name, **asdict(found)})
    return out


@dataclass(frozen=True)
class Summary:
    """One codec over all scenes.

    Attributes
    ----------
    codec : str
    scenes : int
        On which it gave a result.
    mean, worst : (median, largest) ratio or None
        At equal mean PSNR, and at that of the worst view, over the scenes. A ratio from below the curve counts: it is
        too large. Where splatpack's curve ends too low, the ratio counts as infinite, so that what is not reached makes
        no median better.
    unreached_mean, unreached_worst : int
        Scenes on which splatpack's curve ends below the codec's quality.
    encode, decode : float or None
        Median of millions of Gaussians per wall second.
    missing : str
        Why it has no result at all; empty otherwise.
    """

    codec: str
    scenes: int
    mean: tuple[float, float] | None
    worst: tuple[float, float] | None
    unreached_mean: int
    unreached_worst: int
    encode: float | None
    decode: float | None
    missing: str


def summary(rows: Sequence[Row]) -> list[Summary]:
    """Return a line for every codec, in the order in which they were measured."""
    pairs = equal(rows)
    out = []
    for codec in dict.fromkeys(r.codec for r in rows):
        mine = [r for r in rows if r.codec == codec]
        done = [r for r in mine if r.psnr is not None]
        against = [e for e in pairs if e.codec == codec]
        encode = [r.encode_rate for r in done if r.encode_rate]
        decode = [r.decode_rate for r in done if r.decode_rate]
        out.append(
            Summary(
                codec,
                len(done),
                _spread([e.ratio_mean for e in against]),
                _spread([e.ratio_worst for e in against]),
                sum(e.kind_mean == "above" for e in against),
                sum(e.kind_worst == "above" for e in against),
                median(encode) if encode else None,
                median(decode) if decode else None,
                "" if done else mine[0].error,
            )
        )
    return out


def _spread(ratios: list[float | None]) -> tuple[float, float] | None:
    known = [math.inf if r is None else r for r in ratios]
    return (median(known), max(known)) if known else None
