"""splatpack: compression and streaming for neural 3D assets.

The names below are imported when they are used; ``import splatpack`` alone loads nothing.

>>> import splatpack
>>> splatpack.__version__
'0.1.0'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from splatpack.pack.api import read, write
    from splatpack.render.compare import compare
    from splatpack.scene.cameras import Camera
    from splatpack.scene.gaussians import Gaussians

__version__ = "0.1.0"

_LAZY = {
    "read": "splatpack.pack.api",
    "write": "splatpack.pack.api",
    "compare": "splatpack.render.compare",
    "Camera": "splatpack.scene.cameras",
    "Gaussians": "splatpack.scene.gaussians",
}

__all__ = ["Camera", "Gaussians", "__version__", "compare", "read", "render", "stream", "write"]


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562). ``render`` and ``stream`` are packages that can be called."""
    if name in ("render", "stream"):
        return import_module(f"splatpack.{name}")
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'splatpack' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
