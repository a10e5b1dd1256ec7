"""Tables of neighbours: sparse item–item matrices, computed from co-occurrence counts, without training."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from item2vec.arrays import Codes, Doubles, Floats, Offsets, Rows
from item2vec.errors import InputError
from item2vec.interactions import read_only
from item2vec.kernels.cooccurrence import SparseRows, links, newest_items
from item2vec.kernels.transitions import windowed_transitions
from item2vec.sentences import Sentences, ShardedSentences, offsets_of
from item2vec.types import Vocabulary, check_k

__all__ = [
    "NeighbourTable",
    "known_sentences",
    "link_propagation",
    "sampled_shards",
    "table_for",
    "transitions",
]

TRANSITION_DECAY = 0.5
BACKWARD = 0.5
MAX_ITEMS = 2000
MOST_TOKENS = 100_000_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, repr=False)
class NeighbourTable:
    """A sparse item–item matrix: the neighbours of each item and their weights, best first.

    The neighbours of item ``i`` are ``items[offsets[i]:offsets[i + 1]]`` (int32), and their weights
    ``weights[offsets[i]:offsets[i + 1]]`` (float32, not 0). ``offsets`` is int64 (n items + 1). When the
    table is applied to a history, the weight of a history item is multiplied by ``decay`` for each later
    item.

    Raises
    ------
    InputError
        If shapes or offsets are inconsistent, or a neighbour, a weight or the decay is out of range.

    Examples
    --------
    >>> NeighbourTable(np.array([0, 1, 1]), np.array([1]), np.array([0.5]), decay=0.5)
    NeighbourTable(2 items, 1 neighbour weights, decay=0.5)
    """

    offsets: Offsets
    items: Codes
    weights: Floats
    decay: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "offsets", read_only(self.offsets, np.int64))
        object.__setattr__(self, "items", read_only(self.items, np.int32))
        object.__setattr__(self, "weights", read_only(self.weights, np.float32))
        fault = _fault(self)
        if fault:
            raise InputError(f"invalid table of neighbours: {fault}; build it again")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        return (
            f"NeighbourTable({len(self):,} items, {len(self.items):,} neighbour weights, decay={self.decay})"
        )

    @cached_property
    def rows(self) -> SparseRows:
        """The table in the format of the compiled loops."""
        return SparseRows(self.items, self.weights, self.offsets[:-1], self.offsets[1:])

    def take(self, kept: Rows) -> NeighbourTable:
        """Return the table of the items with the codes ``kept``, in this order, without all other items.

        >>> table = NeighbourTable(np.array([0, 1, 2]), np.array([1, 0]), np.array([0.5, 0.2]), decay=0.5)
        >>> table.take(np.array([1, 0])).weights, table.take(np.array([1]))
        (array([0.2, 0.5], dtype=float32), NeighbourTable(1 items, 0 neighbour weights, decay=0.5))
        """
        if np.array_equal(kept, np.arange(len(self))):
            return self
        row_of = np.full(len(self), -1, dtype=np.int32)
        row_of[kept] = np.arange(len(kept))
        rows = [np.arange(self.offsets[row], self.offsets[row + 1]) for row in kept]
        rows = [row[row_of[self.items[row]] >= 0] for row in rows]
        index = np.concatenate([np.empty(0, np.int64), *rows])
        return NeighbourTable(
            offsets_of([len(row) for row in rows]), row_of[self.items[index]], self.weights[index], self.decay
        )

    def column(self, neighbour: int, items: Codes) -> Doubles:
        """Return the weight of ``neighbour`` in the row of each of ``items``; 0 for rows without it.

        >>> table = NeighbourTable(np.array([0, 1, 1]), np.array([1]), np.array([0.5]), decay=0.5)
        >>> table.column(1, np.array([0, 1]))
        array([0.5, 0. ])
        """
        rows = [slice(self.offsets[item], self.offsets[item + 1]) for item in items]
        weights = [self.weights[row][self.items[row] == neighbour].sum() for row in rows]
        return np.array(weights, dtype=np.float64)


def transitions(
    sentences: Sentences, *, window: int = 5, fade: float = 0.7, smoothing: float = 5.0, k: int = 200
) -> NeighbourTable:
    """Return a table of windowed transitions of ordered sentences, with a row per item of the vocabulary.

    The raw weight of item j in the row of item i is a sum over pairs of tokens of a sentence that are at most
    ``window`` steps apart. If j follows i at a distance of s steps, the pair adds ``fade ** (s - 1)``; if j
    precedes i, the pair adds half as much. Token weights are not used. A row is divided by its sum plus
    ``smoothing``, so that the weights in the rows of rare items are smaller, and cut to its ``k`` largest
    weights. The decay of the table is 0.5. Time is O(tokens × window), also for very long sentences.

    Raises
    ------
    InputError
        If ``window``, ``fade``, ``smoothing`` or ``k`` is out of range.

    Examples
    --------
    >>> table = transitions(Sentences.of([["a", "b"], ["a", "b", "c"]]))
    >>> table.items[: table.offsets[1]], table.weights[: table.offsets[1]].round(2)
    (array([1, 2], dtype=int32), array([0.26, 0.09], dtype=float32))
    """
    if window < 1 or not 0 < fade <= 1 or not 0 <= smoothing < np.inf:
        raise InputError(
            f"found window={window}, fade={fade}, smoothing={smoothing}; expected window >= 1, "
            "0 < fade <= 1, and a finite smoothing >= 0"
        )
    after = fade ** np.arange(window, dtype=np.float64)
    rows = windowed_transitions(
        sentences.tokens,
        sentences.offsets,
        len(sentences.vocabulary),
        after,
        BACKWARD * after,
        float(smoothing),
        check_k(k),
    )
    return _table_of(rows, TRANSITION_DECAY)


def link_propagation(sentences: Sentences, *, k: int = 200, max_items: int = MAX_ITEMS) -> NeighbourTable:
    """Return a table of one round of link propagation, with a row per item of the vocabulary.

    The matrix is ``D_i**-.5 · Aᵀ · D_u**-.75 · A · D_i**-.25``, without its diagonal. A is the binary matrix
    of sentences × items, in which token weights are not used; the diagonals of D_u and D_i are the row sums
    and the column sums of A. The scores for a history are the sum of the rows of its items in the matrix.
    Each row of the matrix is cut to its ``k`` largest weights, so that scoring takes at most ``k`` additions
    per history item. (Cutting columns instead loses 3 % of recall on gowalla at the same size.) The decay of
    the table is 1: the order of a history has no effect.

    A sentence with more than ``max_items`` distinct items, such as the history of a crawler, is cut to its
    longest suffix with ``max_items`` distinct items, because time is quadratic in the number of distinct
    items of a sentence.

    Source: Fu et al., Revisiting Neighborhood-based Link Prediction for Collaborative Filtering, WWW 2022.

    Raises
    ------
    InputError
        If ``max_items`` is below 2, or ``k`` is below 1.

    Examples
    --------
    >>> table = link_propagation(Sentences.of([["a", "b"], ["b", "c"]]))
    >>> table.items, table.weights.round(2)
    (array([1, 0, 2, 1], dtype=int32), array([0.5 , 0.42, 0.42, 0.5 ], dtype=float32))
    """
    if max_items < 2:
        raise InputError(f"max_items is {max_items}; expected at least 2")
    n_items = len(sentences.vocabulary)
    counted = newest_items(sentences.tokens, sentences.offsets, n_items, max_items)
    return _table_of(links(*counted, n_items, check_k(k)), 1.0)


def table_for(sentences: Sentences | ShardedSentences, vocabulary: Vocabulary) -> NeighbourTable:
    """Return the table for sentences: transitions if they are ordered, link propagation otherwise.

    The table has a row per item of ``vocabulary``. Other items, and tokens of negative weight, are left out.
    If ``ShardedSentences`` have more than 100 million tokens, only some evenly spaced shards are read, with
    about 100 million tokens in total, because all tokens that are read are in memory at the same time.

    Examples
    --------
    >>> table_for(Sentences.of([["x", "a", "b"]]), Vocabulary(("b", "a"))).items
    array([1, 0], dtype=int32)
    """
    known = known_sentences(sentences, vocabulary)
    return transitions(known) if known.ordered else link_propagation(known)


def known_sentences(sentences: Sentences | ShardedSentences, vocabulary: Vocabulary) -> Sentences:
    """Return the sentences that ``table_for`` reads, encoded with ``vocabulary``.

    Unknown items, tokens of negative weight, all weights and all timestamps are left out.

    >>> known_sentences(Sentences.of([["x", "a", "b"]]), Vocabulary(("b", "a"))).tokens
    array([1, 0], dtype=int32)
    """
    code_of = sentences.vocabulary.codes_in(vocabulary)
    tokens, lengths = [], []
    for shard in sampled_shards(sentences):
        liked = shard.liked
        known = liked.keep(code_of[liked.tokens] >= 0)
        tokens.append(code_of[known.tokens])
        lengths.append(known.lengths)
    offsets = offsets_of(np.concatenate(lengths))
    return Sentences(vocabulary, np.concatenate(tokens), offsets, ordered=sentences.ordered)


def sampled_shards(sentences: Sentences | ShardedSentences) -> Iterator[Sentences]:
    """Yield the shards of sentences. Of more than 100 million tokens in shards, yield a sample.

    The sample consists of evenly spaced whole shards, with about 100 million tokens in total. It is for
    computations that need all tokens in memory at the same time.
    """
    shards = sentences.shards
    n = min(len(shards), max(1, len(shards) * MOST_TOKENS // max(sentences.n_tokens, 1)))
    if n < len(shards):
        log.info("pairs of items are counted in %d of %d shards, which must fit into memory", n, len(shards))
    return (shards[number * len(shards) // n] for number in range(n))


def _table_of(rows: SparseRows, decay: float) -> NeighbourTable:
    """Return a table of sparse rows, without gaps between the rows."""
    lengths = rows.ends - rows.starts
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    index = np.arange(offsets[-1]) + np.repeat(rows.starts - offsets[:-1], lengths)
    return NeighbourTable(offsets, rows.items[index], rows.scores[index].astype(np.float32), decay)


def _fault(table: NeighbourTable) -> str | None:
    """Return a description of the first error in a table, or ``None`` if the table is valid."""
    offsets, items, weights = table.offsets, table.items, table.weights
    shapes = offsets.ndim, items.ndim, weights.ndim
    if shapes != (1, 1, 1) or len(items) != len(weights):
        return (
            f"offsets have shape {offsets.shape}, items {items.shape}, weights {weights.shape}; expected one "
            "dimension each, and as many weights as items"
        )
    if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(items) or (np.diff(offsets) < 0).any():
        return f"offsets are {offsets}; expected non-decreasing integers from 0 to {len(items)}"
    if len(items) and not 0 <= items.min() <= items.max() < len(table):
        return f"neighbours range from {items.min()} to {items.max()}; expected 0 to {len(table) - 1}"
    if not bool(np.all((weights != 0) & np.isfinite(weights))):
        return "a weight is 0 or not finite; expected finite numbers other than 0"
    if not 0 < table.decay <= 1:
        return f"decay is {table.decay}; expected a number above 0 and at most 1"
    return None
