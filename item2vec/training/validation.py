"""A look at the vectors after each epoch: how well they predict what came last."""

from __future__ import annotations

import numpy as np

from item2vec import metrics
from item2vec.config import TasteConfig
from item2vec.errors import InputError
from item2vec.sentences import Sentences, encode_histories
from item2vec.taste import read_tastes, scored_matrix
from item2vec.vectors import Epoch, ItemVectors

__all__ = ["Validation"]

SCORES_A_BLOCK = 1 << 24


class Validation:
    """Predicts the last item of each sentence from those before it, over all items (those before left out).

    A sentence whose last item, or whose whole history, the vectors do not know counts as a miss; the last
    item is never left out, even where it occurred before. Ties count against the target.
    """

    def __init__(self, sentences: Sentences, taste: TasteConfig) -> None:
        self.sentences = sentences.take(sentences.lengths >= 2)
        self.taste = taste
        if not len(self.sentences):
            raise InputError(
                "validation has no sentence of two or more items; expected a history and a target"
            )

    def measure(self, vectors: ItemVectors, epoch: int) -> Epoch:
        """Return HR@10 and NDCG@10 of these vectors."""
        hits = metrics.hits_of_ranks(self._ranks(vectors), 10)
        n, one = len(self.sentences), np.ones(len(hits))
        hr, ndcg = (metric(hits, one, 10).sum() / n for metric in (metrics.hr, metrics.ndcg))
        return Epoch(epoch, float(hr), float(ndcg))

    def _ranks(self, vectors: ItemVectors) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        last = self.sentences.offsets[1:] - 1
        before = np.ones(len(self.sentences.tokens), dtype=bool)
        before[last] = False
        row_of = vectors.vocabulary.encode(self.sentences.vocabulary.ids)
        targets = row_of[self.sentences.tokens[last]]
        codes, offsets, weights, timestamps = encode_histories(
            vectors.vocabulary, self.sentences.keep(before)
        )
        tastes = read_tastes(vectors, self.taste, codes, offsets, weights=weights, timestamps=timestamps)
        judged = np.flatnonzero((targets >= 0) & ~tastes.empty)
        matrix = scored_matrix(vectors, self.taste)
        ranks = np.empty(len(judged))
        step = max(1, SCORES_A_BLOCK // len(vectors))
        for start in range(0, len(judged), step):
            block = judged[start : start + step]
            scores = tastes.vectors[block] @ matrix.T
            of_target = scores[np.arange(len(block)), targets[block]].copy()
            for line, history in zip(scores, block.tolist(), strict=True):
                line[codes[offsets[history] : offsets[history + 1]]] = -np.inf
            scores[np.arange(len(block)), targets[block]] = -np.inf
            ranks[start : start + step] = 1 + np.count_nonzero(scores >= of_target[:, None], axis=1)
        return ranks
