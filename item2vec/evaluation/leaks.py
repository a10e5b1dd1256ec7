"""Detection of leaks: queries in the training part, and models trained on more than the training part."""

from __future__ import annotations

import numpy as np

from item2vec.arguments import checked
from item2vec.arrays import Mask, Offsets
from item2vec.evaluation.split import Split
from item2vec.sentences import Sentences, ShardedSentences
from item2vec.vectors import ItemVectors

__all__ = ["find_leaks", "trained_beyond"]

_HISTORY = 4
"""Number of history items that are compared together with the first target."""
_TOLERATED = 0.1
_SAMPLE = 10_000
_ROUNDING = 1e-6  # the relative error of a sum of float32 weights is about 1e-7


@checked
def find_leaks(split: Split) -> list[str]:
    """Return a list with a message if queries leak into the training part; otherwise an empty list.

    For each query with 4 or more history items, the last 4 history items and the first target are searched as
    a 5-gram in the training sentences. Such 5-grams also occur without a leak: in measurements, for less than
    1 of 100 queries on purchases and click sessions, for 1 of 15 on radio playlists, and for most queries on
    walks over a small graph. A leak is therefore reported only if the share of queries that are found exceeds
    an expected share by more than two standard errors. The expected share is 0.1 plus the share of 5-grams,
    in a sample from the training part, that occur after two or more different items (the start of a sentence
    counts as an item). If this sum is above 1, the expected share is 1.

    Queries with shorter histories, and sentences in shuffled order, cannot be checked.

    Examples
    --------
    >>> playlists = Sentences.of([["a", "b", "c", "d", "e"], ["e", "d", "c", "b", "a"]])
    >>> histories = Sentences.of([playlist[:4] for playlist in playlists])
    >>> targets = Sentences.of([["e"], ["a"]])
    >>> find_leaks(Split(histories, histories, targets, "by hand"))
    []
    >>> find_leaks(Split(playlists, histories, targets, "by hand"))[0][:51]
    '100 % of 2 queries with 4 or more history items occ'
    """
    checked = (split.histories.lengths >= _HISTORY) & (split.targets.lengths >= 1)
    n_checked = int(np.count_nonzero(checked))
    if not n_checked:
        return []
    n_leaked = int(np.count_nonzero(_n_contexts(split.train, _query_ngrams(split, checked)) > 0))
    expected = min(_TOLERATED + _repetition(split.train), 1.0)
    if n_leaked / n_checked <= expected + 2 * np.sqrt(expected * (1 - expected) / n_checked):
        return []
    return [
        f"{100 * n_leaked / n_checked:.0f} % of {n_checked:,} queries with {_HISTORY} or more history items "
        "occur in the training part together with their target; expected not significantly more than "
        f"{100 * expected:.0f} %: remove the test sentences from the training part, or split by "
        "time: temporal_split(interactions), or --protocol temporal"
    ]


def trained_beyond(vectors: ItemVectors, train: Sentences | ShardedSentences) -> str | None:
    """Return a message if a model counts more tokens of an item than the training part; otherwise ``None``.

    The count of an item is the sum of the weights of its tokens, without tokens of negative weight. If a
    count of the model is higher by more than a relative difference of 1e-6, the model was trained on more
    than the training part. A lower count of the model is not a leak, because trainers omit rare items.

    Examples
    --------
    >>> from item2vec.types import Vocabulary
    >>> train = Sentences.of([["a", "b"], ["b"]])
    >>> ab = Vocabulary(("b", "a"))
    >>> trained_beyond(ItemVectors(ab, np.eye(2), None, np.array([2, 1])), train)
    >>> print(trained_beyond(ItemVectors(ab, np.eye(2), None, np.array([5, 1])), train))
    the model was trained on 3 tokens more than the training part contains (item 'b': 5 occurrences in the \
model, 2 in split.train); expected a model trained on split.train alone
    """
    counts = np.zeros(len(train.vocabulary))
    for shard in train.shards:
        counts += np.bincount(shard.liked.tokens, shard.liked.weights, minlength=len(counts))
    counts = np.append(counts, 0.0)[vectors.vocabulary.codes_in(train.vocabulary)]
    excess = vectors.counts - counts
    excess[excess <= _ROUNDING * vectors.counts] = 0
    if not excess.any():
        return None
    item = int(excess.argmax())
    return (
        f"the model was trained on {excess.sum():,.10g} tokens more than the training part contains (item "
        f"{vectors.vocabulary.ids[item]!r}: {vectors.counts[item]:,.10g} occurrences in the model, "
        f"{counts[item]:,.10g} in split.train); expected a model trained on split.train alone"
    )


