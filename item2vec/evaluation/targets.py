"""Selection of items for splits: targets, and seen items that recommendations exclude."""

from __future__ import annotations

import dataclasses

import numpy as np

from item2vec.arrays import Mask, Offsets
from item2vec.kernels.grouping import label_pairs
from item2vec.sentences import Sentences, ShardedSentences
from item2vec.types import Vocabulary

__all__ = ["first_positions", "further_items", "liked_counts", "liked_tokens", "new_items"]


def liked_tokens(sentences: Sentences) -> Mask:
    """Return a mask of the tokens without negative weight: only these can be targets.

    >>> liked_tokens(dataclasses.replace(Sentences.of([["a", "b"]]), weights=np.array([0, -1])))
    array([ True, False])
    """
    if sentences.weights is None:
        return np.ones(len(sentences.tokens), dtype=bool)
    liked: Mask = sentences.weights >= 0
    return liked


def liked_counts(sentences: Sentences | ShardedSentences) -> Offsets:
    """Return the number of tokens of each item that training counts: those without negative weight.

    >>> liked_counts(dataclasses.replace(Sentences.of([["a", "b"]]), weights=np.array([0, -1]))).tolist()
    [1, 0]
    """
    if "weights" not in sentences.columns:
        return sentences.counts()
    counts = np.zeros(len(sentences.vocabulary), np.int64)
    for shard in sentences.shards:
        counts += shard.liked.counts()
    return counts


def new_items(future: Sentences, seen: Sentences | None) -> Sentences:
    """Return the distinct items of each sentence in order of first occurrence, without the seen items.

    ``seen`` contains the seen items, one sentence per sentence of ``future``; ``None``: no seen items. The
    result has neither weights nor timestamps.

    >>> list(new_items(Sentences.of([["a", "b", "a"], ["b"]]), Sentences.of([["b"], ["c"]])))
    [['a'], ['b']]
    """
    pairs = _pairs(future, future.vocabulary)
    first = np.zeros(len(pairs), dtype=bool)
    first[np.unique(pairs, return_index=True)[1]] = True
    if seen is not None:
        first &= ~np.isin(pairs, _pairs(seen, future.vocabulary))
    return dataclasses.replace(future.keep(first), weights=None, timestamps=None)


def first_positions(sentences: Sentences) -> Offsets:
    """Return, for each token, the position of the first token of the same item in the same sentence.

    A position is an index into the tokens of all sentences.

    >>> first_positions(Sentences.of([["a", "b", "a"], ["a"]]))
    array([0, 1, 0, 3])
    """
    pairs = label_pairs(sentences.offsets, sentences.tokens, len(sentences.vocabulary))
    is_first = np.diff(np.maximum.accumulate(pairs), prepend=-1) > 0
    return np.flatnonzero(is_first)[pairs]


def further_items(seen: Sentences, filtered: Sentences | None) -> Sentences | None:
    """Return the seen items that must be excluded in addition to the items of ``filtered``.

    ``filtered`` contains the histories, if recommendations already exclude their items; otherwise, it is
    ``None``. Each sentence of the result contains the items of a sentence of ``seen`` that are not in the
    sentence of ``filtered`` at the same position. The result is ``None`` if all its sentences would be empty.

    >>> list(further_items(Sentences.of([["a", "b"]]), Sentences.of([["b"]])))
    [['a']]
    """
    new = np.ones(len(seen.tokens), dtype=bool)
    if filtered is not None:
        new = ~np.isin(_pairs(seen, seen.vocabulary), _pairs(filtered, seen.vocabulary))
    return dataclasses.replace(seen.keep(new), weights=None, timestamps=None) if new.any() else None


def _pairs(sentences: Sentences, vocabulary: Vocabulary) -> Offsets:
    """Return a key for each token; tokens of the same sentence and the same item have equal keys.

    The key of a token is -1 if the vocabulary does not contain the item.
    """
    code_of = sentences.vocabulary.codes_in(vocabulary).astype(np.int64)
    code = code_of[sentences.tokens]
    owner = np.repeat(np.arange(len(sentences)), sentences.lengths)
    return np.where(code >= 0, owner * len(vocabulary) + code, -1)
