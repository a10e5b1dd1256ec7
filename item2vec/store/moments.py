"""Rank rows with equal timestamps, and find rows that repeat an event, within one ingestion."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from item2vec.adapters.histories import oldest_first
from item2vec.arrays import Codes, Mask, Offsets
from item2vec.interactions import Interactions

__all__ = ["Moments", "Repeats", "merged"]


@dataclass(frozen=True, eq=False)
class Moments:
    """Rows grouped by user and timestamp. Such a group is called a moment.

    The rows of a moment keep the order of the interactions. If the interactions have no timestamps, all rows
    of a user are one moment.

    Parameters
    ----------
    rows
        Row numbers (int64), grouped by user, oldest first.
    first
        Whether each element of ``rows`` is the first row of its moment.
    n_users
        Number of users with at least one row.

    Examples
    --------
    >>> plays = Interactions.of(user=["u"] * 4, item=["a", "b", "a", "c"], timestamp=[5, 5, 5, 9])
    >>> moments = Moments.of(plays)
    >>> moments.positions(), round(moments.tied_share(), 2)
    (array([0, 1, 2, 0], dtype=int32), 0.67)
    """

    rows: Offsets
    first: Mask
    n_users: int

    @classmethod
    def of(cls, interactions: Interactions) -> Moments:
        """Group the rows of interactions by user and timestamp."""
        rows, offsets = oldest_first(interactions)
        first = np.zeros(len(rows), dtype=bool)
        first[offsets[:-1][np.diff(offsets) > 0]] = True
        n_users = int(np.count_nonzero(first))
        if interactions.timestamp is not None:
            timestamps = interactions.timestamp[rows]
            first[1:] |= timestamps[1:] != timestamps[:-1]
        return cls(rows, first, n_users)

    def positions(self) -> Codes:
        """Return the rank of each row within its moment (int32), from 0."""
        positions = np.empty(len(self.rows), dtype=np.int32)
        positions[self.rows] = _ranks(self.first)
        return positions

    def tied_share(self, n_repeats: int = 0) -> float:
        """Return the share of pairs with equal timestamps among all pairs of consecutive events of a user.

        The pairs of all users are counted together. ``n_repeats`` is the number of rows that repeat an
        earlier row; these rows are not counted as events. The share is 0 if there are no pairs.
        """
        n_events = len(self.rows) - n_repeats
        n_pairs = n_events - self.n_users
        return (n_events - int(np.count_nonzero(self.first))) / n_pairs if n_pairs else 0.0


@dataclass(frozen=True, eq=False)
class Repeats:
    """Rows that repeat the user, item, event name and timestamp of an earlier row.

    Without timestamps, these rows repeat the user, item and event name of an earlier row.

    Parameters
    ----------
    occurrence
        Number of earlier rows with the same user, item, event name and timestamp, for each row (int64).
    origin
        Row number of the first row with the same user, item, event name and timestamp, for each row (int64).

    Examples
    --------
    >>> plays = Interactions.of(user=["u"] * 4, item=["a", "b", "a", "c"], timestamp=[5, 5, 5, 9])
    >>> repeats = Repeats.of(plays, Moments.of(plays))
    >>> repeats.occurrence, repeats.origin
    (array([0, 0, 1, 0]), array([0, 1, 0, 3]))
    """

    occurrence: Offsets
    origin: Offsets

    @classmethod
    def of(cls, interactions: Interactions, moments: Moments) -> Repeats:
        """Find the repeats among the rows of each moment."""
        n = len(moments.rows)
        alone = moments.first & np.append(moments.first[1:], True)[:n]
        rows = moments.rows[~alone]
        keys = [np.cumsum(moments.first)[~alone], interactions.item[rows]]
        if interactions.event is not None:
            keys.append(interactions.event[rows])
        order = np.lexsort(keys)  # stable, so that the rows of one event stay in the order of the source
        first = np.zeros(len(rows), dtype=bool)
        first[:1] = True
        for key in keys:
            first[1:] |= key[order][1:] != key[order][:-1]
        rows, ranks = rows[order], _ranks(first)
        occurrence, origin = np.zeros(n, dtype=np.int64), np.arange(n)
        occurrence[rows] = ranks
        origin[rows] = rows[np.arange(len(rows)) - ranks]
        return cls(occurrence, origin)

    @property
    def n(self) -> int:
        """Number of rows that repeat an earlier row."""
        return int(np.count_nonzero(self.occurrence))


def merged(interactions: Interactions, repeats: Repeats) -> Interactions:
    """Merge repeats: return the first row of each event, with the sum of the weights of its rows.

    Without a column of weights, each row has the weight 1. Without repeats, ``interactions`` is returned.

    >>> plays = Interactions.of(user=["u"] * 3, item=["a", "b", "a"], weight=[1, 5, 3])
    >>> merged(plays, Repeats.of(plays, Moments.of(plays))).weight
    array([4., 5.], dtype=float32)
    """
    if not repeats.n:
        return interactions
    sums = np.bincount(repeats.origin, interactions.weight, len(interactions))
    kept = repeats.occurrence == 0
    return dataclasses.replace(interactions.take(kept), weight=sums[kept])


def _ranks(first: Mask) -> Offsets:
    """Return the rank of each element within its group; ``first`` marks the first element of each group."""
    index = np.arange(len(first))
    return index - np.maximum.accumulate(np.where(first, index, 0))
