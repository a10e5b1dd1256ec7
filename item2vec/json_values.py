"""JSON values: the conversion of attributes to JSON values, and the check that a value is one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import chain
from types import NoneType
from typing import Any

import numpy as np

from item2vec.arrays import python_scalar
from item2vec.errors import InputError, InputTypeError, short_repr

__all__ = ["are_plain", "check_is_text", "check_json", "json_value"]

MAX_DEPTH = 100
PLAIN_DEPTH = 4  # more levels are left to json_value, also because a list may contain itself
_KINDS = frozenset((str, int, float, bool, NoneType, list, dict))
_MISSING = frozenset(("NAType", "NaTType"))  # pandas.NA and NaT, without an import of pandas


def are_plain(values: Iterable[Any]) -> bool:
    """Return whether all values are JSON values; ``False`` means that ``json_value`` must decide.

    This is ten times as fast as ``json_value`` of each value, because each distinct type is checked once.

    >>> are_plain([3, ["jazz", {"year": 1959}]]), are_plain([float("nan")]), are_plain([np.int64(3)])
    (True, False, False)
    """
    for _ in range(PLAIN_DEPTH):
        level = list(values)
        lists = [value for value in level if type(value) is list]
        dicts = [value for value in level if type(value) is dict]
        if not (
            _KINDS.issuperset(map(type, level))
            and all(math.isfinite(value) for value in level if type(value) is float)
            and {str}.issuperset(map(type, chain.from_iterable(dicts)))
        ):
            return False
        if not lists and not dicts:
            return True
        values = chain(chain.from_iterable(lists), *(value.values() for value in dicts))
    return False


def json_value(value: Any, what: str) -> Any:
    """Return a value as a JSON value. ``what`` names the value in messages.

    NumPy numbers, booleans and texts become Python values, and NaN, NaT and ``pandas.NA`` become ``None``.
    Tuples and arrays of one dimension become lists. Raise an error for any other value that ``check_json``
    refuses.

    >>> json_value({"price": np.float32(19.99), "sizes": (38, float("nan"))}, "shoe")
    {'price': 19.99, 'sizes': [38, None]}
    """
    converted = _converted(value)
    check_json(converted, what)
    return converted


def _converted(value: Any, depth: int = 0) -> Any:
    if isinstance(value, np.generic) and value.dtype.kind in "biufU":
        value = python_scalar(value)
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim == 1):
        return [_converted(element, depth + 1) for element in value] if depth <= MAX_DEPTH else value
    if isinstance(value, dict) and depth <= MAX_DEPTH:
        return {name: _converted(member, depth + 1) for name, member in value.items()}
    return None if _is_missing(value) else value


def _is_missing(value: Any) -> bool:
    if isinstance(value, float | np.datetime64 | np.timedelta64):
        return bool(value != value)  # noqa: PLR0124 (NaN, NaT)
    return type(value).__name__ in _MISSING


def _check_finite(value: str | float, what: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{what} is {short_repr(value)}; expected a finite number")


def check_json(
    value: Any, what: str, check: Callable[[str | float, str], None] = _check_finite, depth: int = 0
) -> None:
    """Raise ``InputTypeError`` for a value that is not a JSON value, or is nested too deeply.

    ``check`` is called with each text and number, and with the part of the message that names it. By default,
    NaN and infinities raise ``InputError``. ``what`` names the value in messages.

    >>> check_json({"tags": {"live"}}, "attributes")
    Traceback (most recent call last):
    item2vec.errors.InputTypeError: attributes is {'live'} of type set; expected text, a number, a boolean, \
None, or a list or dict of these: convert it, for example with str, float or list
    """
    if isinstance(value, str):
        check(value, what)
    elif depth > MAX_DEPTH:
        raise InputTypeError(
            f"{what} is nested more than {MAX_DEPTH} levels deep; expected at most {MAX_DEPTH} levels"
        )
    elif isinstance(value, list | dict):
        for name in value if isinstance(value, dict) else ():
            check_is_text(name, f"{what}: a name")
            check(name, f"{what}: a name")
        for element in value.values() if isinstance(value, dict) else value:
            check_json(element, what, check, depth + 1)
    elif not isinstance(value, int | float | None):
        raise InputTypeError(
            f"{what} is {short_repr(value)} of type {type(value).__name__}; expected text, a number, a "
            "boolean, None, or a list or dict of these: convert it, for example with str, float or list"
        )
    elif value is not None:
        check(value, what)


def check_is_text(value: Any, what: str) -> None:
    """Raise ``InputTypeError`` for a value that is not text; ``what`` names the value in the message."""
    if not isinstance(value, str):
        raise InputTypeError(f"{what} is {short_repr(value)}, of type {type(value).__name__}; expected text")
