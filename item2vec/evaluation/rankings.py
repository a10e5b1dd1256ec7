"""Rankings of a model for the queries of a split, with the ranks of the targets marked."""

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
"""Maximum length of a ranking that is extended to the end of a tie, as a multiple of ``places``."""
QUERIES_PER_BLOCK = 8192


class Model(Protocol):
    """Interface of a model that can be evaluated."""

    def recommend_many(
        self, histories: Sentences, *, k: int, filter_seen: bool, exclude: Sentences | None = None
    ) -> Sequence[Sequence[Recommendation]]:
        """Return up to ``k`` recommendations for each history, best first.

        ``exclude`` contains further items to exclude, one sentence per history. The argument is passed only
        if ``Split.seen`` is not ``None``.
        """
        ...


@dataclass(frozen=True, eq=False)
class Rankings:
    """Rankings of a model as arrays.

    ``items`` (int32, n queries × places, best first) contains codes of ``vocabulary``, and -1 after the end
    of a shorter ranking. ``vocabulary`` begins with the vocabulary of the training part. ``hits`` (bool, same
    shape) marks each target at its first rank. ``n_targets`` (int64, one per query) is the number of distinct
    targets.

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

    If a tie continues beyond rank ``places``, longer rankings are requested, up to 32 × ``places`` items. If
    the tie continues beyond the longest ranking, ``"against"`` counts every target in the tie as a miss, and
    ``"for"`` counts the retrieved targets. An item that occurs twice in a ranking is counted as one hit.

    Raises
    ------
    InputError
        If the model does not return one ranking per query.
    """
    returned = _rank_blocks(model, split, places, LONGEST if ties != "as answered" else 1)
    vocabulary = _vocabulary(split, returned.ids)
    codes = vocabulary.encode(returned.ids)
    offsets = offsets_of(returned.lengths)
    queries = np.repeat(np.arange(len(split)), returned.lengths)
    targets = np.unique(_pairs(split.targets, vocabulary))
    hit = _first_hits(queries * len(vocabulary) + codes, targets)

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
    """All rankings, concatenated. ``open_ended`` lists the queries whose rankings end within a tie."""

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
        block = split.take(np.arange(start, min(start + QUERIES_PER_BLOCK, len(split))))
        rankings, block_open_ended = _rank_block(model, block, places, longest)
        ids.extend(entry.item for ranking in rankings for entry in ranking)
        scores.extend(entry.score for ranking in rankings for entry in ranking)
        lengths.extend(map(len, rankings))
        open_ended.extend(start + query for query in block_open_ended)
    return _Returned(ids, np.array(scores), lengths, open_ended)


def _rank_block(
    model: Model, split: Split, places: int, longest: int
) -> tuple[list[Sequence[Recommendation]], list[int]]:
    """Return the rankings, and the queries whose rankings end within the tie at rank ``places``."""
    k = places + 1
    rankings = _recommend(model, split, k)
    open_ended = _open_ended(rankings, range(len(rankings)), places, k)
    while open_ended and k < longest * places:
        k *= 2
        longer = _recommend(model, split.take(np.array(open_ended)), k)
        for query, ranking in zip(open_ended, longer, strict=True):
            rankings[query] = ranking
        open_ended = _open_ended(rankings, open_ended, places, k)
    return rankings, open_ended


def _recommend(model: Model, split: Split, k: int) -> list[Sequence[Recommendation]]:
    options = {} if split.seen is None else {"exclude": split.seen}
    rankings = [*model.recommend_many(split.histories, k=k, filter_seen=split.filter_seen, **options)]
    if len(rankings) != len(split):
        raise InputError(
            f"{type(model).__name__}.recommend_many returned {len(rankings)} rankings for {len(split)} "
            "histories; expected one per history"
        )
    return rankings


def _open_ended(
    rankings: list[Sequence[Recommendation]], queries: Sequence[int], places: int, k: int
) -> list[int]:
    """Return the queries whose rankings have ``k`` items and equal scores from rank ``places`` to the end."""
    return [
        query
        for query in queries
        if len(rankings[query]) == k and rankings[query][places - 1].score == rankings[query][-1].score
    ]


def _vocabulary(split: Split, recommended: list[str]) -> Vocabulary:
    """Return the vocabulary of the training part, extended by other recommended items and other targets."""
    trained = split.train.vocabulary
    items = dict.fromkeys(chain(recommended, split.targets.vocabulary))
    untrained = [item for item in items if item not in trained]
    return Vocabulary((*trained.ids, *untrained)) if untrained else trained


def _pairs(sentences: Sentences, vocabulary: Vocabulary) -> Offsets:
    """Return one number per token, which identifies the pair of its sentence and its item."""
    code_of = vocabulary.encode(sentences.vocabulary.ids).astype(np.int64)
    owners = np.repeat(np.arange(len(sentences)), sentences.lengths)
    return owners * len(vocabulary) + code_of[sentences.tokens]


def _first_hits(pairs: Offsets, targets: Offsets) -> Mask:
    """Return a mask of the first occurrence of each target among the pairs."""
    hits = np.flatnonzero(np.isin(pairs, targets))
    first = np.zeros(len(pairs), dtype=bool)
    first[hits[np.unique(pairs[hits], return_index=True)[1]]] = True
    return first
