"""How a loop is compiled: once for a machine, without holding Python's lock."""

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
    """Return a digest of all source files of this package, and of the version of LLVM that compiles them."""
    digest = hashlib.sha256(llvmlite.__version__.encode())
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


_KERNELS = _digest_of_kernels()


class _NamedByKernels(CompileResultCacheImpl):
    """Puts the digest of all kernels into the names of a loop's cache files.

    The machine code of a loop holds functions and constants of other files, but numba compares the loop's own
    file only. The digest is in the name, so that processes of an old and a new version share no file.
    """

    def get_filename_base(self, fullname: str, abiflags: str) -> str:
        return f"{super().get_filename_base(fullname, abiflags)}-{_KERNELS}"


class _Cache(FunctionCache):
    """Machine code on the disk."""

    _impl_class = _NamedByKernels


def compiled(loop: Loop, **options: bool | set[str]) -> Loop:
    """Compile a function when it is first called, and keep the machine code on the disk for the next process.

    Machine code is used again as long as no source file of this package has changed. Where no folder can be
    written (neither the package's own nor the user's cache), the function is compiled anew in each process.
    ``options`` are numba's.

    Examples
    --------
    >>> @compiled
    ... def twice(x):
    ...     return x + x
    >>> twice(4)
    8
    """
    # NumPy's division: one by zero is not finite, which training checks, and the check itself costs time.
    dispatcher = numba.njit(nogil=True, error_model="numpy", **options)(loop)
    with suppress(RuntimeError):  # numba: "no locator available"
        dispatcher._cache = _Cache(loop)  # what cache=True does, with a cache of ours
    return cast(Loop, dispatcher)


inlined = partial(compiled, forceinline=True)
"""``compiled``, into the machine code of each loop that calls it."""
