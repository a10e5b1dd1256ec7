"""Tastes of users in periods: the nearest items, the change between two periods, and similar users."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple, Unpack

import numpy as np

from item2vec.arguments import checked
from item2vec.arrays import Doubles, Floats
from item2vec.durations import EPOCH, moment_of
from item2vec.errors import InputError, short_repr
from item2vec.ranking import top_k
from item2vec.recommender import Recommender
from item2vec.rules import RuleArguments
from item2vec.sentences import Sentences
from item2vec.types import Recommendation

__all__ = ["Moment", "Period", "SimilarUser", "Taste", "TasteChange", "most_similar"]

Moment = datetime | timedelta | str | None
"""A bound of a period: a time (datetime or ISO 8601 text; UTC if naive), a duration before now (timedelta or
text such as "30d"), or ``None`` for no bound."""


class SimilarUser(NamedTuple):
    """A user, and the cosine of the user's taste to another taste."""

    user: str
    score: float


@dataclass(frozen=True)
class Period:
    """The period ``start <= time < end``, in microseconds since 1970-01-01 UTC; ``None`` for no bound.

    >>> from datetime import UTC
    >>> Period.of("2024-01-01", "1d", datetime(2024, 1, 3, tzinfo=UTC))
    Period(start=1704067200000000, end=1704153600000000)
    """

    start: int | None
    end: int | None

    @classmethod
    def of(cls, since: Moment, until: Moment, now: datetime) -> Period:
        """Return a period; raise ``InputError`` if a bound is invalid or ``until`` is not after ``since``."""
        start = None if since is None else moment_of(since, "since", now)
        end = None if until is None else moment_of(until, "until", now)
        if start is not None and end is not None and start >= end:
            raise InputError(
                f"since is {short_repr(since)}, and until is {short_repr(until)}; expected since before until"
            )
        return cls(start, end)

    def __str__(self) -> str:
        bounds = {"since": self.start, "until": self.end}
        given = [f"{name} {np.datetime64(at, 'us')}" for name, at in bounds.items() if at is not None]
        return " ".join(given) or "at any time"


