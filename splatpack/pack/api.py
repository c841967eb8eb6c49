"""Reading and writing scenes of any format: what ``splatpack.read`` and ``splatpack.write`` are."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from splatpack.container.atomic import atomic_write, refuse_existing
from splatpack.container.reader import ContainerReader
from splatpack.container.source import MemorySource
from splatpack.container.writer import rewrite
from splatpack.errors import InvalidSceneError, UsageError
from splatpack.formats.detect import detect
from splatpack.formats.registry import read_scene, write_scene
from splatpack.limits import Limits
from splatpack.pack.decode import Box, decode
from splatpack.pack.encode import encode, weigh
from splatpack.pack.passes import EncodeReport, Progress
from splatpack.pack.presets import Goal, Settings, settings
from splatpack.pack.rate import REACH, SIZE_TOLERANCE, Trial, search_goal, search_size
from splatpack.render.compare import CompareReport, compare
from splatpack.render.views import EVALUATION_SEED
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians
from splatpack.scene.validate import validate

Path_ = str | os.PathLike[str]


@dataclass
class WriteReport:
    """What :func:`write` did; :meth:`as_dict` has the keys of ``splatpack compress --json``.

    Attributes
    ----------
    input, output : str
    n_in, n_out : int
        Gaussians before and after pruning.
    bytes_in, bytes_out : int
        ``bytes_in`` is the input file's size, or that of the float columns for a scene in memory.
    seconds : float
    preset : str
    psnr_mean, psnr_min, ssim_mean : float or None
        Rendered quality of the written file against the input, dB, from cameras that the encoder did not use; None
        when it was not measured.
    stages : list of (str, float)
        Wall seconds of each stage.
    search : list of dict
        What a search for a size or a PSNR tried: q, prune, bytes, psnr_mean, psnr_min.
    sections : dict of str to int
        Bytes by section.
    warnings : list of str
        What was repaired, and what a target could not be met by.
    """

    input: str = ""
    output: str = ""
    n_in: int = 0
    n_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    seconds: float = 0.0
    preset: str = ""
    psnr_mean: float | None = None
    psnr_min: float | None = None
    ssim_mean: float | None = None
    stages: list[tuple[str, float]] = field(default_factory=list)
    search: list[dict[str, Any]] = field(default_factory=list)
    sections: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Input bytes per output byte."""
        return self.bytes_in / self.bytes_out if self.bytes_out else 0.0

    @property
    def bits_per_gaussian(self) -> float:
        """Output bits per Gaussian of the input."""
        return 8 * self.bytes_out / self.n_in if self.n_in else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return plain values under the keys of the command-line contract."""
        return {
            "input": self.input, "output": self.output, "n_in": self.n_in, "n_out": self.n_out,
            "bytes_in": self.bytes_in, "bytes_out": self.bytes_out, "ratio": self.ratio,
            "bits_per_gaussian": self.bits_per_gaussian, "seconds": self.seconds, "preset": self.preset,
            "psnr_mean": self.psnr_mean, "psnr_min": self.psnr_min, "ssim_mean": self.ssim_mean,
            "stages": [{"stage": name, "seconds": s} for name, s in self.stages],
            "search": self.search, "sections": self.sections, "warnings": self.warnings,
        }  # fmt: skip


def read(
    path: Path_, *, level: int | None = None, budget: int | None = None, box: Box | None = None, sh: bool = True,
    partial: bool = False, exact: bool = False, limits: Limits | None = None, threads: int | None = None,
) -> Gaussians:  # fmt: skip
    """Read a scene of any format, told by its content.

    Parameters
    ----------
    path : path-like
    level : int or None
        ``.spk`` only: this level of detail or coarser.
    budget : int or None
        ``.spk`` with levels of detail only: the most detailed cut of at most so many Gaussians, if there is one.
    box : ((x, y, z), (x, y, z)) or None
        ``.spk`` only: Gaussians whose centre lies in the box; only chunks that meet it are read.
    sh : bool
        ``.spk`` only: off leaves out the SH sections, unread.
    partial : bool
        ``.spk`` only: accept a file that was cut, and return the chunks that are whole.
    exact : bool
        Foreign formats only: give the numbers as they are stored, without normalising quats or repairing rows.
    limits : Limits or None
    threads : int or None

    Returns
    -------
    Gaussians

    Raises
    ------
    SplatpackError
        As the file deserves: see :mod:`splatpack.errors`.

    Examples
    --------
    >>> import splatpack, tempfile, pathlib
    >>> from splatpack.scene.gaussians import Gaussians
    >>> shapes = [(9, 3), (9, 3), (9, 4), (9,), (9, 1, 3), (9, 0, 3)]
    >>> scene = Gaussians(*(np.full(shape, 0.5, np.float32) for shape in shapes))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = splatpack.write(pathlib.Path(folder) / "scene.spk", scene, preset="high")
    ...     len(splatpack.read(pathlib.Path(folder) / "scene.spk"))
    9
    """
    if is_spk(path):
        with ContainerReader.open(path, limits, partial=partial) as reader:
            return decode(reader, box=box, level=level, budget=budget, sh=sh, threads=threads)
    return _read_foreign(path, limits, exact)[0]


def is_spk(path: Path_) -> bool:
    """Whether a file is a ``.spk``; one whose signature is damaged counts by its name, so that it is found corrupt."""
    found = detect(path)
    return found == "spk" or (found == "unknown" and Path(path).suffix.lower() == ".spk")


def _read_foreign(path: Path_, limits: Limits | None, exact: bool) -> tuple[Gaussians, list[str]]:
    """Read a foreign file; return the scene and what was repaired, in words. ``exact`` repairs nothing."""
    scene = read_scene(path, limits=limits, normalise=not exact)
    repaired, found = validate(scene)
    notes = list(scene.metadata.get("source", {}).get("notes", []))
    if not exact:
        return repaired, notes if found.clean else [*notes, found.summary()]
    if found.removed or found.opacities_clamped:
        raise InvalidSceneError(
            f"{path}: {found.summary()}. Bit-exact storage expects finite values; compress lossily."
        )
    return scene, notes


def write(
    path: Path_, scene: Gaussians, preset: str = "high", *, target_size: int | None = None,
    target_psnr: float | None = None, force: bool = False, measure: bool = False, threads: int | None = None,
    progress: Progress | None = None, **changes: Any,
) -> WriteReport:  # fmt: skip
    """Write a scene; the extension of ``path`` names the format, ``.spk`` or one that splatpack writes.

    The save is atomic and durable: whatever happens, the target is the old file or the new one.

    Parameters
    ----------
    path : path-like
    scene : Gaussians
    preset : str
        ``near-lossless``, ``high``, ``medium`` or ``small``; for ``.spk`` only, like everything below.
    target_size : int or None
        Bytes that the file may have: within 2 % below, never above.
    target_psnr : float or None
        Mean rendered PSNR to reach, dB, with as few bytes as the search finds.
    force : bool
        Replace an existing file.
    measure : bool
        Decode what was written, compare it with ``scene`` on views that no search has seen, and keep the result in
        the report and in the file.
    threads : int or None
    progress : callable or None
    **changes
        Fields of :class:`splatpack.pack.presets.Settings` that differ from the preset.

    Raises
    ------
    TargetExistsError, StorageError, UsageError, InvalidSceneError, UnsupportedError
    """
    return write_with(
        path, scene, settings(preset, **changes), target_size=target_size, target_psnr=target_psnr, force=force,
        measure=measure, threads=threads, progress=progress,
    )  # fmt: skip


def write_with(
    path: Path_, scene: Gaussians, how: Settings, *, target_size: int | None = None,
    target_psnr: float | None = None, force: bool = False, measure: bool = False, threads: int | None = None,
    progress: Progress | None = None,
) -> WriteReport:  # fmt: skip
    """:func:`write` with ready :class:`~splatpack.pack.presets.Settings`."""
    start = time.perf_counter()
    target = Path(path)
    refuse_existing(target, force)
    report = WriteReport(output=str(target), n_in=len(scene), n_out=len(scene), bytes_in=scene.nbytes)
    wanted = _wanted(how, target_size, target_psnr)
    with atomic_write(target, force=force) as file:
        if target.suffix.lower() != ".spk":
            report.warnings += write_scene(file, scene, target.name)
        elif wanted is None:
            _write_once(scene, file, how, report, target.parent, measure, threads, progress)
        else:
            found = _search(scene, replace(how, lod=False), wanted, report, threads, progress)
            if how.lod:
                levels = replace(found.settings, lod=True)
                _write_once(scene, file, levels, report, target.parent, measure, threads, progress)
            else:
                with ContainerReader(MemorySource(found.data)) as reader:
                    _finish(scene, reader, file, report, target.parent, measure, threads, progress)
    _keep_promise(report, wanted)
    report.bytes_out = target.stat().st_size
    report.seconds = time.perf_counter() - start
    return report


def _wanted(how: Settings, target_size: int | None, target_psnr: float | None) -> Goal | int | None:
    """Return the quality or the size to look for, None for the settings as they are."""
    if target_size is None and target_psnr is None:
        return how.goal
    if target_size is not None and target_psnr is not None:
        raise UsageError("a target size and a target PSNR at once: choose one.")
    if how.lod and target_size is not None:
        raise UsageError("a target size and levels of detail: what they will take is not known beforehand. Choose one.")
    if how.keep_order or how.steps or len(how.exact) == len(ATTRIBUTES):
        raise UsageError("a target needs steps that are free: no single steps, no lossless mode.")
    return target_size if target_psnr is None else Goal(target_psnr, 0.0)


def _search(
    scene: Gaussians, how: Settings, wanted: Goal | int, report: WriteReport, threads: int | None,
    progress: Progress | None,
) -> Trial:  # fmt: skip
    """Return the file that meets the target, if there is one."""
    before = time.perf_counter()
    if progress:
        progress("search", 0, 1)
    weights = weigh(scene, replace(how, importance_views=2 * how.importance_views), threads)
    if isinstance(wanted, int):
        room = max(wanted - QUALITY_BYTES, 1)
        found = search_size(scene, weights, how, room, threads=threads, progress=progress)
        if len(found.found.data) < (1 - SIZE_TOLERANCE) * room:
            report.warnings.append(
                f"target size {wanted:,} bytes: nothing between this and the next larger trial fits."
            )
    elif wanted is how.goal:
        found = search_goal(
            scene, weights, how, wanted.raised(*PROMISE), tolerance=0.6, least=how.q / REACH, threads=threads,
            progress=progress,
        )  # fmt: skip
    else:
        found = search_goal(
            scene, weights, how, wanted.raised(MARGIN, 0.0), tolerance=0.25, threads=threads, progress=progress
        )
        best = found.found.psnr_mean or 0.0
        if best < wanted.psnr_mean:
            raise UsageError(
                f"target PSNR {wanted.psnr_mean:g} dB: the finest steps reach {best:.1f} dB. Use --lossless."
            )
    report.search = found.walked
    report.stages.append(("search", time.perf_counter() - before))
    _note(report, found.found.report, how)
    return found.found


def _write_once(
    scene: Gaussians, file: BinaryIO, how: Settings, report: WriteReport, folder: Path, measure: bool,
    threads: int | None, progress: Progress | None,
) -> None:  # fmt: skip
    """Encode to ``file``; with ``measure`` to a draft first, whose quality then goes into the metadata."""
    spool = str(folder)
    if not measure:
        _note(report, encode(scene, file, how, threads=threads, progress=progress, spool=spool), how)
        return
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".", suffix=".draft") as draft:
        made = encode(scene, draft, how, threads=threads, progress=progress, spool=spool)  # type: ignore[arg-type]
        draft.flush()
        _note(report, made, how)
        with ContainerReader.open(draft.name) as reader:
            _finish(scene, reader, file, report, folder, measure, threads, progress)


def _finish(
    scene: Gaussians, reader: ContainerReader, file: BinaryIO, report: WriteReport, folder: Path, measure: bool,
    threads: int | None, progress: Progress | None,
) -> None:  # fmt: skip
    """Copy what was encoded to ``file``, with its quality in the metadata where that is measured."""
    meta = dict(reader.meta)
    if measure:
        before = time.perf_counter()
        if progress:
            progress("measure", 0, 1)
        quality = compare(scene, decode(reader, threads=threads), threads=threads)
        report.psnr_mean, report.psnr_min, report.ssim_mean = quality.psnr_mean, quality.psnr_min, quality.ssim_mean
        meta["quality"] = _quality(quality)
        report.stages.append(("measure", time.perf_counter() - before))
    rewrite(reader, meta, file, str(folder))


def _keep_promise(report: WriteReport, wanted: Goal | int | None) -> None:
    """Warn when the views by which the file is judged show less than the goal."""
    if not isinstance(wanted, Goal) or report.psnr_mean is None or report.psnr_min is None:
        return
    if report.psnr_mean < wanted.psnr_mean or report.psnr_min < wanted.psnr_min:
        worst = f" and {wanted.psnr_min:g} dB in the worst view" if wanted.psnr_min else ""
        report.warnings.append(
            f"{wanted.psnr_mean:g} dB in the mean{worst} were wanted; views that no search has seen show "
            f"{report.psnr_mean:.1f} and {report.psnr_min:.1f} dB."
        )


PROMISE = 0.3, 0.6
"""What a search adds to the mean and the worst PSNR of a preset's goal, dB, since other views will judge."""

