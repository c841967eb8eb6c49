"""A container to a peer: the protocol ``splatpack.v1`` without sockets, its scheduler, and the client.

The public API has a function ``splatpack.stream(url, ...)``, and this package has the same name; like
:mod:`splatpack.render` the package itself is callable. Nothing is imported before the call.
"""
