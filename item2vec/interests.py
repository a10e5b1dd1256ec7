"""Interests: a history is split into clusters of similar items, and each cluster gets its own user vector."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from item2vec.arrays import Codes, Doubles, Floats, Rows
from item2vec.histories import Histories
from item2vec.sentences import offsets_of

__all__ = ["Interests", "clusters", "divide"]

MAX_CLUSTERED = 100
"""Maximum number of distinct items to cluster, newest first. Each older item joins the nearest cluster."""
AUTO_DISTANCE = 2.0
AUTO_MOST = 5


class Interests(NamedTuple):
    """Histories that are split into interests.

    ``histories`` has one history per interest; the entries keep their original order. ``owners`` (intp,
    ascending) holds, for each interest, the index of the original history. Of the interests of a history, the
    interest of the newest entry comes first. ``medoids`` (int32) holds, for each interest, the code of the
    item whose unit vector is nearest to the mean of the clustered unit vectors; -1 for an empty history.
    """

    histories: Histories
    owners: Rows
    medoids: Codes


def divide(histories: Histories, unit: Floats, n: int | Literal["auto"]) -> Interests:
    """Split each history into ``n`` interests, or fewer if the history has fewer distinct items.

    ``unit`` holds the unit vectors of the items. Up to 100 distinct items of a history, the newest ones, are
    clustered. Each older item joins the cluster with the nearest mean. With ``n="auto"``, a history has at
    most 5 interests; see ``clusters``. An empty history has one empty interest.

    Source: Pal et al., PinnerSage: multi-modal user embedding framework for recommendations at Pinterest,
    KDD 2020, sections 4.1 and 4.2 (Ward's clustering, medoids). In PinnerSage, the vectors of the
    medoids are the user vectors.

    Examples
    --------
    >>> unit = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
    >>> both = divide(Histories(np.array([0, 2, 1], np.int32), np.array([0, 3])), unit, 2)
    >>> both.histories.codes, both.histories.offsets, both.medoids
    (array([0, 1, 2], dtype=int32), array([0, 2, 3]), array([1, 2], dtype=int32))
    """
    labels = np.zeros(len(histories.codes), dtype=np.intp)
    counts, medoids = [], []
    for start, stop in zip(histories.offsets[:-1].tolist(), histories.offsets[1:].tolist(), strict=True):
        codes = histories.codes[start:stop]
        labels[start:stop], own_medoids = _own_interests(codes, unit, n)
        counts.append(max(1, len(own_medoids)))
        medoids += own_medoids or [-1]
    offsets = offsets_of(counts)
    interest = labels + np.repeat(offsets[:-1], np.diff(histories.offsets))
    order = np.argsort(interest, kind="stable")
    divided = Histories(
        histories.codes[order],
        offsets_of(np.bincount(interest, minlength=offsets[-1])),
        None if histories.weights is None else histories.weights[order],
        None if histories.timestamps is None else histories.timestamps[order],
    )
    owners = np.repeat(np.arange(len(counts)), counts)
    return Interests(divided, owners, np.array(medoids, dtype=np.int32))


def clusters(unit: Floats | Doubles, n: int | Literal["auto"]) -> Rows:
    """Return the cluster of each unit vector (intp). Clusters are numbered from 0 by their first vectors.

    In each step, the two clusters whose merge increases the within-cluster sum of squares least are merged,
    until ``n`` clusters are left. With ``"auto"``, merging ends when at most 5 clusters are left, and the
    square root of twice the next increase is above 2.0.

    Source: Ward, Hierarchical grouping to optimize an objective function, JASA 58, 1963.

    Examples
    --------
    >>> clusters(np.array([[1, 0], [0, 1], [0.8, 0.6]], np.float32), 2)
    array([0, 1, 0])
    """
    squares, sizes = _square_distances(unit.astype(np.float64), unit.astype(np.float64)), np.ones(len(unit))
    np.fill_diagonal(squares, np.inf)
    members = [[number] for number in range(len(unit))]
    for n_left in range(len(unit), 1 if n == "auto" else n, -1):
        first, second = divmod(int(np.argmin(squares)), len(unit))
        nearest = squares[first, second]
        if n == "auto" and n_left <= AUTO_MOST and nearest > AUTO_DISTANCE**2:
            break
        weights = sizes + sizes[first], sizes + sizes[second]
        merged = weights[0] * squares[first] + weights[1] * squares[second] - sizes * nearest
        merged /= weights[0] + sizes[second]
        sizes[first] += sizes[second]
        members[first] += members[second]
        members[second] = []
        squares[first], squares[:, first], squares[first, first] = merged, merged, np.inf
        squares[second], squares[:, second] = np.inf, np.inf
    labels = np.empty(len(unit), dtype=np.intp)
    for number, cluster in enumerate(filter(None, members)):
        labels[cluster] = number
    return labels


def _own_interests(codes: Codes, unit: Floats, n: int | Literal["auto"]) -> tuple[Rows, list[int]]:
    """Return a pair for one history: the interest of each entry; and the medoid of each interest."""
    if not len(codes):
        return np.empty(0, np.intp), []
    newest_first, inverse = _distinct_newest_first(codes)
    vectors = unit[newest_first].astype(np.float64)
    newest, older = vectors[:MAX_CLUSTERED], vectors[MAX_CLUSTERED:]
    labels = clusters(newest, n)
    means = np.stack([newest[labels == label].mean(axis=0) for label in range(labels.max() + 1)])
    if len(older):
        labels = np.concatenate((labels, _square_distances(older, means).argmin(axis=1)))
    medoids = []
    for label, mean in enumerate(means):
        own = np.flatnonzero(labels == label)
        distances = np.square(vectors[own] - mean).sum(axis=1)
        medoids.append(int(newest_first[own[int(distances.argmin())]]))
    return labels[inverse], medoids


def _distinct_newest_first(codes: Codes) -> tuple[Codes, Rows]:
    """Return a pair: the distinct codes, newest first; and per entry, the index of its code in this array."""
    distinct, first, inverse = np.unique(codes[::-1], return_index=True, return_inverse=True)
    by_age = np.argsort(first)
    place = np.empty(len(distinct), dtype=np.intp)
    place[by_age] = np.arange(len(distinct))
    return distinct[by_age], place[inverse[::-1]]


def _square_distances(vectors: Doubles, others: Doubles) -> Doubles:
    """Return the squared Euclidean distance of each pair (float64, n vectors × n others)."""
    squares = np.square(vectors).sum(axis=1)[:, None] + np.square(others).sum(axis=1)
    distances: Doubles = np.maximum(squares - 2 * vectors @ others.T, 0)
    return distances
