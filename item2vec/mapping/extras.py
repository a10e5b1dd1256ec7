"""The optional libraries of maps."""

from __future__ import annotations

import importlib.util

from item2vec.errors import MissingExtraError

__all__ = ["require"]


def require(module: str, purpose: str, *, extra: str) -> None:
    """Raise ``MissingExtraError`` if a module is not installed.

    >>> require("numpy", "a map", extra="maps")
    """
    if importlib.util.find_spec(module) is None:
        raise MissingExtraError(
            f"{module} is not installed; {purpose} needs it: pip install 'item2vec[{extra}]'"
        )
