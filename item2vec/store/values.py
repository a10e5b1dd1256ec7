"""Text and JSON that each database gives back as it was given."""

from __future__ import annotations

import math
from typing import Any

from item2vec.errors import InputError, InputTypeError

__all__ = ["can_be_held", "check_text", "check_value"]

MAX_DEPTH = 100


def check_text(value: Any, what: str) -> None:
    r"""Refuse text with NUL or lone surrogates, which some database could not hold.

    >>> check_text("a\0b", "title")
    Traceback (most recent call last):
    item2vec.errors.InputError: title is 'a\x00b'; expected text without NUL and lone surrogates
    """
    if not isinstance(value, str):
        raise InputTypeError(f"{what} is {value!r}; expected text")
    if not can_be_held(value):
        raise InputError(f"{what} is {value!r}; expected text without NUL and lone surrogates")


def check_value(value: Any, what: str, depth: int = 0) -> None:
    """Refuse what is no JSON, or would not come back from each database as it is.

    >>> check_value({"recall": float("nan")}, "metrics")
    Traceback (most recent call last):
    item2vec.errors.InputError: metrics is nan; expected a finite number, if whole of at most 64 bits
    """
    if isinstance(value, str):
        check_text(value, what)
    elif depth > MAX_DEPTH:
        raise InputTypeError(f"{what} is nested more than {MAX_DEPTH} lists deep")
    elif isinstance(value, list | dict):
        for name in value if isinstance(value, dict) else ():
            check_text(name, f"{what}: a name")
        for one in value.values() if isinstance(value, dict) else value:
            check_value(one, what, depth + 1)
    elif not isinstance(value, int | float | None):
        raise InputTypeError(
            f"{what} is {value!r} of type {type(value).__name__}; expected text, a number, a boolean, "
            "or lists of these"
        )
    elif value is not None and not can_be_held(value):
        raise InputError(f"{what} is {value!r}; expected a finite number, if whole of at most 64 bits")


def can_be_held(value: str | float) -> bool:
    """Tell whether both databases hold a value and give it back as it was."""
    if isinstance(value, str):
        return "\0" not in value and value.encode("utf-8", "replace").decode() == value
    return math.isfinite(value) if isinstance(value, float) else -(2**63) <= value < 2**63
