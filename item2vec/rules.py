"""``Rules``: the rules of a request: which items a result may contain, and in which order.

The public methods take the rules as keyword arguments, listed once in ``RuleArguments``. ``Rules.of``
validates them. ``item2vec.row_rules`` converts the ids and attributes to arrays over the rows of a model.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypedDict, cast

import numpy as np

from item2vec.conditions import Condition, Where, parse
from item2vec.direction import Direction
from item2vec.errors import InputError, InputTypeError, short_repr
from item2vec.types import as_history, as_texts

__all__ = ["RuleArguments", "Rules", "is_per_history"]

_IdLists = tuple[str, ...] | tuple[tuple[str, ...], ...]
_Interests = int | Literal["auto"] | None
CHANGE_SCORES = ("boost", "popularity", "disliked", "interests", "direction")
"""Rules that change scores. All other rules select and order items without changing the scores."""
OTHER_ARGUMENTS = ("k", "filter_seen", "weights", "timestamps", "eligible")
SMALLEST, LARGEST = 1e-6, 1e6
EVERY_ITEM = parse({})
"""The empty condition."""


class RuleArguments(TypedDict, total=False):
    """The rules of a request, as keyword arguments. ``None`` means no rule.

    ``where``: a condition on the attributes of the items, see ``item2vec.conditions``. ``exclude`` and
    ``deny``: ids of items that must not be returned; in ``recommend_many``, ``exclude`` holds ids for all
    histories, or one list of ids per history. ``allow``: ids of the only items that may be returned.

    ``at_most``: the maximum number of items with the same value of an attribute, such as ``{"artist": 2}``.
    ``diversity``: 0 to 1, the weight of the similarity to items of higher rank. ``boost``: factors of scores,
    as a mapping from item ids, such as ``{"y": 1.2}``, or as a list of (target, factor) pairs, in which each
    target is an item id or a condition, such as ``[({"genre": "jazz"}, 1.5)]``. ``popularity``: the weight of
    the popularity prior, in place of the weight in the model.

    ``disliked``: ids of items that the user dislikes; in ``recommend_many``, ids for all histories, or one
    list of ids per history. ``interests``: the maximum number of interests of a history, or ``"auto"``.

    ``direction``: the difference of the mean vectors of two groups of items, which is added to the query: a
    result of ``Recommender.direction``, or a pair of conditions, such as ``({"year": {"<": 1990}}, {"year":
    {">=": 1990}})``.
    """

    where: Where | None
    exclude: Iterable[Any] | None
    allow: Iterable[str] | None
    deny: Iterable[str] | None
    at_most: Mapping[str, int] | None
    diversity: float | None
    boost: Mapping[str, float] | Iterable[tuple[Where | str, float]] | None
    popularity: float | None
    disliked: Iterable[Any] | None
    interests: _Interests
    direction: Direction | tuple[Where, Where] | None


@dataclass(frozen=True, slots=True)
class Rules:
    """Validated rules of a request. Immutable, and reusable for any number of requests.

    Rules are applied in this order:

    1. Eligibility. An item is returned only if it is active, has a vector, meets ``where``, is in ``allow``
       (if given), is not in ``exclude``, ``deny`` or ``disliked``, has no negative weight in the history, and
       has not been seen (unless ``filter_seen=False``). Unknown ids are ignored.
    2. Relevance. An item is scored against the user vector, which is moved away from ``disliked`` items and
       items of negative weight. With ``interests`` (multi-interest retrieval), the score is the maximum over
       several user vectors, one for each cluster of the history. A ``direction`` d replaces each user vector
       v by the vector of the same length along v + |v| · d. The score includes the bonuses of the model, and
       the prior with the weight ``popularity``. Finally, the factor of the item in ``boost`` multiplies a
       positive score and divides a negative score, so that a factor above 1 always raises an item. If several
       entries of ``boost`` match an item, the factor is their product.
    3. Demotion. Items whose largest cosine to a disliked item exceeds their largest cosine to an item of the
       history come after all others, in order of score. The cosines are computed from the scored vectors. In
       ``similar_items`` and ``analogy``, the positive items of the query replace the history. Without a
       history, the cosine to a disliked item is compared with 0.5.
    4. Selection of ``k`` items in order of score; equal scores are ordered by row. ``at_most`` skips an item
       if the maximum number of items with its value has been selected. An item without the attribute is never
       skipped, and an item with a list of values counts for each value. ``diversity`` selects from a pool of
       the best ``max(50, 5 * k)`` items in order of maximal marginal relevance, (1 - w) · r - w · c, where w
       is the value of ``diversity``, r is the score scaled to 0…1 within the pool, and c is the largest
       cosine to an item selected before. Demoted items are selected after all others.

    Exactly ``k`` items are returned if ``k`` items are eligible. With one cap on an attribute of single
    values, the result has as many items as the cap admits, up to ``k``. Several caps, or lists of values, are
    applied greedily in order of score, so that another selection might have more items. Maximal marginal
    relevance is equation 1 of Carbonell & Goldstein, The Use of MMR, Diversity-Based Reranking, SIGIR 1998.

    Attributes
    ----------
    where
        A condition on attributes; ``None`` for no condition.
    exclude
        Ids of the excluded items for all histories, or one tuple of ids per history; ``None`` for no items.
    allow
        Ids of the items that may be returned; ``None`` for all items.
    deny
        Ids of items that are excluded from all results.
    at_most
        Pairs (attribute, maximum number of items with the same value).
    diversity
        The weight of the similarity to items of higher rank, from 0 (order of score) to 1.
    boost
        Pairs (target, factor), in which the target is an item id or a condition on attributes.
    popularity
        The weight of the popularity prior; ``None`` for the model's weight. A model without a prior uses
        log(1 + count of the item in training).
    disliked
        Ids of the disliked items for all histories, or one tuple of ids per history.
    interests
        The maximum number of interests (clusters of the history), ``"auto"``, or ``None`` for one user
        vector. Similar items and analogies ignore this rule.
    direction
        A direction, or the conditions of its two groups; ``None`` for no direction. Histories without a user
        vector ignore this rule.

    Examples
    --------
    >>> rules = Rules.of({"deny": ["x"], "exclude": ["y"], "at_most": {"artist": 2}, "boost": {"z": 1.2}})
    >>> rules.deny, rules.exclude, rules.at_most, rules.boost
    (('x',), ('y',), (('artist', 2),), (('z', 1.2),))
    >>> Rules.of({}) is Rules.EMPTY
    True
    """

    where: Condition | None = None
    exclude: _IdLists | None = None
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    at_most: tuple[tuple[str, int], ...] = ()
    diversity: float = 0.0
    boost: tuple[tuple[str | Condition, float], ...] = ()
    popularity: float | None = None
    disliked: _IdLists = ()
    interests: _Interests = None
    direction: Direction | tuple[Condition, Condition] | None = None

    EMPTY: ClassVar[Rules]

    @property
    def reads_attributes(self) -> bool:
        """Whether a rule refers to attributes of the items; false for the empty condition."""
        conditions = (self.where, *(target for target, _ in self.boost))
        by_attributes = bool(self.at_most) or isinstance(self.direction, tuple)
        return by_attributes or any(isinstance(part, Condition) and part != EVERY_ITEM for part in conditions)

    @classmethod
    def of(cls, arguments: RuleArguments, *, many: bool = False) -> Rules:
        """Validate the rules of a request.

        With ``many``, each of ``exclude`` and ``disliked`` is a list of ids for all histories, or holds a
        list of ids per history. Otherwise, each of them is a list of ids for one history.

        Raises
        ------
        InputTypeError
            If an argument is not the name of a rule, or a rule has a value of the wrong type.
        InputError
            If a number is out of range, or conditions are nested too deeply.
        """
        if not arguments:
            return cls.EMPTY
        _check_names(arguments)
        given = {name: value for name, value in arguments.items() if value is not None}
        return cls(**{name: _PARSERS[name](value, many) for name, value in given.items()})


def _ids(value: Any, name: str) -> tuple[str, ...]:
    return tuple(as_history(cast("Iterable[str]", value), name))


def _ids_or_lists(value: Any, name: str, many: bool) -> _IdLists:
    ids: tuple[Any, ...] = _ids(value, name)
    if many and is_per_history(ids):
        return tuple(_ids(own, name) for own in ids)
    return tuple(as_texts(ids))


def is_per_history(ids: Sequence[Any]) -> bool:
    """Return whether ``exclude`` or ``disliked`` holds a list of ids per history, instead of ids.

    >>> is_per_history([["a"], []]), is_per_history(["a"]), is_per_history([7])
    (True, False, False)
    """
    return any(isinstance(own, Iterable) and not isinstance(own, str | bytes) for own in ids[:1])


def _interests(value: Any) -> int | str:
    if isinstance(value, str) and value == "auto":
        return value
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InputTypeError(f"interests is {short_repr(value)}; expected 'auto' or an integer of at least 1")
    if value < 1:
        raise InputError(f"interests is {value}; expected 'auto' or an integer of at least 1")
    return int(value)


def _direction(value: Any) -> Direction | tuple[Condition, Condition]:
    if isinstance(value, Direction):
        return value
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise InputTypeError(
            f"direction is {short_repr(value)}; expected the result of model.direction, or a pair of "
            "conditions, such as ({'year': {'<': 1990}}, {'year': {'>=': 1990}})"
        )
    return parse(value[0]), parse(value[1])


def _caps(value: Any) -> tuple[tuple[str, int], ...]:
    expected = "expected a mapping of attributes to maximum numbers of items, such as {'artist': 2}"
    if not isinstance(value, Mapping):
        raise InputTypeError(f"at_most is {short_repr(value)}; {expected}")
    for name, most in value.items():
        is_number = isinstance(most, int | np.integer) and not isinstance(most, bool)
        if not isinstance(name, str) or not is_number:
            raise InputTypeError(f"at_most is {short_repr(dict(value))}; {expected}")
        if most < 1:
            raise InputError(f"at_most of {short_repr(name)} is {most}; expected at least 1")
    return tuple((name, int(most)) for name, most in value.items())


def _boosts(value: Any) -> tuple[tuple[str | Condition, float], ...]:
    expected = (
        "expected a mapping of item ids to factors, such as {'y': 1.2}, or a list of (target, factor) pairs, "
        "in which a target is an item id or a condition, such as [({'genre': 'jazz'}, 1.5)]"
    )
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise InputTypeError(f"boost is {short_repr(value)}; {expected}")
    boosts = []
    for pair in value.items() if isinstance(value, Mapping) else as_history(value, "boost"):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise InputTypeError(f"boost contains {short_repr(pair)}; {expected}")
        target, factor = pair
        factor = _number(factor, "the factor of {} in boost", SMALLEST, LARGEST, of=target)
        boosts.append((target if isinstance(target, str) else parse(target), factor))
    return tuple(boosts)


def _number(value: Any, name: str, least: float, most: float, of: object = None) -> float:
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if is_number and least <= value <= most:
        return float(value)
    name, expected = name.format(short_repr(of)), f"expected a number from {least:g} to {most:g}"
    if not is_number:
        raise InputTypeError(f"{name} is {short_repr(value)}; {expected}")
    raise InputError(f"{name} is {value!r}; {expected}")


_PARSERS: dict[str, Callable[[Any, bool], Any]] = {
    "where": lambda value, _: parse(value),
    "exclude": lambda value, many: _ids_or_lists(value, "exclude", many),
    "allow": lambda value, _: _ids(value, "allow"),
    "deny": lambda value, _: _ids(value, "deny"),
    "at_most": lambda value, _: _caps(value),
    "diversity": lambda value, _: _number(value, "diversity", 0, 1),
    "boost": lambda value, _: _boosts(value),
    "popularity": lambda value, _: _number(value, "popularity", 0, LARGEST),
    "disliked": lambda value, many: _ids_or_lists(value, "disliked", many),
    "interests": lambda value, _: _interests(value),
    "direction": lambda value, _: _direction(value),
}

Rules.EMPTY = Rules()


def _check_names(arguments: Mapping[str, Any]) -> None:
    for name in arguments:
        if name in _PARSERS:
            continue
        if name in OTHER_ARGUMENTS:
            raise InputTypeError(f"{name} is not an argument of this query; omit it")
        near = difflib.get_close_matches(name, [*_PARSERS, *OTHER_ARGUMENTS], n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"expected {', '.join(_PARSERS)}"
        raise InputTypeError(f"unknown argument {short_repr(name)}; {hint}")
