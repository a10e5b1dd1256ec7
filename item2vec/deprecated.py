"""Deprecated public names. They work for one more release, and emit a ``DeprecationWarning``."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

__all__ = ["Renamed", "module_getattr"]


class Renamed:
    """A deprecated attribute. Reading it emits a warning, and returns the attribute that ``new`` names.

    In a class body, ``questions = Renamed("queries")`` defines ``questions`` as a deprecated name of the
    attribute ``queries``.
    """

    def __init__(self, new: str) -> None:
        self._new = new

    def __set_name__(self, owner: type, old: str) -> None:
        self._old = f"{owner.__name__}.{old}"

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        if instance is None:
            return self
        _warn(self._old, self._new)
        return getattr(instance, self._new)


def module_getattr(names: dict[str, Any], new_of: dict[str, str]) -> Callable[[str], Any]:
    """Return the function ``__getattr__`` of a module; the function resolves the module's deprecated names.

    ``names`` are the globals of the module. ``new_of`` maps each deprecated name to its new name.
    """

    def getattr_(old: str) -> Any:
        if old not in new_of:
            raise AttributeError(f"module {names['__name__']!r} has no attribute {old!r}")
        _warn(f"{names['__name__']}.{old}", new_of[old])
        return names[new_of[old]]

    return getattr_


def _warn(old: str, new: str) -> None:
    warnings.warn(f"{old} is deprecated; use {new}", DeprecationWarning, stacklevel=3)
