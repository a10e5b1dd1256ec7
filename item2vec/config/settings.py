"""Base class of all settings, and types that several settings share.

Settings are immutable. One error reports all settings with invalid values.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo

from item2vec.arguments import checked
from item2vec.errors import ConfigError, short_repr

__all__ = [
    "Alpha",
    "Decay",
    "Decays",
    "Epochs",
    "Exponent",
    "Finite",
    "Flag",
    "Learned",
    "Names",
    "Patience",
    "Settings",
    "Share",
    "VectorSize",
    "Window",
    "either",
    "nearest",
    "plain",
]

Finite = Annotated[float, Field(allow_inf_nan=False)]
Flag = Annotated[
    bool, BeforeValidator(lambda flag: {0: False, 1: True}.get(flag, flag) if type(flag) is int else flag)
]
"""A boolean; 1 and 0 are accepted, as in gensim."""
Share = Annotated[Finite, Field(ge=0, le=1)]
Decay = Annotated[Finite, Field(gt=0, le=1)]
Learned = Literal["learned"]
"""Alternative to a decay: one weight is learned per position, counted from the newest item."""
Decays = Annotated[tuple[Decay | Learned, ...], Field(min_length=1)]

VectorSize = Annotated[int, Field(ge=1, le=4096)]
Window = Annotated[int, Field(ge=1, le=1_000_000)] | Literal["full"]
Exponent = Annotated[Finite, Field(ge=-2, le=2)]
Alpha = Annotated[Finite, Field(gt=0, le=1000)]
Epochs = Annotated[int, Field(ge=1, le=100_000)]
Patience = Annotated[int, Field(ge=1)] | None

MOST_FAULTS = 100
"""Maximum number of faults of one validation error that are read for the message."""
NUMBERS = dict.fromkeys(("tuple_type", "too_short"), "a list of values, such as (0.5, 0.9)")


def _names(names: Any, about: ValidationInfo) -> Any:
    """Split text at commas, and check that the names are distinct and not empty."""
    split = tuple(names.split(",")) if isinstance(names, str) else names
    if not isinstance(split, tuple) or not all(isinstance(name, str) and name for name in split):
        raise ValueError(
            f"{about.field_name} is {short_repr(names)}; expected names such as ('brand', 'year')"
        )
    if len(set(split)) < len(split):
        raise ValueError(f"{about.field_name} is {short_repr(names)}; expected each name once")
    return split


Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
"""Distinct names; text is split at commas."""


class Settings(BaseModel):
    """Immutable settings. Unknown names and values of a wrong type or out of range raise ``ConfigError``."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    def __init__(self, **settings: Any) -> None:
        for name, value in settings.items():
            if isinstance(value, Mapping) and not all(isinstance(key, str) for key in value):
                raise ConfigError(f"{name} is {short_repr(value)}; expected names as keys")
        try:
            super().__init__(**{name: plain(value) for name, value in settings.items()})
        except ValidationError as error:
            raise ConfigError(_explain(error, type(self))) from None

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some settings changed, validated again.

        >>> from item2vec import TrainConfig
        >>> TrainConfig(epochs=5).replace(window=3).epochs
        5
        """
        return type(self)(**{**self.given(), **changes})

    def given(self) -> dict[str, Any]:
        """Return the settings that were set explicitly, by name.

        >>> from item2vec import TasteConfig
        >>> TasteConfig(last_n=5).given()
        {'last_n': 5}
        """
        return {name: value for name, value in self if name in self.model_fields_set}

    @classmethod
    @checked
    def explain_unknown(cls, name: str) -> str:
        """Return the error message for an unknown setting name."""
        near = nearest(name, cls.model_fields)
        hint = f"did you mean {near!r}?" if near else f"expected one of {', '.join(cls.model_fields)}"
        return f"unknown setting {short_repr(name)}; {hint}"


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate most similar to a name, or ``None`` if none is similar.

    Of equally similar candidates, the first is returned.

    >>> nearest("vectorsize", ["window", "vector_size"]), nearest("ieed", ["seed", "tied"])
    ('vector_size', 'seed')
    """

    def similarity(candidate: str) -> float:
        return difflib.SequenceMatcher(None, candidate, name).ratio()

    best = max(candidates, key=similarity, default="")
    return best if similarity(best) >= 0.5 else None


def either(names: Iterable[str]) -> str:
    """Return the quoted names, joined by commas and "or".

    >>> either(["a", "b", "c"])
    "'a', 'b' or 'c'"
    """
    *first, last = map(repr, names)
    return f"{', '.join(first)} or {last}" if first else last


def plain(value: Any) -> Any:
    """Convert NumPy scalars to Python scalars, and lists to tuples, as pydantic's strict mode requires."""
    if isinstance(value, list | tuple):
        return tuple(map(plain, value))
    return value.item() if isinstance(value, np.generic) else value


def _explain(error: ValidationError, settings: type[Settings]) -> str:
    """Return the messages of invalid settings, joined by semicolons.

    For a union type, a message contains the expected values of each member. Only the first ``MOST_FAULTS``
    faults are read, because a long list of invalid values has a fault per value.
    """
    messages: list[str] = []
    expected: dict[str, list[str]] = {}
    for fault in error.errors()[:MOST_FAULTS]:
        name = ".".join(map(str, fault["loc"][:1]))
        if fault["type"] == "default_factory_not_called" or _is_redundant(fault):
            continue
        if fault["type"] == "extra_forbidden":
            messages.append(settings.explain_unknown(name))
        elif fault["type"] == "value_error":
            messages.append(str(fault["ctx"]["error"]))
        else:
            values = NUMBERS.get(fault["type"]) or fault["msg"].removeprefix("Input should be ")
            values = values.replace("greater than or equal to", "at least")
            near = difflib.get_close_matches(str(fault["input"])[:100], _choices(fault.get("ctx")), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            expected.setdefault(f"{name} is {short_repr(fault['input'])}; expected ", []).append(
                values + hint
            )
    messages += [found + ", or ".join(values) for found, values in expected.items()]
    return "; ".join(messages)


def _is_redundant(fault: Mapping[str, Any]) -> bool:
    """Return whether a fault rejects a tuple as a scalar, in a union that also accepts tuples."""
    is_choice = len(fault["loc"]) > 1 and isinstance(fault["loc"][-1], str)
    return (
        is_choice and fault["type"] in {"float_type", "literal_error"} and isinstance(fault["input"], tuple)
    )


def _choices(context: Mapping[str, Any] | None) -> list[str]:
    expected = str((context or {}).get("expected", ""))
    return [word.strip("' ") for word in expected.replace(" or ", ",").split(",")]
