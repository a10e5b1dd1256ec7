"""A whole store copied into another database, and compared before anything is kept."""

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

TABLES = metadata.sorted_tables  # parents before their children
NUMBERED = [table for table in TABLES if any(column.identity for column in table.columns)]
ROWS_A_BATCH = 10_000


@dataclass(frozen=True)
class _Digest:
    """How many rows, and the sum of their hashes, which is the same in whatever order they come."""

    n_rows: int = 0
    total: int = 0

    def plus(self, rows: Rows) -> _Digest:
        hashes = (blake2b(repr(row).encode(), digest_size=16).digest() for row in rows)
        total = sum(map(int.from_bytes, hashes), start=self.total)
        return _Digest(self.n_rows + len(rows), total % 2**128)


def copy_between(source: sa.Engine, target: sa.Engine, advance: Callable[[str], None]) -> dict[str, int]:
    """Copy all tables into an empty store, in a transaction of each; return rows by table."""
    with translated(shown(target.url)), begin_as(target, "write").begin() as to:
        with translated(shown(source.url)):
            connection = begin_as(source, "read").connect()
        with connection, connection.begin():
            return copy(connection, to, advance)


def copy(source: sa.Connection, target: sa.Connection, advance: Callable[[str], None]) -> dict[str, int]:
    """Copy all tables into an empty store, in two transactions that are open; return rows by table.

    Raises ``StoreError`` where the copy is not what was copied, so that the target is rolled back.
    """
    _keep_others_out(target)
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


def _keep_others_out(target: sa.Connection) -> None:
    """Refuse a target that holds anything, and see to it that nobody else fills it meanwhile."""
    if target.dialect.name == "postgresql":
        names = ", ".join(table.name for table in TABLES)
        target.exec_driver_sql(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE")
    for table in TABLES:
        if target.scalar(sa.select(sa.literal(1)).select_from(table).limit(1)) is not None:
            raise ConfigError(
                f"{shown(target.engine.url)} holds rows in {table.name!r}, and nothing was copied; "
                "expected an empty store: name another database"
            )


def _batches(connection: sa.Connection, table: sa.Table) -> Iterator[Rows]:
    """Read a table as Python sees it, the same from each kind of database."""
    with translated(shown(connection.engine.url)), undamaged(connection):
        statement = sa.select(table).order_by(*table.primary_key.columns)
        for rows in connection.execute(statement, execution_options={"yield_per": ROWS_A_BATCH}).partitions():
            columns = zip(*rows, strict=True)
            alike = [
                _alike(column.type, values) for column, values in zip(table.columns, columns, strict=True)
            ]
            yield list(zip(*alike, strict=True))


def _alike(type_: sa.types.TypeEngine[Any], values: tuple[Any, ...]) -> tuple[Any, ...] | list[Any]:
    if isinstance(type_, sa.REAL):
        # As four bytes hold them; PostgreSQL's driver reads the shortest decimals that mean the same four.
        rounded: list[float] = np.array(values, dtype=np.float32).tolist()
        return rounded
    return [bool(value) for value in values] if isinstance(type_, sa.Boolean) else values


def _compare(table: sa.Table, expected: _Digest, target: sa.Connection) -> None:
    found = _Digest()
    for rows in _batches(target, table):
        found = found.plus(rows)
    if found != expected:
        raise StoreError(
            f"{shown(target.engine.url)}: {table.name!r} has {found.n_rows:,} rows with hash "
            f"{found.total:032x}; expected {expected.n_rows:,} with {expected.total:032x}, as in the source; "
            "rolled back, nothing was copied: please report it"
        )


# Numbers of rows that were deleted are not given again; so it is not the largest number there is that counts.


def _highest(connection: sa.Connection, table: str) -> int | None:
    if connection.dialect.name == "sqlite":
        statement = "SELECT seq FROM sqlite_sequence WHERE name = :name"
    else:
        statement = "SELECT pg_sequence_last_value(CAST(pg_get_serial_sequence(:name, 'id') AS regclass))"
    with translated(shown(connection.engine.url)):
        highest: int | None = connection.scalar(sa.text(statement), {"name": table})
        return highest


def _set_highest(connection: sa.Connection, table: str, highest: int | None) -> None:
    if highest is None:
        return
    if connection.dialect.name == "sqlite":
        connection.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": table})
        statement = "INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :highest)"
    else:
        statement = "SELECT setval(pg_get_serial_sequence(:name, 'id'), :highest)"
    connection.execute(sa.text(statement), {"name": table, "highest": highest})
