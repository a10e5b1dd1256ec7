"""Disliked items: user vectors are moved away from them, and items that are similar to them rank last.

An item is disliked if the argument ``disliked`` of a request contains it, or if an entry of the item in the
history has a negative weight. An item ranks last if its highest cosine to a disliked item exceeds its highest
cosine to a liked item of the history (see ``nearer_to_dislikes``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from item2vec.arrays import Codes, Doubles, Floats, Mask, Offsets, Rows
from item2vec.config import TasteConfig
from item2vec.histories import Histories
from item2vec.kernels.compiled import view_of
from item2vec.kernels.rescoring import largest_cosines
from item2vec.matrices import unit_rows
from item2vec.sentences import offsets_of
from item2vec.taste import Tastes, cosine_divisor, scored_matrix
from item2vec.vectors import ItemVectors

__all__ = ["Dislikes", "dislike_scores", "move_away", "nearer_to_dislikes", "split_dislikes"]

PUSH = 0.3
"""Factor of the step away from the disliked items, relative to the length of the user vector.

Chosen on validation data of movielens-100k (docs/benchmarks/rules.md): of the factors from 0 to 1 that were
tried, this one has the highest HR@10 and NDCG@10.
"""
NEAR_DUPLICATE = 0.5
"""Cosine to a disliked item above which an item is demoted, if there are no liked items to compare with."""
ROUNDING = 1e-6


class Dislikes(NamedTuple):
    """The disliked items of each history: ``codes[offsets[i]:offsets[i + 1]]`` (int32) for history ``i``.

    ``strengths`` (float64, above 0) has one number per entry of ``codes``. The strength is the absolute value
    of a negative weight in the history, or 1 for an item of the argument ``disliked``.
    """

    codes: Codes
    offsets: Offsets
    strengths: Doubles

    def take(self, histories: Rows) -> Dislikes:
        """Return the disliked items of the histories with these indices, which may repeat, in this order."""
        lengths = np.diff(self.offsets)[histories]
        offsets = offsets_of(lengths)
        entries = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][histories] - offsets[:-1], lengths)
        return Dislikes(self.codes[entries], offsets, self.strengths[entries])

    def of(self, history: int) -> tuple[Codes, Doubles]:
        """Return a pair of arrays: the codes of the disliked items of a history; and their strengths."""
        own = slice(self.offsets[history], self.offsets[history + 1])
        return self.codes[own], self.strengths[own]


def split_dislikes(histories: Histories, further: Sequence[Rows] | None = None) -> tuple[Histories, Dislikes]:
    """Split each history into the entries that are not disliked, and the disliked items.

    The item of an entry of negative weight is disliked; its strength is the absolute value of the weight.
    ``further`` holds, for each history, the codes of further disliked items, which have strength 1; ``None``:
    no further items. All entries of a disliked item are removed from the history, including the entries of
    positive weight.

    Examples
    --------
    >>> weights = np.array([1.0, 2.0, -3.0])
    >>> histories = Histories(np.array([4, 5, 4], np.int32), np.array([0, 3]), weights)
    >>> liked, dislikes = split_dislikes(histories)
    >>> liked.codes, dislikes
    (array([5], dtype=int32), Dislikes(codes=array([4], dtype=int32), offsets=array([0, 1]), \
strengths=array([3.])))
    """
    negative = np.zeros(len(histories.codes), bool) if histories.weights is None else histories.weights < 0
    n_further = 0 if further is None else sum(map(len, further))
    n = len(histories.offsets) - 1
    if not negative.any() and not n_further:
        none = np.zeros(n + 1, np.int64)
        return histories, Dislikes(np.empty(0, np.int32), none, np.empty(0))
    codes, owners, strengths = _negative_entries(histories, negative)
    if further is not None:
        codes = np.concatenate((codes, *further), dtype=np.int32, casting="same_kind")
        owners = np.concatenate((owners, np.repeat(np.arange(n), list(map(len, further)))))
        strengths = np.concatenate((strengths, np.ones(n_further)))
    order = np.argsort(owners, kind="stable")
    dislikes = Dislikes(codes[order], offsets_of(np.bincount(owners, minlength=n)), strengths[order])
    n_rows = int(max(codes.max(initial=0), histories.codes.max(initial=0))) + 1
    keys = _owners(histories.offsets) * n_rows + histories.codes
    others = np.sort(owners * n_rows + codes)
    return histories.keep(others[np.searchsorted(others[:-1], keys)] != keys), dislikes


def move_away(
    tastes: Tastes, histories: Histories, dislikes: Dislikes, vectors: ItemVectors, taste: TasteConfig
) -> tuple[Tastes, Doubles]:
    """Move user vectors away from disliked items, and towards the items of the history.

    The lengths of the user vectors do not change.

    A user vector v becomes the vector of the same length in the direction of::

        v + 0.3 · |v| · Σ s (h - d) / n

    where h is the mean of the unit vectors of the history items whose weight in the taste is not 0, d is the
    unit vector of one of the n disliked items, and s is the strength of this item. h and d are computed from
    the scored matrix, which holds output vectors for ``score="output"``. If a score is a mean of cosines of
    parts, each part is moved separately. A history whose vector becomes zero is marked as empty.

    Source: Rocchio, Relevance feedback in information retrieval, in: The SMART Retrieval System, 1971. A step
    away from the input vectors of the disliked items, without a step towards the items of the history, lowers
    HR@10 (docs/benchmarks/rules.md).

    Returns
    -------
    tuple
        The moved tastes; and the factor by which the sum is multiplied in each step (float64, n histories ×
        moved parts), for ``dislike_scores``. The factor is 0.3 · |v|, times the factor that restores the
        length of v.
    """
    if not len(dislikes.codes):
        return tastes, np.zeros((len(tastes.vectors), 1))
    n_groups = _n_groups(vectors, taste, tastes)
    moved, scales = tastes.vectors.copy(), np.array(tastes.scales)
    steps = np.zeros((len(moved), n_groups))
    for history in np.flatnonzero(np.diff(dislikes.offsets) > 0).tolist():
        if tastes.empty[history]:
            continue
        before = tastes.vectors[history].astype(np.float64).reshape(n_groups, -1)
        direction = _directions(histories, history, dislikes, tastes, vectors, taste, n_groups).sum(axis=0)
        lengths = np.linalg.norm(before, axis=1)
        after = before + PUSH * lengths[:, None] * direction
        new_lengths = np.linalg.norm(after, axis=1)
        factors = np.divide(lengths, new_lengths, out=np.ones(n_groups), where=new_lengths > 0)
        moved[history] = (after * factors[:, None]).reshape(-1)
        scales[history] *= factors if n_groups > 1 else factors[0]
        steps[history] = PUSH * lengths * factors
    empty = tastes.empty | ~moved.any(axis=1)
    return Tastes(moved, tastes.weights, scales, empty), steps


def dislike_scores(
    histories: Histories,
    dislikes: Dislikes,
    moved: tuple[Tastes, Doubles],
    vectors: ItemVectors,
    taste: TasteConfig,
    item: int,
) -> Doubles:
    """Return the contributions of the step of ``move_away`` to the score of an item, for one history.

    The result (float64) has one contribution per entry of the history, followed by one per disliked item. The
    contributions are to be added to those of ``token_scores``. ``moved`` is the result of ``move_away``.
    """
    tastes, steps = moved
    n_groups = steps.shape[1]
    terms = _directions(histories, 0, dislikes, tastes, vectors, taste, n_groups)
    row = scored_matrix(vectors, taste)[item].astype(np.float64).reshape(n_groups, -1)
    scores: Doubles = np.einsum("tgd,gd,g->t", terms, row, steps[0])
    return scores


def nearer_to_dislikes(matrix: Floats, rows: Rows, *, liked: Rows | Codes, disliked: Rows | Codes) -> Mask:
    """Return a mask of the rows whose nearest disliked row is nearer than their nearest liked row.

    The largest cosine to a disliked row is compared with the largest cosine to a liked row or, without liked
    rows, with 0.5. Cosines that differ by at most 1e-6 count as equal. ``rows``, ``liked`` and ``disliked``
    are row indices of ``matrix``.

    Source: best_score of Qdrant's recommendation API. In Qdrant, points nearer to a negative example have
    scores below all other points.

    Examples
    --------
    >>> matrix = np.array([[1, 0], [0, 1], [0.9, 0.1], [0.1, 0.9]], np.float32)
    >>> nearer_to_dislikes(matrix, np.array([2, 3]), liked=np.array([0]), disliked=np.array([1]))
    array([False,  True])
    """
    matrix = view_of(matrix)
    nearest = largest_cosines(matrix, rows, np.asarray(disliked, np.intp))
    limits = largest_cosines(matrix, rows, np.asarray(liked, np.intp)) if len(liked) else NEAR_DUPLICATE
    demoted: Mask = nearest > limits + ROUNDING
    return demoted


def _n_groups(vectors: ItemVectors, taste: TasteConfig, tastes: Tastes) -> int:
    """Return the number of parts that are moved separately: 1 unless the score averages cosines of parts."""
    score = taste.as_trained(vectors.config, has_output=vectors.output is not None).score
    by_part = score == "output" and cosine_divisor(vectors, taste) is not None
    return tastes.weights.shape[1] if by_part else 1


def _directions(
    histories: Histories,
    history: int,
    dislikes: Dislikes,
    tastes: Tastes,
    vectors: ItemVectors,
    taste: TasteConfig,
    n_groups: int,
) -> Doubles:
    """Return the terms of the sum in a step: one per history entry, then one per disliked item (float64)."""
    matrix = scored_matrix(vectors, taste)
    own = slice(histories.offsets[history], histories.offsets[history + 1])
    counted = tastes.weights[own].any(axis=1).astype(np.float64)
    codes, strengths = dislikes.of(history)
    share = strengths.sum() / len(codes)
    factors = np.concatenate((share * counted / counted.sum(), -strengths / len(codes)))
    rows = matrix[np.concatenate((histories.codes[own], codes))]
    unit = unit_rows(rows.reshape(len(rows) * n_groups, -1)).reshape(len(rows), n_groups, -1)
    terms: Doubles = unit * factors[:, None, None]
    return terms


def _negative_entries(histories: Histories, negative: Mask) -> tuple[Codes, Rows, Doubles]:
    if histories.weights is None:
        return np.empty(0, np.int32), np.empty(0, np.intp), np.empty(0)
    return histories.codes[negative], _owners(histories.offsets)[negative], -histories.weights[negative]


def _owners(offsets: Offsets) -> Rows:
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
