"""Bulk lookup of row numbers, the integer primary keys of users and items, by external id."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from item2vec.arrays import Offsets
from item2vec.store.revisions import next_revision
from item2vec.store.tables import item

__all__ = ["as_json", "in_order", "insert_into", "listed", "numbers_of"]

UNKNOWN = -1


def as_json(values: Sequence[Any]) -> str:
    """Return values as a JSON array, so that a statement can bind all of them as a single parameter."""
    return json.dumps(values, ensure_ascii=False, allow_nan=False)


def listed(connection: sa.Connection) -> sa.Select[tuple[str]]:
    """Return a SELECT of the strings in the JSON array parameter ``ids``, in the order of the array."""
    ids = sa.bindparam("ids", type_=sa.Text)
    if connection.dialect.name == "sqlite":
        elements = sa.func.json_each(ids)
    else:
        elements = sa.func.json_array_elements_text(sa.cast(ids, postgresql.JSON))
    return sa.select(elements.table_valued(sa.column("value", sa.Text)).c.value)


def in_order(connection: sa.Connection) -> sa.TableValuedAlias:
    """Return the elements of the JSON array parameter ``ids``, as text ``value``, with ascending ``key``."""
    ids = sa.bindparam("ids", type_=sa.Text)
    if connection.dialect.name == "sqlite":
        return sa.func.json_each(ids).table_valued("key", sa.column("value", sa.Text))
    texts = sa.func.json_array_elements_text(sa.cast(ids, postgresql.JSON))
    return texts.table_valued(sa.column("value", sa.Text), with_ordinality="key").render_derived()


def insert_into(connection: sa.Connection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT of the connection's dialect, which, unlike ``sa.insert``, supports ON CONFLICT."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def numbers_of(connection: sa.Connection, table: sa.Table, ids: Sequence[str]) -> Offsets:
    """Return the row numbers of distinct external ids, in the order of ``ids``. Missing ids are inserted.

    New items get a revision, so that readers of changes find them. A transaction that also inserts users
    must insert the users first: on PostgreSQL, another order of locks could deadlock.
    """
    select = _select_numbers(connection, table)
    numbers = _numbers(connection, select, ids)
    # Only missing ids are inserted, because on PostgreSQL an INSERT consumes a sequence number even if the id
    # exists. The loop is needed because another process may delete a user between INSERT and SELECT.
    while (unknown := np.flatnonzero(numbers == UNKNOWN)).size:
        # Ids are sorted, so that all writers lock rows in the same order and cannot deadlock.
        missing = sorted(ids[position] for position in unknown.tolist())
        # Without a WHERE clause, SQLite would parse the ON of ON CONFLICT as a join condition.
        columns, new = ["external_id"], listed(connection).where(sa.true())
        if table is item:
            columns, new = [*columns, "revision"], new.add_columns(sa.literal(next_revision(connection)))
        insert = insert_into(connection, table).from_select(columns, new)
        connection.execute(insert.on_conflict_do_nothing(), {"ids": as_json(missing)})
        numbers = _numbers(connection, select, ids)
    return numbers


def _numbers(connection: sa.Connection, select: sa.Select[tuple[int]], ids: Sequence[str]) -> Offsets:
    return np.array(connection.scalars(select, {"ids": as_json(ids)}).all(), dtype=np.int64)


def _select_numbers(connection: sa.Connection, table: sa.Table) -> sa.Select[tuple[int]]:
    """Return a SELECT of the row numbers of the ids in the JSON array parameter ``ids``.

    The row numbers are in the order of the array. An id that is not in the table has the row number -1.
    """
    elements = in_order(connection)
    joined = elements.outerjoin(table, table.c.external_id == elements.c.value)
    return sa.select(sa.func.coalesce(table.c.id, UNKNOWN)).select_from(joined).order_by(elements.c.key)
