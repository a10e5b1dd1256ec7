"""Types of the fields of requests, and their errors."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from item2vec.durations import PLAUSIBLE, TICKS
from item2vec.errors import InputError, short_repr
from item2vec.rules import Rules
from item2vec.service.instants import instant
from item2vec.service.limits import in_use
from item2vec.service.problems import instead_of
from item2vec.service.strict_json import parse
from item2vec.store.values import check_text
from item2vec.types import check_ids

__all__ = [
    "Boost",
    "Conditions",
    "Factor",
    "Finite",
    "Id",
    "Ids",
    "Interests",
    "JsonText",
    "K",
    "MaxHistory",
    "Pair",
    "QueryIds",
    "StoredId",
    "Text",
    "Timestamp",
    "Where",
    "Whole",
    "by_type",
    "refuse_unknown",
]


def _from_json(value: Any) -> Any:
    """Parse the JSON text of a query parameter; raise ``InputError`` if the text is not valid JSON.

    For a field that is a list, FastAPI passes a list with the text. A value that is not text is returned
    unchanged; pydantic then checks the type.
    """
    text = value[0] if isinstance(value, list) else value
    if not isinstance(text, str):
        return value
    content = text.encode("utf-8", "surrogatepass")
    return parse(content, max_depth=in_use.get().max_depth, what="query parameter")


def _whole(value: Any) -> Any:
    """Convert a float without a fraction, such as 10.0, to an integer, because JSON has one number type.

    The result has the digits of the number, such as 1704067200140891000 for 1.704067200140891e18, not the
    digits of the nearest float64, which is 120 smaller.
    """
    is_whole = isinstance(value, float) and value.is_integer()
    return int(Decimal(repr(value))) if is_whole else value


def _check_k(k: int) -> int:
    most = in_use.get().max_k
    if k > most:
        raise InputError(f"k is {k:,}; expected at most {most:,}")
    return k


def _check_length(values: Any) -> Any:
    """Refuse a list that is too long before its elements are validated."""
    most = in_use.get().max_history
    if isinstance(values, list) and len(values) > most:
        raise InputError(f"{len(values):,} elements; expected at most {most:,} elements")
    return values


def _expected(text: str) -> WrapValidator:
    """Return a validator that reports the errors of all members of a union as one error."""

    def validate(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise InputError(f"{short_repr(value)}; expected {text}") from None

    return WrapValidator(validate)


def _rule(name: str) -> AfterValidator:
    """Return a validator that checks the value of a rule as the Python functions do."""

    def check(value: Any) -> Any:
        arguments: Any = {name: value}
        Rules.of(arguments)
        return value

    return AfterValidator(check)


def _storable_text(text: str) -> str:
    check_text(text, "the text")
    return text


def _storable(id_: str) -> str:
    check_ids([id_])
    return id_


def by_type(names: dict[type, str], expected: str) -> Discriminator:
    """Return the choice of a member of a union by the type of a value; ``expected`` describes the members."""

    def kind(value: Any) -> str | None:
        return names.get(type(value))

    return Discriminator(kind, custom_error_type="type", custom_error_message=expected)


def refuse_unknown(fields: Any, known: Collection[str]) -> Any:
    """Return the fields of a request; raise ``ValidationError`` for unknown names, with the nearest known."""
    unknown = [name for name in fields if name not in known] if isinstance(fields, dict) else []
    if not unknown:
        return fields
    errors = [
        InitErrorDetails(
            type=PydanticCustomError("unknown_name", "{expected}", {"expected": instead_of(name, known)}),
            loc=(name,),
            input=fields[name],
        )
        for name in unknown[:100]
    ]
    raise ValidationError.from_exception_data("unknown names", errors)


Whole = BeforeValidator(_whole)
JsonText = BeforeValidator(_from_json)
K = Annotated[int, Field(ge=1), AfterValidator(_check_k)]
MaxHistory = BeforeValidator(_check_length)
"""The limit of the length of a history and of a list of ids."""
Id = Annotated[str, Field(min_length=1, max_length=512)]
StoredId = Annotated[Id, AfterValidator(_storable)]
Text = Annotated[str, AfterValidator(_storable_text)]
Ids = Annotated[list[Id], MaxHistory]
QueryIds = Annotated[list[Id], Field(max_length=1_000)]  # fewer, because the size of the head is limited
Finite = Annotated[float, Field(allow_inf_nan=False)]
Factor = Annotated[Finite, Field(gt=0, le=1e6)]
Conditions = Annotated[dict[str, Any], Field(max_length=100)]
Where = Annotated[Conditions, _rule("where")]
Pair = Annotated[list[Conditions], Field(min_length=2, max_length=2), _rule("direction")]
Boost = Annotated[
    Annotated[dict[Id, Factor], Field(max_length=10_000), Tag("<mapping>")]
    | Annotated[list[list[Any]], Field(max_length=10_000), Tag("<pairs>")],
    by_type({dict: "<mapping>", list: "<pairs>"}, "an object of ids and factors, or a list of pairs"),
    _rule("boost"),
]
Interests = Annotated[
    Annotated[int, Field(ge=1, le=20), Whole] | Literal["auto"],
    _expected("'auto' or an integer from 1 to 20"),
]
Timestamp = Annotated[
    Annotated[str, Field(max_length=40)] | Annotated[int, Field(ge=0, le=10**19)],
    Whole,
    _expected("ISO 8601, or a number of s, ms, µs or ns since 1970, in the years 1990 to 2099"),
    AfterValidator(instant),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date-time"},
                *(
                    {"type": "integer", "minimum": PLAUSIBLE[0] * unit, "maximum": PLAUSIBLE[1] * unit - 1}
                    for unit in TICKS.values()
                ),
            ]
        }
    ),
]
"""A timestamp, which is converted to microseconds since 1970."""
