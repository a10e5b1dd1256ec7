"""Checks of values that a store can hold: text and JSON values, and timestamps of interactions."""

from __future__ import annotations

import math
from typing import Any

from item2vec.errors import (
    InputError,
    InputTypeError,
    short_repr,
)

__all__ = ["check_dated", "check_text", "check_value"]

MAX_DEPTH = 100


def check_dated(dated: bool, stored: bool | None) -> None:
    """Raise ``InputError`` if only one of new and stored interactions have timestamps.

    ``stored`` is ``None`` if the store has no interactions.
    """
    if stored is not None and stored is not dated:
        words = {True: "have timestamps", False: "have no timestamps"}
        raise InputError(
            f"the interactions {words[dated]}, and the interactions in the store {words[stored]}; expected "
            "timestamps in both or in neither, because events with and without timestamps cannot be ordered: "
            "use another store"
        )


def check_text(value: Any, what: str) -> None:
    r"""Raise ``InputError`` for text with NUL or lone surrogates, which a database cannot store.

    A value that is not text raises ``InputTypeError``. ``what`` names the value in the message.

    >>> check_text("a\0b", "title")
    Traceback (most recent call last):
    item2vec.errors.InputError: title is 'a\x00b'; expected text without NUL or lone surrogates
    """
    if not isinstance(value, str):
        raise InputTypeError(f"{what} is {short_repr(value)}, of type {type(value).__name__}; expected text")
    if not _is_storable(value):
        raise InputError(f"{what} is {short_repr(value)}; expected text without NUL or lone surrogates")


def check_value(value: Any, what: str, depth: int = 0) -> None:
    """Raise ``InputError`` for a value that a database would change.

    A value that is not a JSON value, or is nested too deeply, raises ``InputTypeError``. ``what`` names the
    value in the message.

    >>> check_value({"recall": float("nan")}, "metrics")
    Traceback (most recent call last):
    item2vec.errors.InputError: metrics is nan; expected a finite float or a signed 64-bit integer
    """
    if isinstance(value, str):
        check_text(value, what)
    elif depth > MAX_DEPTH:
        raise InputTypeError(
            f"{what} is nested more than {MAX_DEPTH} levels deep; expected at most {MAX_DEPTH} levels"
        )
    elif isinstance(value, list | dict):
        for name in value if isinstance(value, dict) else ():
            check_text(name, f"{what}: a name")
        for element in value.values() if isinstance(value, dict) else value:
            check_value(element, what, depth + 1)
    elif not isinstance(value, int | float | None):
        raise InputTypeError(
            f"{what} is {short_repr(value)} of type {type(value).__name__}; expected text, a number, a "
            "boolean, None, or a list or dict of these"
        )
    elif value is not None and not _is_storable(value):
        raise InputError(f"{what} is {short_repr(value)}; expected a finite float or a signed 64-bit integer")


def _is_storable(value: str | float) -> bool:
    """Return whether SQLite and PostgreSQL store the value unchanged."""
    if isinstance(value, str):
        return "\0" not in value and value.encode("utf-8", "replace").decode() == value
    return math.isfinite(value) if isinstance(value, float) else -(2**63) <= value < 2**63
