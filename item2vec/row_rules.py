"""``RowRules``: the rules of a request, as arrays over the rows of a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from item2vec.arrays import NO_ROWS, Doubles, Mask, Rows
from item2vec.catalogue import Eligible, Values
from item2vec.conditions import Condition
from item2vec.direction import Direction
from item2vec.errors import InputError, Remedy
from item2vec.items import Items
from item2vec.rules import Rules
from item2vec.types import Vocabulary
from item2vec.vectors import ItemVectors

__all__ = ["Factors", "RowRules", "rows_of"]

FEW_FACTORS = 16
"""Each of up to so many distinct factors takes a search: four overlapping conditions have up to 15 products.

With more of them, all boosted rows are scored.
"""

Factors = tuple[tuple[float, Mask], ...] | Doubles
"""The factors of rows, in one of the two forms of ``RowRules.factors``."""


@dataclass(frozen=True, eq=False)
class RowRules:
    """The rules of a request, as arrays over the rows of a model.

    Attributes
    ----------
    allowed
        The rows that may be returned (bool, one flag per row); ``None`` for all rows.
    exclude
        The excluded rows: one array for all rankings, or a tuple with one array per ranking.
    denied
        The rows that are excluded from all rankings.
    factors
        The distinct factors of the rows, except 1, each with a mask of the rows that have this factor (bool,
        one flag per row); if there are more than ``FEW_FACTORS``, one factor per row (float64). A factor
        multiplies positive scores and divides negative scores. The factor of a row is the product of the
        factors of all entries of ``boost`` that match the row, so that the masks are disjoint.
    caps
        For each attribute in ``at_most``: the values of the rows, and the maximum number of rows with the
        same value in a ranking.
    diversity, popularity, interests
        As in ``Rules``.
    disliked
        The disliked rows: one array for all rankings, or a tuple with one array per ranking.
    direction
        The direction that is added to queries; ``None`` for no direction.
    selected
        Rows that earlier steps of ``Ranker.radio`` selected. They count for ``caps`` and ``diversity``.
    """

    allowed: Mask | None = None
    exclude: Rows | tuple[Rows, ...] = field(default_factory=lambda: NO_ROWS)
    denied: Rows = field(default_factory=lambda: NO_ROWS)
    factors: Factors = ()
    caps: tuple[tuple[Values, int], ...] = ()
    diversity: float = 0.0
    popularity: float | None = None
    disliked: Rows | tuple[Rows, ...] = field(default_factory=lambda: NO_ROWS)
    interests: int | Literal["auto"] | None = None
    direction: Direction | None = None
    selected: Rows = field(default_factory=lambda: NO_ROWS)

    @classmethod
    def of(cls, rules: Rules, vectors: ItemVectors, eligible: Eligible | None, mask: Mask | None) -> RowRules:
        """Convert rules to arrays.

        Parameters
        ----------
        rules
            The rules of a request.
        vectors
            The vectors of the model. An item without a vector is never returned.
        eligible
            The attributes and active flags of the model's items. ``None``: all items are active, and no rule
            may refer to attributes.
        mask
            The rows that the caller allows (bool, one flag per row); ``None`` for all rows.

        Raises
        ------
        InputError
            If a rule names an attribute that no item has, a target in ``boost`` is the name of an attribute
            and not a known id, no item of a group of ``direction`` has an input vector, or ``mask`` has the
            wrong type or shape.

        Examples
        --------
        >>> vectors = ItemVectors(Vocabulary(("a", "b", "c")), np.eye(3), None, np.ones(3))
        >>> rows = RowRules.of(Rules.of({"allow": ["c", "a"], "deny": ["b"]}), vectors, None, None)
        >>> rows.allowed, rows.denied
        (array([ True, False,  True]), array([1]))
        """
        masks = [_checked(mask, len(vectors)), None if eligible is None else eligible.mask(rules.where)]
        if rules.allow is not None:
            masks.append(_mask_of(rows_of(vectors.vocabulary, rules.allow), len(vectors)))
        return cls(
            vectors.with_vector(_intersection(masks)),
            _rows_or_lists(rules.exclude or (), vectors.vocabulary),
            rows_of(vectors.vocabulary, rules.deny) if rules.deny else NO_ROWS,
            _factors(rules, vectors.vocabulary, eligible),
            tuple((eligible.values(name), most) for name, most in rules.at_most) if eligible else (),
            rules.diversity,
            rules.popularity,
            _rows_or_lists(rules.disliked, vectors.vocabulary),
            rules.interests,
            _direction(rules.direction, vectors, eligible),
        )

    def excluded_from(self, seen: Sequence[npt.NDArray[np.signedinteger[Any]]]) -> list[Rows]:
        """Return the rows excluded from each ranking: ``denied``, and the ranking's ``exclude`` and ``seen``.

        Raises
        ------
        InputError
            If ``exclude`` holds one list per ranking, and the number of lists differs from that of ``seen``.
        """
        exclude = _per_ranking(self.exclude, len(seen), "exclude")
        return [np.concatenate((self.denied, *pair)) for pair in zip(exclude, seen, strict=True)]

    def disliked_by(self, n: int) -> list[Rows]:
        """Return the disliked rows of each of ``n`` rankings.

        Raises
        ------
        InputError
            If ``disliked`` holds one list per ranking, and the number of lists is not ``n``.
        """
        return _per_ranking(self.disliked, n, "disliked")

    def factor_of(self, row: int) -> float:
        """Return the factor of a row; 1 if no entry of ``boost`` matches the row."""
        if isinstance(self.factors, np.ndarray):
            return float(self.factors[row])
        return next((factor for factor, rows in self.factors if rows[row]), 1.0)


def _per_ranking(rows: Rows | tuple[Rows, ...], n: int, name: str) -> list[Rows]:
    if isinstance(rows, np.ndarray):
        return [rows] * n
    if len(rows) != n:
        raise InputError(f"{name} has {len(rows)} lists; expected one per history ({n}), or one list of ids")
    return list(rows)


def _direction_by(
    conditions: tuple[Condition, Condition], vectors: ItemVectors, eligible: Eligible
) -> Direction:
    """Return the direction from the items that meet the first condition to those that meet the second.

    Only active items are included.
    """
    masks = [eligible.mask(condition) for condition in conditions]
    rows = [np.arange(len(vectors)) if mask is None else np.flatnonzero(mask) for mask in masks]
    return vectors.direction_between(*rows)


def _direction(
    direction: Direction | tuple[Condition, Condition] | None, vectors: ItemVectors, eligible: Eligible | None
) -> Direction | None:
    if isinstance(direction, tuple):
        assert eligible is not None, "Rules.reads_attributes requires the attributes"
        return _direction_by(direction, vectors, eligible)
    return direction


def _rows_or_lists(
    ids: tuple[str, ...] | tuple[tuple[str, ...], ...], vocabulary: Vocabulary
) -> Rows | tuple[Rows, ...]:
    if ids and isinstance(ids[0], tuple):
        return tuple(rows_of(vocabulary, own) for own in ids)
    return rows_of(vocabulary, cast("tuple[str, ...]", ids)) if ids else NO_ROWS


def _factors(rules: Rules, vocabulary: Vocabulary, eligible: Eligible | None) -> Factors:
    boosts = ((_boosted_rows(target, vocabulary, eligible), factor) for target, factor in rules.boost)
    if len(rules.boost) < 2:
        masks = ((factor, _mask_of(rows, len(vocabulary))) for rows, factor in boosts if factor != 1)
        return tuple((factor, mask) for factor, mask in masks if mask.any())
    factors = np.ones(len(vocabulary))
    for rows, factor in boosts:
        factors[rows] *= factor
    distinct = np.unique(factors[factors != 1]).tolist()
    if len(distinct) > FEW_FACTORS:
        return factors
    return tuple((factor, factors == factor) for factor in distinct)


def _boosted_rows(target: str | Condition, vocabulary: Vocabulary, eligible: Eligible | None) -> Rows | Mask:
    """Return the rows to which a target of ``boost`` refers: row numbers, or a mask."""
    if isinstance(target, str):
        if target not in vocabulary and eligible is not None:
            _check_no_attribute(target, eligible.items)
        return rows_of(vocabulary, [target])
    mask = None if eligible is None else eligible.mask(target)  # without attributes: the empty condition
    return np.ones(len(vocabulary), dtype=bool) if mask is None else mask


def _check_no_attribute(target: str, items: Items) -> None:
    if target in items.attribute_names and target not in items.vocabulary:
        pair = f"({{{target!r}: value}}, factor)".replace("{", "{{").replace("}", "}}")
        remedy = Remedy(
            "",
            text=f"for a condition, pass a pair {pair}",
            otherwise=f"for a condition, pass --boost {target}=VALUE:FACTOR",
        )
        raise InputError(f"boost contains the attribute {target!r}; expected item ids", remedies=[remedy])


def rows_of(vocabulary: Vocabulary, items: Iterable[str]) -> Rows:
    """Return the rows of the known items among ``items``."""
    codes = vocabulary.encode(items)
    return codes[codes >= 0].astype(np.intp)


def _checked(mask: Mask | None, n_rows: int) -> Mask | None:
    if mask is not None and (mask.dtype != bool or mask.shape != (n_rows,)):
        raise InputError(
            f"eligible is {mask.dtype} of shape {mask.shape}; expected bool, one flag per item ({n_rows:,})"
        )
    return mask


def _mask_of(rows: Rows | Mask, n_rows: int) -> Mask:
    mask = np.zeros(n_rows, dtype=bool)
    mask[rows] = True
    return mask


def _intersection(masks: Iterable[Mask | None]) -> Mask | None:
    given = [mask for mask in masks if mask is not None]
    if len(given) < 2:
        return given[0] if given else None
    combined: Mask = np.logical_and.reduce(given)
    return combined
