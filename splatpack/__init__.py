"""splatpack: compression and streaming for neural 3D assets.

>>> import splatpack
>>> splatpack.__version__
'0.1.0'
"""

from __future__ import annotations

__version__ = "0.1.0"
