"""Rate and distortion: every entrant on every scene, from the same cameras."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from splatpack.bench.entrants import Entrant
from splatpack.bench.speed import PeakMemory, timed
from splatpack.render.compare import compare
from splatpack.render.views import evaluation_cameras
from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import Gaussians

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Row:
    """One codec on one scene.

    Attributes
    ----------
    codec, scene : str
    n, n_out : int
        Gaussians before and after.
    bytes : int
    bpg : float
        Bits per Gaussian of the input.
    psnr, psnr_min, ssim : float or None
        Of renders against the input's, dB; None when the codec failed.
    encode_s, decode_s : float or None
        Median wall seconds of warm calls.
    encode_spread, decode_spread : float or None
        Slowest over fastest call.
    mgs_per_s : float or None
        Millions of Gaussians decoded per second.
    peak_rss : int or None
        Largest resident size while encoding and decoding, bytes; the interpreter and the scene count too.
    error : str
        Why there are no figures; empty otherwise.
    """

    codec: str
    scene: str
    n: int
    n_out: int = 0
    bytes: int = 0
    bpg: float | None = None
    psnr: float | None = None
    psnr_min: float | None = None
    ssim: float | None = None
    encode_s: float | None = None
    decode_s: float | None = None
    encode_spread: float | None = None
    decode_spread: float | None = None
    mgs_per_s: float | None = None
    peak_rss: int | None = None
    error: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def measure(
    scenes: Sequence[tuple[str, Gaussians]],
    entrants: Sequence[Entrant],
    *,
    repeat: int = 3,
    threads: int | None = None,
    size: tuple[int, int] = (320, 240),
    progress: Progress | None = None,
) -> Iterator[Row]:
    """Yield a row for each scene and entrant, as they are measured. A codec that fails gives a row with its error.

    Parameters
    ----------
    scenes : sequence of (name, Gaussians)
    entrants : sequence of Entrant
    repeat : int
        Timed calls of each direction; medians are reported.
    threads : int or None
        For rendering; entrants have their own.
    size : (int, int)
        Pictures, pixels.
    progress : callable or None
    """
    total = len(scenes) * len(entrants)
    for i, (name, scene) in enumerate(scenes):
        cameras = evaluation_cameras(scene, *size)
        for j, entrant in enumerate(entrants):
            if progress:
                progress(entrant.name, i * len(entrants) + j, total)
            yield one(name, scene, entrant, cameras, repeat=repeat, threads=threads)


def one(
    name: str, scene: Gaussians, entrant: Entrant, cameras: list[Camera], *, repeat: int, threads: int | None
) -> Row:
    """Measure one entrant on one scene."""
    with TemporaryDirectory(prefix="splatpack-bench-") as folder:
        try:
            return _one(name, scene, entrant, cameras, repeat, threads, Path(folder))
        except Exception as error:  # a peer may fail in any way; that is a result too
            return Row(entrant.name, name, len(scene), error=" ".join(f"{type(error).__name__}: {error}".split()))


def _one(
    name: str,
    scene: Gaussians,
    entrant: Entrant,
    cameras: list[Camera],
    repeat: int,
    threads: int | None,
    folder: Path,
) -> Row:
    prepared = entrant.prepare(scene, folder)
    with PeakMemory() as peak:
        coded = timed(lambda: entrant.encode(prepared), repeat, warm=entrant.warm)
        decoded = timed(lambda: entrant.decode(coded.result), repeat, warm=entrant.warm)
    back = entrant.scene(decoded.result)
    quality = compare(scene, back, cameras, threads=threads)
    return Row(
        codec=entrant.name,
        scene=name,
        n=len(scene),
        n_out=len(back),
        bytes=len(coded.result),
        bpg=8 * len(coded.result) / len(scene),
        psnr=quality.psnr_mean,
        psnr_min=quality.psnr_min,
        ssim=quality.ssim_mean,
        encode_s=coded.median,
        decode_s=decoded.median,
        encode_spread=coded.spread,
        decode_spread=decoded.spread,
        mgs_per_s=len(back) / decoded.median / 1e6,
        peak_rss=entrant.child_rss or peak.bytes,
    )
