"""``Rules``: which items an answer may contain.

The public methods take the rules as keyword arguments, listed once in ``RuleArguments``. ``Rules.of``
validates them. ``item2vec.row_rules`` converts the ids and attributes to arrays over the rows of a model.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypedDict, cast

from item2vec.conditions import Condition, Where, parse
from item2vec.errors import InputTypeError, short_repr
from item2vec.types import as_history

__all__ = ["RuleArguments", "Rules"]

OTHER_ARGUMENTS = ("k", "filter_seen", "weights", "timestamps", "eligible")


class RuleArguments(TypedDict, total=False):
    """The rules of a request, as keyword arguments. ``None`` stands for no rule.

    ``where``: a condition on the attributes of the items, see ``item2vec.conditions``. ``exclude`` and
    ``deny``: ids of items that may not be returned; ``recommend_many`` takes one list of ``exclude`` per
    history. ``allow``: only these items may be returned.
    """

    where: Where | None
    exclude: Iterable[Any] | None
    allow: Iterable[str] | None
    deny: Iterable[str] | None


@dataclass(frozen=True, slots=True)
class Rules:
    """Validated rules of a request. Immutable, and reusable for any number of requests.

    An item is returned only if it is active, meets ``where``, is in ``allow`` (if given), is not in
    ``exclude`` or ``deny``, and has not been seen (unless ``filter_seen=False``). Unknown ids are ignored.

    Attributes
    ----------
    where
        A condition on attributes; ``None`` for no condition.
    exclude
        Ids of excluded items, with one list per history; ``None`` for no excluded items.
    allow
        Ids of the items that may be returned; ``None`` for all items.
    deny
        Ids of items that are excluded from all answers.

    Examples
    --------
    >>> Rules.of({"deny": ["x"], "exclude": ["y"]})
    Rules(where=None, exclude=(('y',),), allow=None, deny=('x',))
    >>> Rules.of({}) is Rules.EMPTY
    True
    """

    where: Condition | None = None
    exclude: tuple[tuple[str, ...], ...] | None = None
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()

    EMPTY: ClassVar[Rules]

    @property
    def reads_attributes(self) -> bool:
        """Whether a rule refers to attributes of the items."""
        return self.where is not None

    @classmethod
    def of(cls, arguments: RuleArguments, *, many: bool = False) -> Rules:
        """Validate the rules of a request.

        With ``many``, ``exclude`` holds a list of ids per history; otherwise it is the list of one history.

        Raises
        ------
        InputTypeError
            If an argument is not the name of a rule, or a rule has a value of the wrong type.
        InputError
            If conditions are nested too deeply.
        """
        if not arguments:
            return cls.EMPTY
        _check_names(arguments)
        given = {name: value for name, value in arguments.items() if value is not None}
        return cls(**{name: _PARSERS[name](value, many) for name, value in given.items()})


def _ids(value: Any, name: str) -> tuple[str, ...]:
    return tuple(as_history(cast("Iterable[str]", value), name))


def _excluded(value: Any, many: bool) -> tuple[tuple[str, ...], ...]:
    return (
        tuple(_ids(own, "exclude") for own in as_history(value, "exclude"))
        if many
        else (_ids(value, "exclude"),)
    )


_PARSERS: dict[str, Any] = {
    "where": lambda value, _: parse(value),
    "exclude": _excluded,
    "allow": lambda value, _: _ids(value, "allow"),
    "deny": lambda value, _: _ids(value, "deny"),
}

Rules.EMPTY = Rules()


def _check_names(arguments: Mapping[str, Any]) -> None:
    for name in arguments:
        if name in RuleArguments.__annotations__:
            continue
        near = difflib.get_close_matches(name, [*RuleArguments.__annotations__, *OTHER_ARGUMENTS], n=1)
        hint = (
            f"did you mean {near[0]!r}?" if near else f"expected {', '.join(RuleArguments.__annotations__)}"
        )
        raise InputTypeError(f"unknown argument {short_repr(name)}; {hint}")
