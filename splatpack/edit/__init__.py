"""Edits: functions that take a scene and return another one, the old one unchanged.

They are what ``splatpack edit`` does, in the order in which they are called. Names are imported when they are used.

>>> from splatpack import Gaussians, edit
>>> shapes = [(9, 3), (9, 3), (9, 4), (9,), (9, 1, 3), (9, 0, 3)]
>>> import numpy as np
>>> scene = Gaussians(*(np.full(shape, 0.5, np.float32) for shape in shapes))
>>> scene = edit.translate(scene, (1, 0, 0))
>>> len(edit.crop_sphere(scene, (1.5, 0.5, 0.5), 0.1)), len(edit.select(scene, "x > 2"))
(9, 0)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from splatpack.edit.colour import exposure, map_colours, saturation, sh_degree, white_balance
    from splatpack.edit.cropping import crop_box, crop_plane, crop_sphere
    from splatpack.edit.filters import drop_nan, filter_opacity, filter_scale, select
    from splatpack.edit.floaters import drop_floaters, drop_huge, drop_isolated, drop_unseen
    from splatpack.edit.labels import label
    from splatpack.edit.merging import merge
    from splatpack.edit.placement import change_frame, mirror, rotate, scale, sort, translate
    from splatpack.edit.reduction import decimate, largest
    from splatpack.edit.simplification import simplify
    from splatpack.edit.stats import statistics

_WHERE = {
    "colour": ("exposure", "map_colours", "saturation", "sh_degree", "white_balance"),
    "cropping": ("crop_box", "crop_plane", "crop_sphere"),
    "filters": ("drop_nan", "filter_opacity", "filter_scale", "select"),
    "floaters": ("drop_floaters", "drop_huge", "drop_isolated", "drop_unseen"),
    "labels": ("label",),
    "merging": ("merge",),
    "placement": ("change_frame", "mirror", "rotate", "scale", "sort", "translate"),
    "reduction": ("decimate", "largest"),
    "simplification": ("simplify",),
    "stats": ("statistics",),
}
_MODULE = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [  # noqa: RUF022  (in the order of the modules)
    "exposure", "map_colours", "saturation", "sh_degree", "white_balance",
    "crop_box", "crop_plane", "crop_sphere",
    "drop_nan", "filter_opacity", "filter_scale", "select",
    "drop_floaters", "drop_huge", "drop_isolated", "drop_unseen",
    "label", "merge",
    "change_frame", "mirror", "rotate", "scale", "sort", "translate",
    "decimate", "largest", "simplify", "statistics",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a name on first use (PEP 562)."""
    if name in _MODULE:
        return getattr(import_module(f"splatpack.edit.{_MODULE[name]}"), name)
    raise AttributeError(f"module 'splatpack.edit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
