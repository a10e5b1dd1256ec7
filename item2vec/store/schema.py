"""Check and migrate the schema of a store with Alembic. Only one process migrates a database at a time."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from item2vec.errors import SchemaError, StoreError, reason_of
from item2vec.files import flush, shipped, sync_folder
from item2vec.store.connect import begin_as, make_engine, retried, shown, translated
from item2vec.store.tables import first_user, metadata

if TYPE_CHECKING:
    from alembic.config import Config  # loaded on first use: a worker does not need it

__all__ = ["Schema"]

ADVISORY_LOCK = int.from_bytes(b"item2vec")


@dataclass(frozen=True)
class Schema:
    """The schema of the database at ``url``, and ``scripts``, the folder of the migrations."""

    url: sa.URL = field(repr=False)
    scripts: Path = field(default_factory=lambda: shipped("alembic"))

    def _config(self) -> Config:
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(self.scripts).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        return config

    @cached_property
    def _revisions(self) -> list[str]:
        """All revisions in the folder, newest first."""
        from alembic.script import ScriptDirectory

        return [script.revision for script in ScriptDirectory.from_config(self._config()).walk_revisions()]

    @property
    def head(self) -> str:
        """The newest revision, which this package requires."""
        return self._revisions[0]

    def current(self, connection: sa.Connection) -> str | None:
        """Return the schema revision of the database; ``None`` if the database has no schema.

        Raises
        ------
        SchemaError
            If the database has several revisions, or has no revision, but tables of this package.
        """
        from alembic.runtime.migration import MigrationContext

        revisions = MigrationContext.configure(connection).get_current_heads()
        if len(revisions) != 1:
            self._refuse_lost_revision(connection, revisions)
        return revisions[0] if revisions else None

    def _refuse_lost_revision(self, connection: sa.Connection, revisions: tuple[str, ...]) -> None:
        inspector = sa.inspect(connection)
        names = set(inspector.get_table_names())
        found = sorted(metadata.tables.keys() & names)
        if not found and not revisions:
            return
        state = f"the revisions {', '.join(revisions)}" if revisions else "no revision"
        remedy = "restore a backup, or use an empty database"
        revision = self._revision_by_columns(inspector, found)
        if "alembic_version" in names and revision is not None:
            statements = "DELETE FROM alembic_version; INSERT INTO alembic_version VALUES ('{}')"
            advice = statements.format(revision)
            remedy += (
                f"; or, because the tables have the columns of revision {revision}, run the SQL: {advice}"
            )
        raise SchemaError(
            f"{shown(self.url)} has the tables {', '.join(found) or '(none)'}, and {state} in the table "
            f"alembic_version; expected one revision: {remedy}"
        )

    def _revision_by_columns(self, inspector: sa.Inspector, names: list[str]) -> str | None:
        """Return the revision that has these tables with their columns; ``None`` if it is older than 0005.

        Revision 0007 has added a table. Before 0006, the attributes of an item cannot be NULL.
        """
        found = {
            (name, column["name"]): column["nullable"]
            for name in names
            for column in inspector.get_columns(name)
        }
        newest = {
            (table.name, column.name): column.nullable
            for table in metadata.tables.values()
            for column in table.columns
        }
        if found == newest:
            return self.head
        older = {place: nullable for place, nullable in newest.items() if place[0] != first_user.name}
        if found == older:
            return "0006"
        return "0005" if found == {**older, ("item", "attributes"): False} else None

    def check(self, current: str | None) -> None:
        """Raise ``SchemaError`` unless ``current`` is the required revision."""
        if current == self.head:
            return
        self._refuse_unknown(current)
        state = f"schema revision {current}" if current else "no schema"
        raise SchemaError(
            f"{shown(self.url)} has {state}; expected revision {self.head}: "
            f"run item2vec db upgrade --store {shown(self.url)}"
        )

    def upgrade(self, *, backup: bool = True) -> str:
        """Migrate the database to the newest revision, in one transaction; return the revision.

        With ``backup``, a SQLite file with an older schema is first copied to ``FILE.REVISION.backup``, where
        ``REVISION`` is the older revision.

        Raises
        ------
        SchemaError
            If the schema is newer than this package, or damaged as described in ``current``.
        StoreError
            If the database fails, the backup cannot be written, or the migration changes the number of rows
            of a table or violates a foreign key. The migration is then rolled back.
        """
        from alembic import command

        return self._migrate(self.head, command.upgrade, backup=backup)

    def downgrade(self, revision: str) -> str:
        """Migrate back to an older revision, and return this revision. Revision ``"base"`` has no tables."""
        from alembic import command

        return self._migrate(revision, command.downgrade, backup=False)

    def _migrate(self, target: str, migrate: Callable[[Config, str], None], *, backup: bool) -> str:
        with translated(shown(self.url)):
            engine = begin_as(make_engine(self.url, migrating=True), "migrate")
            return retried(lambda: self._migrate_locked(engine, target, migrate, backup=backup))

    def _migrate_locked(
        self, engine: sa.Engine, target: str, migrate: Callable[[Config, str], None], *, backup: bool
    ) -> str:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ADVISORY_LOCK)))
            before = self.current(connection)
            self._refuse_unknown(before)
            if before == target:
                return target
            if backup and before is not None and engine.dialect.name == "sqlite":
                _back_up(Path(str(engine.url.database)), before)
            counts = _row_counts(connection)
            config = self._config()
            config.attributes["connection"] = connection
            migrate(config, target)
            self._compare(counts, connection)
        return target

    def _refuse_unknown(self, current: str | None) -> None:
        if current is not None and current not in self._revisions:
            raise SchemaError(
                f"{shown(self.url)} has schema revision {current}; the newest revision that this package "
                f"supports is {self.head}: upgrade with pip install --upgrade item2vec"
            )

    def _compare(self, before: dict[str, int], connection: sa.Connection) -> None:
        """Raise ``StoreError`` if a migration has changed a table's number of rows or violated a foreign key.

        Tables that the migration has dropped are not compared. The error rolls back the migration. PostgreSQL
        enforces foreign keys itself.
        """
        after = _row_counts(connection)
        for table, count in before.items():
            if after.get(table, count) != count:
                raise StoreError(
                    f"{shown(self.url)}: the migration left {after[table]:,} of {count:,} rows in table "
                    f"{table!r}; expected all rows; the migration was rolled back: please report this error"
                )
        if connection.dialect.name == "sqlite":
            orphan = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
            if orphan is not None:
                raise StoreError(
                    f"{shown(self.url)}: the migration left rows in table {orphan[0]!r} that refer to "
                    f"missing rows in {orphan[2]!r}; the migration was rolled back: please report this error"
                )


def _row_counts(connection: sa.Connection) -> dict[str, int]:
    names = sorted(set(sa.inspect(connection).get_table_names()) - {"alembic_version"})
    count = sa.func.count()
    return {name: connection.scalars(sa.select(count).select_from(sa.table(name))).one() for name in names}


def _back_up(database: Path, revision: str) -> None:
    """Back up a SQLite file by ``VACUUM INTO``. A copy of the file would lack transactions in ``-wal``."""
    backup = database.with_name(f"{database.name}.{revision}.backup")
    unfinished = database.with_name(f".{backup.name}.{uuid.uuid4().hex}.tmp")
    try:
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("VACUUM INTO ?", (str(unfinished),))
        with unfinished.open("rb") as file:
            flush(file.fileno())
        unfinished.replace(backup)
        sync_folder(database.parent)
    except OSError as error:
        raise StoreError(
            f"{backup} could not be written: {reason_of(error)}; check that the folder is writable and that "
            "the disk has free space; nothing was migrated"
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)
