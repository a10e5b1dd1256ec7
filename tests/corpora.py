"""Sentences for tests, and their rows."""

import dataclasses
from itertools import pairwise

import numpy as np

from item2vec.sentences import Sentences


def random_sentences(n=200, n_items=30, *, seed=0, ordered=True):
    rng = np.random.default_rng(seed)
    lists = [[f"item-{row}" for row in rng.integers(0, n_items, rng.integers(2, 12))] for _ in range(n)]
    return Sentences.of(lists, ordered=ordered)


def weighted(sentences, column):
    return dataclasses.replace(sentences, weights=np.array(column, dtype=np.float32))


def rows_of(sentences):
    """Return each sentence as a tuple of (id, weight, timestamp), ``None`` for a missing column."""
    missing = [None] * len(sentences.tokens)
    columns = [
        missing if column is None else column.tolist() for column in (sentences.weights, sentences.timestamps)
    ]
    rows = list(zip(sentences.vocabulary.decode(sentences.tokens), *columns, strict=True))
    return [tuple(rows[a:b]) for a, b in pairwise(sentences.offsets.tolist())]
