"""The decorators that compile a loop: with a cache on disk, and without holding the GIL."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

import llvmlite
import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache

__all__ = ["compiled", "inlined"]

Loop = TypeVar("Loop", bound=Callable[..., object])


def _digest_of_kernels() -> str:
    """Return a digest of all source files of this package and of llvmlite's version."""
    digest = hashlib.sha256(llvmlite.__version__.encode())
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


_KERNELS = _digest_of_kernels()


class _NamedByKernels(CompileResultCacheImpl):
    """Puts the digest of all kernels into the names of a loop's cache files.

    numba recompiles a loop when its own file changes. But its machine code also contains functions and
    constants of other files. With the digest in the name, processes of two versions share no cache file.
    """

    def get_filename_base(self, fullname: str, abiflags: str) -> str:
        return f"{super().get_filename_base(fullname, abiflags)}-{_KERNELS}"


class _Cache(FunctionCache):
    """numba's cache on disk, with these file names."""

    _impl_class = _NamedByKernels


def compiled(loop: Loop, **options: bool | set[str]) -> Loop:
    """Compile a function at its first call, and cache the machine code on disk for later processes.

    Cached code is used until a source file of this package changes. If neither the package's folder nor the
    user's cache folder is writable, each process compiles the function again. ``options`` are passed to
    ``numba.njit``.

    Examples
    --------
    >>> @compiled
    ... def twice(x):
    ...     return x + x
    >>> twice(4)
    8
    """
    # "numpy": 1 / 0 is inf, not an exception. Training checks for inf; a check per division would be slow.
    dispatcher = numba.njit(nogil=True, error_model="numpy", **options)(loop)
    with suppress(RuntimeError):  # numba: "no locator available"
        dispatcher._cache = _Cache(loop)  # as cache=True does, with other file names
    return cast(Loop, dispatcher)


inlined = partial(compiled, forceinline=True)
"""``compiled``, and inlined into each loop that calls it."""
