"""Baselines that are sparse or linear item–item models, and the function that trains all baselines."""

from __future__ import annotations

import numpy as np

from item2vec.arguments import checked
from item2vec.arrays import Doubles, Floats
from item2vec.errors import InputError
from item2vec.evaluation.baselines import (
    Baseline,
    Histories,
    ItemKNN,
    MarkovChain,
    Popularity,
    Random,
    RecentPopularity,
)
from item2vec.evaluation.split import Split
from item2vec.kernels.cooccurrence import (
    SparseRows,
    best_sums,
    first_occurrences,
    newest_items,
    pair_counts,
)
from item2vec.neighbours import MAX_ITEMS, link_propagation, transitions
from item2vec.ranking import top_k
from item2vec.sentences import Sentences, ShardedSentences, offsets_of
from item2vec.training.ease import EASE_ROUNDING, inverse

__all__ = ["EASE", "LinkPropagation", "Transitions", "baselines"]

EASE_MAX_ITEMS = 10_000
EASE_QUICK_ITEMS = 5_000


class Transitions(Baseline):
    """Recommend items that occur near the items of a history in sentences, especially after them.

    Each item has a row in the table of windowed transitions (``item2vec.neighbours.transitions``). The score
    of an item is the weighted sum of its entries in the rows of the liked history items that are in
    ``vocabulary``. The row of the newest of these items has weight 1. The row of each earlier item has half
    the weight of the row of the next item.

    The model is related to mixtures of Markov chains with skipping: Shani, Heckerman & Brafman, An MDP-based
    recommender system, JMLR 2005. Here, preceding items count, too (half as much as following items), and the
    entries are smoothed.

    Examples
    --------
    >>> near = Transitions(Sentences.of([["a", "b"], ["a", "c", "b"]]))
    >>> [(item.item, round(item.score, 2), item.source) for item in near.recommend_many([["c", "a"]])[0]]
    [('b', 0.3, 'model')]
    """

    @checked
    def __init__(self, sentences: Sentences | ShardedSentences) -> None:
        super().__init__(sentences)
        self._table = transitions(self._numbered(sentences))

    def _candidates(self, histories: Histories) -> SparseRows:
        steps_back = (
            np.repeat(histories.offsets[1:], np.diff(histories.offsets)) - 1 - np.arange(len(histories.codes))
        )
        weights = self._table.decay ** steps_back.astype(np.float64)
        return best_sums(histories.codes, histories.offsets, weights, self._table.rows, histories.n_needed)


class LinkPropagation(Baseline):
    """Recommend items linked to the distinct items of a history by short paths in the item–sentence graph.

    Each item has a row in the table of one round of link propagation
    (``item2vec.neighbours.link_propagation``). The score of an item is the sum of its entries in the rows of
    the distinct history items.

    Source: Fu et al., Revisiting Neighborhood-based Link Prediction for Collaborative Filtering, WWW 2022.

    Examples
    --------
    >>> linked = LinkPropagation(Sentences.of([["a", "b"], ["b", "c"]]))
    >>> [(item.item, round(item.score, 2), item.source) for item in linked.recommend_many([["a"]])[0]]
    [('b', 0.5, 'model'), ('c', -1.0, 'popular')]
    """

    @checked
    def __init__(self, sentences: Sentences | ShardedSentences) -> None:
        super().__init__(sentences)
        self._table = link_propagation(self._numbered(sentences))

    def _candidates(self, histories: Histories) -> SparseRows:
        weights = first_occurrences(histories.codes, histories.offsets, len(self._table))
        return best_sums(histories.codes, histories.offsets, weights, self._table.rows, histories.n_needed)


