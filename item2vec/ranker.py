"""``Ranker``: the best rows of a model for histories and for query vectors, as arrays."""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Floats, Rows
from item2vec.bonuses import history_bonuses
from item2vec.bundle import Parts
from item2vec.index.building import build
from item2vec.index.search import Index, find, find_many
from item2vec.prior import popularity_shares, queries_of
from item2vec.ranking import top_k
from item2vec.row_rules import NO_ROWS, RowRules
from item2vec.sentences import Histories
from item2vec.taste import Tastes, read_tastes
from item2vec.types import check_k

__all__ = ["Ranker", "Ranking"]


class Ranking(NamedTuple):
    """Rows (intp), best first, their scores (float32, or float64 for popularity), and the source of both.

    >>> Ranking(np.array([2, 0]), np.array([0.5, 0.25], dtype=np.float32)).source
    'model'
    """

    rows: Rows
    scores: npt.NDArray[Any]
    source: str = "model"


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
        self._popularity = popularity_shares(parts.vectors, parts.taste, parts.prior)
        self._by_popularity: Rows = top_k(self._popularity, len(self._popularity))

    @cached_property
    def _input_index(self) -> Index:
        """Index of the unit input vectors: ``index``, or an exact index that is built on first use."""
        searched = self.parts.taste.score == "cosine" and not self.parts.taste.popularity
        return self.parts.index if searched else build(self.parts.vectors.unit_input, kind="exact")

    @cached_property
    def _output_index(self) -> Index:
        """Exact index of the unit output vectors, for items without an input vector. Built on first use."""
        return build(self.parts.vectors.unit_output, kind="exact")

    def near(self, target: Floats, named: Rows, rules: RowRules, *, k: int) -> Ranking:
        """Return the ``k`` eligible rows with the highest inner products with a query of unit vectors.

        ``named`` are the rows that the query was computed from. They are left out. If one of them has no
        input vector, the query is compared with output vectors.
        """
        check_k(k)
        index = self._input_index if self.parts.vectors.has_input[named].all() else self._output_index
        (excluded,) = rules.excluded_from([named])
        return Ranking(*find(index, target, k=k, excluded=excluded, allowed=rules.allowed))

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
        queried = np.flatnonzero(~tastes.empty)
        bonuses = history_bonuses(readable, parts.taste, parts.neighbours, repeats=not filter_seen)
        found = find_many(
            parts.index,
            queries_of(tastes.vectors[queried], parts.vectors, parts.taste),
            k=k,
            excluded=[excluded[history] for history in queried],
            allowed=rules.allowed,
            bonuses=None if bonuses is None else bonuses.take(queried),
        )
        ranking_of = {number: Ranking(*one) for number, one in zip(queried.tolist(), found, strict=True)}
        return [ranking_of.get(n) or self._popular(k, rows, rules) for n, rows in enumerate(excluded)]

    def with_input(self, histories: Histories) -> Histories:
        """Return histories without the items that have no input vector; these items count as unknown."""
        has_input = self.parts.vectors.has_input
        return histories if bool(has_input.all()) else histories.keep(has_input[histories.codes])

    def tastes(self, histories: Histories) -> Tastes:
        """Return the taste of each history, whose items all have input vectors (see ``with_input``)."""
        vectors, taste = self.parts.vectors, self.parts.taste
        codes, offsets, weights, timestamps = histories
        return read_tastes(vectors, taste, codes, offsets, weights=weights, timestamps=timestamps)

    def _popular(self, k: int, excluded: Rows, rules: RowRules) -> Ranking:
        n_rows = len(self._by_popularity)
        eligible = np.ones(n_rows, dtype=bool) if rules.allowed is None else rules.allowed.copy()
        eligible[excluded] = False
        rows = self._by_popularity[eligible[self._by_popularity]][:k]
        return Ranking(rows, self._popularity[rows], "popular")
