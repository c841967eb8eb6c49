"""Several scenes as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.edit.colour import sh_degree
from splatpack.errors import UsageError
from splatpack.scene.gaussians import Gaussians, concatenate
from splatpack.scene.transform import change_frame


def merge(scenes: Sequence[Gaussians]) -> Gaussians:
    """Return the Gaussians of all scenes, in order.

    Parameters
    ----------
    scenes : sequence of Gaussians
        The first one gives the frame, to which the others are turned, and the flags. Spherical harmonics are padded
        with zeros to the highest degree, and an extra column that a scene does not have is 0 there; columns of
        different integer types get the smallest type that holds both.

    Raises
    ------
    UsageError
        There is no scene; one is in an unknown frame and another is not; or a column of the same name has another
        count of components, or is float here and integer there.
    """
    if not scenes:
        raise UsageError("no scene to merge, expected at least one.")
    first = scenes[0]
    if len(scenes) == 1:
        return first
    turned = [_turned(scene, first.frame, i) for i, scene in enumerate(scenes)]
    kinds = _kinds(turned)
    degree = max(scene.sh_degree for scene in turned)
    parts = [replace(sh_degree(scene, degree), extras=_united(scene, kinds)) for scene in turned]
    sources = [scene.metadata.get("source", {}) for scene in scenes]
    return replace(concatenate(parts), metadata={**first.metadata, "source": {"merged": sources}})


def _turned(scene: Gaussians, frame: str, i: int) -> Gaussians:
    if scene.frame != frame and "unknown" in (scene.frame, frame):
        raise UsageError(
            f"scene {i + 1} of the merge is in frame {scene.frame!r}, the first one in {frame!r}. "
            "Say which frame the unknown one is in."
        )
    return scene if scene.frame == frame else change_frame(scene, frame)


def _kinds(scenes: Sequence[Gaussians]) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
    """Return the type and the components of every column that a scene has, in order of appearance."""
    kinds: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {}
    for scene in scenes:
        for name, column in scene.extras.items():
            dtype, shape = kinds.get(name, (column.dtype, column.shape[1:]))
            joint = np.result_type(dtype, column.dtype)
            if shape != column.shape[1:] or (joint.kind == "f") != (dtype.kind == column.dtype.kind == "f"):
                raise UsageError(
                    f"extra column {name!r}: {dtype} with components {shape} in one scene, {column.dtype} with "
                    f"{column.shape[1:]} in another, expected the same. Rename or drop one."
                )
            kinds[name] = joint, shape
    return kinds


def _united(scene: Gaussians, kinds: dict[str, tuple[np.dtype[Any], tuple[int, ...]]]) -> dict[str, NDArray[Any]]:
    n = len(scene)
    return {
        name: scene.extras[name].astype(dtype, copy=False) if name in scene.extras else np.zeros((n, *shape), dtype)
        for name, (dtype, shape) in kinds.items()
    }
