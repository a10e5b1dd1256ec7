"""``Ranker``: finds the best rows of a model for histories and for query vectors, as arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial
from itertools import pairwise
from typing import Literal

import numpy as np

from item2vec.arrays import NO_ROWS, Codes, Doubles, Floats, Mask, Rows
from item2vec.bonuses import history_bonuses, token_bonuses
from item2vec.bundle import Parts
from item2vec.dislikes import Dislikes, nearer_to_dislikes, split_dislikes
from item2vec.geometry import moved_query
from item2vec.histories import Histories
from item2vec.index.bonuses import Bonuses
from item2vec.index.building import build
from item2vec.index.priors import with_prior as prior_index
from item2vec.index.search import Index
from item2vec.prior import popularity_shares, queries_of
from item2vec.ranking import top_k
from item2vec.row_rules import RowRules
from item2vec.selection import select
from item2vec.sources import Demoting, Ordered, Ranking, Searched, Source, boosted
from item2vec.taste import TasteReader, scored_matrix
from item2vec.types import Share, check_k
from item2vec.user_vectors import UserVectors, read_user_vectors

__all__ = ["Ranker", "Ranking"]

_Kind = Literal["score", "input", "output"]


class Ranker:
    """A ranker of the rows of a model.

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
    >>> ranker.near(vectors.unit_input[1], np.array([1]), RowRules(), n_positive=1, k=2).rows
    array([0, 2])
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._popularity = popularity_shares(parts.vectors, parts.prior)
        self._by_popularity: Rows = top_k(self._popularity, len(self._popularity))
        self._indexes: dict[tuple[_Kind, bool], Index] = {("score", False): parts.index}
        if parts.unit_index is not None:
            self._indexes["input", False] = parts.unit_index

    def near(self, target: Floats, named: Rows, rules: RowRules, *, n_positive: int, k: int) -> Ranking:
        """Return the ``k`` eligible rows whose unit vectors have the highest inner products with a query.

        ``named`` holds the rows of all items in the query, which are excluded from the result. If a row of
        ``named`` has no input vector, output vectors are compared. The first ``n_positive`` rows of ``named``
        are positive: they replace the history when rows near to disliked items are demoted. The prior times
        ``rules.popularity`` is added to the inner products, and ``rules.direction`` moves the query.
        """
        check_k(k)
        kind = self._kind_for(named)
        if rules.direction is not None:
            target = moved_query(target, rules.direction, by_input=kind == "input")
        index, queries = self._queries(kind, target[None], rules.popularity)
        excluded = _excluded(rules, named)
        source = Searched(index, queries, excluded, self._with_vector(kind, named, rules.allowed))
        return self._selected_near(source, kind, named[:n_positive], rules, k)

    def by_scores(self, scores: Doubles, named: Rows, rules: RowRules, *, n_positive: int, k: int) -> Ranking:
        """Return the ``k`` eligible rows with the highest ``scores`` (float64, one score per row).

        ``named`` and ``n_positive`` have the same meaning as in ``near``. The prior times
        ``rules.popularity`` is added to the scores.
        """
        check_k(k)
        if rules.popularity:
            scores = scores + rules.popularity * self._prior
        order = np.argsort(-scores, kind="stable")
        source = Ordered(order, scores, _excluded(rules, named), rules.allowed, "model")
        return self._selected_near(source, self._kind_for(named), named[:n_positive], rules, k)

    def near_taste(self, taste: Floats, rules: RowRules, *, k: int) -> Ranking:
        """Return the ``k`` eligible rows with the highest inner products with a user vector.

        All rows are scored, without the index.
        """
        check_k(k)
        scores = (scored_matrix(self.parts.vectors, self.parts.taste) @ taste).astype(np.float64)
        order = np.argsort(-scores, kind="stable")
        source = Ordered(order, scores, rules.excluded_from([NO_ROWS]), rules.allowed, "model")
        return self._selected(source, rules, k, [None])[0]

    def rank(self, histories: Histories, rules: RowRules, *, k: int, filter_seen: bool) -> list[Ranking]:
        """Return the ``k`` best eligible rows for each history.

        If ``filter_seen`` is true, the rows of the history's items are not eligible. The best rows for a
        history without a user vector are the most popular eligible rows.
        """
        check_k(k)
        liked, dislikes = split_dislikes(histories, rules.disliked_by(len(histories.offsets) - 1))
        entries, offsets = histories.codes, histories.offsets
        bounds = pairwise(offsets.tolist())
        seen: list[Rows | Codes] = [entries[left:right] if filter_seen else NO_ROWS for left, right in bounds]
        if len(dislikes.codes):
            seen = [
                np.append(rows, dislikes.of(number)[0]).astype(np.intp) for number, rows in enumerate(seen)
            ]
        excluded = rules.excluded_from(seen)
        readable = self.with_input(liked)
        users = self.user_vectors(readable, dislikes, rules)
        bonuses = history_bonuses(readable, self.parts.taste, self.parts.neighbours, repeats=not filter_seen)
        searched, queried = self._searched(users, rules, excluded, bonuses)
        sources: list[tuple[Rows, Source]] = [(queried, searched)] if len(queried) else []
        if len(queried) < len(excluded):
            unqueried = np.delete(np.arange(len(excluded)), queried)
            own = [excluded[history] for history in unqueried]
            popular = Ordered(self._by_popularity, self._popularity, own, rules.allowed)
            sources.append((unqueried, popular))
        ranking_of: dict[int, Ranking] = {}
        for numbers, source in sources:
            demoted = [self._demoted(liked, dislikes, number) for number in numbers.tolist()]
            rankings = self._selected(source, rules, k, demoted)
            ranking_of |= zip(numbers.tolist(), rankings, strict=True)
        return [ranking_of[number] for number in range(len(excluded))]

    def radio(self, seed: Codes, rules: RowRules, *, k: int) -> list[Ranking]:
        """Return ``k`` rankings of one row: the best eligible row for the seed and the rows before it.

        ``at_most`` and ``diversity`` take the earlier rows into account. The result is shorter if no eligible
        row that ``at_most`` admits is left.
        """
        check_k(k)
        rows = np.empty(0, np.intp)
        played: list[Ranking] = []
        while len(played) < k:
            codes = np.concatenate((seed, rows)).astype(np.int32)
            so_far = Histories(codes, np.array([0, len(codes)]))
            (best,) = self.rank(so_far, replace(rules, selected=rows), k=1, filter_seen=True)
            if not len(best.rows):
                break
            rows = np.append(rows, best.rows)
            played.append(best)
        return played

    def explain(self, histories: Histories, rules: RowRules, row: int) -> list[Share]:
        """Return the shares of the history's items in the score of a row; see ``Recommender.explain``."""
        vectors, taste = self.parts.vectors, self.parts.taste
        liked, dislikes = split_dislikes(histories, rules.disliked_by(1))
        readable = self.with_input(liked)
        users = self.user_vectors(readable, dislikes, rules)
        known = np.flatnonzero(~users.tastes.empty)
        if not len(known):
            return []
        best = known[int(np.argmax(users.tastes.vectors[known] @ scored_matrix(vectors, taste)[row]))]
        codes, terms = users.shares(best, vectors, taste, row)
        terms = np.concatenate((terms, token_bonuses(readable, taste, self.parts.neighbours, row)))
        distinct, inverse = np.unique(np.concatenate((codes, readable.codes)), return_inverse=True)
        items: list[str | None] = [*vectors.vocabulary.decode(distinct)]
        scores = np.bincount(inverse, terms).astype(np.float64)
        popularity = taste.popularity if rules.popularity is None else rules.popularity
        if popularity or users.moves is not None:
            other = popularity * float(self._prior[row]) + users.share_of_move(best, vectors, taste, row)
            items, scores = [*items, None], np.append(scores, other)
        factor = rules.factor_of(row)
        scores = scores * factor if scores.sum() > 0 else scores / factor
        interest = None if users.medoids is None else vectors.vocabulary.ids[users.medoids[best]]
        shares = [Share(*pair, interest) for pair in zip(items, scores.tolist(), strict=True)]
        return sorted(shares, key=lambda share: -share.share)

    def tastes(self, histories: Histories) -> Floats:
        """Return the user vector of each history (float32), with the default rules.

        A history without a user vector gets a row of zeros.
        """
        liked, dislikes = split_dislikes(histories, RowRules().disliked_by(len(histories.offsets) - 1))
        tastes = self.user_vectors(self.with_input(liked), dislikes, RowRules()).tastes
        return np.where(tastes.empty[:, None], np.float32(0), tastes.vectors)

    def user_vectors(self, histories: Histories, dislikes: Dislikes, rules: RowRules) -> UserVectors:
        """Return the user vectors of histories whose items all have input vectors (see ``with_input``)."""
        users = read_user_vectors(histories, dislikes, self._reader, rules.interests)
        if rules.direction is None:
            return users
        return users.moved(rules.direction, self.parts.vectors, self.parts.taste)

    def with_input(self, histories: Histories) -> Histories:
        """Remove items without an input vector from histories. Such items are treated as unknown."""
        has_input = self.parts.vectors.has_input
        return histories if self._all_have_input else histories.keep(has_input[histories.codes])

    def _searched(
        self, users: UserVectors, rules: RowRules, excluded: list[Rows], bonuses: Bonuses | None
    ) -> tuple[Searched, Rows]:
        """Return the source of rows for histories with user vectors, and the indices of these histories."""
        vectors, owners = users.tastes.vectors, users.owners
        if users.tastes.empty.any():
            vectors, owners = vectors[~users.tastes.empty], owners[~users.tastes.empty]
        queried = owners
        index, queries = self._queries("score", vectors, rules.popularity)
        offsets = None
        if users.medoids is not None:
            queried, starts = np.unique(owners, return_index=True)
            offsets = np.append(starts, len(owners))
        source = Searched(
            index,
            queries,
            [excluded[history] for history in owners.tolist()],
            rules.allowed,
            None if bonuses is None else bonuses.take(owners),
            offsets,
        )
        return source, queried

    def _kind_for(self, named: Rows) -> Literal["input", "output"]:
        return "input" if self.parts.vectors.has_input[named].all() else "output"

    def _with_vector(self, kind: _Kind, named: Rows, allowed: Mask | None) -> Mask | None:
        """Return the mask of rows for a search by vector; ``None`` for all rows.

        For a query that names no item, the mask is ``allowed`` without the rows that have no input vector.
        For all other queries, it is ``allowed``.
        """
        has_input = self.parts.vectors.has_input
        if len(named) or kind != "input" or bool(has_input.all()):
            return allowed
        return has_input if allowed is None else allowed & has_input

    def _selected_near(self, source: Source, kind: _Kind, positive: Rows, rules: RowRules, k: int) -> Ranking:
        (disliked,) = rules.disliked_by(1)
        demoted = _nearer(self._index_for(kind).matrix, positive, disliked)
        return self._selected(source, rules, k, [demoted])[0]

    def _demoted(self, liked: Histories, dislikes: Dislikes, history: int) -> Callable[[Rows], Mask] | None:
        """Return a function that marks the rows nearer to a disliked item than to the history.

        ``history`` is the index of the history. Return ``None`` if the history has no disliked items.
        """
        if not len(dislikes.codes):
            return None
        own = slice(liked.offsets[history], liked.offsets[history + 1])
        matrix = scored_matrix(self.parts.vectors, self.parts.taste)
        return _nearer(matrix, liked.codes[own], dislikes.of(history)[0])

    def _selected(
        self, source: Source, rules: RowRules, k: int, demoted: list[Callable[[Rows], Mask] | None]
    ) -> list[Ranking]:
        ordered = Demoting(boosted(source, rules.factors), demoted)
        return select(ordered, rules, self.parts.vectors, k)

    def _queries(self, kind: _Kind, vectors: Floats, popularity: float | None) -> tuple[Index, Floats]:
        """Return the index to search for vectors of this kind, and its queries.

        ``popularity`` is the weight of the prior; ``None`` for its default. The default for tastes, which are
        of kind "score", is the weight in the settings of the model, and 0 for other vectors.
        """
        if kind == "score" and self.parts.taste.popularity:  # the rows of this index end with the prior
            return self.parts.index, queries_of(vectors, self.parts.vectors, self.parts.taste, popularity)
        if not popularity:
            return self._index_for(kind), vectors
        weights = np.full(len(vectors), popularity, dtype=np.float32)
        return self._index_for(kind, with_prior=True), np.column_stack((vectors, weights))

    def _index_for(self, kind: _Kind, *, with_prior: bool = False) -> Index:
        """Return the model's index (kind "score"), or an index of unit vectors (kind "input" or "output").

        The index of kind "input" is ``Parts.unit_index``, if the model has one. All other indexes of unit
        vectors are exact. With ``with_prior``, each row of the index ends with the prior. An index that is
        not part of the model is built when it is first needed.
        """
        index = self._indexes.get((kind, with_prior))
        if index is None:
            if with_prior:
                index = prior_index(self._index_for(kind), self._prior)
            else:
                vectors = self.parts.vectors
                index = build(vectors.unit_input if kind == "input" else vectors.unit_output, kind="exact")
            self._indexes[kind, with_prior] = index
        return index

    @cached_property
    def _all_have_input(self) -> bool:
        return bool(self.parts.vectors.has_input.all())

    @cached_property
    def _reader(self) -> TasteReader:
        return TasteReader.of(self.parts.vectors, self.parts.taste)

    @property
    def _prior(self) -> Floats:
        """The prior of the model; if there is none, log(1 + count of the item in training)."""
        prior = self.parts.prior
        return np.log1p(self.parts.vectors.counts).astype(np.float32) if prior is None else prior


def _excluded(rules: RowRules, named: Rows) -> list[Rows]:
    (disliked,) = rules.disliked_by(1)
    return rules.excluded_from([np.concatenate((named, disliked))])


def _nearer(matrix: Floats, liked: Rows | Codes, disliked: Rows | Codes) -> Callable[[Rows], Mask] | None:
    if not len(disliked):
        return None
    return partial(nearer_to_dislikes, matrix, liked=liked, disliked=disliked)
