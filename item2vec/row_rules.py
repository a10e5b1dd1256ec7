"""``RowRules``: the rules of a request, as arrays over the rows of a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Doubles, Mask, Rows
from item2vec.catalogue import Eligible, Values
from item2vec.errors import InputError
from item2vec.rules import Rules
from item2vec.types import Vocabulary
from item2vec.vectors import ItemVectors

__all__ = ["NO_ROWS", "Factors", "RowRules", "rows_of"]

NO_ROWS: Rows = np.empty(0, dtype=np.intp)


class Factors(NamedTuple):
    """Factors of scores: ``values`` (float64) of ``rows`` (ascending), of ``n_rows``; 1 for others."""

    rows: Rows
    values: Doubles
    n_rows: int

    @classmethod
    def of(cls, boosts: Sequence[tuple[Rows, float]], n_rows: int) -> Factors:
        """Return the products of the factors by row; each array of rows has a factor.

        >>> Factors.of([(np.array([4, 2]), 1.5), (np.array([4]), 2.0)], 5)
        Factors(rows=array([2, 4]), values=array([1.5, 3. ]), n_rows=5)
        """
        rows = np.unique(np.concatenate([own for own, _ in boosts]))
        values = np.ones(len(rows))
        for own, factor in boosts:
            values[np.searchsorted(rows, own)] *= factor
        return cls(rows, values, n_rows)

    def at(self, row: int) -> float:
        """Return the factor of a row."""
        own = self.values[self.rows == row]
        return float(own[0]) if len(own) else 1.0

    def masks(self) -> list[tuple[float, Mask]]:
        """Return the distinct factors, first 1, each with a mask of its rows."""
        others, masks = np.ones(self.n_rows, dtype=bool), []
        for factor in np.unique(self.values[self.values != 1]).tolist():
            mask = np.zeros(self.n_rows, dtype=bool)
            mask[self.rows[self.values == factor]] = True
            masks.append((factor, mask))
            others[mask] = False
        return [(1.0, others), *masks]


@dataclass(frozen=True, eq=False)
class RowRules:
    """The rules of a request, as arrays over the rows of a model.

    Attributes
    ----------
    allowed
        The rows that may be returned (bool, one flag per row); ``None`` for all rows.
    exclude
        The excluded rows of each history; ``None`` for no rows.
    denied
        The rows that are excluded from all answers.
    factors
        The factors of the rows in ``boost``; ``None`` if all are 1.
    caps
        For each attribute in ``at_most``: the values of the rows, and the largest number of rows with the
        same value.
    diversity, popularity, interests
        As in ``Rules``.
    disliked
        The disliked rows for all answers, or for each answer.
    selected
        Rows that were selected before; they count in ``caps`` and in diversity.
    """

    allowed: Mask | None = None
    exclude: tuple[Rows, ...] | None = None
    denied: Rows = field(default_factory=lambda: NO_ROWS)
    factors: Factors | None = None
    caps: tuple[tuple[Values, int], ...] = ()
    diversity: float = 0.0
    popularity: float | None = None
    disliked: Rows | tuple[Rows, ...] = field(default_factory=lambda: NO_ROWS)
    interests: int | Literal["auto"] | None = None
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
            refers to attributes.
        mask
            Rows that the caller allows (bool, one flag per row); ``None`` for all rows.

        Raises
        ------
        InputError
            If a rule names an attribute that no item has, or ``mask`` has the wrong type or shape.

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
        exclude = rules.exclude
        return cls(
            vectors.with_vector(_intersection(masks)),
            None if exclude is None else tuple(rows_of(vectors.vocabulary, own) for own in exclude),
            rows_of(vectors.vocabulary, rules.deny) if rules.deny else NO_ROWS,
            _factors(rules, vectors.vocabulary, eligible),
            tuple((eligible.values(name), most) for name, most in rules.at_most) if eligible else (),
            rules.diversity,
            rules.popularity,
            _disliked(rules.disliked, vectors.vocabulary),
            rules.interests,
        )

    def excluded_from(self, seen: Sequence[npt.NDArray[np.signedinteger[Any]]]) -> list[Rows]:
        """Return the rows to exclude from each answer: denied ones, its list in ``exclude``, and seen ones.

        Raises
        ------
        InputError
            If ``exclude`` does not have one list per answer.
        """
        exclude = [NO_ROWS] * len(seen) if self.exclude is None else self.exclude
        if len(exclude) != len(seen):
            raise InputError(f"exclude has {len(exclude)} lists; expected one per history ({len(seen)})")
        return [np.concatenate((self.denied, *pair)) for pair in zip(exclude, seen, strict=True)]

    def disliked_by(self, n: int) -> list[Rows]:
        """Return the disliked rows of each of ``n`` answers.

        Raises
        ------
        InputError
            If ``disliked`` has one list per answer, and another number of lists.
        """
        if isinstance(self.disliked, np.ndarray):
            return [self.disliked] * n
        if len(self.disliked) != n:
            raise InputError(
                f"disliked has {len(self.disliked)} lists; expected one per history ({n}), or one list of ids"
            )
        return list(self.disliked)


def _disliked(
    ids: tuple[str, ...] | tuple[tuple[str, ...], ...], vocabulary: Vocabulary
) -> Rows | tuple[Rows, ...]:
    if ids and isinstance(ids[0], tuple):
        return tuple(rows_of(vocabulary, own) for own in ids)
    return rows_of(vocabulary, cast("tuple[str, ...]", ids)) if ids else NO_ROWS


def _factors(rules: Rules, vocabulary: Vocabulary, eligible: Eligible | None) -> Factors | None:
    if not rules.boost:
        return None
    boosts = []
    for target, factor in rules.boost:
        if isinstance(target, str):
            boosts.append((rows_of(vocabulary, [target]), factor))
        elif eligible is not None:
            mask = eligible.mask(target)
            rows = np.arange(len(vocabulary)) if mask is None else np.flatnonzero(mask)
            boosts.append((rows, factor))
    return Factors.of(boosts, len(vocabulary))


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


def _mask_of(rows: Rows, n_rows: int) -> Mask:
    mask = np.zeros(n_rows, dtype=bool)
    mask[rows] = True
    return mask


def _intersection(masks: Iterable[Mask | None]) -> Mask | None:
    given = [mask for mask in masks if mask is not None]
    if len(given) < 2:
        return given[0] if given else None
    combined: Mask = np.logical_and.reduce(given)
    return combined
