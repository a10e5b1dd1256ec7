"""Connect to SQLite and PostgreSQL: parse URLs, configure engines, retry and translate database errors."""

from __future__ import annotations

import json
import random
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from item2vec.errors import (
    ConfigError,
    InputError,
    Item2VecError,
    MissingExtraError,
    StoreError,
    masked,
    short_repr,
)
from item2vec.store.read_only import open_read_only_where_necessary, why_read_only

__all__ = [
    "Mode",
    "begin_as",
    "code_of",
    "make_engine",
    "parse_url",
    "retried",
    "shown",
    "translated",
    "undamaged",
]

T = TypeVar("T")
Mode = Literal["read", "write", "migrate"]

SPELLING = "expected sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE"
FILE_PATH = re.compile(r"([A-Za-z]:)?[^@=:?;&#]*")  # a text without these characters has no password
CONNECTION_STRING = re.compile(r"\s*\w+\s*=")  # in the syntax of libpq: host=db password=secret
# URL parameters that contain no secret. Messages omit the values of all other parameters.
SHOWN_OF_SQLITE = {"cache", "check_same_thread", "immutable", "mode", "timeout", "uri", "vfs"}
NUMBERS = {
    "connect_timeout",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "port",
    "tcp_user_timeout",
}
ARGUMENTS_OF_PSYCOPG = {"autocommit", "context", "cursor_factory", "prepare_threshold", "row_factory"}
SHOWN = (
    SHOWN_OF_SQLITE
    | NUMBERS
    | {
        "application_name",
        "channel_binding",
        "client_encoding",
        "dbname",
        "gssencmode",
        "host",
        "hostaddr",
        "options",
        "sslmode",
        "target_session_attrs",
        "user",
    }
)
OLDEST_SQLITE = (3, 38)  # supports STRICT tables, RETURNING, and built-in JSON functions
# Without these limits, a query would wait for a quarter of an hour after a failure of the network.
OF_CONNECTIONS = {"connect_timeout": 10, "tcp_user_timeout": 30_000, "keepalives_idle": 60}
ATTEMPTS, GIVE_UP_AFTER = 5, 20  # number of attempts per transaction, and limit in seconds

SQLITE_BUSY, SQLITE_LOCKED = 5, 6
# SQLSTATEs of a deadlock, serialisation failure, server restart, and foreign key violation. A foreign key is
# violated if a user is deleted after the lookup of the user's row number, and before the insert.
TRANSIENT_STATES = {"40P01", "40001", "57P01", "57P02", "57P03", "23503"}

BUSY = "another process is writing to the database: run the same command again, or end a process that hangs"
# Advice by SQLite's primary result code, PostgreSQL's SQLSTATE, or the class (first two characters) of the
# SQLSTATE.
NEXT_STEP: dict[int | str, str] = {
    SQLITE_BUSY: BUSY,
    SQLITE_LOCKED: BUSY,
    8: "make the file and its folder writable for this user",
    10: "check the disk and its free space, then run the same command again; committed batches are kept",
    11: "the file is damaged: restore a backup, or ingest into a new file",
    13: "free some disk space, then run the same command again; committed batches are kept",
    14: "check that the folder exists and that this user may write to it",
    26: "the file is not a SQLite database, or is damaged: check the path, or restore a backup",
    "08": "check that the server is running, and the host, port, user, password and database in the URL",
    "42501": "this user lacks a privilege: grant the privilege, or connect as another user",
    "53100": "free disk space on the server, then run the same command again; committed batches are kept",
    "53": "the server is out of resources: run the same command again later",
    "55P03": "another process holds a lock: run the same command again, or end a process that hangs",
    "57014": "statement_timeout expired: run the same command again when the server is less busy",
}
DAMAGED = {11, 26}
CORRUPT = 5  # exit code of the command line for damaged data


