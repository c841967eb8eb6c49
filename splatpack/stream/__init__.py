"""A container to a peer: the protocol ``splatpack.v1`` without sockets, its scheduler, and the client.

The public API has a function ``splatpack.stream(url, ...)``, and this package has the same name; like
:mod:`splatpack.render` the package itself is callable. Nothing is imported before the call.
"""

from __future__ import annotations

import ssl
import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from splatpack.scene.cameras import Camera
    from splatpack.stream.client import SceneStream


class _CallableModule(ModuleType):
    """A module that is also the function ``splatpack.stream``."""

    def __call__(
        self, url: str, *, camera: Camera | None = None, token: str | None = None, budget: int | None = None,
        follow: bool = False, tls: ssl.SSLContext | None = None,
    ) -> SceneStream:  # fmt: skip
        """Stream a scene from a server: ``async for chunk in splatpack.stream("ws://host:8080/scene", camera=...)``.

        Parameters
        ----------
        url : str
            ``ws://`` or ``wss://``, the host, and the scene's name as the path (none: the server's only scene).
        camera : Camera or None
            What is near and in sight comes first; None takes file order.
        token : str or None
            For servers that ask for one.
        budget : int or None
            Bytes to receive, at most.
        follow : bool
            Go on after the camera has everything, for :meth:`~splatpack.stream.client.SceneStream.look`.
        tls : ssl.SSLContext or None
            For ``wss://``; the default verifies the server.

        Returns
        -------
        SceneStream
            Iterate over it for :class:`~splatpack.stream.client.StreamChunk`, each checked against the file's hashes.
            Lost connections are taken up again where they broke.
        """
        from splatpack.stream.client import SceneStream

        return SceneStream(url, camera=camera, token=token, budget=budget, follow=follow, tls=tls)


sys.modules[__name__].__class__ = _CallableModule
