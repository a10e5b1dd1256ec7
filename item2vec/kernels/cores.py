"""The k-core of interactions: the rows that remain when rare users and items are removed repeatedly."""

from __future__ import annotations

import numpy as np

from item2vec.arrays import Codes, Mask
from item2vec.kernels.compiled import compiled
from item2vec.kernels.grouping import group_rows

__all__ = ["core_rows"]


@compiled
def core_rows(
    user: Codes, item: Codes, n_users: int, n_items: int, min_user_count: int, min_item_count: int
) -> Mask:
    """Return the mask of the largest set of rows in which no user and no item is rare.

    In this set, each user has at least ``min_user_count`` rows, and each item at least ``min_item_count``.
    Each row is removed at most once, so the time is linear in the number of rows, users and items.

    Source: Batagelj & Zaveršnik, An O(m) algorithm for cores decomposition of networks, 2003.

    Examples
    --------
    >>> user, item = np.array([0, 0, 1, 1, 2], np.int32), np.array([0, 1, 0, 1, 1], np.int32)
    >>> core_rows(user, item, 3, 2, 2, 2)
    array([ True,  True,  True,  True, False])
    """
    rows_of_users, user_offsets = group_rows(user, n_users)
    rows_of_items, item_offsets = group_rows(item, n_items)
    count = np.zeros(n_users + n_items, np.int64)  # remaining rows of each user, then of each item
    for row in range(len(user)):
        count[user[row]] += 1
        count[n_users + item[row]] += 1
    rare = np.empty(n_users + n_items, np.int64)
    n_rare = 0
    for node in range(len(count)):
        if count[node] < (min_user_count if node < n_users else min_item_count):
            rare[n_rare] = node
            n_rare += 1
    kept = np.ones(len(user), np.bool_)
    while n_rare:
        n_rare -= 1
        node = rare[n_rare]
        if node < n_users:
            rows = rows_of_users[user_offsets[node] : user_offsets[node + 1]]
        else:
            rows = rows_of_items[item_offsets[node - n_users] : item_offsets[node - n_users + 1]]
        for row in rows:
            if not kept[row]:
                continue
            kept[row] = False
            other, least = (
                (n_users + item[row], min_item_count) if node < n_users else (user[row], min_user_count)
            )
            count[other] -= 1
            if count[other] == least - 1:
                rare[n_rare] = other
                n_rare += 1
    return kept