def parse_url(text: str) -> sa.URL:
    """Parse a database URL and add the driver; raise ``ConfigError`` if the URL is invalid or unsupported.

    The message does not quote a text that may contain a password.

    >>> parse_url("item2vec.db")
    Traceback (most recent call last):
    item2vec.errors.ConfigError: 'item2vec.db' is not a database URL; for a SQLite file write 'sqlite:///item2vec.db'
    """
    if not isinstance(text, str):
        raise ConfigError(
            f"store is {'None' if text is None else f'of type {type(text).__name__}'}; {SPELLING}"
        )
    if FILE_PATH.fullmatch(text):
        found = short_repr(text)
        raise ConfigError(f"{found} is not a database URL; for a SQLite file write 'sqlite:///{found[1:]}")
    if CONNECTION_STRING.match(text):
        raise ConfigError(f"the store is a connection string (name=value), not a database URL; {SPELLING}")
    unreadable = ConfigError(f"the store ({len(text):,} characters) is not a database URL; {SPELLING}")
    try:
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        # Not chained: the message of the cause contains a part of the text.
        raise unreadable from None
    if "@" in (url.host or "") or "@" in str(url.query.get("host", "")):
        raise ConfigError("the URL of the store has more than one @; write an @ in the password as %40")
    if url.drivername in {"sqlite", "sqlite+pysqlite"}:
        return _parse_sqlite(url)
    if url.drivername in {"postgresql", "postgresql+psycopg"}:
        return _parse_postgresql(url)
    raise ConfigError(f"unknown database {short_repr(url.drivername)} in {shown(url)}; {SPELLING}")


def _parse_sqlite(url: sa.URL) -> sa.URL:
    if url.host or url.username is not None or url.password is not None or url.port is not None:
        path = "/".join(part for part in (url.host, url.database) if part)
        part = f"the host {short_repr(url.host)}" if url.host else "a user, a password or a port"
        raise ConfigError(
            f"{shown(url)} contains {part}; expected only the path of a SQLite file: write three slashes "
            f"before the path, 'sqlite:///{path}'"
        )
    if not url.database or url.database.startswith((":memory:", "file:")):
        # With :memory:, each connection would open a separate database.
        raise ConfigError(f"{shown(url)} names no file path; expected a path, as in 'sqlite:///item2vec.db'")
    timeout = url.query.get("timeout", "0")
    if url.query.keys() - {"timeout"} or not re.fullmatch(r"\d+(\.\d+)?", str(timeout)):
        parameters = ", ".join(
            f"{name}={value if name in SHOWN_OF_SQLITE else '***'}" for name, value in url.query.items()
        )
        raise ConfigError(
            f"{shown(url)} has the parameters {parameters}; expected only timeout, a number of seconds, "
            "such as ?timeout=10"
        )
    return url


def _parse_postgresql(url: sa.URL) -> sa.URL:
    """Raise ``ConfigError`` for parameters at which SQLAlchemy or psycopg would fail; add the driver."""
    if names := sorted(url.query.keys() & ARGUMENTS_OF_PSYCOPG):
        raise ConfigError(
            f"{shown(url)} has the parameters {', '.join(names)}; expected parameters of libpq, "
            "such as sslmode"
        )
    for name in sorted(url.query.keys() & NUMBERS):
        for value in url.normalized_query[name]:
            if not re.fullmatch("-?[0-9]{1,9}(,[0-9]{1,5})*", value):
                raise ConfigError(
                    f"{shown(url)} has the parameter {name}={short_repr(value)}; expected an integer"
                )
    return url.set(drivername="postgresql+psycopg")


def shown(url: sa.URL) -> str:
    """Return a URL as text without secrets, for messages, logs and reports.

    The password is masked. A parameter is kept only if ``SHOWN`` lists it and its value does not look like a
    secret. A host or user name that may contain a part of the password is masked, too.

    >>> shown(sa.make_url("postgresql+psycopg://ann:secret@db/shop?Token=secret&connect_timeout=3"))
    'postgresql+psycopg://ann:***@db/shop?connect_timeout=3'
    """
    hidden = [
        name
        for name, values in url.normalized_query.items()
        if name not in SHOWN or any("@" in value or masked(value) != value for value in values)
    ]
    url = url.difference_update_query(hidden)
    if "@" in (url.host or ""):
        url = url.set(host="***")
    if url.username is not None and ":" in url.username:
        url = url.set(username="***")
    if url.database is not None:
        url = url.set(database=masked(url.database))
    return masked(url.render_as_string(hide_password=True))


