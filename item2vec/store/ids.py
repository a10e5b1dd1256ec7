"""External ids and their numbers, many at a time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from item2vec.types import Offsets

__all__ = ["as_json", "insert_into", "listed", "numbers_of"]


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
    known = _known(connection, table, ids)
    # Looked up first, because on PostgreSQL an insert that does nothing still uses up a number; and more than
    # once, because somebody may forget a user between our insert and our look-up.
    while missing := sorted(set(ids) - known.keys()):
        # Without a WHERE, SQLite reads the ON of ON CONFLICT as that of a join.
        new = listed(connection).where(sa.true())
        insert = insert_into(connection, table).from_select(["external_id"], new)
        connection.execute(insert.on_conflict_do_nothing(), {"ids": as_json(missing)})
        known |= _known(connection, table, missing)
    return np.fromiter((known[id_] for id_ in ids), dtype=np.int64, count=len(ids))


def _known(connection: sa.Connection, table: sa.Table, ids: Sequence[str]) -> dict[str, int]:
    some = table.c.external_id.in_(listed(connection))
    rows = connection.execute(sa.select(table.c.external_id, table.c.id).where(some), {"ids": as_json(ids)})
    return dict(rows.all())
