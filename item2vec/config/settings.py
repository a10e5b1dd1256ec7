"""A frozen set of settings, checked as a whole; what is wrong is said name by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from item2vec.errors import ConfigError

__all__ = ["Settings"]

NUMBERS = dict.fromkeys(("tuple_type", "too_short"), "numbers such as (0.5, 0.9)")


class Settings(BaseModel):
    """A frozen set of settings; unknown names and values out of range raise ``ConfigError``."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    def __init__(self, **settings: Any) -> None:
        try:
            super().__init__(**{name: _plain(value) for name, value in settings.items()})
        except ValidationError as error:
            raise ConfigError(_explain(error, type(self))) from None

    def replace(self, **changes: Any) -> Self:
        """Return the same settings with some changed, checked anew.

        >>> from item2vec import TrainConfig
        >>> TrainConfig(epochs=5).replace(window=3).epochs
        5
        """
        return type(self)(**{**self.model_dump(exclude_unset=True), **changes})


def _plain(value: Any) -> Any:
    """Turn NumPy's scalars and lists into what strict checking insists on."""
    if isinstance(value, list | tuple):
        return tuple(map(_plain, value))
    return value.item() if isinstance(value, np.generic) else value


def _explain(error: ValidationError, settings: type[BaseModel]) -> str:
    """Return what is wrong with each setting; of one that may be several things, all that was expected."""
    messages: list[str] = []
    expected: dict[str, list[str]] = {}
    for fault in error.errors():
        name = ".".join(map(str, fault["loc"][:1]))
        if _beside_the_point(fault):
            continue
        if fault["type"] == "extra_forbidden":
            near = difflib.get_close_matches(name, settings.model_fields, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(settings.model_fields)}"
            messages.append(f"unknown setting {name!r}; {hint}")
        elif fault["type"] == "value_error":
            messages.append(str(fault["ctx"]["error"]))
        else:
            told = NUMBERS.get(fault["type"]) or fault["msg"].removeprefix("Input should be ")
            told = told.replace("greater than or equal to", "at least")
            near = difflib.get_close_matches(str(fault["input"]), _choices(fault.get("ctx")), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            expected.setdefault(f"{name} is {fault['input']!r}; expected ", []).append(told + hint)
    messages += [found + ", or ".join(told) for found, told in expected.items()]
    return "; ".join(messages)


def _beside_the_point(fault: Mapping[str, Any]) -> bool:
    """Tell whether several numbers are said not to be one, where several would do too."""
    is_choice = len(fault["loc"]) > 1 and isinstance(fault["loc"][-1], str)
    return is_choice and fault["type"] == "float_type" and isinstance(fault["input"], tuple)


def _choices(context: Mapping[str, Any] | None) -> list[str]:
    expected = str((context or {}).get("expected", ""))
    return [word.strip("' ") for word in expected.replace(" or ", ",").split(",")]
