"""The one place that compiles Numba kernels.

A kernel is a function of a ``kernels/`` folder under ``@kernel(signature)``: serial, ``nogil``, never allocating for
its caller, never raising. Three failures that were reproduced shape this module (``docs/design/0002-kernels.md``):

* Numba's cache key is the text of the kernel's own file, so a changed helper in another file left old machine code
  running. The key here also holds a digest of every kernel source.
* ``NUMBA_BOUNDSCHECK`` is not part of Numba's key. ``SPLATPACK_BOUNDSCHECK=1`` is part of ours.
* ``cache=True`` raises at import when no cache folder is writable. Here the kernel goes on uncached.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import numba
from numba.core.caching import FunctionCache

F = TypeVar("F", bound=Callable[..., Any])

Int: TypeAlias = Any
"""An integer inside a kernel: a Python int, or an ``np.int64`` that came out of an array. Compiled, always int64."""
Float: TypeAlias = Any
"""A float inside a kernel: a Python float or an ``np.float64``. Compiled, always float64."""

_BOUNDSCHECK = os.environ.get("SPLATPACK_BOUNDSCHECK") == "1"
_said = False


@cache
def _digest() -> str:
    h = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("**/kernels/*.py")):
        h.update(path.read_bytes())
    return h.hexdigest()


class _PackageCache(FunctionCache):
    """A function cache whose key covers all kernel sources and the bounds-check switch."""

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return (*super()._index_key(sig, codegen), _digest(), _BOUNDSCHECK)  # type: ignore[no-untyped-call]


def _say_compiling() -> None:
    """Tell a person at a terminal, once, why the first run is slow."""
    global _said
    if not _said and sys.stderr.isatty():
        print("splatpack: compiling kernels (once) ...", file=sys.stderr)
    _said = True


def kernel(signature: Any, *, inline: bool = False) -> Callable[[F], F]:
    """Compile a kernel for one signature.

    Parameters
    ----------
    signature : str or numba signature
        The only signature; another dtype or stride is a ``TypeError`` at the call. Declare inputs read-only (``ro``).
    inline : bool
        For small helpers that other kernels call: ask LLVM to inline them.

    Returns
    -------
    callable
        The compiled function, or the plain function under ``NUMBA_DISABLE_JIT=1``.
    """

    def wrap(fn: F) -> F:
        options: dict[str, Any] = {"forceinline": True} if inline else {}
        compiled: Any = numba.njit(nogil=True, boundscheck=_BOUNDSCHECK, error_model="numpy", **options)(fn)
        if compiled is fn:
            return fn
        with contextlib.suppress(RuntimeError):
            compiled._cache = _PackageCache(fn)  # type: ignore[no-untyped-call]
        hits = sum(compiled.stats.cache_hits.values())
        compiled.compile(signature)
        if sum(compiled.stats.cache_hits.values()) == hits:
            _say_compiling()
        compiled.disable_compile()
        return cast(F, compiled)

    return wrap


def ro(dtype: Any, ndim: int = 1) -> Any:
    """Return the type of a C-contiguous read-only array argument (writable arrays are taken too)."""
    return numba.types.Array(dtype, ndim, "C", readonly=True)


def bundle(cls: Any, *members: Any) -> Any:
    """Return the type of a named tuple as an argument. Its arrays must be exactly of the ``members``' types: ``rw``."""
    return numba.types.NamedTuple(members, cls)  # type: ignore[no-untyped-call]


def rw(dtype: Any, ndim: int = 1) -> Any:
    """Return the type of a C-contiguous array argument that the kernel writes."""
    return numba.types.Array(dtype, ndim, "C")
