"""Writing a foreign format: the options that commands share, and the save itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from splatpack.scene.gaussians import Gaussians

FRAMES = ("rdf", "rub", "luf", "z_up")


def options(fn: Callable[..., None]) -> Callable[..., None]:
    """Add ``--output-frame`` and ``--spz-version``."""
    frame = "Turn the scene to this frame. Default: that of the format (SPZ rub, all others rdf)."
    version = "Version of an .spz. Default: 4; older viewers want 3."
    fn = click.option("--spz-version", type=click.IntRange(2, 4), metavar="N", help=version)(fn)
    return click.option("--output-frame", type=click.Choice(FRAMES), help=frame)(fn)


def save(
    target: Path, scene: Gaussians, *, force: bool, output_frame: str | None, spz_version: int | None
) -> list[str]:
    """Write a scene to a foreign file in one stroke; return what the format could not hold.

    Raises
    ------
    TargetExistsError, StorageError, UnsupportedError, UsageError, InvalidSceneError
    """
    from splatpack.container.atomic import atomic_write
    from splatpack.formats.registry import write_scene

    settings: dict[str, Any] = {} if spz_version is None else {"version": spz_version}
    with atomic_write(target, force=force) as file:
        return write_scene(file, scene, target.name, frame=output_frame, **settings)
