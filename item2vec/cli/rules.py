"""The options for the rules of a request, passed to a command as one ``RuleOptions``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, cast

import typer

from item2vec.cli.parameters import option_group
from item2vec.conditions import Expression, condition_of
from item2vec.errors import ConfigError, short_repr
from item2vec.items import Items
from item2vec.rules import RuleArguments

__all__ = ["RuleOptions", "rule_options"]

ITEM = "Id of an item {}; may be repeated."
OPTIONS: Mapping[str, tuple[Any, str, str]] = {
    "where": (
        list[str],
        "CONDITION",
        "Return only active items that meet a condition on an attribute, such as genre=jazz, 'year>=1990' or "
        "in_stock=true. The operators are = != > >= < <= and ~ (contains). The value is read as the type of "
        "the attribute. May be repeated: several = conditions on the same attribute are alternatives; each "
        "other condition must be met.",
    ),
    "allow": (list[str], "ITEM", ITEM.format("that may be returned, in place of all items")),
    "exclude": (list[str], "ITEM", ITEM.format("to exclude from this result")),
    "deny": (list[str], "ITEM", ITEM.format("to exclude for every user")),
    "at_most": (
        list[str],
        "NAME=N",
        "Maximum number of items with the same value of an attribute: artist=2 returns at most two items per "
        "artist. May be repeated.",
    ),
    "diversity": (
        float,
        "0…1",
        "Weight of the penalty for similarity to items of higher rank; with 0, items are ranked by score "
        "only.",
    ),
    "boost": (
        list[str],
        "ITEM=FACTOR",
        "Factor that raises (above 1) or lowers the score of an item; may be repeated.",
    ),
    "popularity": (float, "WEIGHT", "Weight of the popularity prior, instead of the weight in the model."),
    "disliked": (
        list[str],
        "ITEM",
        ITEM.format("that is disliked: it is not returned, and items near it come last"),
    ),
    "interests": (
        str,
        "N|auto",
        "Number of clusters of the history, each with a user vector; with auto, the number is detected.",
    ),
}
"""Maps the name of each rule to the type, the metavar and the help of its option."""


@dataclass(frozen=True)
class RuleOptions:
    """The rules that options specify.

    ``conditions`` are the comparisons of ``--where``, whose values are still text. ``others`` are all other
    rules.

    >>> RuleOptions.of(at_most=["artist=2"], boost=["y=1.2"], deny=[]).arguments()
    {'at_most': {'artist': 2}, 'boost': {'y': 1.2}}
    """

    conditions: tuple[Expression, ...]
    others: RuleArguments

    @classmethod
    def of(cls, **values: Any) -> RuleOptions:
        """Parse the values of the options; ``values`` maps names of rules to values.

        Raises
        ------
        ConfigError
            If a value of ``at_most`` is not NAME=INTEGER, a value of ``boost`` is not ITEM=NUMBER, or
            ``interests`` is neither an integer nor "auto".
        InputError
            If a condition is malformed.
        """
        given = {name: value for name, value in values.items() if value is not None and value != []}
        conditions = tuple(map(Expression.of, given.pop("where", ())))
        if "at_most" in given:
            given["at_most"] = _numbers(given["at_most"], int, "--at-most", "artist=2")
        if "boost" in given:
            given["boost"] = _numbers(given["boost"], float, "--boost", "y=1.2")
        if given.get("interests", "auto") != "auto":
            given["interests"] = _integer(given["interests"])
        return cls(conditions, cast("RuleArguments", given))

    @property
    def read_attributes(self) -> bool:
        """Whether a rule refers to attributes of items, so that the store must be read."""
        return bool(self.conditions) or "at_most" in self.others

    def arguments(self, items: Items | None = None) -> RuleArguments:
        """Return the rules as arguments of ``recommend``.

        The values of the conditions are converted to the types of the attributes of ``items``.

        Raises
        ------
        InputError
            If no item has the attribute of a condition, or the value of a condition cannot be converted to
            the type of its attribute.
        """
        if not self.conditions:
            return self.others
        return {**self.others, "where": condition_of(self.conditions, items or Items.of({}))}


def _numbers(pairs: Sequence[str], convert: Any, flag: str, example: str) -> dict[str, Any]:
    numbers = {}
    for pair in pairs:
        name, equals, number = pair.rpartition("=")
        try:
            numbers[name] = convert(number)
        except ValueError:
            equals = ""
        if not equals or not name:
            kind = "an attribute and an integer" if convert is int else "an item id and a number"
            raise ConfigError(f"{flag} is {short_repr(pair)}; expected {kind}: {flag} {example}")
    return numbers


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise ConfigError(f"--interests is {short_repr(text)}; expected an integer, or auto") from error


def _parameter(name: str) -> inspect.Parameter:
    kind, metavar, help_ = OPTIONS[name]
    option = typer.Option(f"--{name.replace('_', '-')}", metavar=metavar, help=help_)
    annotation = Annotated[kind | None, option]  # type: ignore[valid-type]
    # The prefix avoids a clash: "popularity" is also the name of a setting of the model.
    return inspect.Parameter(
        f"rule_{name}", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def _rules(**values: Any) -> RuleOptions:
    return RuleOptions.of(**{name.removeprefix("rule_"): value for name, value in values.items()})


rule_options = option_group("rules", map(_parameter, OPTIONS), _rules)
"""Decorator that replaces the parameter ``rules`` of a command by the options of the rules."""
