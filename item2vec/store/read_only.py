"""Open SQLite files that this user may read, but not write.

A database in WAL mode has two more files, ``-wal`` and ``-shm``, which even a reader creates. If one of these
files is missing, and this user may not create it, SQLite can open the database only as *immutable*, that is,
without locks. This is done only if neither ``-wal`` nor a rollback journal contains changes. The state of the
database file is then compared before and after each transaction, to detect writes of other processes.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from item2vec.errors import ConfigError, StoreError
from item2vec.files import unreadable

__all__ = ["exists", "open_read_only_where_necessary", "why_read_only"]

REASON, STATE = "item2vec_read_only", "item2vec_state"


def exists(database: Path) -> bool:
    """Return whether a file exists; raise ``ConfigError`` if its folder does not exist.

    Raise ``StoreError`` if its path cannot be looked up, for example because this user may not enter the
    folder, or the name is too long.
    """
    try:
        if not database.parent.is_dir():
            raise ConfigError(f"{database}: the folder {database.parent} does not exist; create it first")
        return database.exists()
    except OSError as error:
        raise StoreError(str(unreadable(database, error))) from error


def open_read_only_where_necessary(engine: sa.Engine, database: Path) -> None:
    """Let an engine open an existing database read-only if this user cannot write to it.

    The reason, such as a missing permission, is stored in ``info`` of each connection; see ``why_read_only``.
    Opening a connection raises ``StoreError`` if this user may not read the file, or if the database has
    changes that cannot be read without write permission.
    """

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, record: Any, arguments: list[Any], options: dict[str, Any]) -> None:
        record.info.pop(REASON, None)
        record.info.pop(STATE, None)
        missing = _missing(database) if _readable(database) else None
        if missing is None:
            return
        record.info[REASON] = missing
        is_immutable = _must_be_immutable(database, missing)
        if is_immutable:
            record.info[STATE] = _state(database)
        arguments[0] = f"{database.as_uri()}?mode=ro{'&immutable=1' if is_immutable else ''}"
        options["uri"] = True

    @event.listens_for(engine, "checkout")
    def check_out(_connection: Any, record: Any, _proxy: Any) -> None:
        if STATE in record.info and record.info[STATE] != _state(database):
            raise sa.exc.DisconnectionError  # the pool then connects again

    @event.listens_for(engine, "commit")
    def check_unchanged(connection: sa.Connection) -> None:
        if STATE in connection.info and connection.info[STATE] != _state(database):
            busy = sqlite3.OperationalError("the database was changed while it was read without locks")
            busy.sqlite_errorcode = sqlite3.SQLITE_BUSY  # the transaction is repeated
            raise sa.exc.OperationalError(None, None, busy)


def why_read_only(connection: Any) -> str | None:
    """Return the reason why a connection can only read; ``None`` if the connection can write."""
    reason: str | None = connection.info.get(REASON)
    return reason


def _readable(database: Path) -> bool:
    """Return whether a file exists; raise ``StoreError`` if this user may not read it."""
    if not exists(database):
        return False
    if not os.access(database, os.R_OK):
        raise StoreError(str(unreadable(database, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))))
    return True


def _missing(database: Path) -> str | None:
    """Return the reason why this user cannot write to a database; ``None`` if the user can write to it."""
    if hasattr(os, "statvfs") and os.statvfs(database).f_flag & os.ST_RDONLY:
        return f"{database} is on a file system that is mounted read-only"
    closed = [] if os.access(database, os.W_OK) else [database]
    if not _may_create_beside(database) and not _can_write_beside(database):
        closed.append(database.parent)
    if not closed:
        return None
    user = f"user {os.geteuid()}" if hasattr(os, "geteuid") else "this user"
    return f"{user} has no write permission for " + " and ".join(map(_with_mode, closed))


def _with_mode(path: Path) -> str:
    status = path.stat()
    return f"{path} (mode {stat.S_IMODE(status.st_mode):04o}, owned by user {status.st_uid})"


def _beside(database: Path, suffix: str) -> Path:
    return database.with_name(database.name + suffix)


def _may_create_beside(database: Path) -> bool:
    return os.access(database.parent, os.W_OK | os.X_OK)


def _can_write_beside(database: Path) -> bool:
    return all(os.access(_beside(database, suffix), os.W_OK) for suffix in ("-wal", "-shm"))


def _must_be_immutable(database: Path, missing: str) -> bool:
    """Return whether SQLite can read a database only as immutable.

    This is the case if the files ``-wal`` and ``-shm`` do not both exist, and SQLite cannot create them.

    Raises
    ------
    StoreError
        If a killed process, or an incomplete copy, has left changes that only a writer can apply.
    """
    if _may_create_beside(database):
        return False
    wal, memory = _beside(database, "-wal"), _beside(database, "-shm")
    if wal.exists() and memory.exists():
        return False
    for pending in (_beside(database, "-journal"), wal):
        if pending.exists() and (size := pending.stat().st_size):
            raise StoreError(
                f"{pending} contains {size:,} bytes of changes, which only a writer can read, and {missing}: "
                f"open the store once as its owner, where it is writable, for example: "
                f"item2vec db current --store sqlite:///{database}"
            )
    return True


def _state(database: Path) -> tuple[int, ...]:
    """Return the inode, size and modification time of a database file, and the size of its ``-wal`` file.

    Each write changes at least one of these numbers. The tuple is empty if the files cannot be accessed.
    """
    try:
        file = database.stat()
        wal = _beside(database, "-wal")
        return file.st_ino, file.st_size, file.st_mtime_ns, wal.stat().st_size if wal.exists() else 0
    except OSError:
        return ()
