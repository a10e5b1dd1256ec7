"""Rankings of a model for the queries of a split, with the ranks of the targets marked."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal, NamedTuple

import numpy as np

from item2vec.arrays import Codes, Doubles, Mask, Offsets, Rows
from item2vec.evaluation.models import Model, Ranking, check_rankings
from item2vec.evaluation.split import Split
from item2vec.sentences import Sentences, offsets_of
from item2vec.types import Vocabulary

__all__ = ["Rankings", "Ties", "rank_all"]

Ties = Literal["against", "for", "as answered"]

LONGEST = 32
"""Length, in multiples of ``places``, from which a ranking is not extended any further.

A ranking that ends within the tie at rank ``places`` is extended until the tie ends, or until the ranking has
at least this length.
"""
QUERIES_PER_BLOCK = 8192


@dataclass(frozen=True, eq=False)
class Rankings:
    """Rankings of a model as arrays.

    ``items`` (int32, n queries × ranks, best first) contains codes of ``vocabulary``. A ranking with fewer
    items than ranks is padded with -1. ``vocabulary`` consists of the vocabulary of the training part,
    followed by the other recommended items and targets. ``hits`` (bool, same shape) marks the targets, except
    those in a tie that ``rank_all`` counts as misses. ``n_targets`` (int64, one per query) is the number of
    distinct targets.

    >>> Rankings(Vocabulary(("a", "b")), np.array([[1, 0]]), np.array([[False, True]]), np.array([1])).items
    array([[1, 0]])
    """

    vocabulary: Vocabulary
    items: Codes
    hits: Mask
    n_targets: Offsets


def rank_all(model: Model, split: Split, places: int, *, ties: Ties) -> Rankings:
    """Return the first ``places`` ranks for every query.

    Among items of equal score, targets are moved to the end (``ties="against"``) or to the front
    (``ties="for"``). ``ties="as answered"`` keeps the order of the model.

    If the tie at rank ``places`` continues to the end of a ranking, the ranking is requested again with twice
    the length, until the tie ends or the length is at least 32 × ``places``. With ``ties="as answered"``,
    rankings are requested once. If the tie continues to the end of the longest ranking, ``"against"`` counts
    every target in the tie as a miss, and ``"for"`` counts the targets that the longest ranking contains.

    Raises
    ------
    InputError
        If the result of the model is invalid, see ``check_rankings``.
    """
    returned = _rank_blocks(model, split, places, LONGEST if ties != "as answered" else 1)
    vocabulary = _vocabulary(split, returned.ids)
    codes = vocabulary.encode(returned.ids)
    offsets = offsets_of(returned.lengths)
    queries = np.repeat(np.arange(len(split)), returned.lengths)
    targets = np.unique(_pairs(split.targets, vocabulary))
    hit = np.isin(queries * len(vocabulary) + codes, targets)

    starts_tie = np.ones(len(codes), dtype=bool)
    starts_tie[1:] = (returned.scores[1:] != returned.scores[:-1]) | (queries[1:] != queries[:-1])
    tie = np.cumsum(starts_tie)
    if ties == "against":
        hit &= ~np.isin(tie, tie[offsets[1:][returned.open_ended] - 1])
    if ties == "as answered":
        order = np.arange(len(tie))
    else:
        order = np.lexsort((hit if ties == "against" else ~hit, tie))
    place = np.arange(len(codes)) - offsets[queries]
    kept = place < places
    items = np.full((len(split), places), -1, dtype=np.int32)
    hits = np.zeros((len(split), places), dtype=bool)
    items[queries[kept], place[kept]] = codes[order][kept]
    hits[queries[kept], place[kept]] = hit[order][kept]
    n_targets = np.bincount(targets // len(vocabulary), minlength=len(split))
    return Rankings(vocabulary, items, hits, n_targets)


class _Returned(NamedTuple):
    """All rankings, concatenated.

    ``open_ended`` lists the queries for which the tie at rank ``places`` continues to the end of the ranking.
    """

    ids: list[str]
    scores: Doubles
    lengths: list[int]
    open_ended: list[int]


def _rank_blocks(model: Model, split: Split, places: int, longest: int) -> _Returned:
    ids: list[str] = []
    scores = array("d")
    lengths: list[int] = []
    open_ended: list[int] = []
    for start in range(0, len(split), QUERIES_PER_BLOCK):
        queries = np.arange(start, min(start + QUERIES_PER_BLOCK, len(split)))
        rankings, block_open_ended = _rank_block(model, split, queries, places, longest)
        for ranking in rankings:
            ids.extend(ranking.ids)
            scores.extend(ranking.scores)
            lengths.append(len(ranking.ids))
        open_ended.extend(start + number for number in block_open_ended)
    return _Returned(ids, np.array(scores), lengths, open_ended)


def _rank_block(
    model: Model, split: Split, queries: Rows, places: int, longest: int
) -> tuple[list[Ranking], list[int]]:
    """Return two lists: the rankings of a block of queries; and the indices of its open-ended rankings."""
    k = places + 1
    rankings = _recommend(model, split, queries, k)
    open_ended = _open_ended(rankings, range(len(rankings)), places, k)
    while open_ended and k < longest * places:
        k *= 2
        longer = _recommend(model, split, queries[open_ended], k)
        for number, ranking in zip(open_ended, longer, strict=True):
            rankings[number] = ranking
        open_ended = _open_ended(rankings, open_ended, places, k)
    return rankings, open_ended


def _recommend(model: Model, split: Split, queries: Rows, k: int) -> list[Ranking]:
    block = split.take(queries)
    options = {} if block.seen is None else {"exclude": block.seen}
    returned = model.recommend_many(block.histories, k=k, filter_seen=block.filter_seen, **options)
    return check_rankings(returned, model, queries.tolist(), k, block.histories.vocabulary)


def _open_ended(rankings: list[Ranking], numbers: Sequence[int], places: int, k: int) -> list[int]:
    """Return the indices in ``numbers`` whose ranking is open-ended.

    Such a ranking has ``k`` items, and equal scores from rank ``places`` on.
    """
    return [
        number
        for number in numbers
        if len(rankings[number].ids) == k
        and rankings[number].scores[places - 1] == rankings[number].scores[-1]
    ]


def _vocabulary(split: Split, recommended: list[str]) -> Vocabulary:
    """Return the vocabulary of the training part, extended by other recommended items and other targets."""
    trained = split.train.vocabulary
    items = dict.fromkeys(chain(recommended, split.targets.vocabulary))
    untrained = [item for item in items if item not in trained]
    return Vocabulary((*trained.ids, *untrained)) if untrained else trained


def _pairs(sentences: Sentences, vocabulary: Vocabulary) -> Offsets:
    """Return a key for each token; tokens of the same sentence and the same item have equal keys."""
    code_of = sentences.vocabulary.codes_in(vocabulary).astype(np.int64)
    owners = np.repeat(np.arange(len(sentences)), sentences.lengths)
    return owners * len(vocabulary) + code_of[sentences.tokens]
