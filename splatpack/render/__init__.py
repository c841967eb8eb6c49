"""Scene to image: the CPU rasteriser and the comparison of scenes by their pictures.

The public API has a function ``splatpack.render(scene, camera)``, and this package has the same name. Python binds a
sub-package to its parent's attribute as soon as anything below it is imported, so a function of that name would be
replaced by the package at a moment nobody controls. The package itself is callable instead: its module object gets a
class with ``__call__``, the mechanism that the language reference gives for customising modules (section 3.3.2.1).
Nothing is imported before the call.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from splatpack.scene.cameras import Camera
    from splatpack.scene.gaussians import FloatArray, Gaussians


class _CallableModule(ModuleType):
    """A module that is also the function ``splatpack.render``."""

    def __call__(
        self,
        scene: Gaussians,
        camera: Camera,
        *,
        background: tuple[float, float, float] = (0.0, 0.0, 0.0),
        threads: int | None = None,
    ) -> FloatArray:
        """Draw a scene.

        Parameters
        ----------
        scene : Gaussians
        camera : Camera
        background : tuple of 3 float
            Colour behind everything, in [0, 1].
        threads : int or None
            None uses all cores; the picture does not depend on it.

        Returns
        -------
        float32 (H, W, 3)
            In [0, 1], display-referred.
        """
        from splatpack.render.cpu import render

        return render(scene, camera, background=background, threads=threads).color


sys.modules[__name__].__class__ = _CallableModule