@dataclass(frozen=True, eq=False)
class TasteChange:
    """The change from one taste to another taste of the same model.

    Attributes
    ----------
    distance
        The cosine distance between the two tastes: 1 - cosine, from 0 to 2.
    towards
        The items whose scores increase most, largest increase first. ``score`` is the increase.
    away
        The items whose scores decrease most, largest decrease first. ``score`` is the change, below 0.
    """

    distance: float
    towards: list[Recommendation]
    away: list[Recommendation]


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Taste:
    """The taste of a user in a period, as ``Engine.taste`` returns it. Immutable.

    Attributes
    ----------
    user
        The id of the user.
    vector
        The user vector (float32, dimensions) that ``recommend`` compares with the items.
    history
        The items of the period that have an input vector: disliked items, then the others, both oldest first.
        With the model setting ``last_n``, only the newest ``last_n`` of the other items affect ``vector``.
    first, last
        The earliest and the latest time of an item in ``history``; ``None`` if the store has no timestamps.
    model
        The model that the vector belongs to.

    Examples
    --------
    >>> from item2vec import ItemVectors, Vocabulary
    >>> vectors = ItemVectors(Vocabulary(("a", "b", "c")), np.eye(3), None, np.ones(3))
    >>> model = Recommender(vectors, decay=1.0)
    >>> january = Taste.of("u1", Sentences.of([["a", "b"]]), model, Period(None, None))
    >>> february = Taste.of("u1", Sentences.of([["b", "c"]]), model, Period(None, None))
    >>> january, [one.item for one in january.items(k=2)]
    (Taste(user='u1', 2 items), ['a', 'b'])
    >>> change = january.moved_to(february, k=1)
    >>> round(change.distance, 3), change.towards[0].item, change.away[0].item
    (0.5, 'c', 'a')
    """

    user: str
    vector: Floats
    history: tuple[str, ...]
    first: datetime | None
    last: datetime | None
    model: Recommender

    def __repr__(self) -> str:
        times = (
            ""
            if self.first is None or self.last is None
            else f" from {self.first.date()} to {self.last.date()}"
        )
        return f"Taste(user={self.user!r}, {self.count} items{times})"

    @classmethod
    def of(cls, user: str, history: Sentences, model: Recommender, period: Period) -> Taste:
        """Return the taste of a history (one sentence); raise ``InputError`` if the history has no taste.

        The message of the error names ``period``.
        """
        vector = model.tastes(history)[0]
        if not vector.any():
            raise InputError(
                f"user {short_repr(user)} has no taste {period}: no liked item of these events has an input "
                "vector in the model, or the vectors cancel out; choose a longer period, or another user"
            )
        vector.flags.writeable = False
        codes = model.vocabulary.encode(history.vocabulary.ids)[history.tokens]
        known = np.flatnonzero(codes >= 0)
        known = known[model.vectors.has_input[codes[known]]]
        items = tuple(model.vocabulary.decode(codes[known]))
        if history.timestamps is None:
            return cls(user, vector, items, None, None, model)
        times = history.timestamps[known]
        first, last = (EPOCH + timedelta(microseconds=int(time)) for time in (times.min(), times.max()))
        return cls(user, vector, items, first, last, model)

    @property
    def count(self) -> int:
        """The number of items in ``history``."""
        return len(self.history)

    def items(self, k: int = 10, **rules: Unpack[RuleArguments]) -> list[Recommendation]:
        """Return the ``k`` items with the highest scores, best first; see ``Recommender.nearest_to_taste``.

        Items of the history may be returned; to exclude them, pass ``exclude=taste.history``.
        """
        return self.model.nearest_to_taste(self.vector, k=k, **rules)

    def moved_to(self, later: Taste, k: int = 10, **rules: Unpack[RuleArguments]) -> TasteChange:
        """Return the change from this taste to another one, with up to ``k`` items in each direction.

        ``rules`` are the rules that ``items`` accepts. The tastes may belong to one user, or to two users.

        Raises
        ------
        InputError
            If the tastes are of two models, or a rule is invalid. Get both tastes from one ``Engine.view()``.
        """
        if self.model.taste is not later.model.taste:
            raise InputError(
                "the tastes are of two models, whose vectors cannot be compared; expected one model: "
                "get both tastes from one engine.view()"
            )
        difference = later.vector - self.vector
        towards, away = (
            [one for one in self.model.nearest_to_taste(step, k=k, **rules) if one.score > 0]
            for step in (difference, -difference)
        )
        (cosine,) = _cosines(self.vector[None], later.vector)
        return TasteChange(float(1 - cosine), towards, [replace(one, score=-one.score) for one in away])


def most_similar(own: Taste, blocks: Iterable[tuple[Sequence[str], Floats]], k: int) -> list[SimilarUser]:
    """Return the ``k`` other users with the highest cosines to a taste, best first.

    A block holds user ids, and the tastes of these users (float32, n users × dimensions). Users with a taste
    of zeros are left out. Users with equal cosines are in the order of the blocks. One block at a time is in
    memory.
    """
    best: list[SimilarUser] = []
    for users, vectors in blocks:
        cosines = _cosines(vectors, own.vector)
        cosines[[user == own.user for user in users]] = -np.inf
        found = [SimilarUser(users[row], float(cosines[row])) for row in top_k(cosines, k)]
        best = sorted([*best, *found], key=lambda one: -one.score)[:k]
    return best


def _cosines(vectors: Floats, vector: Floats) -> Doubles:
    """Return the cosine of each row to a vector (float64, n rows), -inf for a row of zeros.

    The cosine of a row has the same bits, whatever the other rows are.
    """
    rows, one = vectors.astype(np.float64), vector.astype(np.float64)
    norms = np.sqrt((rows * rows).sum(axis=1) * (one * one).sum())
    cosines = np.divide((rows * one).sum(axis=1), norms, out=np.zeros(len(rows)), where=norms > 0)
    return np.where(norms > 0, np.clip(cosines, -1, 1), -np.inf)
