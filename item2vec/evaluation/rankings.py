"""Asks a model every question of a split, and marks which places of its answers hold a target."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal, NamedTuple, Protocol

import numpy as np

from item2vec.arrays import Codes, Doubles, Mask, Offsets
from item2vec.errors import InputError
from item2vec.evaluation.split import Split
from item2vec.sentences import Sentences, offsets_of
from item2vec.types import Recommendation, Vocabulary

__all__ = ["Model", "Rankings", "Ties", "rank_all"]

Ties = Literal["against", "for", "as answered"]

LONGEST = 32
QUERIES_PER_BLOCK = 8192


class Model(Protocol):
    """Whatever answers many histories at once."""

    def recommend_many(
        self, histories: Sentences, *, k: int, filter_seen: bool, exclude: Sentences | None = None
    ) -> Sequence[Sequence[Recommendation]]:
        """Return up to ``k`` recommendations for each history, best first.

        ``exclude`` is passed only where a split has further items that an answer must leave out.
        """
        ...


@dataclass(frozen=True, eq=False)
class Rankings:
    """What a model answered, as arrays.

    ``items`` (int32, n questions × places, best first) holds codes of ``vocabulary``, -1 where an answer is
    shorter; the training part's codes come first in it. ``hits`` (bool, the same shape) marks targets, each
    once; ``n_targets`` (int64, one a question) counts distinct targets.

    >>> Rankings(Vocabulary(("a", "b")), np.array([[1, 0]]), np.array([[False, True]]), np.array([1])).items
    array([[1, 0]])
    """

    vocabulary: Vocabulary
    items: Codes
    hits: Mask
    n_targets: Offsets


def rank_all(model: Model, split: Split, places: int, *, filter_seen: bool, ties: Ties) -> Rankings:
    """Return the first ``places`` of every answer.

    Among items of equal score in a row, targets are moved to the end (``ties="against"``) or to the front
    (``"for"``), also where the row reaches beyond ``places``: the model is then asked for more, up to 32
    times as many. Where a row does not end even there, ``"against"`` counts no hit in it, and ``"for"`` those
    that were seen. ``"as answered"`` leaves the model's own order. An item that stands in an answer twice
    is a hit once.

    Raises
    ------
    InputError
        If the model does not give each question an answer.
    """
    given = _ask_all(model, split, places, filter_seen, LONGEST if ties != "as answered" else 1)
    vocabulary = _vocabulary(split, given.ids)
    codes = vocabulary.encode(given.ids)
    offsets = offsets_of(given.lengths)
    owners = np.repeat(np.arange(len(split)), given.lengths)
    targets = np.unique(_pairs(split.targets, vocabulary))
    hit = _first_in(owners * len(vocabulary) + codes, targets)

    starts_row = np.ones(len(codes), dtype=bool)
    starts_row[1:] = (given.scores[1:] != given.scores[:-1]) | (owners[1:] != owners[:-1])
    row = np.cumsum(starts_row)
    if ties == "against":
        hit &= ~np.isin(row, row[offsets[1:][given.open_ended] - 1])
    if ties == "as answered":
        order = np.arange(len(row))
    else:
        order = np.lexsort((hit if ties == "against" else ~hit, row))
    place = np.arange(len(codes)) - offsets[owners]
    kept = place < places
    items = np.full((len(split), places), -1, dtype=np.int32)
    hits = np.zeros((len(split), places), dtype=bool)
    items[owners[kept], place[kept]] = codes[order][kept]
    hits[owners[kept], place[kept]] = hit[order][kept]
    n_targets = np.bincount(targets // len(vocabulary), minlength=len(split))
    return Rankings(vocabulary, items, hits, n_targets)


class _Given(NamedTuple):
    """All answers one after the other, and the questions whose answer ends amid a row of equal scores."""

    ids: list[str]
    scores: Doubles
    lengths: list[int]
    open_ended: list[int]


def _ask_all(model: Model, split: Split, places: int, filter_seen: bool, longest: int) -> _Given:
    ids: list[str] = []
    scores = array("d")
    lengths: list[int] = []
    open_ended: list[int] = []
    for start in range(0, len(split), QUERIES_PER_BLOCK):
        block = split.take(np.arange(start, min(start + QUERIES_PER_BLOCK, len(split))))
        lists, still_open = _lists(model, block, places, filter_seen, longest)
        ids.extend(entry.item for one in lists for entry in one)
        scores.extend(entry.score for one in lists for entry in one)
        lengths.extend(map(len, lists))
        open_ended.extend(start + question for question in still_open)
    return _Given(ids, np.array(scores), lengths, open_ended)


def _lists(
    model: Model, split: Split, places: int, filter_seen: bool, longest: int
) -> tuple[list[Sequence[Recommendation]], list[int]]:
    """Return answers, and the questions where a row of equal scores across ``places`` ends open."""
    asked = places + 1
    lists = _answers(model, split, asked, filter_seen)
    open_ended = _open_ended(lists, range(len(lists)), places, asked)
    while open_ended and asked < longest * places:
        asked *= 2
        longer = _answers(model, split.take(np.array(open_ended)), asked, filter_seen)
        for question, answer in zip(open_ended, longer, strict=True):
            lists[question] = answer
        open_ended = _open_ended(lists, open_ended, places, asked)
    return lists, open_ended


def _answers(model: Model, split: Split, k: int, filter_seen: bool) -> list[Sequence[Recommendation]]:
    further = {} if split.seen is None or not filter_seen else {"exclude": split.seen}
    lists = [*model.recommend_many(split.histories, k=k, filter_seen=filter_seen, **further)]
    if len(lists) != len(split):
        raise InputError(f"{type(model).__name__} gave {len(lists)} answers to {len(split)} histories")
    return lists


def _open_ended(
    lists: list[Sequence[Recommendation]], questions: Sequence[int], places: int, asked: int
) -> list[int]:
    return [
        question
        for question in questions
        if len(lists[question]) == asked and lists[question][places - 1].score == lists[question][-1].score
    ]


def _vocabulary(split: Split, answered: list[str]) -> Vocabulary:
    known = split.train.vocabulary
    named = dict.fromkeys(chain(answered, split.targets.vocabulary))
    others = [item for item in named if item not in known]
    return Vocabulary((*known.ids, *others)) if others else known


def _pairs(sentences: Sentences, vocabulary: Vocabulary) -> Offsets:
    """Return each token as one number: its sentence and its code together."""
    code_of = vocabulary.encode(sentences.vocabulary.ids).astype(np.int64)
    owners = np.repeat(np.arange(len(sentences)), sentences.lengths)
    return owners * len(vocabulary) + code_of[sentences.tokens]


def _first_in(pairs: Offsets, targets: Offsets) -> Mask:
    """Tell which of the pairs are targets and have not come before."""
    found = np.flatnonzero(np.isin(pairs, targets))
    first = np.zeros(len(pairs), dtype=bool)
    first[found[np.unique(pairs[found], return_index=True)[1]]] = True
    return first
