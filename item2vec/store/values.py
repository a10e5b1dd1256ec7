"""Checks of values that a store can hold: text and JSON values, and timestamps of interactions."""

from __future__ import annotations

import math
from typing import Any

from item2vec.errors import InputError, short_repr
from item2vec.json_values import check_is_text, check_json

__all__ = ["check_dated", "check_text", "check_value"]


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
    check_is_text(value, what)
    if not _is_storable(value):
        raise InputError(f"{what} is {short_repr(value)}; expected text without NUL or lone surrogates")


def check_value(value: Any, what: str) -> None:
    """Raise ``InputError`` for a value that a database would change.

    A value that is not a JSON value, or is nested too deeply, raises ``InputTypeError``. ``what`` names the
    value in the message.

    >>> check_value({"recall": float("nan")}, "metrics")
    Traceback (most recent call last):
    item2vec.errors.InputError: metrics is nan; expected a finite float or a signed 64-bit integer
    """
    check_json(value, what, _check_storable)


def _check_storable(value: str | float, what: str) -> None:
    if isinstance(value, str):
        check_text(value, what)
    elif not _is_storable(value):
        raise InputError(f"{what} is {short_repr(value)}; expected a finite float or a signed 64-bit integer")


def _is_storable(value: str | float) -> bool:
    """Return whether SQLite and PostgreSQL store the value unchanged."""
    if isinstance(value, str):
        return "\0" not in value and value.encode("utf-8", "replace").decode() == value
    return math.isfinite(value) if isinstance(value, float) else -(2**63) <= value < 2**63
