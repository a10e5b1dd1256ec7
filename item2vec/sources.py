"""Sources of ranked rows: from an index, by given scores, with boosted scores, or with demoted rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Doubles, Floats, Mask, Rows
from item2vec.index.bonuses import Bonuses
from item2vec.index.search import Index, search
from item2vec.kernels.scanning import RowLists
from item2vec.row_rules import Factors
from item2vec.types import Recommendation
from item2vec.vectors import ItemVectors

__all__ = ["Boosted", "BoostedByRow", "Demoting", "Ordered", "Ranking", "Searched", "Source", "boosted"]


class Ranking(NamedTuple):
    """Ranked rows (intp, best first), with their scores (float32 or float64).

    ``source`` names the origin of the scores, such as ``"model"`` or ``"popular"``.
    ``demoted`` (bool, one flag per ranked row) marks the rows that come after all others in spite of their
    scores. It is ``None`` if the query has no rule that demotes rows.

    >>> Ranking(np.array([2, 0]), np.array([0.5, 0.25], dtype=np.float32)).source
    'model'
    """

    rows: Rows
    scores: npt.NDArray[Any]
    source: str = "model"
    demoted: Mask | None = None

    def listed(self, vectors: ItemVectors) -> list[Recommendation]:
        """Return the ranking as a list of recommendations, with the ids of the items.

        In a ranking with the source ``"model"``, items of count 0 have the source ``"attributes"``.
        """
        ids, scores = vectors.vocabulary.decode(self.rows), self.scores.tolist()
        sources = [self.source] * len(ids)
        if self.source == "model":
            trained = vectors.counts[self.rows] > 0
            sources = ["model" if one else "attributes" for one in trained.tolist()]
        return list(map(Recommendation, ids, scores, sources))


class Source(Protocol):
    """The eligible rows for each of several queries, best first. Equal scores are ordered by row."""

    def best(self, n: int) -> list[Ranking]:
        """Return the ``n`` best rows of each query, or all eligible rows if there are fewer."""

    def take(self, query: int) -> Source:
        """Return a source for one of the queries."""

    def within(self, mask: Mask) -> Source:
        """Return a source of the rows selected by a mask (bool, one flag per row)."""


@dataclass(frozen=True, eq=False)
class Searched:
    """The rows with the highest scores in an index; see ``search`` for the fields.

    If ``offsets`` is set, several queries share one ranking, in which the score of a row is its highest score
    for these queries. The queries of ranking ``i`` are ``offsets[i]`` to ``offsets[i + 1]`` (exclusive), and
    must all have the same ``excluded``. If ``offsets`` is ``None``, there is one ranking per query.
    """

    index: Index
    queries: Floats
    excluded: Sequence[npt.NDArray[Any]]
    allowed: Mask | None
    bonuses: Bonuses | None = None
    offsets: Rows | None = None

    def best(self, n: int) -> list[Ranking]:
        """Return the results of ``search``; the results of the queries that share a ranking are merged."""
        found = search(
            self.index,
            self.queries,
            k=n,
            excluded=RowLists.of(self.excluded),
            allowed=self.allowed,
            bonuses=self.bonuses,
        )
        rankings = [Ranking(*one) for one in found]
        if self.offsets is None:
            return rankings
        return [_best_of(rankings[start:stop], n) for start, stop in pairwise(self.offsets.tolist())]

    def take(self, query: int) -> Searched:
        """Return a source for one of the rankings."""
        start, stop = (query, query + 1) if self.offsets is None else self.offsets[query : query + 2].tolist()
        return replace(
            self,
            queries=self.queries[start:stop],
            excluded=self.excluded[start:stop],
            bonuses=None if self.bonuses is None else self.bonuses.take(np.arange(start, stop)),
            offsets=None if self.offsets is None else np.array([0, stop - start]),
        )

    def within(self, mask: Mask) -> Searched:
        """Return a source of the rows selected by a mask."""
        return replace(self, allowed=mask if self.allowed is None else self.allowed & mask)


@dataclass(frozen=True, eq=False)
class Ordered:
    """Rows by given scores: ``order`` holds all rows, best first, and ``scores`` holds one score per row.

    ``excluded`` holds an array of excluded rows per query. ``allowed`` (bool, one flag per row) selects the
    eligible rows; ``None`` selects all rows. ``source`` is the field ``source`` of the rankings.
    """

    order: Rows
    scores: Doubles
    excluded: Sequence[npt.NDArray[Any]]
    allowed: Mask | None
    source: str = "popular"

    def best(self, n: int) -> list[Ranking]:
        """Return the ``n`` best eligible rows for each list of excluded rows."""
        return [self._best_of(n, excluded) for excluded in self.excluded]

    def _best_of(self, n: int, excluded: npt.NDArray[Any]) -> Ranking:
        eligible = np.ones(len(self.order), dtype=bool) if self.allowed is None else self.allowed.copy()
        eligible[excluded] = False
        rows = self.order[eligible[self.order]][:n]
        return Ranking(rows, self.scores[rows], self.source)

    def take(self, query: int) -> Ordered:
        """Return a source for one of the queries."""
        return replace(self, excluded=[self.excluded[query]])

    def within(self, mask: Mask) -> Ordered:
        """Return a source of the rows selected by a mask."""
        return replace(self, allowed=mask if self.allowed is None else self.allowed & mask)


@dataclass(frozen=True, eq=False)
class Boosted:
    """The rows of several disjoint sources (``parts``), each with a factor for the scores of its rows.

    A positive score is multiplied by the factor, and a negative score is divided by the factor. This does not
    change the order of the rows of a part. The ``n`` best rows of each part therefore contain the ``n`` best
    rows of all parts. Boosted scores are computed in float64, so that different float32 scores remain
    different.
    """

    parts: tuple[tuple[float, Source], ...]

    def best(self, n: int) -> list[Ranking]:
        """Return the ``n`` rows with the highest boosted scores for each query."""
        found = [(factor, part.best(n)) for factor, part in self.parts]
        per_query = zip(*(rankings for _, rankings in found), strict=True)
        factors = [factor for factor, _ in found]
        return [_merged(factors, rankings, n) for rankings in per_query]

    def take(self, query: int) -> Boosted:
        """Return a source for one of the queries."""
        return Boosted(tuple((factor, part.take(query)) for factor, part in self.parts))

    def within(self, mask: Mask) -> Boosted:
        """Return a source of the rows selected by a mask."""
        return Boosted(tuple((factor, part.within(mask)) for factor, part in self.parts))


@dataclass(frozen=True, eq=False)
class BoostedByRow:
    """The rows of two disjoint sources: ``others``, and ``boosted``, whose scores have a factor per row.

    ``factors`` (float64) holds one factor per row of the model. The factors change the order of the rows of
    ``boosted``. All of them are therefore scored and sorted. This is done for one query at a time, which
    bounds the memory, and takes long if many rows are boosted. The scores are those of ``Boosted``.
    """

    others: Source
    boosted: Source
    factors: Doubles

    def best(self, n: int) -> list[Ranking]:
        """Return the ``n`` rows with the highest boosted scores for each query."""
        return [self._best_of(query, found, n) for query, found in enumerate(self.others.best(n))]

    def _best_of(self, query: int, others: Ranking, n: int) -> Ranking:
        (boosted,) = self.boosted.take(query).best(len(self.factors))
        return _merged([1.0, self.factors[boosted.rows]], [others, boosted], n)

    def take(self, query: int) -> BoostedByRow:
        """Return a source for one of the queries."""
        return BoostedByRow(self.others.take(query), self.boosted.take(query), self.factors)

    def within(self, mask: Mask) -> BoostedByRow:
        """Return a source of the rows selected by a mask."""
        return BoostedByRow(self.others.within(mask), self.boosted.within(mask), self.factors)


@dataclass(frozen=True, eq=False)
class Demoting:
    """The rows of a source, with demoted rows after all others.

    ``is_demoted`` holds a function per ranking, which returns a mask of the rows to demote among given rows;
    ``None`` for a ranking without demoted rows.
    """

    source: Source
    is_demoted: Sequence[Callable[[Rows], Mask] | None]

    def best(self, n: int) -> list[Ranking]:
        """Return the first ``n`` rows of each ranking.

        The number of rows that are read from the source is doubled until ``n`` of them are not demoted, or no
        row is left.
        """
        if not any(self.is_demoted):
            return self.source.best(n)
        if all(self.is_demoted):
            found = self.source.best(2 * n)
        else:
            # Rankings without demoted rows are searched with n, so that they are the same as without this
            # class: an approximate search for 2 n rows may find better rows than a search for n rows.
            found = [
                first if function is None else self.source.take(query).best(2 * n)[0]
                for query, (function, first) in enumerate(
                    zip(self.is_demoted, self.source.best(n), strict=True)
                )
            ]
        return [
            first if function is None else self._best_of(query, function, first, n)
            for query, (function, first) in enumerate(zip(self.is_demoted, found, strict=True))
        ]

    def _best_of(self, query: int, function: Callable[[Rows], Mask], found: Ranking, n: int) -> Ranking:
        n_read = 2 * n
        demoted = function(found.rows)
        while np.count_nonzero(~demoted) < n and len(found.rows) == n_read:
            n_read *= 2
            (found,) = self.source.take(query).best(n_read)
            demoted = function(found.rows)
        order = np.argsort(demoted, kind="stable")[:n]
        return Ranking(found.rows[order], found.scores[order], found.source, demoted[order])

    def take(self, query: int) -> Demoting:
        """Return a source for one of the rankings."""
        return Demoting(self.source.take(query), [self.is_demoted[query]])

    def within(self, mask: Mask) -> Demoting:
        """Return a source of the rows selected by a mask."""
        return Demoting(self.source.within(mask), self.is_demoted)


def boosted(source: Source, factors: Factors) -> Source:
    """Return a source with boosted scores; ``RowRules`` describes ``factors``.

    >>> rows = Ordered(np.arange(3), np.array([0.5, 0.3, 0.2]), [[]], None)
    >>> boosted(rows, ((2.0, np.array([False, False, True])),)).best(2)[0].rows
    array([0, 2])
    """
    if isinstance(factors, np.ndarray):
        is_boosted = factors != 1
        return BoostedByRow(source.within(~is_boosted), source.within(is_boosted), factors)
    if not factors:
        return source
    others = ~np.logical_or.reduce([mask for _, mask in factors])
    return Boosted(tuple((factor, source.within(mask)) for factor, mask in [(1.0, others), *factors]))


def _best_of(rankings: Sequence[Ranking], n: int) -> Ranking:
    """Merge rankings of up to ``n`` rows each; return up to ``n`` rows, those with the highest scores.

    The score of a row is its highest score in any of the rankings.
    """
    if len(rankings) == 1:
        return rankings[0]
    rows = np.concatenate([ranking.rows for ranking in rankings])
    scores = np.concatenate([ranking.scores for ranking in rankings])
    order = np.lexsort((rows, -scores))
    kept = order[np.sort(np.unique(rows[order], return_index=True)[1])[:n]]
    return Ranking(rows[kept], scores[kept])


def _merged(factors: Sequence[float | Doubles], rankings: Sequence[Ranking], n: int) -> Ranking:
    pairs = zip(factors, (ranking.scores.astype(np.float64) for ranking in rankings), strict=True)
    scores = np.concatenate([np.where(own > 0, own * factor, own / factor) for factor, own in pairs])
    rows = np.concatenate([ranking.rows for ranking in rankings])
    order = np.lexsort((rows, -scores))[:n]
    return Ranking(rows[order], scores[order], rankings[0].source)
