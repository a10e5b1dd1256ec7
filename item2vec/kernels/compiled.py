"""How a loop is compiled: once for a machine, without holding Python's lock."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import numba

__all__ = ["compiled", "inlined"]

Loop = TypeVar("Loop", bound=Callable[..., object])


def compiled(loop: Loop, **options: bool | set[str]) -> Loop:
    """Compile a function when it is first called, and keep the machine code on the disk for the next process.

    Where no folder can be written (neither the package's own nor the user's cache), it is compiled anew in
    each process. ``options`` are numba's.

    Examples
    --------
    >>> @compiled
    ... def twice(x):
    ...     return x + x
    >>> twice(4)
    8
    """
    try:
        loop_compiled: Loop = numba.njit(nogil=True, cache=True, **options)(loop)
    except RuntimeError:  # numba: "no locator available"
        loop_compiled = numba.njit(nogil=True, **options)(loop)
    return loop_compiled


inlined = partial(compiled, forceinline=True)
"""``compiled``, into the machine code of each loop that calls it."""
