"""Table definitions for queries.

The migrations create the tables. A test compares these definitions with the migrated schema.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from item2vec.store.types import Boolean, Int64, Json, Key, UTCDateTime

__all__ = [
    "UNKNOWN_POSITION",
    "BatchFacts",
    "first_user",
    "impression",
    "interaction",
    "item",
    "metadata",
    "promotion",
    "recommendation",
    "run",
    "user_account",
]

UNKNOWN_POSITION = 2**31 - 1
"""Position of an event that was stored before revision 0004; lowered if the event is ingested again."""

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _key_checks(*columns: str) -> list[sa.CheckConstraint]:
    """Return CHECK constraints on the length of ids, and on SQLite against NUL, which PostgreSQL rejects."""
    checks = []
    for column in columns:
        size = f"length(CAST({column} AS BLOB)) BETWEEN 1 AND 512 AND instr({column}, char(0)) = 0"
        checks.append(sa.CheckConstraint(size, name=column).ddl_if(dialect="sqlite"))
        size = f"octet_length({column}) BETWEEN 1 AND 512"
        checks.append(sa.CheckConstraint(size, name=column).ddl_if(dialect="postgresql"))
    return checks


def _object_checks(*columns: str) -> list[sa.CheckConstraint]:
    """Return CHECK constraints that require objects in JSON columns."""
    checks = []
    for column in columns:
        for dialect, type_of in (("sqlite", "json_type"), ("postgresql", "json_typeof")):
            rule = f"{type_of}({column}) = 'object'"
            checks.append(sa.CheckConstraint(rule, name=column).ddl_if(dialect=dialect))
    return checks


user_account = sa.Table(
    "user_account",
    metadata,
    sa.Column("id", Int64, sa.Identity(), primary_key=True),
    sa.Column("external_id", Key, nullable=False, unique=True),
    *_key_checks("external_id"),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)

item = sa.Table(
    "item",
    metadata,
    sa.Column("id", Int64, sa.Identity(), primary_key=True),
    sa.Column("external_id", Key, nullable=False, unique=True),
    sa.Column("title", sa.Text),
    # NULL if the attributes are unknown, because none has been stored. If the attributes were removed, or the
    # item was replaced by an item without attributes, the object is empty.
    sa.Column("attributes", Json(none_as_null=True)),
    sa.Column("active", Boolean, nullable=False, server_default=sa.true()),
    # Revision of the last transaction that inserted or changed the item. The revision is 0 for an item that
    # the ingestion of interactions of an earlier version of this package has inserted.
    sa.Column("revision", Int64, nullable=False, server_default="0"),
    *_key_checks("external_id"),
    *_object_checks("attributes"),
    # On PostgreSQL, the column types imply these constraints.
    sa.CheckConstraint("instr(title, char(0)) = 0", name="title").ddl_if(dialect="sqlite"),
    sa.CheckConstraint("active IN (0, 1)", name="active").ddl_if(dialect="sqlite"),
    sa.Index(
        "ix_item_inactive",
        "external_id",
        sqlite_where=sa.text("active = 0"),
        postgresql_where=sa.text("NOT active"),
    ),
    sa.Index("ix_item_revision", "revision"),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)

interaction = sa.Table(
    "interaction",
    metadata,
    # Histories and snapshots are read in the order of the primary key. On SQLite, the table is stored in this
    # order (WITHOUT ROWID), so that a history is one seek, and a full read needs no sort.
    sa.Column("user_id", Int64, sa.ForeignKey("user_account.id"), primary_key=True, autoincrement=False),
    # 1970-01-01 for an event without a timestamp. Either all events of a store have timestamps, or none do.
    sa.Column("occurred_at", UTCDateTime, primary_key=True),
    # Rank of the row among the rows of one ingestion with the same user and timestamp. The position does not
    # identify the event: events of several ingestions may have equal positions.
    sa.Column(
        "position",
        sa.Integer,
        primary_key=True,
        autoincrement=False,
        server_default=str(UNKNOWN_POSITION),
    ),
    sa.Column("event_key", Key, primary_key=True),
    sa.Column("source", Key, primary_key=True),
    sa.Column("item_id", Int64, sa.ForeignKey("item.id"), nullable=False),
    sa.Column("event", Key, nullable=False),
    sa.Column("weight", sa.REAL, nullable=False),
    sa.Column("session", Key),
    sa.Column("ingested_at", UTCDateTime, nullable=False),
    sa.Column("batch_id", Int64, nullable=False),
    sa.Column("dated", Boolean, nullable=False, server_default=sa.true()),
    sa.UniqueConstraint("source", "event_key"),
    *_key_checks("event_key", "source", "event", "session"),
    # This also rejects NaN: PostgreSQL orders NaN after all numbers, and SQLite stores NaN as NULL.
    sa.CheckConstraint("weight >= 0 AND weight < 1e39", name="weight"),
    sa.CheckConstraint("position >= 0", name="position"),
    sa.CheckConstraint("dated IN (0, 1)", name="dated").ddl_if(dialect="sqlite"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)


class BatchFacts(NamedTuple):
    """The columns of ``interaction`` whose values are the same for all events of one ingestion."""

    source: str
    ingested_at: datetime
    batch_id: int


first_user = sa.Table(
    "first_user",
    metadata,
    # Up to five users per item, whose interactions with the item were ingested first. An index of
    # interactions by item would make the table of interactions two fifths larger.
    # The ids are no foreign keys: the deletion of a user would then scan the table, or require an index. An
    # interaction of the user with the item, which has foreign keys, is stored in the same transaction.
    sa.Column("item_id", Int64, primary_key=True, autoincrement=False),
    sa.Column("user_id", Int64, primary_key=True, autoincrement=False),
    sa.Column("ingested_at", UTCDateTime, nullable=False),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)

run = sa.Table(
    "run",
    metadata,
    sa.Column("id", Int64, sa.Identity(), primary_key=True),
    sa.Column("started_at", UTCDateTime, nullable=False),
    sa.Column("finished_at", UTCDateTime),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("version", Key),
    sa.Column("reason", sa.Text),
    sa.Column("config", Json, nullable=False, server_default="{}"),
    sa.Column("gates", Json, nullable=False, server_default="{}"),
    sa.Column("metrics", Json, nullable=False, server_default="{}"),
    sa.CheckConstraint("status IN ('running', 'promoted', 'refused', 'failed')", name="status"),
    *_key_checks("version"),
    *_object_checks("config", "gates", "metrics"),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)

promotion = sa.Table(
    "promotion",
    metadata,
    # Several models folders may use one store. Each folder numbers its own generations.
    sa.Column("generation", Int64, primary_key=True, autoincrement=False),
    sa.Column("version", Key, primary_key=True),
    sa.Column("previous", Key),
    sa.Column("manifest_sha256", sa.Text, nullable=False),
    sa.Column("run_id", Int64, sa.ForeignKey("run.id")),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("promoted_at", UTCDateTime, nullable=False),
    sa.CheckConstraint("generation >= 1", name="generation"),
    sa.CheckConstraint("length(manifest_sha256) = 64", name="manifest_sha256"),
    *_key_checks("version", "previous"),
    sqlite_strict=True,
)

recommendation = sa.Table(
    "recommendation",
    metadata,
    sa.Column("version", Key, primary_key=True),
    sa.Column("user_id", Int64, sa.ForeignKey("user_account.id"), primary_key=True, index=True),
    sa.Column("rank", sa.Integer, primary_key=True),
    sa.Column("item_id", Int64, sa.ForeignKey("item.id"), nullable=False),
    sa.Column("score", sa.Double().with_variant(sa.REAL(), "sqlite"), nullable=False),
    sa.CheckConstraint("rank >= 1", name="rank"),
    *_key_checks("version"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)

impression = sa.Table(
    "impression",
    metadata,
    sa.Column("user_id", Int64, sa.ForeignKey("user_account.id"), primary_key=True, autoincrement=False),
    sa.Column("shown_at", UTCDateTime, primary_key=True),
    sa.Column("item_id", Int64, sa.ForeignKey("item.id"), primary_key=True, autoincrement=False),
    sa.Column("version", Key),
    *_key_checks("version"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)
