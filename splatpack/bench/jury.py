"""A scene made ready for a benchmark: its PLY, its cameras, and the pictures that decoded scenes are held against."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.formats.registry import read_scene, write_scene
from splatpack.parallel import ordered_map
from splatpack.render.compare import CompareReport, psnr, ssim
from splatpack.render.cpu import render
from splatpack.render.views import evaluation_cameras, stage
from splatpack.scene.cameras import Camera
from splatpack.scene.gaussians import Gaussians
from splatpack.scene.validate import validate


@dataclass(frozen=True)
class Input:
    """A scene to measure, not yet in memory.

    Attributes
    ----------
    name : str
    load : callable
        Gives the scene.
    facts : dict
        What the report says about it: its source format, what was done to it. Filled in by ``load`` too.
    """

    name: str
    load: Callable[[], Gaussians]
    facts: dict[str, Any] = field(default_factory=dict)


class Jury:
    """What all codecs get, and how their results are judged.

    Parameters
    ----------
    scene : Gaussians
    ply : Path
        Where the PLY goes that every codec is given; the reference is what this file says.
    size : (int, int)
        Pictures, pixels.
    threads : int or None
    """

    def __init__(self, scene: Gaussians, ply: Path, size: tuple[int, int], threads: int | None) -> None:
        with ply.open("wb") as file:
            write_scene(file, scene, ".ply")
        self.ply, self._threads = ply, threads
        self.digest = _digest(ply)
        self.reference = _read(ply)
        self._near = stage(self.reference).near
        self._cameras = evaluation_cameras(self.reference, *size, threads=threads)
        self._pictures: list[NDArray[np.float32]] = list(
            ordered_map(lambda c: self._draw(self.reference, c), self._cameras, threads)
        )

    def judge(self, ply: Path) -> tuple[int, CompareReport]:
        """Return how many Gaussians a decoded PLY has, and how its renders differ from the reference's.

        The figures are those of :func:`splatpack.render.compare.compare`; the reference is drawn only once. Its flags
        hold for what is decoded too: few formats have a place for them, and they are no matter of a codec.
        """
        test = replace(_read(ply), antialiased=self.reference.antialiased, surfels=self.reference.surfels)

        def work(k: int) -> tuple[float, float]:
            picture = self._draw(test, self._cameras[k])
            return psnr(self._pictures[k], picture), ssim(self._pictures[k], picture)

        figures = list(ordered_map(work, range(len(self._cameras)), self._threads))
        names = [camera.name for camera in self._cameras]
        return len(test), CompareReport(names, [f[0] for f in figures], [f[1] for f in figures])

    def _draw(self, scene: Gaussians, camera: Camera) -> NDArray[np.float32]:
        return render(scene, camera, near=self._near, threads=1).color


def _read(ply: Path) -> Gaussians:
    return validate(read_scene(ply))[0]


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
