"""The bonuses of a history: what its repeats and its items' neighbours add to the scores of a few items."""

from __future__ import annotations

import numpy as np

from item2vec.arrays import Doubles, Mask
from item2vec.config import TasteConfig
from item2vec.index.bonuses import Bonuses
from item2vec.kernels.cooccurrence import log_shares
from item2vec.neighbours import NeighbourTable
from item2vec.sentences import Histories
from item2vec.taste import history_weights

__all__ = ["history_bonuses", "token_bonuses"]

FLOOR = 1e-4
"""The share of the neighbours above which an item gains.

Chosen on validation: on gowalla, 1e-4 and 1e-5 are better than 1e-3 at every mixture; on diginetica,
amazon-beauty and lastfm-2k, 1e-2 to 1e-5 are within .001 of each other at their best mixture.
"""


def history_bonuses(
    histories: Histories, taste: TasteConfig, table: NeighbourTable | None, *, repeats: bool
) -> Bonuses | None:
    """Return the bonuses of each history, or ``None`` if the taste has none.

    ``mixture`` adds ``mixture · log(1 + p / 0.0001)``: p is an item's share of the sum of the history items'
    rows in the table, weighted by the table's decay, the taste's ``half_life`` and ``last_n``, and the
    weights of the history. With ``repeats``, ``repeat_bonus`` is added to the items of the history, but for
    those of weight 0 or older than ``last_n``.

    A history's bonuses do not depend on the others beside it, to the last bit.

    Examples
    --------
    >>> from item2vec.sentences import encode_histories
    >>> from item2vec.types import Vocabulary
    >>> histories = encode_histories(Vocabulary(("a", "b")), [["b", "b"], ["a", "b"]])
    >>> history_bonuses(histories, TasteConfig(repeat_bonus=3.0), None, repeats=True).rows
    array([1, 0, 1])
    """
    parts = []
    if taste.mixture and table is not None:
        parts.append(_mixed(histories, taste, table))
    if taste.repeat_bonus and repeats:
        parts.append(_repeated(histories, taste))
    return _summed(parts, len(histories.offsets) - 1) if parts else None


def token_bonuses(
    histories: Histories, taste: TasteConfig, table: NeighbourTable | None, item: int
) -> Doubles:
    """Return what each token of one history contributes to the bonuses of an item (float64, n tokens).

    The mixture's bonus is distributed in proportion to what each token's row adds to p. The repeat bonus
    belongs to the tokens of the item itself, in equal parts.

    Examples
    --------
    >>> from item2vec.sentences import encode_histories
    >>> from item2vec.types import Vocabulary
    >>> histories = encode_histories(Vocabulary(("a", "b")), [["b", "a", "b"]])
    >>> token_bonuses(histories, TasteConfig(repeat_bonus=3.0), None, 1)
    array([1.5, 0. , 1.5])
    """
    shares = np.zeros(len(histories.codes))
    if taste.mixture and table is not None:
        terms = _table_weights(histories, taste, table) * table.column(item, histories.codes)
        bonus = _mixed(histories, taste, table).at(np.zeros(1, np.intp), np.array([item]), len(table))
        shares += float(bonus[0]) * terms / (terms.sum() or 1.0)
    if taste.repeat_bonus:
        own = _counted(histories, taste) & (histories.codes == item)
        shares += taste.repeat_bonus * own / max(own.sum(), 1)
    return shares


def _mixed(histories: Histories, taste: TasteConfig, table: NeighbourTable) -> Bonuses:
    weights = _table_weights(histories, taste, table)
    rows, logs, offsets = log_shares(histories.codes, histories.offsets, weights, table.rows, FLOOR)
    return Bonuses(rows.astype(np.intp), (taste.mixture * logs).astype(np.float32), offsets)


def _table_weights(histories: Histories, taste: TasteConfig, table: NeighbourTable) -> Doubles:
    """Return the weight of each token when a history is read with the table's decay."""
    return history_weights(
        histories.offsets,
        taste.replace(decay=table.decay, part_weights=None),
        weights=histories.weights,
        timestamps=histories.timestamps,
    )[:, 0]


def _repeated(histories: Histories, taste: TasteConfig) -> Bonuses:
    counted = histories.keep(_counted(histories, taste))
    n_rows = int(counted.codes.max(initial=0)) + 1
    owners = np.repeat(np.arange(len(counted.offsets) - 1), np.diff(counted.offsets))
    owners, rows = np.divmod(np.unique(owners * n_rows + counted.codes), n_rows)
    offsets = np.searchsorted(owners, np.arange(len(counted.offsets)))
    return Bonuses(rows, np.full(len(rows), taste.repeat_bonus, np.float32), offsets)


def _counted(histories: Histories, taste: TasteConfig) -> Mask:
    """Return which tokens count at all: not those of weight 0, nor those older than ``last_n``."""
    plain = TasteConfig(decay=1.0, last_n=taste.last_n)  # no decay: it would underflow in a long history
    return history_weights(histories.offsets, plain, weights=histories.weights)[:, 0] > 0


def _summed(parts: list[Bonuses], n: int) -> Bonuses:
    """Return the sums of several bonuses of the same ``n`` histories."""
    if len(parts) == 1:
        return parts[0]
    n_rows = max(int(part.rows.max(initial=0)) for part in parts) + 1
    keys = np.concatenate([part.owners * n_rows + part.rows for part in parts])
    distinct, places = np.unique(keys, return_inverse=True)
    values = np.bincount(places, np.concatenate([part.values for part in parts]), len(distinct))
    owners, rows = np.divmod(distinct, n_rows)
    return Bonuses(rows, values.astype(np.float32), np.searchsorted(owners, np.arange(n + 1)))
