"""Build training sentences from pairs of an item and a context that is not an item."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from item2vec.arguments import checked
from item2vec.errors import InputError, short_repr
from item2vec.sentences import Sentences
from item2vec.types import Vocabulary, as_history, check_ids

__all__ = ["pairs"]


@checked
def pairs(items: Iterable[str], contexts: Iterable[str]) -> Sentences:
    """Return a sentence of two tokens for each pair: the item, then the context.

    Contexts are search words, hours, shops or attributes, for example. Train with ``objective="skipgram"``,
    ``backend="numba"`` and ``forward_only=True``, so that items have input vectors and contexts have output
    vectors. ``ContextVectors.of`` separates the vectors of items from those of contexts.

    Source: Levy & Goldberg, Dependency-Based Word Embeddings, ACL 2014.

    Parameters
    ----------
    items, contexts
        The item ids and the context ids of the pairs, in the same order. Each repeat of a pair is a further
        sentence.

    Raises
    ------
    InputError
        If the numbers of items and contexts differ, or an id is both an item and a context.
    InputTypeError
        If an argument is not a list of ids, or an id is not text.
    InvalidIdError
        If an id is invalid (see ``Vocabulary``).

    Examples
    --------
    >>> list(pairs(["umbrella", "tea"], ["on:rain", "on:rain"]))
    [['umbrella', 'on:rain'], ['tea', 'on:rain']]
    """
    item_ids, context_ids = list(as_history(items, "items")), list(as_history(contexts, "contexts"))
    check_ids(item_ids)
    check_ids(context_ids)
    if len(item_ids) != len(context_ids):
        raise InputError(
            f"found {len(item_ids)} items and {len(context_ids)} contexts; expected one context per item"
        )
    if shared := set(item_ids).intersection(context_ids):
        raise InputError(
            f"id {short_repr(min(shared))} is both an item and a context; expected distinct ids: add a "
            "prefix to the contexts"
        )
    vocabulary = Vocabulary.of([*item_ids, *context_ids])
    tokens = np.column_stack((vocabulary.encode(item_ids), vocabulary.encode(context_ids))).reshape(-1)
    return Sentences(vocabulary, tokens, np.arange(0, len(tokens) + 1, 2))
