"""Rate and distortion: every entrant on every scene, from the same cameras."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from splatpack.bench.entrants import Entrant
from splatpack.bench.jury import Input, Jury
from splatpack.bench.machine import machine, sources
from splatpack.bench.protocol import Clock, PeerError, SlowPeerError, work
from splatpack.bench.row import Row
from splatpack.bench.speed import SLOW
from splatpack.bench.store import Store

Progress = Callable[[str, int, int], None]

TIMEOUT = 300.0
"""Seconds that a worker may take for one direction of one file, with all repetitions."""


@dataclass(frozen=True)
class How:
    """How to measure.

    Attributes
    ----------
    repeat : int
        Timed calls of each direction; medians are reported.
    timeout : float
        Seconds, see :data:`TIMEOUT`.
    size : (int, int)
        Pictures, pixels.
    threads : int or None
        Of splatpack and of the renderer; peers take what they take.
    store : Path or None
        Folder of finished measurements, read and added to.
    home : Path or None
        Folder of the peers.
    """

    repeat: int = 3
    timeout: float = TIMEOUT
    size: tuple[int, int] = (320, 240)
    threads: int | None = None
    store: Path | None = None
    home: Path | None = None


def measure(
    inputs: Sequence[Input], entrants: Sequence[Entrant], how: How, progress: Progress | None = None
) -> Iterator[Row]:
    """Yield a row for each scene and entrant, as they are measured. What cannot be measured is a row that says why."""
    total = len(inputs) * len(entrants)
    with TemporaryDirectory(prefix="splatpack-bench-") as name:
        folder = Path(name)
        store = Store(how.store or folder / "store")
        for i, one in enumerate(inputs):
            jury = Jury(one.load(), folder / "scene.ply", how.size, how.threads)
            one.facts.update(n=len(jury.reference), sh_degree=jury.reference.sh_degree, sha256=jury.digest)
            for j, entrant in enumerate(entrants):
                if progress:
                    progress(f"{one.name}: {entrant.name}", i * len(entrants) + j, total)
                if not (entrant.needs_sh and jury.reference.sh_degree == 0):
                    yield _Trial(one.name, jury, entrant, how, store, folder).row()


class _Trial:
    """One entrant on one scene: encode, or remember; decode and judge, or remember."""

    def __init__(self, name: str, jury: Jury, entrant: Entrant, how: How, store: Store, folder: Path) -> None:
        self._jury, self._entrant, self._how, self._store, self._folder = jury, entrant, how, store, folder
        self._blank = Row(entrant.name, name, len(jury.reference), entrant.family)
        self._key = {
            "scene": jury.digest, **entrant.key(), "repeat": how.repeat, "threads": how.threads,
            "cpu": machine()["cpu"],
        }  # fmt: skip

    def row(self) -> Row:
        """Return the row; it never raises for what a codec does."""
        if self._entrant.missing:
            return replace(self._blank, status="missing", error=self._entrant.missing)
        try:
            return self._filled(self._encoded(), self._judged())
        except SlowPeerError as error:
            return replace(self._blank, status="timeout", error=str(error))
        except Exception as error:  # a peer may write any nonsense; that is a result too
            text = str(error) if isinstance(error, PeerError) else f"{type(error).__name__}: {error}"
            return replace(self._blank, status="failed", error=" ".join(text.split()))

    def _encoded(self) -> dict[str, Any]:
        """Figures of encoding; the coded file is in the store. A limit that was too short is remembered as well."""
        found = self._store.get(self._key)
        if found is not None and "limit" in found and found["limit"] >= self._how.timeout:
            raise SlowPeerError(f"encode: stopped after {found['limit']:g} s, unfinished.")
        if found is not None and "limit" not in found and self._store.file(self._key).exists():
            return found
        coded = self._folder / f"coded{self._entrant.suffix}"
        worker = (self._entrant.words, self._entrant.codec)
        try:
            clock = self._work("encode", worker, self._jury.ply, coded)
        except SlowPeerError as error:
            self._store.put(self._key, {"limit": self._how.timeout})
            raise SlowPeerError(f"encode: {error}") from error
        self._store.file(self._key).write_bytes(coded.read_bytes())
        value = {"bytes": coded.stat().st_size, **_figures("encode", clock)}
        self._store.put(self._key, value)
        return value

    def _judged(self) -> dict[str, Any]:
        """Figures of decoding, and of what comes out."""
        rooms = sources("render/", "scene/", "formats/ply", "bench/jury")
        key = {**self._key, "judge": rooms, "size": list(self._how.size)}
        found = self._store.get(key)
        if found is not None:
            return found
        coded, back = self._folder / f"coded{self._entrant.suffix}", self._folder / "decoded.ply"
        coded.write_bytes(self._store.file(self._key).read_bytes())
        worker = self._entrant.decoder or (self._entrant.words, self._entrant.codec)
        try:
            clock = self._work("decode", worker, coded, back)
        except SlowPeerError as error:
            raise SlowPeerError(f"decode: {error}") from error
        n, quality = self._jury.judge(back)
        value = {
            "n_out": n, "psnr": quality.psnr_mean, "psnr_min": quality.psnr_min, "ssim": quality.ssim_mean,
            **_figures("decode", clock),
        }  # fmt: skip
        self._store.put(key, value)
        return value

    def _work(self, action: str, worker: tuple[tuple[str, ...], str], source: Path, target: Path) -> Clock:
        job = {
            "action": action, "codec": worker[1], "options": dict(self._entrant.options), "source": str(source),
            "target": str(target), "home": str(self._how.home or ""), "repeat": self._how.repeat, "slow": SLOW,
            "threads": self._how.threads,
        }  # fmt: skip
        return work(list(worker[0]), job, self._folder, self._how.timeout)

    def _filled(self, coded: dict[str, Any], judged: dict[str, Any]) -> Row:
        values = {k: v for k, v in (coded | judged).items() if not k.endswith("_rss")}
        return replace(
            self._blank,
            **values,
            bpg=8 * coded["bytes"] / self._blank.n,
            mgs_per_s=judged["n_out"] / max(judged["decode_s"], 1e-9) / 1e6,
            peak_rss=max(coded["encode_rss"], judged["decode_rss"]),
        )


def _figures(action: str, clock: Clock) -> dict[str, Any]:
    return {
        f"{action}_s": clock.median, f"{action}_spread": clock.spread,
        f"{action}_cpu_s": median(clock.cpu), f"{action}_rss": clock.peak_rss,
    }  # fmt: skip
