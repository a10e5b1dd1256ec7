"""Decorators that compile loops with numba. Machine code is cached on disk, and loops release the GIL."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import llvmlite
import numba
import numpy as np
import numpy.typing as npt
from numba.core.caching import CompileResultCacheImpl, FunctionCache

__all__ = ["compiled", "inlined", "view_of"]

log = logging.getLogger(__name__)

Loop = TypeVar("Loop", bound=Callable[..., object])


def _digest_of_kernels() -> str:
    """Return a digest of the source files of this package and of the version of llvmlite."""
    digest = hashlib.sha256(llvmlite.__version__.encode())
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


_KERNELS = _digest_of_kernels()


class _NamedByKernels(CompileResultCacheImpl):
    """Adds the digest of the kernels to the names of cache files.

    numba recompiles a loop only if the source file of the loop changes, but the machine code also contains
    functions and constants of other files. With the digest, two versions of this package share no cache
    file.
    """

    def get_filename_base(self, fullname: str, abiflags: str) -> str:
        return f"{super().get_filename_base(fullname, abiflags)}-{_KERNELS}"


class _Cache(FunctionCache):
    """numba's cache on disk, with the file names of ``_NamedByKernels``.

    A damaged file and a full disk cost a compilation, as an unwritable folder does, instead of an error.
    """

    _impl_class = _NamedByKernels

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the saved machine code, or ``None`` if there is none, or a file is damaged."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a damaged pickle can raise any exception
            log.debug("the saved machine code of %s is damaged", self._name, exc_info=True)
            with suppress(OSError):
                self.flush()  # saving would read the index again
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Save machine code; if the disk is full, the next process compiles the loop again."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            log.debug("the machine code of %s could not be saved: %s", self._name, error)


def compiled(loop: Loop, **options: bool | set[str]) -> Loop:
    """Compile a function at its first call, and cache the machine code on disk.

    Arguments of other types cause another compilation. Later processes use the cached code until a source
    file of ``item2vec.kernels`` or the version of llvmlite changes. If neither the package's folder nor the
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
    # error_model="numpy": 1 / 0 is inf. An exception would need a slow check per division; training
    # checks its results for inf instead.
    dispatcher = numba.njit(nogil=True, error_model="numpy", **options)(loop)
    with suppress(RuntimeError):  # numba raises it if no cache folder is writable
        dispatcher._cache = _Cache(loop)  # equivalent to cache=True, with other file names
    return cast(Loop, dispatcher)


inlined = partial(compiled, forceinline=True)
"""Decorator like ``compiled``; the function is also inlined into every caller."""


def view_of(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a read-only array in C order: a view, or a copy if the array is in another order.

    numba compiles a loop anew for each layout and writability of its arguments. If all arrays are such views,
    the loop is compiled only once.

    >>> view_of(np.arange(3)).flags.writeable
    False
    """
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
