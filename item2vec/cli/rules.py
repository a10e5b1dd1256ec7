"""The options for the rules of a request, passed to a command as one ``RuleOptions``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import suppress
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
        "the attribute. May be repeated: several = conditions on the same attribute are combined by OR, all "
        "others by AND.",
    ),
    "allow": (list[str], "ITEM", ITEM.format("of the allow list: only these items may be returned")),
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
        "Diversification (maximal marginal relevance): weight of the penalty for similarity to items of "
        "higher rank; with 0, items are ranked by score only.",
    ),
    "boost": (
        list[str],
        "ITEM=FACTOR|CONDITION:FACTOR",
        "Factor that raises (above 1) or lowers the score of an item, such as y=1.2, or of the items that "
        "meet a condition, such as genre=jazz:1.5 or 'year>=1990:0.5' (see --where). The factor is the text "
        "after the last = or :. May be repeated; several factors of an item are multiplied.",
    ),
    "popularity": (float, "WEIGHT", "Weight of the popularity prior; overrides the weight of the model."),
    "disliked": (
        list[str],
        "ITEM",
        ITEM.format("that is disliked: excluded, and similar items are ranked last"),
    ),
    "interests": (
        str,
        "N|auto",
        "Number of interests: clusters of the history, each with its own user vector; auto chooses the "
        "number.",
    ),
}
"""Maps the name of each rule to the type, the metavar and the help of its option."""


@dataclass(frozen=True)
class RuleOptions:
    """The rules that options specify.

    ``conditions`` are the comparisons of ``--where``, whose values are still text. ``boosts`` are pairs of an
    item id or a comparison, and a factor. ``others`` are all other rules.

    >>> RuleOptions.of(at_most=["artist=2"], boost=["y=1.2"], deny=[]).arguments()
    {'at_most': {'artist': 2}, 'boost': [('y', 1.2)]}
    """

    conditions: tuple[Expression, ...]
    boosts: tuple[tuple[str | Expression, float], ...]
    others: RuleArguments

    @classmethod
    def of(cls, **values: Any) -> RuleOptions:
        """Parse the values of the options; ``values`` maps names of rules to values.

        Raises
        ------
        ConfigError
            If a value of ``at_most`` is not NAME=INTEGER, a value of ``boost`` is neither ITEM=NUMBER nor
            CONDITION:NUMBER, or ``interests`` is neither an integer nor "auto".
        InputError
            If a condition is malformed.
        """
        given = {name: value for name, value in values.items() if value is not None and value != []}
        conditions = tuple(map(Expression.of, given.pop("where", ())))
        boosts = tuple(map(_boost, given.pop("boost", ())))
        if "at_most" in given:
            given["at_most"] = dict(map(_cap, given["at_most"]))
        if given.get("interests", "auto") != "auto":
            given["interests"] = _integer(given["interests"])
        return cls(conditions, boosts, cast("RuleArguments", given))

    @property
    def read_attributes(self) -> bool:
        """Whether a rule refers to attributes of items, so that the store must be read."""
        by_condition = any(isinstance(target, Expression) for target, _ in self.boosts)
        return bool(self.conditions) or by_condition or "at_most" in self.others

    def arguments(self, items: Items | None = None) -> RuleArguments:
        """Return the rules as arguments of ``recommend``.

        The values of all conditions are converted to the types of the attributes of ``items``.

        Raises
        ------
        InputError
            If no item has the attribute of a condition, or the value of a condition cannot be converted to
            the type of its attribute.
        """
        rules, known = self.others.copy(), items or Items.of({})
        if self.conditions:
            rules["where"] = condition_of(self.conditions, known)
        if self.boosts:
            rules["boost"] = [
                (target if isinstance(target, str) else condition_of([target], known), factor)
                for target, factor in self.boosts
            ]
        return rules


def _cap(text: str) -> tuple[str, int]:
    name, _, number = text.rpartition("=")
    with suppress(ValueError):
        if name:
            return name, int(number)
    raise ConfigError(
        f"--at-most is {short_repr(text)}; expected an attribute and an integer: --at-most artist=2"
    )


def _boost(text: str) -> tuple[str | Expression, float]:
    """Return the target and the factor of ITEM=FACTOR or CONDITION:FACTOR.

    Ids and conditions may contain both separators, and a factor contains neither. Thus, the last separator
    determines the form.

    >>> _boost("a:b=2"), _boost("genre=jazz:1.5")
    (('a:b', 2.0), (Expression(name='genre', operator='=', text='jazz'), 1.5))
    """
    place = max(text.rfind("="), text.rfind(":"))
    with suppress(ValueError):  # also an InputError of Expression.of
        factor = float(text[place + 1 :])
        if place > 0:
            return text[:place] if text[place] == "=" else Expression.of(text[:place]), factor
    raise ConfigError(
        f"--boost is {short_repr(text)}; expected an item id and a number: --boost y=1.2, or a condition and "
        "a number: --boost genre=jazz:1.5"
    )


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
