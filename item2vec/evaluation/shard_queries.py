"""Helpers to split sharded sentences: sample queries, and compute training parts shard by shard."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from item2vec.arrays import Rows
from item2vec.sentences import Sentences, ShardedSentences, joined
from item2vec.shaping import without_unused

__all__ = ["changed", "evenly_spaced", "joined_queries", "most_queries"]

MOST_QUERIES = 100_000
"""Approximate maximum number of queries of a sharded corpus."""


def most_queries(sentences: Sentences | ShardedSentences) -> int:
    """Return the maximum number of queries per shard; for sentences in memory, the number of sentences.

    >>> most_queries(Sentences.of([["a"], ["b"]]))
    2
    """
    if isinstance(sentences, ShardedSentences):
        return -(-MOST_QUERIES // len(sentences.shards))
    return len(sentences)


def evenly_spaced(rows: Rows, most: int) -> Rows:
    """Return at most ``most`` evenly spaced elements of ``rows``.

    >>> evenly_spaced(np.arange(7), 3), evenly_spaced(np.arange(2), 3)
    (array([0, 3, 6]), array([0, 1]))
    """
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(np.intp)]


def changed(
    sentences: Sentences | ShardedSentences, change: Callable[[Sentences], Sentences]
) -> Sentences | ShardedSentences:
    """Return ``change(sentences)``. A shard of ``ShardedSentences`` is changed whenever it is accessed.

    >>> list(changed(Sentences.of([["a"], ["b"]]), lambda shard: shard[1:]))
    [['b']]
    """
    if isinstance(sentences, ShardedSentences):
        return sentences.derive(lambda _, shard: change(shard))
    return change(sentences)


def joined_queries(parts: Sequence[Sentences]) -> Sentences:
    """Concatenate sentences that were selected from each shard, such as the histories of the queries.

    A memory-mapped vocabulary is reduced to the items of these sentences.

    >>> list(joined_queries([Sentences.of([["a"]])[:0], Sentences.of([["a"]])]))
    [['a']]
    """
    queries = joined(parts)
    return queries if isinstance(queries.vocabulary.ids, tuple) else without_unused(queries)
