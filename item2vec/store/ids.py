"""External ids and their numbers, many at a time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from item2vec.arrays import Offsets

__all__ = ["as_json", "insert_into", "listed", "numbers_of"]

UNKNOWN = -1


def as_json(values: Sequence[Any]) -> str:
    """Write values as one JSON array: one bound parameter, however many they are."""
    return json.dumps(values, ensure_ascii=False, allow_nan=False)


def listed(connection: sa.Connection) -> sa.Select[tuple[str]]:
    """Select the texts of a JSON array that is bound as ``ids``, in their order."""
    ids = sa.bindparam("ids", type_=sa.Text)
    if connection.dialect.name == "sqlite":
        each = sa.func.json_each(ids)
    else:
        each = sa.func.json_array_elements_text(sa.cast(ids, postgresql.JSON))
    return sa.select(each.table_valued(sa.column("value", sa.Text)).c.value)


def insert_into(connection: sa.Connection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """Return the dialect's own INSERT, the one that knows ON CONFLICT."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def numbers_of(connection: sa.Connection, table: sa.Table, ids: Sequence[str]) -> Offsets:
    """Return the numbers of distinct external ids, in their order; new ids get one."""
    known = _known(connection, table)
    numbers = _numbers(connection, known, ids)
    # Looked up first, because on PostgreSQL an insert that does nothing still uses up a number; and more than
    # once, because somebody may forget a user between our insert and our look-up.
    while (unknown := np.flatnonzero(numbers == UNKNOWN)).size:
        # In one order for all writers, so that they never wait for each other in a circle.
        missing = sorted(ids[position] for position in unknown.tolist())
        # Without a WHERE, SQLite reads the ON of ON CONFLICT as that of a join.
        new = listed(connection).where(sa.true())
        insert = insert_into(connection, table).from_select(["external_id"], new)
        connection.execute(insert.on_conflict_do_nothing(), {"ids": as_json(missing)})
        numbers = _numbers(connection, known, ids)
    return numbers


def _numbers(connection: sa.Connection, known: sa.Select[tuple[int]], ids: Sequence[str]) -> Offsets:
    return np.array(connection.scalars(known, {"ids": as_json(ids)}).all(), dtype=np.int64)


def _known(connection: sa.Connection, table: sa.Table) -> sa.Select[tuple[int]]:
    """Select the numbers of the ids that are bound as ``ids``, in their order: no text comes back."""
    ids = sa.bindparam("ids", type_=sa.Text)
    if connection.dialect.name == "sqlite":
        each = sa.func.json_each(ids).table_valued("key", sa.column("value", sa.Text))
    else:
        texts = sa.func.json_array_elements_text(sa.cast(ids, postgresql.JSON))
        each = texts.table_valued(sa.column("value", sa.Text), with_ordinality="key").render_derived()
    found = each.outerjoin(table, table.c.external_id == each.c.value)
    return sa.select(sa.func.coalesce(table.c.id, UNKNOWN)).select_from(found).order_by(each.c.key)