def _query_ngrams(split: Split, checked: Mask) -> Offsets:
    """Return the 5-grams of the checked queries as codes: the last 4 history items, then the first target.

    A code is a position in the vocabulary of the training part. An item that is not in this vocabulary has
    the code ``len(vocabulary)``.
    """
    histories, targets, vocabulary = split.histories, split.targets, split.train.vocabulary
    last = histories.offsets[1:][checked][:, None] + np.arange(-_HISTORY, 0)
    first = targets.offsets[:-1][checked]
    ngrams = np.column_stack(
        (
            histories.vocabulary.codes_in(vocabulary)[histories.tokens[last]],
            targets.vocabulary.codes_in(vocabulary)[targets.tokens[first]],
        )
    ).astype(np.int64)
    ngrams[ngrams < 0] = len(vocabulary)
    return ngrams


def _repetition(train: Sentences | ShardedSentences) -> float:
    """Return the share of sampled 5-grams of the training part that occur after two or more different items.

    Occurrences with the same preceding item count once, because duplicate sentences, which a leak produces,
    repeat the preceding item too.
    """
    most = -(-_SAMPLE // len(train.shards))
    ngrams = np.concatenate([_sampled_ngrams(shard, most) for shard in train.shards])
    return float((_n_contexts(train, ngrams) > 1).mean()) if len(ngrams) else 0.0


def _sampled_ngrams(train: Sentences, most: int) -> Offsets:
    starts = _starts(train, _HISTORY + 1)
    if not len(starts):
        return np.empty((0, _HISTORY + 1), dtype=np.int64)
    starts = starts[np.linspace(0, len(starts) - 1, min(len(starts), most)).astype(np.int64)]
    ngrams: Offsets = train.tokens[starts[:, None] + np.arange(_HISTORY + 1)].astype(np.int64)
    return ngrams


def _starts(train: Sentences, length: int) -> Offsets:
    """Return the positions at which an n-gram of this length starts that ends in the same sentence."""
    positions = np.arange(len(train.tokens))
    return positions[np.repeat(train.offsets[1:], train.lengths) - positions >= length]


def _n_contexts(train: Sentences | ShardedSentences, ngrams: Offsets) -> Offsets:
    """Return the number of distinct items that precede each n-gram.

    The start of a sentence counts as an item. The n-grams are matched column by column, and positions without
    a matching n-gram are removed after each column. The result is exact.
    """
    contexts = [_contexts(shard, ngrams) for shard in train.shards]
    state_of = contexts[0][1]  # the state of an n-gram does not depend on the shard
    distinct = np.unique(np.concatenate([context for context, _ in contexts]))
    counted = np.bincount(distinct // (len(train.vocabulary) + 1), minlength=len(ngrams))
    n_contexts: Offsets = counted[state_of]
    return n_contexts


def _contexts(train: Sentences, ngrams: Offsets) -> tuple[Offsets, Offsets]:
    """Return two arrays: the distinct contexts of the n-grams; and the state of each n-gram.

    A context is an n-gram together with the item directly before one of its occurrences. The state of an
    n-gram is its number among the distinct n-grams, from 0. A context is encoded as one integer: state × (n
    items + 1) + code of the preceding item + 1. At the start of a sentence, this code is -1.
    """
    n_items = len(train.vocabulary)
    positions = _starts(train, ngrams.shape[1])
    ngram_state, state = np.zeros(len(ngrams), np.int64), np.zeros(len(positions), np.int64)
    for column in range(ngrams.shape[1]):
        keys, ngram_state = np.unique(ngram_state * (n_items + 1) + ngrams[:, column], return_inverse=True)
        key = state * (n_items + 1) + train.tokens[positions + column]
        state = np.searchsorted(keys, key)
        agree = np.append(keys, -1)[state] == key
        positions, state = positions[agree], state[agree]
    before = np.append(train.tokens, -1)[positions - 1]
    before[np.isin(positions, train.offsets)] = -1
    return np.unique(state * (n_items + 1) + before + 1), ngram_state