def make_engine(url: sa.URL, *, migrating: bool = False) -> sa.Engine:
    """Return an engine that configures each new connection. No connection is opened before the first use.

    On SQLite, connections wait 10 seconds for locks; on PostgreSQL, 30 seconds. With ``migrating``, they wait
    10 minutes, are not pooled, do not enforce foreign keys on SQLite, and have no statement timeout on
    PostgreSQL. The ``timeout`` of a SQLite URL replaces both waiting times. Raise ``StoreError`` if SQLite is
    too old, ``MissingExtraError`` if psycopg is missing, and ``ConfigError`` if a parameter is invalid.
    """
    options: dict[str, Any] = {"json_serializer": _json, "hide_parameters": True}
    if migrating:
        options["poolclass"] = sa.NullPool
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url, options, migrating=migrating)
    return _postgresql_engine(url, options, migrating=migrating)


def begin_as(engine: sa.Engine, mode: Mode) -> sa.Engine:
    """Return the engine with the transaction isolation for the mode.

    On SQLite, the modes "write" and "migrate" take the write lock at BEGIN. Otherwise, a write after a read
    would fail at once, regardless of the timeout, if another transaction had written in between. On
    PostgreSQL, all statements of a transaction in mode "read" see the same snapshot.
    """
    if engine.dialect.name == "sqlite":
        begin = {"read": "DEFERRED", "write": "IMMEDIATE", "migrate": "EXCLUSIVE"}[mode]
        return engine.execution_options(sqlite_begin=begin)
    return engine.execution_options(isolation_level="REPEATABLE READ" if mode == "read" else "READ COMMITTED")


def _sqlite_engine(url: sa.URL, options: dict[str, Any], *, migrating: bool) -> sa.Engine:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        needed = ".".join(map(str, OLDEST_SQLITE))
        raise StoreError(
            f"the version of SQLite is {sqlite3.sqlite_version}; expected {needed} or newer: "
            "use a Python that includes a newer SQLite"
        )
    assert url.database is not None
    if "timeout" not in url.query:
        options["connect_args"] = {"timeout": 600 if migrating else 10}
    database = Path(url.database).absolute()
    engine = sa.create_engine(url.set(database=str(database)), **options)
    open_read_only_where_necessary(engine, database)
    of_writers: dict[str, str | int] = {
        "journal_mode": "WAL",
        "synchronous": "FULL",
        # On macOS, this setting extends a flush to the cache of the disk.
        "fullfsync": "ON",
    }
    pragmas: dict[str, str | int] = {
        # If foreign keys were enforced, DROP TABLE in a migration would fail for a referenced table.
        "foreign_keys": "OFF" if migrating else "ON",
        "cache_size": -65_536,
    }

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, record: Any) -> None:
        connection.isolation_level = None
        for name, value in (pragmas if why_read_only(record) else of_writers | pragmas).items():
            connection.execute(f"PRAGMA {name}={value}").close()

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
        missing = why_read_only(connection)
        if missing and mode != "DEFERRED":
            raise StoreError(
                f"{shown(url)} can only be read: {missing}; grant write access, or run as another user"
            )
        connection.exec_driver_sql(f"BEGIN {mode}")

    return engine


