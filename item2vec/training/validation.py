"""Validation after each epoch: prediction of the last item of held-out sentences."""

from __future__ import annotations

import numpy as np

from item2vec.arrays import Doubles
from item2vec.config import TasteConfig
from item2vec.errors import InputError
from item2vec.histories import encode_histories
from item2vec.metrics.accuracy import hits_of_ranks, hr, ndcg
from item2vec.sentences import Sentences
from item2vec.taste import read_tastes, scored_matrix
from item2vec.vectors import Epoch, ItemVectors

__all__ = ["Validation"]

SCORES_PER_BLOCK = 1 << 24


class Validation:
    """Prediction of the last item of each sentence (the target) from the items before it (the history).

    All items are ranked, except the items of the history. The target is always ranked, even if it is in the
    history. A sentence counts as a miss if the target is not in the vocabulary of the vectors, or the history
    has no taste, for example because no item of the history is known. Items with the same score as the target
    are ranked before the target. Tokens of negative weight are left out, as in training. Sentences of fewer
    than two other tokens are ignored.

    Raises
    ------
    InputError
        If no sentence has two or more such tokens.
    """

    def __init__(self, sentences: Sentences, taste: TasteConfig) -> None:
        liked = sentences.liked
        self.sentences = liked.take(liked.lengths >= 2)
        self.taste = taste
        if not len(self.sentences):
            raise InputError(
                "validation has no sentence of two or more items; expected sentences with a history and a "
                "target; pass longer sentences"
            )

    def measure(self, vectors: ItemVectors, epoch: int) -> Epoch:
        """Return HR@10 and NDCG@10 of the vectors after epoch number ``epoch``."""
        hits = hits_of_ranks(self._ranks(vectors), 10)
        n, n_targets = len(self.sentences), np.ones(len(hits))
        values = (metric(hits, n_targets, 10).sum() / n for metric in (hr, ndcg))
        return Epoch(epoch, *map(float, values))

    def _ranks(self, vectors: ItemVectors) -> Doubles:
        """Return the ranks of the targets, from 1, except in sentences that count as a miss."""
        last = self.sentences.offsets[1:] - 1
        in_history = np.ones(len(self.sentences.tokens), dtype=bool)
        in_history[last] = False
        row_of = vectors.vocabulary.encode(self.sentences.vocabulary.ids)
        targets = row_of[self.sentences.tokens[last]]
        codes, offsets, weights, timestamps = encode_histories(
            vectors.vocabulary, self.sentences.keep(in_history)
        )
        tastes = read_tastes(vectors, self.taste, codes, offsets, weights=weights, timestamps=timestamps)
        ranked = np.flatnonzero((targets >= 0) & ~tastes.empty)
        matrix = scored_matrix(vectors, self.taste)
        ranks = np.empty(len(ranked))
        step = max(1, SCORES_PER_BLOCK // len(vectors))
        for start in range(0, len(ranked), step):
            block = ranked[start : start + step]
            scores = tastes.vectors[block] @ matrix.T
            target_scores = scores[np.arange(len(block)), targets[block]].copy()
            for row, history in zip(scores, block.tolist(), strict=True):
                row[codes[offsets[history] : offsets[history + 1]]] = -np.inf
            scores[np.arange(len(block)), targets[block]] = -np.inf
            ranks[start : start + step] = 1 + np.count_nonzero(scores >= target_scores[:, None], axis=1)
        return ranks
