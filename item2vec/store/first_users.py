"""Write the table ``first_user``: the first users of each item, as an index of its first interactions."""

from __future__ import annotations

from datetime import datetime
from itertools import repeat

import numpy as np
import sqlalchemy as sa

from item2vec.arrays import Mask, Offsets, Rows
from item2vec.durations import microseconds_of
from item2vec.store.ids import as_json, in_order
from item2vec.store.tables import first_user, interaction

__all__ = ["delete_first_users", "insert_first_users"]

N_FIRST = 5
FORGOTTEN = 0
"""The number of no user: the identity column of users starts at 1."""

SQLITE_INSERT = """
    INSERT INTO first_user (item_id, user_id, ingested_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING
"""
POSTGRESQL_INSERT = sa.text("""
    INSERT INTO first_user (item_id, user_id, ingested_at)
    SELECT CAST(item_id AS bigint), CAST(user_id AS bigint), CAST(:ingested_at AS timestamptz)
    FROM ROWS FROM (
        json_array_elements_text(CAST(:item_id AS json)),
        json_array_elements_text(CAST(:user_id AS json))
    ) AS batch (item_id, user_id)
    ON CONFLICT DO NOTHING
""")


def insert_first_users(
    connection: sa.Connection,
    items: Offsets,
    item: Rows,
    user_id: Offsets,
    ingested_at: datetime,
    *,
    all_stored: bool,
) -> None:
    """Store the first users of those items of a batch of events that have fewer than five.

    ``items`` are distinct row numbers. ``item`` (indices into ``items``) and ``user_id`` (row numbers) have
    one element per event. Unless ``all_stored``, events may have been skipped, because their keys are those
    of stored events, perhaps of other users and items. If two transactions add users to one item at the same
    time, it may have more than five.
    """
    n_free = N_FIRST - _numbers_of_users(connection, items)
    events = np.flatnonzero(n_free[item] > 0)
    if not all_stored:
        events = events[_are_stored(connection, user_id[events], items[item[events]])]
    events = events[_firsts(item[events], user_id[events], n_free)]
    if not len(events):
        return
    # All writers insert in the order of the primary key, so that they cannot deadlock.
    events = events[np.lexsort((user_id[events], items[item[events]]))]
    columns = items[item[events]].tolist(), user_id[events].tolist()
    if connection.dialect.name == "sqlite":
        rows = zip(*columns, repeat(microseconds_of(ingested_at)))
        connection.exec_driver_sql(SQLITE_INSERT, list(rows))
    else:
        arrays = dict(zip(("item_id", "user_id"), map(as_json, columns), strict=True))
        connection.execute(POSTGRESQL_INSERT, {**arrays, "ingested_at": ingested_at})


def _numbers_of_users(connection: sa.Connection, items: Offsets) -> Offsets:
    """Return the number of stored users of each item."""
    ids = in_order(connection)
    is_item = first_user.c.item_id == sa.cast(ids.c.value, sa.BigInteger)
    n_users = sa.select(sa.func.count()).select_from(first_user).where(is_item).scalar_subquery()
    statement = sa.select(n_users).select_from(ids).order_by(ids.c.key)
    counts = connection.scalars(statement, {"ids": as_json(items.tolist())}).all()
    return np.array(counts, dtype=np.int64)


def _firsts(item: Rows, user: Offsets, n_free: Offsets) -> Rows:
    """Return the events with the first ``n_free[item]`` distinct users of each item."""
    by_pair = np.lexsort((user, item))  # stable: of equal pairs, the first event comes first
    is_new = np.ones(len(by_pair), dtype=bool)
    is_new[1:] = (np.diff(item[by_pair]) != 0) | (np.diff(user[by_pair]) != 0)
    distinct = np.sort(by_pair[is_new])
    distinct = distinct[np.argsort(item[distinct], kind="stable")]
    starts = np.searchsorted(item[distinct], item[distinct])
    return distinct[np.arange(len(distinct)) - starts < n_free[item[distinct]]]


def delete_first_users(connection: sa.Connection, user_id: int) -> None:
    """Delete a user from the first users of all items. The user's interactions must still be stored.

    The user with the number ``FORGOTTEN`` takes the place of the first deleted user of an item. Otherwise, an
    item whose first users have all been deleted would seem to be new.
    """
    c, other = first_user.c, first_user.alias()
    items = sa.select(interaction.c.item_id).where(interaction.c.user_id == user_id)
    is_deleted = (c.user_id == user_id) & c.item_id.in_(items)
    has_other = sa.exists().where(other.c.item_id == c.item_id, other.c.user_id == FORGOTTEN)
    connection.execute(sa.update(first_user).where(is_deleted, ~has_other).values(user_id=FORGOTTEN))
    connection.execute(sa.delete(first_user).where(is_deleted))


def _are_stored(connection: sa.Connection, user_id: Offsets, item_id: Offsets) -> Mask:
    """Return a mask of the pairs of a user and an item with an interaction."""
    ids, c = in_order(connection), interaction.c
    statement = (
        sa.select(c.user_id, c.item_id)
        .where(c.user_id.in_(sa.select(sa.cast(ids.c.value, sa.BigInteger))))
        .distinct()
    )
    users = {"ids": as_json(np.unique(user_id).tolist())}
    rows = [tuple(row) for row in connection.execute(statement, users)]
    stored = np.array(rows, dtype=np.int64).reshape(-1, 2)
    pairs = np.column_stack((user_id, item_id))
    _, number = np.unique(np.concatenate((stored, pairs)), axis=0, return_inverse=True)
    return np.isin(number[len(stored) :], number[: len(stored)])
