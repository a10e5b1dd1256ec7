"""``Ranker``: the best rows of a model for histories and for query vectors, as arrays."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np

from item2vec.arrays import Floats, Rows
from item2vec.bonuses import history_bonuses
from item2vec.bundle import Parts
from item2vec.index.building import build
from item2vec.index.search import Index
from item2vec.prior import popularity_shares, queries_of
from item2vec.ranking import top_k
from item2vec.row_rules import NO_ROWS, RowRules
from item2vec.selection import select
from item2vec.sentences import Histories
from item2vec.sources import Popular, Ranking, Searched, Source, boosted
from item2vec.taste import Tastes, read_tastes
from item2vec.types import check_k

__all__ = ["Ranker", "Ranking"]

_Kind = Literal["score", "input", "output"]


class Ranker:
    """Rankings of the rows of a model.

    ``Recommender`` converts ids and rules to arrays, calls a ranker, and converts the rows back to ids.

    Parameters
    ----------
    parts
        The parts of the model.

    Examples
    --------
    >>> from item2vec import ItemVectors, Recommender, Vocabulary
    >>> vectors = ItemVectors(Vocabulary(("a", "b", "c")), np.eye(3), None, np.ones(3))
    >>> ranker = Ranker(Recommender(vectors).parts)
    >>> ranker.near(vectors.unit_input[1], np.array([1]), RowRules(), k=2).rows
    array([0, 2])
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._popularity = popularity_shares(parts.vectors, parts.prior)
        self._by_popularity: Rows = top_k(self._popularity, len(self._popularity))
        self._indexes: dict[tuple[_Kind, bool], Index] = {("score", False): parts.index}
        if parts.taste.score == "cosine" and not parts.taste.popularity:
            self._indexes["input", False] = parts.index

    def near(self, target: Floats, named: Rows, rules: RowRules, *, k: int) -> Ranking:
        """Return the ``k`` eligible rows with the highest inner products with a query of unit vectors.

        ``named`` are the rows that the query was computed from. They are left out. If one of them has no
        input vector, the query is compared with output vectors.
        """
        check_k(k)
        kind: _Kind = "input" if self.parts.vectors.has_input[named].all() else "output"
        index, queries = self._with_popularity(kind, target[None], rules.popularity or 0)
        source = Searched(index, queries, rules.excluded_from([named]), rules.allowed)
        return self._selected(source, rules, k)[0]

    def rank(self, histories: Histories, rules: RowRules, *, k: int, filter_seen: bool) -> list[Ranking]:
        """Return the ``k`` best eligible rows for each history.

        For a history without a taste, these are the most popular eligible rows.
        """
        check_k(k)
        parts, codes = self.parts, histories.codes
        bounds = pairwise(histories.offsets.tolist())
        seen = [codes[left:right] if filter_seen else NO_ROWS for left, right in bounds]
        excluded = rules.excluded_from(seen)
        readable = self.with_input(histories)
        tastes = self.tastes(readable)
        queried, unqueried = np.flatnonzero(~tastes.empty), np.flatnonzero(tastes.empty)
        bonuses = history_bonuses(readable, parts.taste, parts.neighbours, repeats=not filter_seen)
        index, queries = self._queries(tastes.vectors[queried], rules.popularity)
        searched = Searched(
            index,
            queries,
            [excluded[history] for history in queried],
            rules.allowed,
            None if bonuses is None else bonuses.take(queried),
        )
        own = [excluded[history] for history in unqueried]
        popular = Popular(self._by_popularity, self._popularity, own, rules.allowed)
        ranking_of: dict[int, Ranking] = {}
        for numbers, source in ((queried, searched), (unqueried, popular)):
            if len(numbers):
                ranking_of |= zip(numbers.tolist(), self._selected(source, rules, k), strict=True)
        return [ranking_of[number] for number in range(len(excluded))]

    def with_input(self, histories: Histories) -> Histories:
        """Return histories without the items that have no input vector; these items count as unknown."""
        has_input = self.parts.vectors.has_input
        return histories if bool(has_input.all()) else histories.keep(has_input[histories.codes])

    def tastes(self, histories: Histories) -> Tastes:
        """Return the taste of each history, whose items all have input vectors (see ``with_input``)."""
        vectors, taste = self.parts.vectors, self.parts.taste
        codes, offsets, weights, timestamps = histories
        return read_tastes(vectors, taste, codes, offsets, weights=weights, timestamps=timestamps)

    def _selected(self, source: Source, rules: RowRules, k: int) -> list[Ranking]:
        return select(boosted(source, rules.factors), rules, self.parts.vectors, k)

    def _queries(self, tastes: Floats, popularity: float | None) -> tuple[Index, Floats]:
        """Return the index to search, and the query of each taste; ``popularity`` replaces the weight."""
        if self.parts.taste.popularity or not popularity:
            queries = queries_of(tastes, self.parts.vectors, self.parts.taste, popularity)
            return self.parts.index, queries
        return self._with_popularity("score", tastes, popularity)

    def _with_popularity(self, kind: _Kind, queries: Floats, popularity: float) -> tuple[Index, Floats]:
        """Return an index, and its queries with the weight of the prior; without the prior if it is 0."""
        if not popularity:
            return self._index(kind), queries
        weights = np.full(len(queries), popularity, dtype=np.float32)
        return self._index(kind, with_prior=True), np.column_stack((queries, weights))

    def _index(self, kind: _Kind, *, with_prior: bool = False) -> Index:
        """Return the index of the scores, or an exact index of the unit vectors. Built on first use.

        With a prior, the index is exact, and its rows end with the prior.
        """
        index = self._indexes.get((kind, with_prior))
        if index is None:
            matrix = self._index(kind).matrix if with_prior else self._units(kind)
            rows = np.column_stack((matrix, self._prior)) if with_prior else matrix
            index = self._indexes[kind, with_prior] = build(rows, kind="exact")
        return index

    def _units(self, kind: _Kind) -> Floats:
        vectors = self.parts.vectors
        return vectors.unit_input if kind == "input" else vectors.unit_output

    @property
    def _prior(self) -> Floats:
        """The prior of the model; without one, log(1 + count of the item in training)."""
        prior = self.parts.prior
        return np.log1p(self.parts.vectors.counts).astype(np.float32) if prior is None else prior
