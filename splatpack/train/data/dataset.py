"""A folder of posed photos as a trainer sees it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from splatpack.train.data.photo import Photo

__all__ = ["Dataset", "Photo"]


@dataclass(frozen=True)
class Dataset:
    """Posed photos, split into those that are trained on and those that are held out.

    Attributes
    ----------
    name : str
        What to call it: the folder's name.
    train, test : tuple of Photo
    points : float32 (P, 3) or None
        A sparse reconstruction, in the frame of the cameras.
    colors : float32 (P, 3) or None
        Its colours, from 0 to 1.
    background : (float, float, float) or None
        The colour that transparent pictures are composed on; None when all are opaque.
    frame : str
        ``rdf``, ``rub``, ``luf``, ``z_up`` or ``unknown``.
    warnings : list of str
        What is missing or was repaired.
    """

    name: str
    train: tuple[Photo, ...]
    test: tuple[Photo, ...] = ()
    points: NDArray[np.float32] | None = None
    colors: NDArray[np.float32] | None = None
    background: tuple[float, float, float] | None = None
    frame: str = "unknown"
    warnings: list[str] = field(default_factory=list)
