"""Training of tables of neighbours: the table of an objective, and vectors that approximate the table."""

from __future__ import annotations

import numpy as np

from item2vec.config import EASE, LinkProp, Transitions
from item2vec.config.tables import TableConfig
from item2vec.errors import InputError, Remedy, TrainingError
from item2vec.neighbours import NeighbourTable, known_sentences, link_propagation, transitions
from item2vec.sentences import Sentences, ShardedSentences
from item2vec.training.corpus import Corpus
from item2vec.training.ease import ease
from item2vec.types import Vocabulary
from item2vec.vectors import ItemVectors

__all__ = ["factorised", "table_of"]


def table_of(
    sentences: Sentences | ShardedSentences, vocabulary: Vocabulary, config: TableConfig
) -> NeighbourTable:
    """Return the table of neighbours of an objective, with a row per item of ``vocabulary``.

    Items outside ``vocabulary``, and tokens of negative weight, are left out; all other weights are ignored.
    Of a sharded corpus with more than 100 million tokens, a sample of the shards is read, as for
    ``neighbours.table_for``.

    Raises
    ------
    InputError
        If the objective is transitions and the sentences are unordered, or the objective is EASE and there
        are more than 20,000 items.

    Examples
    --------
    >>> table_of(Sentences.of([["x", "a", "b"]]), Vocabulary(("b", "a")), LinkProp())
    NeighbourTable(2 items, 2 neighbour weights, decay=1.0)
    """
    known, k = known_sentences(sentences, vocabulary), config.max_neighbours
    if isinstance(config, Transitions):
        if not sentences.ordered:
            raise InputError(
                "objective='transitions' counts the items before and after an item; found unordered "
                "sentences; expected ordered sentences",
                remedies=[Remedy("objective", "linkprop", "set {}", otherwise="set --objective linkprop")],
            )
        longest = int(known.lengths.max(initial=1))
        window = longest if config.window == "full" else min(config.window, longest)
        return transitions(known, window=window, fade=config.fade, smoothing=config.smoothing, k=k)
    if isinstance(config, LinkProp):
        return link_propagation(known, k=k, max_items=config.max_items)
    assert isinstance(config, EASE)
    return ease(known, l2=config.l2, k=k, max_items=config.max_items)


def factorised(
    table: NeighbourTable, corpus: Corpus, config: TableConfig
) -> tuple[ItemVectors, NeighbourTable]:
    """Return a pair: vectors whose inner products approximate a table; and the table of items with vectors.

    The vectors are the ``factors`` of the table. ``factors`` returns an input vector of zeros for some items,
    such as the items of a small group that occurs with no item outside the group. The rows of these items are
    factorised again, in the same dimensions, until each row with neighbours has an input vector. An output
    vector that is not zero is kept. Items that then have neither an input nor an output vector are left out,
    and their number is logged.

    Raises
    ------
    TrainingError
        If the table is empty.
    """
    from scipy.sparse import csr_array

    from item2vec.training.lsa import factors, vectors_with_weight

    if not len(table.items):
        raise TrainingError(
            f"objective={config.objective!r} found no neighbours; expected two different items in a "
            "sentence; pass more or longer sentences"
        )
    n_items = len(table)
    matrix = csr_array(
        (table.weights.astype(np.float64), table.items, table.offsets), shape=(n_items, n_items)
    )
    input_, output = np.zeros((2, n_items, config.vector_size), dtype=np.float32)
    rest = np.arange(n_items)
    while len(columns := np.unique(matrix[rest].indices)):
        of_rows, of_columns = factors(matrix[rest][:, columns], config)
        if not of_rows.any():
            break
        input_[rest] = of_rows
        output[columns] = np.where(output[columns].any(axis=1, keepdims=True), output[columns], of_columns)
        rest = rest[~of_rows.any(axis=1)]
    vectors, kept = vectors_with_weight(input_, output, corpus, config, "they have no neighbours")
    return vectors, table.take(kept)
