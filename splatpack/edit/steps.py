"""A list of edits, applied in order, with the count of Gaussians after each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from splatpack.errors import UsageError
from splatpack.scene.gaussians import Gaussians

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Step:
    """One edit.

    Attributes
    ----------
    name : str
        As it is called in messages, with its arguments.
    apply : callable
        Takes a scene and returns another one.
    """

    name: str
    apply: Callable[[Gaussians], Gaussians]


@dataclass(frozen=True)
class Count:
    """What a step did: its name, and the Gaussians before and after it."""

    name: str
    n_in: int
    n_out: int


def run(scene: Gaussians, steps: Sequence[Step], progress: Progress | None = None) -> tuple[Gaussians, list[Count]]:
    """Apply steps in order.

    Raises
    ------
    UsageError
        Nothing is left after a step, which the message names; or a step refuses its arguments.
    """
    counts: list[Count] = []
    for i, step in enumerate(steps):
        if progress:
            progress(step.name.split()[0], i, len(steps))
        before = len(scene)
        scene = step.apply(scene)
        counts.append(Count(step.name, before, len(scene)))
        if not len(scene):
            raise UsageError(f"{step.name}: nothing is left of {before:,} Gaussians. Loosen it, or look at the bounds.")
    return scene, counts
