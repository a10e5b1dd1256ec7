"""Open read-only connections to other databases, in order to ingest interactions from them."""

from __future__ import annotations

import difflib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from item2vec.errors import ConfigError, InputError
from item2vec.store.connect import code_of, make_engine, parse_url, shown, translated
from item2vec.store.read_only import exists

__all__ = ["reading_from", "select_all"]

SQLITE_ERROR, SQLITE_READONLY = 1, 8
WRONG_CLASSES = {"0A", "22", "25", "42"}
"""SQLSTATE classes (first two characters) of invalid statements, and of writes in read-only transactions."""


@contextmanager
def reading_from(url: str) -> Iterator[sa.Connection]:
    """Yield a connection that can only read from a database.

    On PostgreSQL, all statements see the same snapshot. On SQLite, each statement sees its own snapshot, and
    the file is opened with ``mode=ro``. Beside a database in WAL mode, SQLite may still create the files
    ``-wal`` and ``-shm``. The database needs no schema of item2vec. No error message contains the password.

    Raises
    ------
    ConfigError
        If the URL is invalid.
    InputError
        If a SQLite file does not exist, or the block executes a statement that is invalid or writes.
    StoreError
        If the database fails.
    MissingExtraError
        If the URL names a PostgreSQL database, and psycopg is not installed.
    """
    parsed = parse_url(url)
    engine = _sqlite_engine(parsed) if parsed.get_backend_name() == "sqlite" else _postgresql_engine(parsed)
    try:
        with translated(shown(parsed)), _wrong_statements(shown(parsed)), engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def select_all(connection: sa.Connection, table: str) -> str:
    """Return the statement that selects all rows of a table or view, ``NAME`` or ``SCHEMA.NAME``.

    Raises
    ------
    InputError
        If there is no such table or view.
    """
    schema, _, name = table.rpartition(".")
    inspector = sa.inspect(connection)
    known = [*inspector.get_table_names(schema or None), *inspector.get_view_names(schema or None)]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        more = f" and {len(known) - 20:,} more" if len(known) > 20 else ""
        listed = f"found {', '.join(sorted(known)[:20]) or 'none'}{more}"
        hint = f"did you mean {near[0]!r}?" if near else listed
        raise InputError(f"{shown(connection.engine.url)} has no table {table!r}; {hint}")
    quote = connection.dialect.identifier_preparer.quote_identifier
    return f"SELECT * FROM {'.'.join(quote(part) for part in (schema, name) if part)}"  # noqa: S608 - quoted


def _sqlite_engine(url: sa.URL) -> sa.Engine:
    database = Path(str(url.database)).absolute()
    try:
        is_file = exists(database)
    except ConfigError:  # its folder does not exist
        is_file = False
    if not is_file:
        raise InputError(f"{shown(url)} does not exist; check the path")
    address, timeout = f"{database.as_uri()}?mode=ro", float(str(url.query.get("timeout", 10)))
    return sa.create_engine(
        url, creator=lambda: sqlite3.connect(address, uri=True, timeout=timeout), hide_parameters=True
    )


def _postgresql_engine(url: sa.URL) -> sa.Engine:
    engine = make_engine(url, migrating=True)  # without a limit on the duration of a statement
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


@contextmanager
def _wrong_statements(where: str) -> Iterator[None]:
    """Convert errors for invalid or writing statements to ``InputError``; other database errors propagate."""
    try:
        yield
    except DBAPIError as error:
        if not _is_wrong(code_of(error.orig)):
            raise
        message = str(error.orig).strip().splitlines()[0]
        raise InputError(
            f"{where}: {message}; expected a query that this database accepts and that only reads"
        ) from None


def _is_wrong(code: Any) -> bool:
    return code in {SQLITE_ERROR, SQLITE_READONLY} or str(code)[:2] in WRONG_CLASSES - {str(code)}