class EASE(Baseline):
    """Recommend by the linear item–item model with the lowest regularised reconstruction error.

    The score of a candidate is the sum of its weights for the distinct items of the history. The weight
    matrix is ``-P / diag(P)`` with a zero diagonal. P is the inverse of the matrix of co-occurrence counts
    plus ``l2`` on the diagonal. Weights with an absolute value below 1e-9 are set to 0. Items with scores of
    0 or less are ranked after the others, by popularity.

    The weights are computed in closed form. The inverse is dense. The number of items is therefore limited to
    10,000; with 10,000 items, the matrix takes 800 MB. In a sentence with more than 2,000 distinct items,
    only the newest 2,000 distinct items are counted.

    Source: Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019.

    Parameters
    ----------
    sentences
        The training part.
    l2
        L2 regularisation parameter (λ in the paper), from 0.001 to 1e9.

    Raises
    ------
    InputError
        If there are more than 10,000 items, or ``l2`` is out of range.

    Examples
    --------
    >>> linear = EASE(Sentences.of([["a", "b"], ["b", "a"], ["c", "a"]]), l2=1)
    >>> [(item.item, round(item.score, 2), item.source) for item in linear.recommend_many([["b"]])[0]]
    [('a', 0.67, 'model'), ('c', -1.0, 'popular')]
    """

    @checked
    def __init__(self, sentences: Sentences | ShardedSentences, *, l2: float = 250.0) -> None:
        super().__init__(sentences)
        n_items = len(self.vocabulary)
        if n_items > EASE_MAX_ITEMS:
            raise InputError(
                f"found {n_items:,} items; expected at most {EASE_MAX_ITEMS:,}, because EASE inverts a dense "
                "matrix; use LinkPropagation"
            )
        numbered = self._numbered(sentences)
        counted = newest_items(numbered.tokens, numbered.offsets, n_items, MAX_ITEMS)
        self._weights = _ease_weights(pair_counts(*counted, n_items), l2)

    def _candidates(self, histories: Histories) -> SparseRows:
        """Return the best items of positive score for each history.

        The scores of each history are summed separately, so that the rounding of a score does not depend on
        the other histories of the batch.
        """
        items, scores = [], []
        offsets = histories.offsets
        for start, end, n_needed in zip(offsets[:-1], offsets[1:], histories.n_needed, strict=True):
            distinct = np.unique(histories.codes[start:end])
            sums = self._weights[distinct].sum(axis=0, dtype=np.float64)
            best = top_k(np.where(sums > 0, sums, -np.inf), n_needed)
            items.append(best.astype(np.int32))
            scores.append(sums[best])
        ends = offsets_of([len(row) for row in items])
        none = np.empty(0)
        return SparseRows(
            np.concatenate([none.astype(np.int32), *items]),
            np.concatenate([none, *scores]),
            ends[:-1],
            ends[1:],
        )


def _ease_weights(gram: Doubles, l2: float) -> Floats:
    """Return the weights of EASE (float32, n items × n items). The pair counts ``gram`` are overwritten."""
    weights = inverse(gram, l2)
    weights /= -weights.diagonal().copy()
    weights[np.abs(weights) < EASE_ROUNDING] = 0
    weights[np.diag_indices(len(gram))] = 0
    return weights.astype(np.float32)


@checked
def baselines(split: Split) -> dict[str, Baseline]:
    """Train the baselines on the training part of a split, and return them by name.

    ``"transitions"`` is omitted for unordered sentences. With more than 5,000 items, ``"EASE"`` is omitted,
    because its training would take too long. If ``ShardedSentences`` have more than 100 million tokens, the
    baselines other than popularity, recent popularity and random are trained on some evenly spaced shards,
    with about 100 million tokens in total.

    Examples
    --------
    >>> playlists = Sentences.of([["a", "b", "c"]])
    >>> for name in baselines(Split(playlists, playlists, playlists, "by hand")):
    ...     print(name)
    popularity
    recent popularity
    item-kNN
    Markov chain
    transitions
    link propagation
    EASE
    random
    """
    train = split.train
    models: dict[str, Baseline] = {
        "popularity": Popularity(train),
        "recent popularity": RecentPopularity(train),
        "item-kNN": ItemKNN(train),
        "Markov chain": MarkovChain(train),
    }
    if train.ordered:
        models["transitions"] = Transitions(train)
    models["link propagation"] = LinkPropagation(train)
    if len(models["popularity"].vocabulary) <= EASE_QUICK_ITEMS:
        models["EASE"] = EASE(train)
    return {**models, "random": Random(train)}