MARGIN = 0.25
"""What it adds to a PSNR that is asked for, dB: the unseen cameras differ from its own by about as much."""

QUALITY_BYTES = 160
"""What the measured quality takes in the metadata, at most."""


def _quality(quality: CompareReport) -> dict[str, Any]:
    """What the file says about its own quality, against the scene that it was made from."""
    return {
        "psnr_mean": round(quality.psnr_mean, 2), "psnr_min": round(quality.psnr_min, 2),
        "ssim_mean": round(quality.ssim_mean, 4), "views": quality.views, "seed": EVALUATION_SEED,
        "size": [320, 240],
    }  # fmt: skip


def _note(report: WriteReport, made: EncodeReport, how: Settings) -> None:
    report.n_out = made.n_out
    report.stages.extend(made.stages)
    report.sections = made.bytes_by_section
    report.preset = how.name


def compress(
    source: Path_, target: Path_, how: Settings, *, target_size: int | None = None, target_psnr: float | None = None,
    force: bool = False, measure: bool = False, exact: bool = False, limits: Limits | None = None,
    threads: int | None = None, progress: Progress | None = None,
) -> WriteReport:  # fmt: skip
    """Read a scene of any format and write it as ``.spk``; what was repaired on the way is in ``warnings``."""
    start = time.perf_counter()
    refuse_existing(target, force)
    warnings: list[str] = []
    if is_spk(source):
        scene = read(source, limits=limits, threads=threads)
    else:
        scene, warnings = _read_foreign(source, limits, exact)
    read_seconds = time.perf_counter() - start
    report = write_with(
        target, scene, how, target_size=target_size, target_psnr=target_psnr, force=force, measure=measure,
        threads=threads, progress=progress,
    )  # fmt: skip
    report.stages.insert(0, ("read", read_seconds))
    report.input, report.bytes_in = str(source), Path(source).stat().st_size
    report.warnings = warnings + report.warnings
    report.seconds = time.perf_counter() - start
    return report


def largest(scene: Gaussians, budget: int) -> Gaussians:
    """Return the ``budget`` Gaussians with the greatest opacity times area of the two longest axes, order kept."""
    if budget >= len(scene):
        return scene
    s = np.sort(scene.scales, axis=1).astype(np.float64)
    weight = s[:, 1] + s[:, 2] - np.log1p(np.exp(-np.clip(scene.opacities.astype(np.float64), -30, 30)))
    return scene.take(np.sort(np.argsort(-weight, kind="stable")[: max(1, budget)]))
