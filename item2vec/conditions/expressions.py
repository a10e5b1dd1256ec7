"""Conditions of the command line, such as ``year>=1990``.

The text of the value is converted to the type of the attribute.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from item2vec.conditions.columns import Column, Scalar
from item2vec.conditions.predicates import AllOf, AnyOf, Comparison, Condition, Negation, Rows
from item2vec.errors import (
    InputError,
    short_repr,
)

__all__ = ["Expression", "condition_of"]

_EXPRESSION = re.compile(r"(.+?)(==|!=|>=|<=|=|>|<|~)(.*)", re.DOTALL)
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class Expression:
    """A comparison in text: the name of an attribute, an operator, and a value whose type is not yet known.

    The operators are ``=`` (or ``==``), ``!= > >= < <=`` and ``~`` (contains). White space around the name
    and around the value is removed.

    >>> Expression.of("year >= 1990")
    Expression(name='year', operator='>=', text='1990')
    """

    name: str
    operator: str
    text: str

    @classmethod
    def of(cls, text: str) -> Expression:
        """Parse a comparison; raise ``InputError`` if the text has no name or no operator."""
        parsed = _EXPRESSION.fullmatch(text)
        if parsed is None or not parsed[1].strip():
            raise InputError(
                f"the condition is {short_repr(text)}; expected NAME=VALUE, such as genre=jazz, or one of "
                "the operators != > >= < <= ~ instead of ="
            )
        name, operator, value = parsed.groups()
        return cls(name.strip(), "=" if operator == "==" else operator, value.strip())


def condition_of(expressions: Iterable[Expression], rows: Rows) -> Condition:
    """Return the condition that all expressions describe.

    The text of each expression is converted to the types of its attribute. Several expressions with ``=`` and
    the same attribute are alternatives. All other expressions must be true.

    Raises
    ------
    InputError
        If no item has the attribute of an expression, or the text of an expression cannot be converted to a
        type of its attribute.

    Examples
    --------
    >>> from item2vec.items import Items
    >>> songs = Items.of({"a": {"year": 1983}, "b": {"year": 1959}, "c": {"year": 1998}})
    >>> condition_of([Expression.of("year>=1980"), Expression.of("year<1990")], songs).matches(songs)
    array([ True, False, False])
    """
    parts: list[Condition] = []
    alternatives: defaultdict[str, set[Scalar]] = defaultdict(set)
    for expression in expressions:
        values = _values(expression, rows.column(expression.name))
        if expression.operator == "=":
            alternatives[expression.name] |= values
        elif expression.operator == "!=":
            parts.append(Negation(Comparison(expression.name, "in", frozenset(values))))
        else:
            parts.append(_any_comparison(expression, values))
    equal = [Comparison(name, "in", frozenset(values)) for name, values in alternatives.items()]
    return AllOf((*equal, *parts))


def _any_comparison(expression: Expression, values: Iterable[Scalar]) -> Condition:
    operator = "contains" if expression.operator == "~" else expression.operator
    comparisons = [Comparison(expression.name, operator, frozenset([value])) for value in values]
    return comparisons[0] if len(comparisons) == 1 else AnyOf(tuple(comparisons))


def _values(expression: Expression, column: Column) -> set[Scalar]:
    """Convert the text of an expression to all types of the attribute's values to which it can be converted.

    Raise ``InputError`` if there is no such type.
    """
    readings: dict[str, Callable[[str], Scalar | None]] = {
        "boolean": _boolean,
        "number": _number,
        "text": str,
    }
    read = [readings[kind](expression.text) for kind in column.kinds or ("text",)]
    values = {value for value in read if value is not None}
    if not values:
        expected = " or ".join("true or false" if kind == "boolean" else "a number" for kind in column.kinds)
        raise InputError(
            f"{expression.name} is of type {column.type}, and cannot be compared with "
            f"{short_repr(expression.text)}; expected {expected}"
        )
    return values


def _boolean(text: str) -> bool | None:
    return _BOOLEANS.get(text.lower())


def _number(text: str) -> float | None:
    for convert in (int, float):
        try:
            number = convert(text)
        except ValueError:
            continue
        return number if math.isfinite(number) else None
    return None
