"""What a training part or a model knows of the answers that it is asked for."""

from __future__ import annotations

import numpy as np

from item2vec.arrays import Mask, Offsets
from item2vec.evaluation.split import Split
from item2vec.sentences import Sentences
from item2vec.vectors import ItemVectors

__all__ = ["find_leaks", "trained_beyond"]

_HISTORY = 4
_TOLERATED = 0.1
_SAMPLE = 10_000
_ROUNDING = 1e-6  # weights are float32, so that a sum of them is sure to about 1e-7 of itself


def find_leaks(split: Split) -> list[str]:
    """Return a message for each leak of the answers into the training part; none, if it is clean.

    Looks at the questions of 4 or more history items: do the last 4 of them and the first target stand in
    a row within one training sentence? People repeat each other (measured: under 1 question in 100 on
    purchases and click sessions, 1 in 15 on radio playlists, most of them on walks over a small graph). So
    a share is reported only if it is more than a tenth (and two standard errors) above the share of
    the training part's own rows of 5 that occur again after another item. Questions of fewer items,
    and sentences whose order was shuffled, cannot be checked in this way.

    Examples
    --------
    >>> playlists = Sentences.of([["a", "b", "c", "d", "e"], ["e", "d", "c", "b", "a"]])
    >>> whole = [list(one) for one in playlists]
    >>> histories, targets = Sentences.of([one[:4] for one in whole]), Sentences.of([["e"], ["a"]])
    >>> find_leaks(Split(histories, histories, targets, "by hand"))
    []
    >>> find_leaks(Split(playlists, histories, targets, "by hand"))[0][:50]
    '100 % of 2 questions of 4 or more items stand in t'
    """
    asked = (split.histories.lengths >= _HISTORY) & (split.targets.lengths >= 1)
    n_asked = int(np.count_nonzero(asked))
    if not n_asked:
        return []
    found = int(np.count_nonzero(_places(split.train, _endings(split, asked)) > 0))
    natural = min(_TOLERATED + _repeating(split.train), 1.0)
    if found / n_asked <= natural + 2 * np.sqrt(natural * (1 - natural) / n_asked):
        return []
    return [
        f"{100 * found / n_asked:.0f} % of {n_asked:,} questions of {_HISTORY} or more items stand in the "
        "training part with their target; expected almost none: the training part holds what is asked. "
        "Take the asked sentences out of it, or let temporal_split(interactions) make the split"
    ]


def trained_beyond(vectors: ItemVectors, train: Sentences) -> str | None:
    """Return how far a model has learned from more than a training part; ``None`` if it has not.

    Compares how often (weighted, where sentences are) the model has met each item with how often it stands
    in the training part. Less is no leak: trainers leave out what is rare.

    Examples
    --------
    >>> from item2vec.types import Vocabulary
    >>> train = Sentences.of([["a", "b"], ["b"]])
    >>> ab = Vocabulary(("b", "a"))
    >>> trained_beyond(ItemVectors(ab, np.eye(2), None, np.array([2, 1])), train)
    >>> print(trained_beyond(ItemVectors(ab, np.eye(2), None, np.array([5, 1])), train))
    the model has learned from 3 tokens more than the training part holds: item 'b' 5 times, there 2 times; \
expected a model trained on split.train alone
    """
    there = np.bincount(train.tokens, train.weights, minlength=len(train.vocabulary))
    there = np.append(there, 0.0)[train.vocabulary.encode(vectors.vocabulary.ids)]
    beyond = vectors.counts - there
    beyond[beyond <= _ROUNDING * vectors.counts] = 0
    if not beyond.any():
        return None
    most = int(beyond.argmax())
    return (
        f"the model has learned from {beyond.sum():,.10g} tokens more than the training part holds: item "
        f"{vectors.vocabulary.ids[most]!r} {vectors.counts[most]:,.10g} times, there {there[most]:,.10g} "
        "times; expected a model trained on split.train alone"
    )


def _endings(split: Split, asked: Mask) -> Offsets:
    """Return the last items of each asked history and its first target, as codes of the training part.

    An item that the training part does not know has a code beyond its own.
    """
    histories, targets, known = split.histories, split.targets, split.train.vocabulary
    last = histories.offsets[1:][asked][:, None] + np.arange(-_HISTORY, 0)
    first = targets.offsets[:-1][asked]
    rows = np.column_stack(
        (
            known.encode(histories.vocabulary.ids)[histories.tokens[last]],
            known.encode(targets.vocabulary.ids)[targets.tokens[first]],
        )
    ).astype(np.int64)
    rows[rows < 0] = len(known)
    return rows


def _repeating(train: Sentences) -> float:
    """Return the share of rows of 5 tokens in the training part that stand in it after different items.

    The same row after the same item would count sentences that are there twice, as a leak is.
    """
    first = _starts(train, _HISTORY + 1)
    if not len(first):
        return 0.0
    first = first[np.linspace(0, len(first) - 1, min(len(first), _SAMPLE)).astype(np.int64)]
    rows = train.tokens[first[:, None] + np.arange(_HISTORY + 1)].astype(np.int64)
    return float((_places(train, rows) > 1).mean())


def _starts(train: Sentences, length: int) -> Offsets:
    """Return the places in the tokens where that many stand within one sentence."""
    places = np.arange(len(train.tokens))
    return places[np.repeat(train.offsets[1:], train.lengths) - places >= length]


def _places(train: Sentences, rows: Offsets) -> Offsets:
    """Return after how many different items (or none) each row stands, token after token, in a sentence.

    Goes along the rows column by column, and keeps the places in the sentences that still agree with a row:
    exact, and after two columns few are left.
    """
    n_items = len(train.vocabulary)
    places = _starts(train, rows.shape[1])
    row_state, state = np.zeros(len(rows), np.int64), np.zeros(len(places), np.int64)
    for column in range(rows.shape[1]):
        wanted, row_state = np.unique(row_state * (n_items + 1) + rows[:, column], return_inverse=True)
        found = state * (n_items + 1) + train.tokens[places + column]
        state = np.searchsorted(wanted, found)
        agree = np.append(wanted, -1)[state] == found
        places, state = places[agree], state[agree]
    before = np.append(train.tokens, -1)[places - 1]
    before[np.isin(places, train.offsets)] = -1
    distinct = np.unique(state * (n_items + 1) + before + 1) // (n_items + 1)
    after: Offsets = np.bincount(distinct, minlength=len(rows))[row_state]
    return after
