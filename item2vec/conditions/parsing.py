"""The conversion of the mapping ``where`` to a validated ``Condition``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from item2vec.arrays import python_scalar
from item2vec.conditions.columns import ORDERINGS, Scalar
from item2vec.conditions.predicates import AllOf, AnyOf, Comparison, Condition, Negation
from item2vec.errors import (
    InputError,
    InputTypeError,
    short_repr,
)

__all__ = ["MAX_DEPTH", "parse"]

MAX_DEPTH = 32
OPERATORS = ("==", "!=", *ORDERINGS, "in", "not in", "contains")
_SCALAR = "text, a number or a boolean"
_LISTS = (list, tuple, set, frozenset)


def parse(where: Mapping[str, Any] | Condition) -> Condition:
    """Convert a mapping to a condition; return a condition unchanged.

    Raises
    ------
    InputTypeError
        If the mapping or one of its parts does not have the form that the docstring of
        ``item2vec.conditions`` describes.
    InputError
        If groups are nested more than 32 levels deep.

    Examples
    --------
    >>> parse({"year": {">=": 1990}})
    AllOf(parts=(Comparison(name='year', operator='>=', values=frozenset({1990})),))
    >>> parse({"genre": ["jazz", "soul"]}) == parse({"genre": {"in": {"soul", "jazz"}}})
    True
    """
    return where if isinstance(where, Condition) else _all_of(where, "where", 1)


def _all_of(conditions: Any, place: str, depth: int) -> Condition:
    if not isinstance(conditions, Mapping):
        raise InputTypeError(
            f"{place} is {short_repr(conditions)}; expected a mapping from attribute names to values, such "
            "as {'genre': 'jazz'}"
        )
    if depth > MAX_DEPTH:
        raise InputError(f"conditions are nested more than {MAX_DEPTH} levels deep; simplify them")
    parts: list[Condition] = []
    for name, value in conditions.items():
        if not isinstance(name, str):
            raise InputTypeError(f"an attribute name is {short_repr(name)}; expected text")
        if name == "not":
            parts.append(Negation(_all_of(value, "the value of 'not'", depth + 1)))
        elif name in ("any", "all"):
            members = _members(name, value, depth)
            parts.append(AnyOf(members) if name == "any" else AllOf(members))
        else:
            parts += _of_attribute(name, value)
    return AllOf(tuple(parts))


def _members(name: str, conditions: Any, depth: int) -> tuple[Condition, ...]:
    if not isinstance(conditions, list | tuple):
        raise InputTypeError(
            f"the value of {name!r} is {short_repr(conditions)}; expected a list of mappings (an attribute "
            f"with the name {name!r} must be renamed)"
        )
    return tuple(_all_of(member, f"a member of {name!r}", depth + 1) for member in conditions)


def _of_attribute(name: str, value: Any) -> list[Condition]:
    if not isinstance(value, Mapping):
        operator = "in" if isinstance(value, _LISTS) else "=="
        return [_comparison(name, operator, value, name, f"{_SCALAR}, or a list of these")]
    unknown = [operator for operator in value if operator not in OPERATORS]
    if unknown or not value:
        found = f"has the unknown operator {short_repr(unknown[0])}" if unknown else "is {}"
        raise InputTypeError(
            f"{name} {found}; expected {_SCALAR}, a list of these, or a mapping with some of the operators "
            f"{', '.join(OPERATORS)}"
        )
    return [
        _comparison(name, operator, operand, f"the operand of {operator!r} for {name}", _SCALAR)
        for operator, operand in value.items()
    ]


def _comparison(name: str, operator: str, operand: Any, place: str, expected: str) -> Condition:
    if operator in ("in", "not in"):
        if not isinstance(operand, _LISTS):
            raise InputTypeError(f"{place} is {short_repr(operand)}; expected a list")
        values = frozenset(_scalar(value, f"an element of {place}", _SCALAR) for value in operand)
    else:
        values = frozenset([_scalar(operand, place, expected)])
    if operator in ("==", "!=", "in", "not in"):
        comparison = Comparison(name, "in", values)
        return Negation(comparison) if operator in ("!=", "not in") else comparison
    return Comparison(name, operator, values)


def _scalar(value: Any, place: str, expected: str) -> Scalar | None:
    """Return a value that can be compared; ``None`` for ``None`` and NaN.

    Raise ``InputTypeError`` unless the value is text, a number, a boolean or ``None``. ``place`` and
    ``expected`` are parts of the message.
    """
    if isinstance(value, np.generic):
        value = python_scalar(value)
    if not isinstance(value, str | int | float | None):
        raise InputTypeError(f"{place} is {short_repr(value)}; expected {expected}")
    return value if value == value else None  # noqa: PLR0124 (NaN)
