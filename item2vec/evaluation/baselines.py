"""Models that know nothing of taste. One that does not beat them is not worth serving."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from item2vec.sentences import Sentences
from item2vec.types import Recommendation

__all__ = ["Popularity"]


class Popularity:
    """Recommends to everybody what occurs most often, except what they had.

    The score is an item's number of tokens.

    Examples
    --------
    >>> popularity = Popularity(Sentences.of([["a", "b"], ["b", "c"], ["b"]]))
    >>> [item for item, count in popularity.recommend_many([["c"]], k=2)[0]]
    ['b', 'a']
    """

    def __init__(self, sentences: Sentences) -> None:
        counts = sentences.counts()
        order = np.argsort(-counts, kind="stable")
        ids = sentences.vocabulary.decode(order)
        self._best = [
            Recommendation(item, float(count), "popular")
            for item, count in zip(ids, counts[order].tolist(), strict=True)
        ]

    def recommend_many(
        self, histories: Iterable[Iterable[str]], *, k: int = 10, filter_seen: bool = True
    ) -> list[list[Recommendation]]:
        """Return the ``k`` most frequent items for each history, those of the history left out."""
        return [self._answer(set(history) if filter_seen else set(), k) for history in histories]

    def _answer(self, seen: set[str], k: int) -> list[Recommendation]:
        best = self._best[: k + len(seen)]
        return [one for one in best if one.item not in seen][:k]
