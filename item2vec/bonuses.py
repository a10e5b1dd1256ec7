"""Bonuses that are added to scores: for the items of a history, and for the neighbours of these items."""

from __future__ import annotations

import numpy as np

from item2vec.arrays import Doubles, Mask
from item2vec.config import TasteConfig
from item2vec.histories import Histories
from item2vec.index.bonuses import Bonuses
from item2vec.kernels.compiled import view_of
from item2vec.kernels.cooccurrence import log_shares
from item2vec.neighbours import NeighbourTable
from item2vec.taste import history_weights

__all__ = ["history_bonuses", "token_bonuses"]

FLOOR = 1e-4
"""The divisor of p, an item's share of the neighbour weights, in ``log(1 + p / FLOOR)``.

Chosen on validation data. On gowalla, 1e-4 and 1e-5 are better than 1e-3 for every mixture. On diginetica,
amazon-beauty and lastfm-2k, the metrics with 1e-2 to 1e-5 differ by less than .001 at the best mixture of
each data set.
"""


def history_bonuses(
    histories: Histories, taste: TasteConfig, table: NeighbourTable | None, *, repeats: bool
) -> Bonuses | None:
    """Return the bonuses of each history; ``None`` if neither the mixture nor the repeat bonus applies.

    The mixture bonus applies if there is a ``table`` and ``mixture`` is above 0. It adds
    ``mixture · log(1 + p / 0.0001)`` to the score of an item, where p is the item's share of the weighted sum
    of the table rows of the history items; negative sums count as 0. The weight of a row is that of its
    history item in ``item2vec.taste.history_weights``, with the decay of the table in place of
    ``taste.decay``.

    The repeat bonus applies if ``repeats`` is true and ``repeat_bonus`` is above 0. It adds ``repeat_bonus``
    to the score of each item that has a token of weight above 0 among the newest ``last_n`` tokens of the
    history (all tokens if ``last_n`` is ``None``).

    The bonuses of a history are the same in every batch, to the last bit.

    Examples
    --------
    >>> from item2vec.histories import encode_histories
    >>> from item2vec.types import Vocabulary
    >>> histories = encode_histories(Vocabulary(("a", "b")), [["b", "b"], ["a", "b"]])
    >>> history_bonuses(histories, TasteConfig(repeat_bonus=3.0), None, repeats=True).rows
    array([1, 0, 1])
    """
    parts = []
    if taste.mixture and table is not None:
        parts.append(_mixture_bonuses(histories, taste, table))
    if taste.repeat_bonus and repeats:
        parts.append(_repeat_bonuses(histories, taste))
    return _sum(parts, len(histories.offsets) - 1) if parts else None


def token_bonuses(
    histories: Histories, taste: TasteConfig, table: NeighbourTable | None, item: int
) -> Doubles:
    """Return the contribution of each token of one history to the bonuses of an item (float64, n tokens).

    The bonuses are those of ``history_bonuses(..., repeats=True)``. The mixture bonus is divided among the
    tokens in proportion to their contributions to p. The repeat bonus is divided equally among the item's
    tokens that have a weight above 0 and are among the newest ``last_n``.

    Examples
    --------
    >>> from item2vec.histories import encode_histories
    >>> from item2vec.types import Vocabulary
    >>> histories = encode_histories(Vocabulary(("a", "b")), [["b", "a", "b"]])
    >>> token_bonuses(histories, TasteConfig(repeat_bonus=3.0), None, 1)
    array([1.5, 0. , 1.5])
    """
    shares = np.zeros(len(histories.codes))
    if taste.mixture and table is not None:
        terms = _table_weights(histories, taste, table) * table.column(item, histories.codes)
        bonus = _mixture_bonuses(histories, taste, table).at(
            np.zeros(1, np.intp), np.array([item]), len(table)
        )
        shares += float(bonus[0]) * terms / (terms.sum() or 1.0)
    if taste.repeat_bonus:
        own = _counted(histories, taste) & (histories.codes == item)
        shares += taste.repeat_bonus * own / max(own.sum(), 1)
    return shares


def _mixture_bonuses(histories: Histories, taste: TasteConfig, table: NeighbourTable) -> Bonuses:
    weights = _table_weights(histories, taste, table)
    rows, logs, offsets = log_shares(
        view_of(histories.codes), view_of(histories.offsets), weights, table.rows, FLOOR
    )
    return Bonuses(rows.astype(np.intp), ((taste.mixture or 0.0) * logs).astype(np.float32), offsets)


def _table_weights(histories: Histories, taste: TasteConfig, table: NeighbourTable) -> Doubles:
    """Return the weight of each token (float64), computed with the decay of the table."""
    return history_weights(
        histories.offsets,
        taste.replace(decay=table.decay, part_weights=None),
        weights=histories.weights,
        timestamps=histories.timestamps,
    )[:, 0]


def _repeat_bonuses(histories: Histories, taste: TasteConfig) -> Bonuses:
    counted = histories.keep(_counted(histories, taste))
    n_rows = int(counted.codes.max(initial=0)) + 1
    owners = np.repeat(np.arange(len(counted.offsets) - 1), np.diff(counted.offsets))
    owners, rows = np.divmod(np.unique(owners * n_rows + counted.codes), n_rows)
    offsets = np.searchsorted(owners, np.arange(len(counted.offsets)))
    return Bonuses(rows, np.full(len(rows), taste.repeat_bonus, np.float32), offsets)


def _counted(histories: Histories, taste: TasteConfig) -> Mask:
    """Return a mask of the tokens that have a weight above 0 and are among the newest ``last_n``."""
    plain = TasteConfig(decay=1.0, last_n=taste.last_n)  # a decay would underflow in a long history
    return history_weights(histories.offsets, plain, weights=histories.weights)[:, 0] > 0


def _sum(parts: list[Bonuses], n: int) -> Bonuses:
    """Add up several sets of bonuses of the same ``n`` histories."""
    if len(parts) == 1:
        return parts[0]
    n_rows = max(int(part.rows.max(initial=0)) for part in parts) + 1
    keys = np.concatenate([part.owners * n_rows + part.rows for part in parts])
    distinct, index = np.unique(keys, return_inverse=True)
    values = np.bincount(index, np.concatenate([part.values for part in parts]), len(distinct))
    owners, rows = np.divmod(distinct, n_rows)
    return Bonuses(rows, values.astype(np.float32), np.searchsorted(owners, np.arange(n + 1)))
