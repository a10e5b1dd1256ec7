"""Copy all tables of a store into another database, and compare source and copy before the commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import sqlalchemy as sa

from item2vec.errors import ConfigError, StoreError
from item2vec.store.connect import begin_as, shown, translated, undamaged
from item2vec.store.tables import metadata

__all__ = ["copy", "copy_between"]

Rows = list[tuple[Any, ...]]

TABLES = metadata.sorted_tables  # a table follows the tables that it references
NUMBERED = [table for table in TABLES if any(column.identity for column in table.columns)]
ROWS_PER_BATCH = 10_000


@dataclass(frozen=True)
class _Digest:
    """Number of rows, and sum of the row hashes modulo 2^128. The digest does not depend on the row order."""

    n_rows: int = 0
    total: int = 0

    def plus(self, rows: Rows) -> _Digest:
        hashes = (blake2b(repr(row).encode(), digest_size=16).digest() for row in rows)
        total = sum(map(int.from_bytes, hashes), start=self.total)
        return _Digest(self.n_rows + len(rows), total % 2**128)


def copy_between(source: sa.Engine, target: sa.Engine, advance: Callable[[str], None]) -> dict[str, int]:
    """Copy all tables into an empty store, in one transaction per database; return row counts by table.

    ``advance`` is called with a progress message after each batch. Errors are those of ``copy``.
    """
    with translated(shown(target.url)), begin_as(target, "write").begin() as to:
        with translated(shown(source.url)):
            connection = begin_as(source, "read").connect()
        with connection, connection.begin():
            return copy(connection, to, advance)


def copy(source: sa.Connection, target: sa.Connection, advance: Callable[[str], None]) -> dict[str, int]:
    """Copy all tables into an empty store, within two open transactions; return row counts by table.

    Raise ``ConfigError`` if a table of the target has rows, and ``StoreError`` if a copied table differs from
    its source table. After an error, the caller must roll back the transaction of the target.
    """
    _lock_empty(target)
    for connection in (source, target):
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    copied = {}
    for table in TABLES:
        digest = _Digest()
        for rows in _batches(source, table):
            names = table.columns.keys()
            target.execute(sa.insert(table), [dict(zip(names, row, strict=True)) for row in rows])
            digest = digest.plus(rows)
            advance(f"{table.name}: {digest.n_rows:,} rows")
        _compare(table, digest, target)
        copied[table.name] = digest.n_rows
    for table in NUMBERED:
        _set_highest(target, table.name, _highest(source, table.name))
    return copied


def _lock_empty(target: sa.Connection) -> None:
    """Lock all tables against other writers; raise ``ConfigError`` if a table has rows.

    On SQLite, the transaction already holds the only write lock.
    """
    if target.dialect.name == "postgresql":
        names = ", ".join(table.name for table in TABLES)
        target.exec_driver_sql(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE")
    for table in TABLES:
        if target.scalar(sa.select(sa.literal(1)).select_from(table).limit(1)) is not None:
            raise ConfigError(
                f"{shown(target.engine.url)} has rows in table {table.name!r}; expected an empty store: "
                "choose another database; nothing was copied"
            )


def _batches(connection: sa.Connection, table: sa.Table) -> Iterator[Rows]:
    """Yield the rows of a table in batches, with values that do not depend on the database system."""
    with translated(shown(connection.engine.url)), undamaged(connection):
        statement = sa.select(table).order_by(*table.primary_key.columns)
        result = connection.execute(statement, execution_options={"yield_per": ROWS_PER_BATCH})
        for rows in result.partitions():
            columns = zip(*rows, strict=True)
            normalised = [
                _normalised(column.type, values)
                for column, values in zip(table.columns, columns, strict=True)
            ]
            yield list(zip(*normalised, strict=True))


def _normalised(type_: sa.types.TypeEngine[Any], values: tuple[Any, ...]) -> tuple[Any, ...] | list[Any]:
    if isinstance(type_, sa.REAL):
        # Values are rounded to float32, because PostgreSQL's driver parses a float32 as a float64.
        rounded: list[float] = np.array(values, dtype=np.float32).tolist()
        return rounded
    return [bool(value) for value in values] if isinstance(type_, sa.Boolean) else values


def _compare(table: sa.Table, expected: _Digest, target: sa.Connection) -> None:
    actual = _Digest()
    for rows in _batches(target, table):
        actual = actual.plus(rows)
    if actual != expected:
        raise StoreError(
            f"{shown(target.engine.url)}: table {table.name!r} has {actual.n_rows:,} rows with hash "
            f"{actual.total:032x}; the source has {expected.n_rows:,} rows with hash {expected.total:032x}; "
            "the copy was rolled back: please report this error"
        )


# Row numbers of deleted users and items must not be reused. The last number that each sequence has generated
# is therefore copied. The largest existing row number may be smaller, because the newest rows may be deleted.


def _highest(connection: sa.Connection, table: str) -> int | None:
    if connection.dialect.name == "sqlite":
        statement = "SELECT seq FROM sqlite_sequence WHERE name = :name"
    else:
        statement = "SELECT pg_sequence_last_value(CAST(pg_get_serial_sequence(:name, 'id') AS regclass))"
    with translated(shown(connection.engine.url)):
        highest: int | None = connection.scalar(sa.text(statement), {"name": table})
        return highest


def _set_highest(connection: sa.Connection, table: str, highest: int | None) -> None:
    if not highest:  # SQLite stores 0 for an empty table that a migration has rebuilt
        return
    if connection.dialect.name == "sqlite":
        connection.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": table})
        statement = "INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :highest)"
    else:
        statement = "SELECT setval(pg_get_serial_sequence(:name, 'id'), :highest)"
    connection.execute(sa.text(statement), {"name": table, "highest": highest})