def _postgresql_engine(url: sa.URL, options: dict[str, Any], *, migrating: bool) -> sa.Engine:
    settings = {
        "statement_timeout": "0" if migrating else "60s",
        "lock_timeout": "600s" if migrating else "30s",
        "idle_in_transaction_session_timeout": "300s",
        # In another time zone, timestamps of the first day of year 1 or the last day of 9999 would overflow.
        "timezone": "UTC",
    }
    connect_args = {name: value for name, value in OF_CONNECTIONS.items() if name not in url.query}
    if not migrating:
        options["pool_pre_ping"] = True
    try:
        engine = sa.create_engine(url, connect_args=connect_args, **options)
    except ImportError as error:
        raise MissingExtraError("PostgreSQL needs psycopg: pip install 'item2vec[postgres]'") from error
    except (sa.exc.ArgumentError, ValueError, TypeError):
        # Not chained: the message of the cause may contain a parameter that is a secret.
        raise ConfigError(f"{shown(url)} has invalid parameters; {SPELLING}") from None

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: Any) -> None:
        # Settings are not part of the URL's options, because connection poolers reject such options.
        connection.execute("; ".join(f"SET {name} = '{value}'" for name, value in settings.items()))
        connection.commit()

    return engine


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{short_repr(value)} is not a JSON value ({error}); "
            "expected text, numbers, booleans, null, lists or mappings"
        ) from error


def retried(transaction: Callable[[], T]) -> T:
    """Run a transaction. After a transient error, repeat the transaction after a random delay.

    The transaction is run at most ``ATTEMPTS`` times, and not repeated after ``GIVE_UP_AFTER`` seconds.
    """
    give_up = time.monotonic() + GIVE_UP_AFTER
    for attempt in range(1, ATTEMPTS):
        try:
            return transaction()
        except DBAPIError as error:
            if not _is_transient(error) or time.monotonic() > give_up:
                raise
        time.sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311 - jitter, not a secret
    return transaction()


def _is_transient(error: DBAPIError) -> bool:
    if error.connection_invalidated:
        return True
    code = code_of(error.orig)
    return code in {SQLITE_BUSY, SQLITE_LOCKED} or code in TRANSIENT_STATES


def code_of(error: BaseException | None) -> int | str:
    """Return the primary result code of a SQLite error, or the SQLSTATE of another database error.

    For an error without a code, return 0 on SQLite, and otherwise "08", the class of connection errors.
    """
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF
    return getattr(error, "sqlstate", None) or "08"


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Convert database errors to ``StoreError``.

    The message contains ``where``, the database's message and, for an error in ``NEXT_STEP``, the next step.
    An ``Item2VecError`` that a column type raised for an invalid value is raised unchanged.
    """
    try:
        yield
    except PoolTimeoutError as error:
        raise StoreError(f"{where}: all connections are in use; use fewer threads") from error
    except (StatementError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, StatementError) else error
        if isinstance(cause, Item2VecError):
            raise cause from None
        if not isinstance(error, DBAPIError | sqlite3.Error):
            raise
        raise _explained(cause, where) from error
    except UnicodeDecodeError as error:
        # If the schema is damaged, SQLite's error message contains damaged text, which Python cannot decode.
        raise _damaged(f"{where} contains text that is not UTF-8; {NEXT_STEP[11]}") from error


@contextmanager
def undamaged(connection: sa.Connection) -> Iterator[None]:
    """Raise ``StoreError`` for a damaged database in place of errors that invalid values in rows cause."""
    try:
        yield
    except (ValueError, TypeError, OverflowError, LookupError) as error:
        raise _damaged(
            f"{shown(connection.engine.url)} contains an invalid value ({error}); "
            "the database is damaged: restore a backup, or ingest into a new database"
        ) from error


def _damaged(message: str) -> StoreError:
    error = StoreError(message)
    error.exit_code = CORRUPT
    return error


def _explained(cause: BaseException | None, where: str) -> StoreError:
    code = code_of(cause)
    advice = NEXT_STEP.get(code) or NEXT_STEP.get(str(code)[:2])
    # Further lines of the message are omitted, because they may contain rows of data.
    message = (str(cause).strip() or type(cause).__name__).splitlines()[0]
    error = StoreError(f"{where}: {message}" + (f"; {advice}" if advice else ""))
    if code in DAMAGED:
        error.exit_code = CORRUPT
    return error
