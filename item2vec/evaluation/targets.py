"""Selection of items for splits by time: the targets, and the seen items that recommendations exclude."""

from __future__ import annotations

import dataclasses

import numpy as np

from item2vec.arrays import Offsets
from item2vec.sentences import Sentences
from item2vec.types import Vocabulary

__all__ = ["further_items", "new_items"]


def new_items(future: Sentences, seen: Sentences | None) -> Sentences:
    """Return the distinct items of each sentence in order, without the items that the user has seen.

    >>> list(new_items(Sentences.of([["a", "b", "a"], ["b"]]), Sentences.of([["b"], ["c"]])))
    [['a'], ['b']]
    """
    pairs = _pairs(future, future.vocabulary)
    first = np.zeros(len(pairs), dtype=bool)
    first[np.unique(pairs, return_index=True)[1]] = True
    if seen is not None:
        first &= ~np.isin(pairs, _pairs(seen, future.vocabulary))
    return dataclasses.replace(future.keep(first), weights=None, timestamps=None)


def further_items(seen: Sentences, filtered: Sentences | None) -> Sentences | None:
    """Return the seen items that are not in the same sentence of ``filtered``; ``None`` if there are none.

    >>> list(further_items(Sentences.of([["a", "b"]]), Sentences.of([["b"]])))
    [['a']]
    """
    new = np.ones(len(seen.tokens), dtype=bool)
    if filtered is not None:
        new = ~np.isin(_pairs(seen, seen.vocabulary), _pairs(filtered, seen.vocabulary))
    return dataclasses.replace(seen.keep(new), weights=None, timestamps=None) if new.any() else None


def _pairs(sentences: Sentences, vocabulary: Vocabulary) -> Offsets:
    """Return one number per token, which identifies the pair of its sentence and its item.

    Items that the vocabulary does not contain have the number -1.
    """
    code_of = sentences.vocabulary.codes_in(vocabulary).astype(np.int64)
    code = code_of[sentences.tokens]
    owner = np.repeat(np.arange(len(sentences)), sentences.lengths)
    return np.where(code >= 0, owner * len(vocabulary) + code, -1)
